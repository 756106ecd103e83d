"""Tests the local engine with an mlpipe of straw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

STRAW = f"""#!{sys.executable}
import json, os, sys
params = json.load(open(sys.argv[sys.argv.index("--params") + 1]))
assert sys.argv[1] == "run" and "--no-wait" in sys.argv and sys.argv[-2:] == ["--format", "json"], sys.argv
record = {{"status": params["status"], "outputs": json.loads(os.environ["MLPIPE_LOCAL_BUCKETS"]), "error": None, "attempts": {{}}, "waits": [], "skipped": []}}
print(json.dumps(record) if params["status"] != "broken" else "panicked")
sys.exit(params["code"])
"""


class LocalEngine(unittest.TestCase):
    def ask(self, params: dict[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            mlpipe = Path(folder) / "mlpipe"
            mlpipe.write_text(STRAW)
            os.chmod(mlpipe, 0o755)
            request = {"pipeline": "p.yaml", "artifacts": "", "params": params, "buckets": {"raw": "/tmp/raw"}, "steps": []}
            done = subprocess.run([sys.executable, str(HERE / "engine.py"), "--mlpipe", str(mlpipe)], input=json.dumps(request), capture_output=True, text=True)
        return json.loads(done.stdout)

    def test_answers(self) -> None:
        answer = self.ask({"status": "succeeded", "code": 0})
        self.assertEqual({"raw": "/tmp/raw"}, answer["outputs"])
        self.assertEqual({"raw": {"uri": "file:///tmp/raw", "name": "raw"}}, answer["buckets"])
        for code in (1, 3):
            self.assertEqual("failed", self.ask({"status": "failed", "code": code})["status"])

    def test_faults(self) -> None:
        for params in ({"status": "succeeded", "code": 3}, {"status": "failed", "code": 0}, {"status": "broken", "code": 101}):
            self.assertIn("engine_error", self.ask(params))


if __name__ == "__main__":
    unittest.main()
