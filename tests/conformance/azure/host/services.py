"""Managed services as an app reaches them over HTTP: a process of their own that keeps their state and runs containers as processes.

Time is the host's: who looks at what runs is answered when it has ended, and only where that takes long, that it runs.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from arm import Unknown
from arm_schema import Checker, files

MANAGEMENT = "https://management.azure.com"
PATIENCE = 20.0
"""Real seconds: what runs longer is taken to run for ever."""
JOB = re.compile(rf"{MANAGEMENT}(/subscriptions/[^?]+/providers/Microsoft\.App/jobs/[^/?]+)(?:/(start|executions/([^/?]+)(/stop)?|starting/([^/?]+)))?\?api-version=2026-01-01")

Answer = tuple[int, dict[str, str], Any]
"""Status, headers, JSON."""


@dataclass
class Deployed:
    """What main.json makes, as far as the services know it."""

    root: str
    """The pipeline that was compiled."""
    jobs: dict[str, Any]
    """Container Apps jobs by their ids."""
    faults: dict[str, list[str]]
    """By the path of a step, after its pipeline's name if another pipeline runs that: how its services fail, a word each time."""


@dataclass
class Execution:
    """A container under way."""

    process: subprocess.Popen[bytes]
    stopped: bool = False


@dataclass
class State:
    deployed: Deployed
    patience: float
    folder: Path
    executions: dict[str, Execution] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: list[str] = field(default_factory=list)
    """What was stopped."""

    def fault(self, pipeline: str, step: str) -> str | None:
        """How this creation fails."""
        key = step if pipeline == self.deployed.root else f"{pipeline}/{step}"
        with self.lock:
            left = self.deployed.faults.get(key)
            return left.pop(0) if left else None

    def answer(self, method: str, url: str, token: str, body: Any) -> Answer:
        for pattern, scope, handler in ((JOB, MANAGEMENT, self.job),):
            match = pattern.fullmatch(url)
            if match is None:
                continue
            if token != f"Bearer {scope}/.default":
                return refused(401, "InvalidAuthenticationToken")
            return handler(method, match, body)
        return refused(404, f"this host does not know {method} {url}")

    # https://learn.microsoft.com/rest/api/resource-manager/containerapps/jobs

    def job(self, method: str, match: re.Match[str], body: Any) -> Answer:
        identity, action, execution, stop, starting = match.groups()
        job = self.deployed.jobs.get(identity)
        if job is None:
            return refused(404, "ResourceNotFound")
        if (method, action) == ("GET", None):
            return 200, {}, {"id": identity, **job}
        if (method, action) == ("POST", "start"):
            return self.start(identity, job, body)
        if method == "GET" and starting:
            return 200, {}, {"id": f"{identity}/executions/{starting}", "name": starting}
        known = self.executions.get(execution or "")
        if known is None:
            return refused(404, "JobExecutionNotFound")
        if (method, stop) == ("POST", "/stop"):
            known.stopped = True
            self.ended.append(identity)
            known.process.kill()
            return 200, {}, None
        return 200, {}, {"name": execution, "properties": {"status": self.status(known)}}

    def start(self, identity: str, job: Any, body: Any) -> Answer:
        problems = check("Microsoft.App@2026-01-01", "JobExecutionTemplate", body)
        if problems:
            return refused(400, "; ".join(problems))
        fault = self.fault(job["tags"]["mlpipe-pipeline"], job["tags"]["mlpipe-step"])
        if fault in ("capacity", "throttled"):
            return refused(429 if fault == "throttled" else 409, fault)
        [container] = body["containers"]
        words = container.get("command") or ["false"]
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        name = f"main-{uuid.uuid4().hex[:7]}"
        self.executions[name] = Execution(self.run(words, environment), stopped=fault == "vanished")
        # The answer comes with the end of an operation.
        return 202, {"Location": f"{MANAGEMENT}{identity}/starting/{name}?api-version=2026-01-01", "Retry-After": "0"}, None

    def run(self, words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        folder = tempfile.mkdtemp(dir=self.folder)
        path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
        return subprocess.Popen(words, cwd=folder, env={"PATH": path, "LANG": "C.UTF-8", **environment}, stdin=subprocess.DEVNULL, stdout=2)

    def status(self, execution: Execution) -> str:
        try:
            code = execution.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            return "Running"
        return "Stopped" if execution.stopped else "Failed" if code else "Succeeded"


def refused(status: int, text: str) -> Answer:
    return status, {}, {"error": {"code": text, "message": text}}


def check(provider: str, name: str, body: Any) -> list[str]:
    """Problems of a request's body."""
    content = files()[provider]
    return Checker(content["definitions"]).check(content["requests"][name], body, "")


class Services:
    """The process. Call `close` after each run: what still runs in it ends."""

    def __init__(self, deployed: Deployed, patience: float = PATIENCE) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mlpipe-services-")
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = listener.getsockname()[1]
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setpgid(0, 0)
                serve(listener, State(deployed, patience, Path(self.folder.name)))
            finally:
                os._exit(1)
        listener.close()

    def close(self) -> None:
        for kill in (os.killpg, os.kill):  # the group is there as soon as the process has made it
            try:
                kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        self.folder.cleanup()


def serve(listener: socket.socket, state: State) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if request == "ended":
                answer: Any = state.ended
            else:
                try:
                    answer = state.answer(*request)
                except Exception as error:
                    answer = refused(500, f"{type(error).__name__}: {error}")
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


def ask(port: int, request: Any) -> Any:
    """What the process answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=110)
    connection.request("POST", "/", json.dumps(request))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def known(value: Any) -> Any:
    """A resource as JSON: texts in place of what only a deployed one knows."""
    if isinstance(value, Unknown):
        return str(value)
    if isinstance(value, dict):
        return {str(key): known(item) for key, item in value.items()}
    return [known(item) for item in value] if isinstance(value, list) else value
