"""Training: the subworkflow that runs it, on the fake of Vertex AI's custom jobs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))

from workflows import Execution, Outcome, World, load  # noqa: E402
from workflows import training as service  # noqa: E402
from workflows.training import Trainings, Vertex, checked  # noqa: E402

ENVIRONMENT = {"GOOGLE_CLOUD_PROJECT_ID": "test", "GOOGLE_CLOUD_LOCATION": "here"}
ACCOUNT = "p-training@test.iam.gserviceaccount.com"
CLASSES = ("ServiceUnavailable", "the service could not be reached")


def _run(code: str, folder: Path, seconds: int = 3600, data: list[Any] | None = None, **more: Any) -> tuple[Outcome, Trainings]:
    package = folder / "test-p-training/code/t"
    package.mkdir(parents=True)
    (package / "fit.py").write_text(code)
    shutil.copy(ROOT / "targets/adapter/training.py", package / "mlpipe_training.py")
    shutil.copy(ROOT / "targets/gcp/launcher.py", package / "mlpipe_launcher.py")
    trainings = Trainings(Vertex("test-p-training", frozenset([ACCOUNT]), package), "p", folder, **more)
    training = {
        "what": "training",
        "title": "p/a",
        "pipeline": "p",
        "bucket": "p-training",
        "account": "p-training",
        "package": "t",
        "script": "fit.py",
        "image": "acme/x",
        "machine": {"machineType": "e2-standard-4"},
        "others": None,
        "scheduling": {"timeout": f"{seconds + 60}s"},
        "arguments": ["--depth", "3"],
        "data": data or [],
    }
    args = {"training": training, "step": "a", "seconds": seconds}
    helper = yaml.safe_load((ROOT / "targets/gcp/helpers.yaml").read_text())["run_training"]
    call = {"call": "run_training", "args": args, "result": "x"}
    source = {"main": {"steps": [{"a": call}, {"b": {"return": "${x}"}}]}, "run_training": helper}
    return Execution(load(json.dumps(source)), ENVIRONMENT, World(trainings=trainings)).run(), trainings


def test_the_model_and_the_metrics_are_where_the_output_says(tmp_path: Path) -> None:
    code = "import os, sys\nopen(os.environ['MLPIPE_MODEL_DIR'] + '/m', 'w').write(sys.argv[2])\nopen(os.environ['MLPIPE_METRICS'], 'w').write('1')"
    outcome, trainings = _run(code, tmp_path)
    assert not outcome.failed and outcome.waits == [], outcome.error
    assert outcome.result["metrics"] == 1 and outcome.result["job_name"] in trainings.jobs
    model = tmp_path / outcome.result["model_uri"].removeprefix("gs://")
    assert (model / "m").read_text() == "3"
    assert trainings.started == {"a": 1}


def test_a_channel_with_nothing(tmp_path: Path) -> None:
    outcome, _ = _run("", tmp_path, data=[{"name": "MLPIPE_CHANNEL_rows", "value": "gs://test-raw/none"}])
    message = "channel `rows`: there is nothing at gs://test-raw/none"
    assert outcome.error == {"name": "DataNotFound", "message": message, "step": "a"}


def test_the_late_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PATIENCE", 0.05)
    outcome, trainings = _run("import time; time.sleep(100)", tmp_path, seconds=90)
    assert outcome.error["name"] == "timeout"
    assert trainings.running() == 0


def test_refused(tmp_path: Path) -> None:
    outcome, trainings = _run("", tmp_path, faults={"a": ["throttled"]})
    assert (outcome.error["name"], outcome.error["message"]) == CLASSES
    assert not trainings.jobs


@pytest.mark.parametrize("body", [{"displayName": "x"}, {"displayName": "x", "jobSpec": {"workerPoolSpecs": [{}]}}, {"displayName": 1}])
def test_bodies_that_are_no_custom_jobs(body: Any) -> None:
    with pytest.raises(Exception, match="CustomJob"):
        checked(body, service._JOB, "CustomJob")
