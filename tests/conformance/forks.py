"""Processes that start with modules imported: a server imports them once, and forks for each process.

`forks.py MODULE…` is the server; its standard input is the socket of a `Forks`, which engines use in place of `subprocess.Popen`.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

LENGTH = 4
"""Bytes that tell how long a request is."""


class Forked:
    """A process, like one of `subprocess.Popen` with pipes. It leads a session of its own."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], status: int) -> None:
        self.stdin, self.stdout = stdin, stdout
        self.returncode: int | None = None
        self._status = os.fdopen(status, "rb")
        first = self._status.readline()
        if not first:
            raise OSError("the server of processes ended")
        self.pid = int(first)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            line = self._status.readline()
            self.returncode = int(line) if line else -signal.SIGKILL
            self._status.close()
        return self.returncode

    def kill(self) -> None:
        """Ends it and what it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Forks:
    """Starts processes. The server starts with the first."""

    def __init__(self, modules: list[str], environment: dict[str, str]) -> None:
        self.modules, self.environment = modules, environment
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def start(self, script: Path, arguments: list[str], environment: dict[str, str], folder: Path) -> Forked:
        """Runs a script under this Python with pipes for standard input and output."""
        request = json.dumps({"script": str(script), "arguments": arguments, "environment": environment, "folder": str(folder)}).encode()
        input_out, input_in = os.pipe()
        output_out, output_in = os.pipe()
        status_out, status_in = os.pipe()
        theirs = [input_out, output_in, status_in]
        try:
            with self._lock:
                server = self._server()
                socket.send_fds(server, [len(request).to_bytes(LENGTH, "big")], theirs)
                server.sendall(request)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return Forked(os.fdopen(input_in, "wb"), os.fdopen(output_out, "rb"), status_out)

    def close(self) -> None:
        """Ends the server; the processes go on."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    def _server(self) -> socket.socket:
        if self._socket is None:
            ours, its = socket.socketpair()
            self._process = subprocess.Popen([sys.executable, __file__, *self.modules], stdin=its, env=self.environment, start_new_session=True)
            its.close()
            self._socket = ours
        return self._socket


def serve(requests: socket.socket, modules: list[str]) -> dict[str, Any]:
    """Forks until the client is gone. Returns in each new process: what it has to run."""
    for module in modules:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        length, descriptors, *_ = socket.recv_fds(requests, LENGTH, 3)
        if not length:
            sys.exit()
        request = json.loads(received(requests, int.from_bytes(length, "big")))
        if os.fork() == 0:
            requests.close()
            watch_over_child(*descriptors)
            return request
        for descriptor in descriptors:
            os.close(descriptor)


def received(requests: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        more = requests.recv(length - len(data))
        if not more:
            sys.exit()
        data += more
    return bytes(data)


def watch_over_child(stdin: int, stdout: int, status: int) -> None:
    """Forks once more and returns in the child; the parent tells its process id, waits for its end and tells its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        for descriptor in (stdin, stdout, status):
            os.close(descriptor)
        return
    os.close(stdin)
    os.close(stdout)
    os.write(status, b"%d\n" % child)
    _, ended = os.waitpid(child, 0)
    os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
    os._exit(0)


if __name__ == "__main__":
    work = serve(socket.socket(fileno=os.dup(0)), sys.argv[1:])
    os.environ.clear()
    os.environ.update(work["environment"])
    os.chdir(work["folder"])
    sys.argv = [work["script"], *work["arguments"]]
    sys.path[0] = str(Path(work["script"]).parent)
    runpy.run_path(work["script"], run_name="__main__")
