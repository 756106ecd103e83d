"""Tests of the engine over fixtures/branches, as the harness drives it."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from engine import Engine, answer

FIXTURE = Path(__file__).parent / "fixtures" / "branches"
PARTS = FIXTURE.parent / "parts"
STEPS = ["first", "left", "pause", "right", "large"]
RAW = "branches-raw-123456789012-us-east-1"


class EngineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = Engine()
        cls.addClassCleanup(cls.engine.close)

    def run_case(self, params: Any, folder: Path = FIXTURE) -> dict[str, Any]:
        request = {"pipeline": "", "artifacts": str(folder), "params": params, "buckets": {"raw": "/tmp"}, "steps": STEPS}
        return answer(self.engine, json.dumps(request))

    def test_succeeds(self) -> None:
        got = self.run_case({"n": 3, "mode": "plain"})
        self.assertEqual("succeeded", got.get("status"), got)
        expected = {
            "first": {"n": 3, "attempt": 1, "text": 'q"\\ é😀\n'},
            "left": {"attempt": 1, "list": [[1], []], "none": None},
            "right": 30,
        }
        self.assertEqual(expected, got["outputs"])
        self.assertEqual({"first": 1, "left": 1, "right": 1}, got["attempts"])
        self.assertEqual([5], got["waits"])
        self.assertEqual(["large"], got["skipped"])
        self.assertIsNone(got["error"])
        self.assertEqual({"raw": {"uri": f"s3://{RAW}", "name": RAW}}, got["buckets"])
        self.assertTrue(got["run_id"])

    def test_retries_with_the_count_in_the_arguments(self) -> None:
        got = self.run_case({"n": 30, "mode": "flaky"})
        self.assertEqual(3, got["outputs"]["left"]["attempt"])
        self.assertEqual({"first": 1, "left": 3, "right": 1}, got["attempts"])
        self.assertEqual([2, 5, 7], got["waits"])
        self.assertEqual([], got["skipped"])

    def test_fails_with_the_error_of_the_branch(self) -> None:
        got = self.run_case({"n": 1, "mode": "raise"})
        self.assertEqual(("failed", None), (got["status"], got["outputs"]))
        self.assertEqual({"name": "KeyError", "message": "'gone'", "step": "left"}, got["error"])
        self.assertEqual({"first": 1, "left": 1}, got["attempts"])

    def test_process_that_ends(self) -> None:
        got = self.run_case({"n": 1, "mode": "exit"})
        self.assertEqual("Runtime.ExitError", got["error"]["name"])
        self.assertRegex(got["error"]["message"], r"^RequestId: \S+ Error: Runtime exited with error: exit status 3$")
        self.assertEqual(3, got["attempts"]["left"])

    def test_task_timeout(self) -> None:
        got = self.run_case({"n": 1, "mode": "slow"})
        self.assertEqual({"name": "States.Timeout", "message": "none", "step": "left"}, got["error"])
        self.assertEqual(3, got["attempts"]["left"])

    def test_expression_that_fails(self) -> None:
        got = self.run_case({"mode": "plain"})
        self.assertEqual("States.QueryEvaluationError", got["error"]["name"])
        self.assertIn("undefined", got["error"]["message"])

    def test_faults_are_engine_errors(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            self.assertIn("engine_error", self.run_case({}, Path(place)))
            folder = shutil.copytree(FIXTURE, Path(place) / "aws")
            workflow = folder / "workflow.asl.json"
            workflow.write_text(workflow.read_text().replace('"Next": "IsLarge"', '"Next": "Nowhere"'))
            self.assertIn("Nowhere", self.run_case({"n": 1, "mode": "plain"}, folder)["engine_error"])
            (folder / "template.yaml").write_text("Resources: [")
            self.assertIn("engine_error", self.run_case({}, folder))
        self.assertEqual("succeeded", self.run_case({"n": 1, "mode": "plain"})["status"])


class PartsTest(unittest.TestCase):
    """fixtures/parts: a pipeline in parts, for the quota of a definition was taken to be a few kilobytes."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = Engine()
        cls.addClassCleanup(cls.engine.close)

    def run_case(self, params: Any) -> dict[str, Any]:
        steps = ["a1", "a2", "a3", "a4", "a5", "a6", "b1", "b2", "items.i1", "items.i2", "items.i3", "items.i4", "items.i5", "end"]
        request = {"pipeline": "", "artifacts": str(PARTS / "aws"), "params": params, "buckets": {}, "steps": steps}
        return answer(self.engine, json.dumps(request))

    def test_what_is_read_crosses_the_borders(self) -> None:
        got = self.run_case({})
        # a: 1 + 1, + 10, + 100, + 1000; b: 1 + 2 = 3, + 20 = 23; items: x + index + n + x.
        items = [{"all": [7, None], "i4": "skipped"}, {"all": [48, 3], "i4": "succeeded"}]
        self.assertEqual({"end": {"a": [1112, 2], "b": items}, "a6": ["succeeded", "parts"], "a2": "succeeded"}, got.get("outputs"), got)
        self.assertEqual([], got["skipped"])
        self.assertEqual(2, got["attempts"]["items.i1"])

    def test_a_skip_crosses_the_borders(self) -> None:
        got = self.run_case({"go": False})
        self.assertEqual((["skipped", "parts"], "skipped"), (got["outputs"]["a6"], got["outputs"]["a2"]), got)
        self.assertEqual(["a2", "a5"], got["skipped"])

    def test_a_failure_crosses_the_borders(self) -> None:
        got = self.run_case({"n": -9})
        # b2 gives 13: the second item fails, twice.
        self.assertEqual({"name": "ValueError", "message": "thirteen", "step": "items.i1"}, got.get("error"), got)
        self.assertEqual([3], got["waits"])
        self.assertEqual(1, got["attempts"]["on_failure"])


if __name__ == "__main__":
    unittest.main()
