"""Tests of the training jobs: the artifacts' launcher in the folders that SageMaker gives, and how jobs fail."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from training import Refused, SageMaker, Store

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import json, os, sys
with open(os.environ["MLPIPE_METRICS"], "w") as file:
    json.dump({"data": sorted(os.listdir(os.environ["MLPIPE_DATA_TRAIN"])), "arguments": sys.argv[1:], "rank": os.environ.get("RANK")}, file)
with open(os.environ["MLPIPE_MODEL_DIR"] + "/model", "w") as file:
    file.write("m")
"""


class TrainingTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        code = self.folder / "artifacts" / "code" / "fit"
        code.mkdir(parents=True)
        shutil.copy(ROOT / "targets" / "aws" / "launcher.py", code / "mlpipe_launcher.py")
        shutil.copy(ROOT / "targets" / "adapter" / "training.py", code / "mlpipe_training.py")
        self.script = code / "fit.py"
        self.script.write_text(SCRIPT)
        (self.folder / "raw" / "rows").mkdir(parents=True)
        (self.folder / "raw" / "rows" / "a.csv").write_text("1")
        (self.folder / "raw" / "rows-old.csv").write_text("1")
        self.sagemaker = SageMaker(Store({"artifacts": self.folder / "artifacts", "raw": self.folder / "raw"}))

    def train(self, name: str = "j", uri: str = "s3://raw/rows/", count: int = 1, limit: float = 20) -> dict[str, Any]:
        def channel(name: str, uri: str) -> dict[str, Any]:
            return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3Uri": uri}}}

        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"ContainerEntrypoint": ["python3", "/opt/ml/input/data/mlpipe-code/mlpipe_launcher.py"], "ContainerArguments": ["fit.py"]},
            "HyperParameters": {"depth": "3"},
            "InputDataConfig": [channel("mlpipe-code", "s3://artifacts/code/fit/"), channel("train", uri)],
            "OutputDataConfig": {"S3OutputPath": "s3://artifacts/runs"},
            "CheckpointConfig": {"S3Uri": f"s3://artifacts/runs/{name}/checkpoints"},
            "ResourceConfig": {"InstanceCount": count},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        return self.sagemaker.train(request, "fit", limit)

    def result(self, name: str = "j") -> Any:
        return json.loads(self.sagemaker.store.read("artifacts", f"runs/{name}/checkpoints/mlpipe-result.json"))

    def test_a_job_leaves_a_model_and_a_result(self) -> None:
        job = self.train()
        self.assertEqual("Completed", job["TrainingJobStatus"], job)
        self.assertEqual({"metrics": {"data": ["a.csv"], "arguments": ["--depth", "3"], "rank": None}}, self.result())
        self.assertEqual("s3://artifacts/runs/j/output/model.tar.gz", job["ModelArtifacts"]["S3ModelArtifacts"])
        self.assertTrue((self.folder / "artifacts" / "runs" / "j" / "output" / "model.tar.gz").is_file())

    def test_a_uri_is_a_prefix(self) -> None:
        self.train(uri="s3://raw/rows")
        self.assertEqual(["rows", "rows-old.csv"], self.result()["metrics"]["data"])

    def test_the_console_tells_what_the_script_raised(self) -> None:
        self.script.write_text("raise KeyError('x')")
        self.assertIn("AlgorithmError: KeyError: 'x', exit code: 1", self.train()["FailureReason"])
        self.assertEqual({"error": {"name": "KeyError", "message": "'x'"}}, self.result())

    def test_one_machine_that_fails_ends_the_others(self) -> None:
        self.script.write_text("import os, time\nif os.environ['RANK'] == '1': raise ValueError('no')\ntime.sleep(60)")
        self.assertEqual("Failed", self.train(count=2)["TrainingJobStatus"])
        self.assertEqual({"error": {"name": "ValueError", "message": "no"}}, self.result())

    def test_an_empty_channel(self) -> None:
        self.assertIn('No S3 objects found under S3 URL "s3://raw/none/"', self.train(uri="s3://raw/none/")["FailureReason"])

    def test_a_job_that_runs_too_long_can_be_stopped(self) -> None:
        self.script.write_text("import time; time.sleep(60)")
        with self.assertRaises(TimeoutError):
            self.train(limit=0.5)
        self.sagemaker.stop("j")
        self.assertEqual("Stopped", self.sagemaker.jobs["j"]["TrainingJobStatus"])
        with self.assertRaises(Refused):
            self.sagemaker.stop("other")

    def test_names_are_used_once(self) -> None:
        self.train()
        with self.assertRaises(Refused):
            self.train()

    def test_faults_come_one_a_creation(self) -> None:
        self.sagemaker.faults = {"fit": ["throttled", "capacity", "vanished"]}
        with self.assertRaises(Refused):
            self.train("a")
        self.assertIn("CapacityError", self.train("b")["FailureReason"])
        self.assertEqual("Failed", self.train("c")["TrainingJobStatus"])
        self.assertFalse((self.folder / "artifacts" / "runs" / "c").exists())
        self.assertEqual("Completed", self.train("d")["TrainingJobStatus"])


if __name__ == "__main__":
    unittest.main()
