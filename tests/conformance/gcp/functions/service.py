"""Function instances: started on demand, reused while they live, killed when they hang."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STORAGE = Path(__file__).resolve().parents[2] / "storage"


@dataclass(frozen=True)
class FunctionSpec:
    """A function as main.tf.json declares it."""

    name: str
    source: Path
    entry_point: str
    environment: dict[str, str] = field(default_factory=dict)
    timeout: float = 60.0


@dataclass(frozen=True)
class Instance:
    """A server process of a function."""

    pid: int
    port: int

    def kill(self) -> None:
        """Ends the process and those that it started."""
        for end in (os.killpg, os.kill):
            try:
                end(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


class Zygote:
    """The process that forks instances, started on first use and again if it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def fork(self, request: dict[str, Any]) -> Instance:
        """A new instance."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-u", str(Path(__file__).with_name("zygote.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Instance(answer["pid"], answer["port"])

    def close(self) -> None:
        """Ends the process; instances end by their own."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


class Instances:
    """All instances of the functions of one artifacts folder.

    Cloud Run functions docs, Concurrency: one request at a time an instance, unless set otherwise.
    """

    def __init__(
        self, functions: list[FunctionSpec], environment: dict[str, str], zygote: Zygote
    ) -> None:
        self.functions = {function.name: function for function in functions}
        self._environment = environment
        self._lock = threading.Lock()
        self._idle: dict[str, list[Instance]] = {}
        self._all: set[Instance] = set()
        self._zygote = zygote

    def acquire(self, name: str) -> Instance:
        """An instance for one request."""
        with self._lock:
            idle = self._idle.setdefault(name, [])
            return idle.pop() if idle else self._start(self.functions[name])

    def release(self, name: str, instance: Instance) -> None:
        """Gives an instance back that answered."""
        with self._lock:
            self._idle.setdefault(name, []).append(instance)

    def discard(self, instance: Instance) -> None:
        """Kills an instance that died or hangs."""
        with self._lock:
            self._all.discard(instance)
        instance.kill()

    def close(self) -> None:
        """Kills them all."""
        with self._lock:
            for instance in self._all:
                instance.kill()
            self._all.clear()

    def _start(self, function: FunctionSpec) -> Instance:
        request = {
            "source": str(function.source),
            "entry_point": function.entry_point,
            "environment": self._environment_of(function),
            "storage": str(STORAGE),
        }
        instance = self._zygote.fork(request)
        self._all.add(instance)
        return instance

    def _environment_of(self, function: FunctionSpec) -> dict[str, str]:
        """Cloud Run functions docs, Environment variables: what is set besides the function's own."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(STORAGE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FUNCTION_TARGET": function.entry_point,
            "FUNCTION_SIGNATURE_TYPE": "http",
            "K_SERVICE": function.name,
            "K_REVISION": f"{function.name}-00001",
            **self._environment,
            **function.environment,
        }
