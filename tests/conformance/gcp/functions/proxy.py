"""The front end that callers see: URLs, identity, timeouts and crashes as Cloud Run has them."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .service import FunctionSpec, Instance, Instances


class Server(ThreadingHTTPServer):
    """One that takes the calls of a long list all at once."""

    request_queue_size = 1024
    daemon_threads = True


class Proxy:
    """Serves every function under `/NAME` of one loopback address."""

    def __init__(self) -> None:
        self.instances: Instances | None = None
        self.authenticated = True
        self._lock = threading.Lock()
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._tries: Counter[tuple[str, str, Any]] = Counter()
        self._problems: list[str] = []
        self._server = Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, function: str) -> str:
        """The URL of a function."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/{function}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()

    def begin(self) -> None:
        """Forgets what the calls of an earlier execution left."""
        with self._lock:
            self._attempts.clear()
            self._tries.clear()
            self._problems.clear()

    def attempts(self) -> dict[tuple[str, str], int]:
        """Calls by the `run_id` and the `step` of their envelopes."""
        with self._lock:
            return dict(self._attempts)

    def problems(self) -> list[str]:
        """Calls that no generated workflow should make."""
        with self._lock:
            return list(self._problems)

    def _problem(self, message: str) -> None:
        with self._lock:
            self._problems.append(message)

    def _count(self, body: bytes, function: str) -> None:
        try:
            envelope = json.loads(body)
            step, run_id = envelope["step"], envelope["run_id"]
            attempt = envelope.get("attempt")
            # Items, repetitions and tries of a group count anew: each second attempt has a first one of its own.
            seen = self._tries[run_id, step, attempt]
            known = attempt == 1 or (isinstance(attempt, int) and seen < self._tries[run_id, step, attempt - 1])
            if set(envelope) != {"run_id", "step", "attempt", "input"}:
                self._problem(f"{function}: the envelope has the keys {sorted(envelope)}")
            if not known:
                self._problem(f"{function}: attempt {attempt!r} without one before it")
        except (ValueError, KeyError, TypeError):
            self._problem(f"{function}: no envelope: {body[:200]!r}")
            return
        with self._lock:
            self._attempts[run_id, step] += 1
            self._tries[run_id, step, attempt] += 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            """One call of a function."""

            def do_POST(self) -> None:
                proxy._serve(self)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        name = request.path.strip("/").partition("?")[0]
        instances = self.instances
        if instances is None or name not in instances.functions:
            self._problem(f"no function at {request.path}")
            return _answer(request, 404, "text/plain", b"no such function")
        identity = request.headers.get("Authorization", "")
        if self.authenticated and not identity.startswith("Bearer OIDC:"):
            # Cloud Run docs, Authentication: a call without an identity is forbidden.
            self._problem(f"{name}: called without OIDC")
            return _answer(request, 403, "text/plain", b"forbidden")
        self._count(body, name)
        self._forward(request, body, instances, instances.functions[name])

    def _forward(
        self,
        request: BaseHTTPRequestHandler,
        body: bytes,
        instances: Instances,
        function: FunctionSpec,
    ) -> None:
        instance = instances.acquire(function.name)
        try:
            answer = _exchange(request, body, instance, function.timeout)
        except TimeoutError:
            # Cloud Run docs, Request timeout: 504, the instance is not used again.
            instances.discard(instance)
            return _answer(request, 504, "text/plain", b"upstream request timeout")
        except ConnectionAbortedError:
            instances.discard(instance)
            return None
        except (OSError, http.client.HTTPException):
            # Cloud Run docs, Troubleshoot: 503 where the connection to the instance broke.
            instances.discard(instance)
            message = b"The request failed because the connection to the instance had an error."
            return _answer(request, 503, "text/plain", message)
        instances.release(function.name, instance)
        return _answer(request, *answer)


def _exchange(
    request: BaseHTTPRequestHandler, body: bytes, instance: Instance, timeout: float
) -> tuple[int, str, bytes]:
    """Sends the request on. ConnectionAbortedError where the caller hung up first."""
    deadline = time.monotonic() + timeout
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=timeout)
    try:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", "connection", "content-length")
        }
        connection.request(request.command, "/", body, headers)
        assert connection.sock is not None
        _await_answer(connection.sock, request.connection, deadline)
        connection.sock.settimeout(max(0.01, deadline - time.monotonic()))
        response = connection.getresponse()
        kind = response.headers.get("Content-Type", "application/octet-stream")
        return response.status, kind, response.read()
    finally:
        connection.close()


def _await_answer(instance: socket.socket, caller: socket.socket, deadline: float) -> None:
    watched = [instance, caller]
    while True:
        left = deadline - time.monotonic()
        ready = select.select(watched, [], [], max(0, left))[0] if left > 0 else []
        if instance in ready:
            return
        if not ready:
            raise TimeoutError
        if not caller.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError
        watched = [instance]


def _answer(request: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
    try:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
    except OSError:
        request.close_connection = True
