"""Talks to the engines: each is a child process that answers one JSON line for each JSON line."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import Any

from . import install

Answer = dict[str, Any]


class Engine:
    """One engine's process, started when it is first asked and again after it died."""

    def __init__(self, command: list[str], limit: float, verbose: bool = False) -> None:
        self.command = command
        self.limit = limit
        self.verbose = verbose
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.said: deque[str] = deque(maxlen=60)

    def ask(self, request: dict[str, Any]) -> Answer:
        """Runs one case. Whatever goes wrong is an answer with `engine_error`."""
        self.said.clear()
        if self.process is None or self.process.poll() is not None:
            try:
                self.start()
            except OSError as error:
                return {"engine_error": f"does not start: {error}"}
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=self.limit)
        except queue.Empty:
            self.stop()
            return {"engine_error": f"no answer within {self.limit:g} s", "stderr": list(self.said)}
        except (BrokenPipeError, OSError):
            line = None
        if line is None:
            self.stop()
            return {"engine_error": "the engine died", "stderr": list(self.said)}
        try:
            answer = json.loads(line)
            if not isinstance(answer, dict) or not ("engine_error" in answer or "status" in answer):
                raise ValueError("no status")
        except ValueError as error:
            self.stop()
            return {"engine_error": f"not an answer ({error}): {line.strip()[:500]}", "stderr": list(self.said)}
        if "engine_error" in answer:
            answer.setdefault("stderr", list(self.said))
        return answer

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=install.ROOT,
            start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read_answers, args=(self.process, self.lines), daemon=True).start()
        threading.Thread(target=self.read_log, args=(self.process,), daemon=True).start()

    def read_answers(self, process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    def read_log(self, process: subprocess.Popen[str]) -> None:
        with process.stderr:
            for line in process.stderr:
                self.said.append(line.rstrip("\n"))
                if self.verbose:
                    print(line, end="", flush=True)

    def stop(self) -> None:
        """Ends the process and all that it started."""
        if self.process is None:
            return
        try:
            self.process.stdin.close()
            self.process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait()
        self.process = None


def command(name: str, mlpipe: Path, gcp_api: str | None) -> list[str]:
    line = [str(install.python(name)), str(install.CONFORMANCE / name / "engine.py")]
    if name == "local":
        line += ["--mlpipe", str(mlpipe)]
    if name == "gcp" and gcp_api:
        line += ["--gcp-api", gcp_api]
    return line
