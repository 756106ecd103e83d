"""Tests of the processing jobs that predict: the artifacts' predictor in the folders that SageMaker gives, and what it tells of failures."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

from training import Refused, SageMaker, Store

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    "aws/predictor.py": "mlpipe_predictor.py",
    "adapter/training.py": "mlpipe_training.py",
    "adapter/predicting.py": "mlpipe_predicting.py",
    "adapter/serving.py": "mlpipe_serving.py",
}
DOUBLE = "def load(folder):\n    return 2\n\n\ndef predict(model, instances):\n    return [[value * model for value in row] for row in instances]\n"


class PredictingTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        code = self.folder / "artifacts" / "code" / "mlpipe-predict"
        code.mkdir(parents=True)
        for source, name in FILES.items():
            shutil.copy(ROOT / "targets" / source, code / name)
        for name in ("rows", "model", "predicted"):
            (self.folder / "raw" / name).mkdir(parents=True)
        (self.folder / "raw" / "rows" / "a.csv").write_text("x,y\n1,2\n3,4\n")
        (self.folder / "raw" / "predicted" / "old.txt").write_text("kept")
        (self.folder / "raw" / "predicted" / "a.csv.predictions.jsonl").write_text("old\n")
        self.model(DOUBLE)
        self.sagemaker = SageMaker(Store({"artifacts": self.folder / "artifacts", "raw": self.folder / "raw"}))

    def model(self, text: str) -> None:
        """Packed, as a training job leaves it."""
        (self.folder / "serving.py").write_text(text)
        with tarfile.open(self.folder / "raw" / "model" / "model.tar.gz", "w:gz") as packed:
            packed.add(self.folder / "serving.py", "serving.py")

    def process(self, name: str = "j", rows: str = "s3://raw/rows/", limit: float = 20) -> dict[str, Any]:
        def read(name: str, uri: str) -> dict[str, Any]:
            return {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}"}}

        request = {
            "ProcessingJobName": name,
            "AppSpecification": {"ContainerEntrypoint": ["python3", "/opt/ml/processing/code/mlpipe_predictor.py"]},
            "ProcessingInputs": [read("code", "s3://artifacts/code/mlpipe-predict/"), read("model", "s3://raw/model/model.tar.gz"), read("input", rows)],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "output", "S3Output": {"S3Uri": "s3://raw/predicted/", "LocalPath": "/opt/ml/processing/output"}}]},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        return self.sagemaker.process(request, "predict", limit)

    def test_predictions_land_as_plain_files_beside_others(self) -> None:
        job = self.process()
        self.assertEqual(("Completed", '{"predictions": 2}'), (job["ProcessingJobStatus"], job.get("ExitMessage")), job)
        found = {path.name: path.read_text() for path in (self.folder / "raw" / "predicted").iterdir()}
        self.assertEqual({"old.txt": "kept", "a.csv.predictions.jsonl": "[2.0, 4.0]\n[6.0, 8.0]\n"}, found)

    def test_a_failure_is_told_and_leaves_nothing(self) -> None:
        self.model(DOUBLE.replace("return 2", "raise KeyError('x')"))
        job = self.process()
        self.assertEqual("Failed", job["ProcessingJobStatus"])
        self.assertEqual({"error": {"name": "KeyError", "message": "'x'"}}, json.loads(job["ExitMessage"]))
        self.assertEqual("old\n", (self.folder / "raw" / "predicted" / "a.csv.predictions.jsonl").read_text())

    def test_a_long_message_loses_its_end_only(self) -> None:
        for sign in ("x", "é", "\\\\", "\\x01"):
            with self.subTest(sign):
                self.model(DOUBLE.replace("return 2", f"raise ValueError('{sign}' * 2000)"))
                said = self.process(name=f"j-{ord(sign[-1])}")["ExitMessage"]
                message = json.loads(said)["error"]["message"]
                self.assertEqual(1, len(set(message)))
                self.assertGreater(len(said.encode()), 1000)

    def test_nothing_to_read(self) -> None:
        self.assertIn('No S3 objects found under S3 URL "s3://raw/none/"', self.process(rows="s3://raw/none/")["FailureReason"])

    def test_a_job_that_runs_too_long_can_be_stopped(self) -> None:
        self.model("import time\ntime.sleep(60)")
        with self.assertRaises(TimeoutError):
            self.process(limit=0.5)
        self.sagemaker.stop("j")
        self.assertEqual("Stopped", self.sagemaker.jobs["j"]["ProcessingJobStatus"])

    def test_faults_come_one_a_creation(self) -> None:
        self.sagemaker.faults = {"predict": ["throttled", "capacity", "vanished"]}
        with self.assertRaises(Refused):
            self.process("a")
        self.assertIn("CapacityError", self.process("b")["FailureReason"])
        self.assertNotIn("ExitMessage", self.process("c"))
        self.assertEqual("Completed", self.process("d")["ProcessingJobStatus"])
        with self.assertRaises(Refused):
            self.process("d")


if __name__ == "__main__":
    unittest.main()
