"""JSONata, evaluated by npm's `jsonata` in one long-lived node process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NODE_MODULES = Path(sys.prefix) / "node_modules"
LIMIT = 30


class QueryError(Exception):
    """An expression failed, or gave nothing."""


class Jsonata:
    """Evaluates and parses expressions; safe to share between threads."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def evaluate(self, expression: str, bindings: dict[str, Any]) -> Any:
        """The value of the expression. `bindings` are its variables, without `$`."""
        answer = self._ask({"evaluate": expression, "bindings": bindings})
        if "error" in answer:
            raise QueryError(answer["error"])
        if answer.get("undefined"):
            raise QueryError("returned nothing (undefined)")
        return answer["value"]

    def variables(self, expression: str) -> list[tuple[str, list[str]]]:
        """The outer variables that the expression reads, each with the path of fields after it."""
        answer = self._ask({"parse": expression})
        if "error" in answer:
            raise QueryError(answer["error"])
        return [(found["name"], found["path"]) for found in answer["variables"]]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                try:
                    if pipe is not None:
                        pipe.close()
                except BrokenPipeError:
                    pass
            self._process = None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        line = json.dumps(request)
        with self._lock:
            process = self._process or self._start()
            assert process.stdin and process.stdout
            timer = threading.Timer(LIMIT, process.kill)
            timer.start()
            try:
                process.stdin.write(line + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            finally:
                timer.cancel()
            if not answer:
                self.close()
                raise QueryError(f"the evaluation died or took longer than {LIMIT} s")
        return json.loads(answer)

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            ["node", str(HERE / "jsonata_server.cjs"), str(NODE_MODULES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self._process
