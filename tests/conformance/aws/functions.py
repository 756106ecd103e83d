"""Lambda functions in child processes, warm between calls, killed on timeout."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

from forks import Forks  # noqa: E402

WORKER = Path(__file__).with_name("lambda_worker.py")
STORAGE = Path(__file__).parent.parent / "storage"
BASE = {
    "PATH": os.environ.get("PATH", ""),
    "HOME": os.environ.get("HOME", "/tmp"),
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": str(STORAGE),
}
FORKS = Forks(["asyncio", "json", "traceback"], BASE)
MAX_RESPONSE = 6 * 1024 * 1024


class FunctionFailed(Exception):
    """What Lambda reports with FunctionError: a JSON text with errorType and errorMessage."""

    def __init__(self, payload: str) -> None:
        super().__init__(payload)
        self.payload = payload


class TaskTimedOut(Exception):
    """The caller's own limit ran out before the function's."""


@dataclass(frozen=True)
class Function:
    """One AWS::Serverless::Function of the template."""

    name: str
    code: Path
    handler: str
    timeout: float
    environment: dict[str, str] = field(default_factory=dict)
    memory: int = 128


class Sandbox:
    """One worker process of one function."""

    def __init__(self, function: Function, extra: dict[str, str]) -> None:
        environment = {
            **BASE,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            **extra,
            **function.environment,
        }
        self.process = FORKS.start(WORKER, [function.handler], environment, function.code)

    def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any] | None:
        """The answer; None where the process ended. Raises TimeoutError and kills it at the limit."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(limit, stop)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if late.is_set():
            self.close()
            raise TimeoutError
        return json.loads(line) if line else None

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        """Ends the process and what it started."""
        self.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def exit_reason(self) -> str:
        """How Lambda words the end of the process."""
        code = self.process.wait()
        if code == 0:
            return "Runtime exited without providing a reason"
        if code < 0:
            return f"Runtime exited with error: signal: {signal.strsignal(-code).lower()}"
        return f"Runtime exited with error: exit status {code}"


class Functions:
    """The functions of one artifacts folder and their warm sandboxes."""

    def __init__(self, functions: dict[str, Function], environment: dict[str, str]) -> None:
        self.functions = functions
        self.environment = environment
        self._idle: dict[str, list[Sandbox]] = {name: [] for name in functions}
        self._lock = threading.Lock()

    def invoke(self, arn: str, event: Any, task_timeout: float | None = None) -> Any:
        """The function's answer. Raises FunctionFailed, TaskTimedOut, or KeyError where there is no such function."""
        function = self.functions[arn]
        sandbox = self._take(function, arn)
        request_id = str(uuid.uuid4())
        limit = function.timeout if task_timeout is None else min(function.timeout, task_timeout)
        try:
            answer = sandbox.ask({"id": request_id, "event": event, "timeout": function.timeout}, limit)
        except TimeoutError:
            # A tie is the caller's: Lambda begins to count after Step Functions does.
            if task_timeout is not None and task_timeout <= function.timeout:
                raise TaskTimedOut from None
            raise self._ended("Sandbox.Timedout", request_id, f"Task timed out after {function.timeout:.2f} seconds") from None
        if answer is None:
            reason = sandbox.exit_reason()
            sandbox.close()
            raise self._ended("Runtime.ExitError", request_id, reason)
        self._give_back(arn, sandbox)
        if "error" in answer:
            raise FunctionFailed(answer["error"])
        size = len(answer["payload"].encode("utf-8", "surrogatepass"))
        if size > MAX_RESPONSE:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE + 112} bytes)."
            raise FunctionFailed(json.dumps({"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}))
        return json.loads(answer["payload"], parse_constant=not_json)

    def close(self) -> None:
        for sandboxes in self._idle.values():
            for sandbox in sandboxes:
                sandbox.close()
            sandboxes.clear()

    def _take(self, function: Function, arn: str) -> Sandbox:
        with self._lock:
            while self._idle[arn]:
                sandbox = self._idle[arn].pop()
                if sandbox.process.poll() is None:
                    return sandbox
        return Sandbox(function, self.environment)

    def _give_back(self, arn: str, sandbox: Sandbox) -> None:
        with self._lock:
            self._idle[arn].append(sandbox)

    @staticmethod
    def _ended(error_type: str, request_id: str, reason: str) -> FunctionFailed:
        return FunctionFailed(json.dumps({"errorType": error_type, "errorMessage": f"RequestId: {request_id} Error: {reason}"}))


def not_json(name: str) -> Any:
    raise ValueError(f"the function's answer holds {name}, which is not JSON")
