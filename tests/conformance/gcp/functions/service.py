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


class Instances:
    """All instances of the functions of one artifacts folder.

    Cloud Run functions docs, Concurrency: one request at a time an instance, unless set otherwise.
    """

    def __init__(self, functions: list[FunctionSpec], environment: dict[str, str]) -> None:
        self.functions = {function.name: function for function in functions}
        self._environment = environment
        self._lock = threading.Lock()
        self._idle: dict[str, list[Instance]] = {}
        self._all: set[Instance] = set()
        self._zygote = _start_zygote()

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
        self._zygote.kill()
        self._zygote.wait()
        for stream in (self._zygote.stdin, self._zygote.stdout):
            assert stream is not None
            stream.close()

    def _start(self, function: FunctionSpec) -> Instance:
        request = {
            "source": str(function.source),
            "entry_point": function.entry_point,
            "environment": self._environment_of(function),
            "storage": str(STORAGE),
        }
        if self._zygote.poll() is not None:
            self._zygote = _start_zygote()
        assert self._zygote.stdin is not None and self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(request) + "\n")
        self._zygote.stdin.flush()
        answer = json.loads(self._zygote.stdout.readline())
        instance = Instance(answer["pid"], answer["port"])
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


def _start_zygote() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", str(Path(__file__).with_name("zygote.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
