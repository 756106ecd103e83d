"""Runs the host's own cases: cases/NAME/{function_app.py, case.json}."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import unittest
import warnings
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import azure.durable_functions  # noqa: E402, F401

import run_app  # noqa: E402

HERE = Path(__file__).resolve().parent


def run(folder: Path) -> list[str]:
    """What differs from the case."""
    case = json.loads((folder / "case.json").read_text())
    events = [(name, value, float(at)) for name, value, at in case.get("events", [])]
    began = time.monotonic()
    got = in_child(lambda: run_app.run(folder, case["orchestrator"], json.dumps(case["input"]), events))
    took = time.monotonic() - began
    problems = [problem for key, want in case["expect"].items() if (problem := differs(key, want, got))]
    return problems + ([f"took {took:.1f} s"] if took > case.get("max_seconds", 60) else [])


def in_child(work: Callable[[], Any]) -> Any:
    """Forks: each app is imported in a process of its own, and the libraries only once."""
    out, inward = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        os.dup2(2, 1)
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
        with os.fdopen(inward, "w") as pipe:
            json.dump(work(), pipe)
        os._exit(0)
    os.close(inward)
    with os.fdopen(out) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else {"error": "the process died"}


def differs(key: str, want: Any, got: dict[str, Any]) -> str | None:
    """A key that ends in `~` holds a regular expression."""
    value = got.get(key.rstrip("~"))
    if key.endswith("~"):
        return None if re.search(want, str(value), re.DOTALL) else f"{key[:-1]}: {value!r} does not match {want!r}"
    return None if value == want else f"{key}: {json.dumps(value)} is not {json.dumps(want)} [error: {got.get('error')}]"


class HostCases(unittest.TestCase):
    def test_cases(self) -> None:
        folders = sorted(path.parent for path in (HERE / "cases").glob("*/case.json"))
        self.assertGreater(len(folders), 40)
        for folder in folders:
            with self.subTest(folder.name):
                self.assertEqual([], run(folder))


if __name__ == "__main__":
    unittest.main()
