"""The engine over the hand-written artifacts in fixtures/sample."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
SAMPLE = HERE / "fixtures" / "sample"
STEPS = ["first", "rest-a", "rest-b"]


class Engine:
    """A running engine."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "engine.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, params: Any, bucket: Path, artifacts: Path = SAMPLE) -> dict[str, Any]:
        """One request and its answer."""
        request = {
            "pipeline": str(SAMPLE / "pipeline.yaml"),
            "artifacts": str(artifacts),
            "params": params,
            "buckets": {"raw": str(bucket)},
            "steps": STEPS,
        }
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    assert engine.process.stdin is not None
    engine.process.stdin.close()
    assert engine.process.wait(20) == 0


def test_success(engine: Engine, tmp_path: Path) -> None:
    answer = engine.ask({"mode": "two"}, tmp_path)
    assert answer["status"] == "succeeded"
    assert answer["outputs"] == {"n": 2, "b": 4, "run": answer["run_id"]}
    assert answer["attempts"] == {"first": 1, "rest-b": 1}
    assert (answer["waits"], answer["skipped"], answer["error"]) == ([30], [], None)
    assert answer["buckets"] == {"raw": {"uri": "gs://test-sample-raw", "name": "test-sample-raw"}}


def test_skipped(engine: Engine, tmp_path: Path) -> None:
    answer = engine.ask({"mode": "one"}, tmp_path)
    assert answer["skipped"] == ["rest-b"]
    assert answer["outputs"]["b"] is None


def test_failure_of_a_handler(engine: Engine, tmp_path: Path) -> None:
    answer = engine.ask({"mode": "fail"}, tmp_path)
    assert answer["status"] == "failed"
    assert answer["error"] == {"name": "ValueError", "message": "told to fail", "step": "first"}
    assert answer["attempts"] == {"first": 1}


def test_crash_is_retried(engine: Engine, tmp_path: Path) -> None:
    answer = engine.ask({"mode": "crash"}, tmp_path)
    assert answer["error"]["name"] == "WorkerCrashed"
    assert (answer["attempts"], answer["waits"]) == ({"first": 3}, [2, 4])


def test_timeout(engine: Engine, tmp_path: Path) -> None:
    answer = engine.ask({"mode": "hang"}, tmp_path)
    assert answer["error"]["name"] == "timeout"


def test_buckets_follow_the_request(engine: Engine, tmp_path: Path) -> None:
    for text in ("hello", "hello you"):
        (tmp_path / text).mkdir()
        (tmp_path / text / "in.txt").write_text(text)
        answer = engine.ask({"mode": "bucket"}, tmp_path / text)
        assert answer["outputs"]["n"] == len(text)


def test_broken_artifacts(engine: Engine, tmp_path: Path) -> None:
    assert "main.tf.json" in engine.ask({}, tmp_path, tmp_path)["engine_error"]
    broken = tmp_path / "broken"
    shutil.copytree(SAMPLE, broken)
    workflow = (broken / "workflow.yaml").read_text()
    (broken / "workflow.yaml").write_text(workflow.replace("call: invoke", "call: invoek", 1))
    assert "no function or subworkflow invoek" in engine.ask({}, tmp_path, broken)["engine_error"]
    (broken / "workflow.yaml").write_text(
        workflow.replace("auth: {type: OIDC", "headers: {x: '1'", 1)
    )
    assert "engine_error" in engine.ask({"mode": "one"}, tmp_path, broken)
    (broken / "workflow.yaml").write_text(
        workflow.replace("attempt: '${attempt}'", "attempt: 7", 1)
    )
    assert "attempt 7 without one before it" in engine.ask({"mode": "one"}, tmp_path, broken)["engine_error"]
    assert engine.ask({"mode": "one"}, tmp_path)["status"] == "succeeded"
