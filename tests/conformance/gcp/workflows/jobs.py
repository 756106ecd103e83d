"""Cloud Run jobs: each execution is a process of this machine."""

from __future__ import annotations

import subprocess
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import WorkflowError, runtime_error, undocumented, value_error

# Real seconds: who runs longer is taken to run for ever.
_PATIENCE = 20


@dataclass(frozen=True)
class JobSpec:
    """What a job is deployed with. `path` names its step."""

    path: str
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class _Task:
    """An execution with one task."""

    process: subprocess.Popen[bytes]
    cancelled: bool = False


class Jobs:
    """The service. `refuses` are how many requests to run one it turns away at first."""

    def __init__(self, jobs: dict[str, JobSpec] | None = None, refuses: int = 0) -> None:
        self.jobs = jobs or {}
        self.refuses = refuses
        self.started: Counter[str] = Counter()
        self._tasks: dict[str, _Task] = {}
        self._lock = threading.Lock()

    def run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Cloud Run API, jobs.run: an operation whose metadata is the new execution."""
        if arguments.get("connector_params") != {"skip_polling": True}:
            raise undocumented("jobs.run that waits; use skip_polling")
        name = arguments["name"]
        job = self.jobs.get(name)
        if job is None:
            raise _answered(404, f"{name} was not found, or this account may not use it")
        words, variables = _overrides(arguments.get("body") or {})
        with self._lock:
            if self.refuses > 0:
                self.refuses -= 1
                raise _answered(429, "quota exceeded")
            self.started[job.path] += 1
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **job.environment, **variables}
        process = subprocess.Popen(
            [*job.command, *words],
            cwd=job.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        execution = f"{name}/executions/{uuid.uuid4()}"
        self._tasks[execution] = _Task(process)
        return {"name": f"{name}/operations/{uuid.uuid4()}", "metadata": {"name": execution}}

    def get(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Cloud Run API, executions.get: counts that are 0 are left out, as the time of an end that is not there yet."""
        task = self._task(arguments)
        found: dict[str, Any] = {"name": arguments["name"], "taskCount": 1}
        try:
            code = task.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return {**found, "runningCount": 1}
        count = "cancelledCount" if task.cancelled else "failedCount" if code else "succeededCount"
        return {**found, "completionTime": "2026-01-01T00:00:00Z", count: 1}

    def cancel(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Cloud Run API, executions.cancel."""
        task = self._task(arguments)
        task.cancelled = True
        task.process.kill()
        task.process.wait()
        return {"name": f"{arguments['name']}/operations/{uuid.uuid4()}", "metadata": {"name": arguments["name"]}}

    def running(self) -> int:
        """How many containers run now."""
        return sum(task.process.poll() is None for task in self._tasks.values())

    def _task(self, arguments: dict[str, Any]) -> _Task:
        task = self._tasks.get(arguments["name"])
        if task is None:
            raise _answered(404, f"{arguments['name']} was not found")
        return task


def _overrides(body: Any) -> tuple[list[str], dict[str, str]]:
    """Cloud Run API, RunJobRequest: the words and variables of the one container."""
    match body:
        case {"overrides": {"containerOverrides": [dict() as container]}} if not set(container) - {"args", "env"}:
            pass
        case _:
            raise value_error(f"not what jobs.run takes: {body!r}")
    words, variables = container.get("args", []), container.get("env", [])
    texts = [*words, *(value for pair in variables for value in pair.values())]
    if not all(isinstance(text, str) for text in texts) or any(set(pair) != {"name", "value"} for pair in variables):
        raise value_error(f"args and env are strings: {container!r}")
    return words, {pair["name"]: pair["value"] for pair in variables}


def _answered(code: int, message: str) -> WorkflowError:
    error = runtime_error("HttpError", message)
    error.value["code"] = code
    return error
