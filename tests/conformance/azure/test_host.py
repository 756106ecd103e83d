"""Runs the host's own cases: cases/NAME/{function_app.py, case.json}."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def run(folder: Path) -> list[str]:
    """What differs from the case."""
    case = json.loads((folder / "case.json").read_text())
    command = [sys.executable, str(HERE / "run_app.py"), str(folder), case["orchestrator"], json.dumps(case["input"])]
    for name, value, at in case.get("events", []):
        command += ["--event", f"{name}={json.dumps(value)}@{at}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=case.get("max_seconds", 60), env={"PYTHONDONTWRITEBYTECODE": "1"})
    if not done.stdout:
        return ["no result: " + done.stderr[-800:]]
    got = json.loads(done.stdout)
    return [problem for key, want in case["expect"].items() if (problem := differs(key, want, got))]


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
        with ThreadPoolExecutor(2) as pool:
            for folder, problems in zip(folders, pool.map(run, folders)):
                with self.subTest(folder.name):
                    self.assertEqual([], problems)


if __name__ == "__main__":
    unittest.main()
