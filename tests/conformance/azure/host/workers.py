"""Where activities run: forked worker processes, or this process with a virtual `sleep` (for the host's own cases)."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Hashable

from . import border
from .activities import Outcome, failure, invoke, on_thread
from .app import Functions


@dataclass
class Worker:
    """One process that runs one activity at a time."""

    pid: int
    requests: int
    answers: int
    received: bytearray = field(default_factory=bytearray)


class Workers:
    """A pool of processes forked from this one, which has imported the app. Call `close` after each run."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.idle: list[Worker] = []
        self.busy: dict[Hashable, tuple[Worker, str]] = {}
        self.sent: list[border.Message] = []
        """What activities that have ended sent to orchestrations; the host takes it."""

    def start(self, key: Hashable, name: str, raw: str | None) -> tuple[Outcome, float] | None:
        """Starts an activity; `wait` gives its outcome later."""
        worker = self.idle.pop() if self.idle else self.fork()
        self.busy[key] = (worker, name)
        message = json.dumps([name, raw]).encode() + b"\n"
        try:
            while message:
                message = message[os.write(worker.requests, message) :]
        except BrokenPipeError:
            pass  # it died: `wait` sees the end of its answers
        return None

    def wait(self, timeout: float | None) -> dict[Hashable, Outcome]:
        """The activities that end within `timeout` seconds: returns as soon as there is one."""
        by_pipe = {worker.answers: (key, worker, name) for key, (worker, name) in self.busy.items()}
        until = None if timeout is None else time.monotonic() + timeout
        ended: dict[Hashable, Outcome] = {}
        while not ended:
            left = None if until is None else max(0.0, until - time.monotonic())
            ready, _, _ = select.select(list(by_pipe), [], [], left)
            if not ready:
                break
            for pipe in ready:
                key, worker, name = by_pipe[pipe]
                outcome = self.receive(worker, name)
                if outcome is not None:
                    ended[key] = outcome
                    del self.busy[key]
        return ended

    def receive(self, worker: Worker, name: str) -> Outcome | None:
        data = os.read(worker.answers, 1 << 16)
        worker.received += data
        if not data:
            code = self.end(worker, grace=1.0)
            return False, failure(name, f"WorkerProcessExitException: python exited with code {code} (0x{code & 0xFF:X})")
        if not worker.received.endswith(b"\n"):
            return None
        (ok, value), sent = json.loads(worker.received)
        self.sent += map(tuple, sent)
        worker.received.clear()
        self.idle.append(worker)
        return ok, tuple(value) if isinstance(value, list) else value

    def kill(self, key: Hashable) -> None:
        """Gives up on an activity."""
        if key in self.busy:
            self.end(self.busy.pop(key)[0])

    def close(self) -> None:
        for worker in [*self.idle, *(worker for worker, _ in self.busy.values())]:
            self.end(worker)
        self.idle.clear()
        self.busy.clear()

    def end(self, worker: Worker, grace: float = 0.0) -> int:
        """Ends the process, by force if it still lives after `grace` seconds; its exit code."""
        os.close(worker.requests)
        os.close(worker.answers)
        until = time.monotonic() + grace
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        while pid == 0 and time.monotonic() < until:
            time.sleep(0.005)
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if pid == 0:
            os.kill(worker.pid, signal.SIGKILL)
            pid, status = os.waitpid(worker.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def fork(self) -> Worker:
        request_out, request_in = os.pipe()
        answer_out, answer_in = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(request_in)
                os.close(answer_out)
                for other in [*self.idle, *(worker for worker, _ in self.busy.values())]:
                    os.close(other.requests)
                    os.close(other.answers)
                serve(self.functions, request_out, answer_in)
            finally:
                os._exit(1)
        os.close(request_out)
        os.close(answer_in)
        return Worker(pid, request_in, answer_out)


def serve(functions: Functions, requests: int, answers: int) -> None:
    """The worker's own life. A SystemExit ends it, as it ends the real worker."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    with open(requests, "rb") as lines:
        for line in lines:
            name, raw = json.loads(line)
            outcome = on_thread(invoke, functions, name, raw)
            sys.stdout.flush()
            sys.stderr.flush()
            message = json.dumps([outcome, border.taken()]).encode() + b"\n"
            while message:
                message = message[os.write(answers, message) :]
    os._exit(0)


class Virtual:
    """Runs activities at once, here; what they sleep passes on the virtual clock."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.busy: dict[Hashable, Any] = {}
        self.sent: list[border.Message] = []

    def start(self, key: Hashable, name: str, raw: str | None) -> tuple[Outcome, float] | None:
        slept = [0.0]
        real_sleep, real_async = time.sleep, asyncio.sleep

        async def async_sleep(seconds: float, result: Any = None) -> Any:
            slept[0] += seconds
            await real_async(0)
            return result

        def sleep(seconds: float) -> None:
            slept[0] += seconds

        time.sleep, asyncio.sleep = sleep, async_sleep
        try:
            outcome = invoke(self.functions, name, raw)
        finally:
            time.sleep, asyncio.sleep = real_sleep, real_async
        self.sent += border.taken()
        return outcome, slept[0]

    def wait(self, timeout: float | None) -> dict[Hashable, Outcome]:
        return {}

    def kill(self, key: Hashable) -> None:
        pass

    def close(self) -> None:
        pass
