"""Runs workflows on a server of the Workflows REST API: an emulator, or Google."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deployment import PROJECT, Deployment

_POLL_SECONDS, _LIMIT_SECONDS = 0.05, 300


class ApiError(Exception):
    """The server refused, or cannot be reached."""


class ApiRunner:
    """`address` is the server's URL, or `exec:/path` of one to start for each execution.

    A started server gets the workflow's environment variables as its own, and a port of its own.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def run(
        self, deployment: Deployment, environment: dict[str, str], argument: Any
    ) -> tuple[Any, Any]:
        """The result and the error of one execution."""
        return self.execute(
            deployment.source, deployment.environment, environment, argument, deployment.region
        )

    def execute(
        self,
        source: str,
        user_environment: dict[str, str],
        environment: dict[str, str],
        argument: Any,
        region: str,
    ) -> tuple[Any, Any]:
        """Creates a workflow, executes it once and waits for the end."""
        if self.address.startswith("exec:"):
            with _started(self.address.removeprefix("exec:"), environment, region) as url:
                return _execute(url, source, {}, argument, region)
        return _execute(self.address.rstrip("/"), source, user_environment, argument, region)


def _execute(
    url: str, source: str, environment: dict[str, str], argument: Any, region: str
) -> tuple[Any, Any]:
    parent = f"{url}/v1/projects/{PROJECT}/locations/{region}/workflows"
    name = f"mlpipe-{uuid.uuid4().hex[:12]}"
    workflow: dict[str, Any] = {"sourceContents": source}
    if environment:
        workflow["userEnvVars"] = environment
    operation = _call("POST", f"{parent}?workflowId={name}", workflow)
    _until(lambda: _done(url, operation))
    execution = {} if argument is None else {"argument": json.dumps(argument)}
    created = _call("POST", f"{parent}/{name}/executions", execution)
    ended = _until(lambda: _ended(f"{url}/v1/{created['name']}"))
    if ended["state"] == "SUCCEEDED":
        return json.loads(ended.get("result") or "null"), None
    payload = (ended.get("error") or {}).get("payload")
    if payload is None:
        raise ApiError(f"the execution ended {ended['state']} without an error")
    try:
        return None, json.loads(payload)
    except ValueError:
        return None, payload


def _done(url: str, operation: dict[str, Any]) -> dict[str, Any] | None:
    """The operation when it has ended; gcw-emulator answers with the workflow itself."""
    if operation.get("state") == "ACTIVE":
        return operation
    if not operation.get("done"):
        operation = _call("GET", f"{url}/v1/{operation['name']}", None)
    if error := operation.get("error"):
        raise ApiError(f"the workflow was refused: {error}")
    return operation if operation.get("done") else None


def _ended(url: str) -> dict[str, Any] | None:
    execution = _call("GET", url, None)
    return None if execution["state"] in ("ACTIVE", "QUEUED") else execution


def _until(probe: Any) -> dict[str, Any]:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(_POLL_SECONDS)
    raise ApiError(f"no end within {_LIMIT_SECONDS} s")


def _call(method: str, url: str, body: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        detail = re.sub(r"\s+", " ", error.read().decode(errors="replace"))
        raise ApiError(f"{method} {url}: {error.code}: {detail[:1000]}") from None
    except OSError as error:
        raise ApiError(f"{method} {url}: {error}") from None


@contextmanager
def _started(path: str, environment: dict[str, str], region: str) -> Iterator[str]:
    """Starts a server on free ports; gives its URL and ends it afterwards."""
    ports = _free_ports(2)
    command = [path, "--host", "127.0.0.1", "--port", str(ports[0]), "--grpc-port", str(ports[1])]
    process = subprocess.Popen(
        [*command, "--project", PROJECT, "--location", region],
        env={"PATH": os.environ.get("PATH", ""), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_port(process, ports[0])
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ApiError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise ApiError("the server does not listen")
