"""Containers: the subworkflow that runs them, on the fake of Cloud Run jobs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from workflows import Execution, Outcome, World, load  # noqa: E402
from workflows import jobs as service  # noqa: E402
from workflows.jobs import Jobs, JobSpec  # noqa: E402

HELPERS = HERE.parents[2] / "targets/gcp/helpers.yaml"
ENVIRONMENT = {"GOOGLE_CLOUD_PROJECT_ID": "test", "GOOGLE_CLOUD_LOCATION": "here"}
NAME = "projects/test/locations/here/jobs/p-a"


def _run(code: str, folder: Path, seconds: int = 60, refuses: int = 0, **container: Any) -> tuple[Outcome, Jobs]:
    jobs = Jobs({NAME: JobSpec("a", [sys.executable, "-c", code], folder)}, refuses)
    args = {"job": "p-a", "container": container, "step": "a", "seconds": seconds}
    helper = yaml.safe_load(HELPERS.read_text())["run_container"]
    source = {"main": {"steps": [{"a": {"call": "run_container", "args": args}}]}, "run_container": helper}
    return Execution(load(json.dumps(source)), ENVIRONMENT, World(jobs=jobs)).run(), jobs


def test_words_and_variables(tmp_path: Path) -> None:
    code = "import os, sys; open('out', 'w').write(sys.argv[1] + os.environ['X'])"
    outcome, jobs = _run(code, tmp_path, args=["one "], env=[{"name": "X", "value": "two"}])
    assert not outcome.failed and outcome.waits == []
    assert (tmp_path / "out").read_text() == "one two"
    assert jobs.started == {"a": 1}


def test_an_exit_code_is_a_failure(tmp_path: Path) -> None:
    outcome, _ = _run("raise SystemExit(3)", tmp_path)
    assert outcome.error == {"name": "JobFailed", "message": "the container ended with an error", "step": "a"}


def test_the_late_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PATIENCE", 0.05)
    outcome, jobs = _run("import time; time.sleep(100)", tmp_path, seconds=90)
    assert outcome.error["name"] == "timeout"
    assert jobs.running() == 0


def test_no_room(tmp_path: Path) -> None:
    outcome, jobs = _run("", tmp_path, refuses=1)
    assert outcome.error["name"] == "ServiceUnavailable" and outcome.error["step"] == "a"
    assert jobs.started == {}
