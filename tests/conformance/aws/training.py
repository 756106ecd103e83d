"""SageMaker's training and processing jobs and the bucket that they use, as far as pipelines need them.

A job's machines are processes with the folders that SageMaker gives (Developer Guide, "How Amazon SageMaker AI Provides Training Information"):
the image is not there, its Python is this one. The launcher of the artifacts runs in them as it stands.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from functions import BASE

# The Python that has the frameworks.
PYTHON = os.environ.get("MLPIPE_PYTHON", sys.executable)
OPT = "/opt/ml"
EMPTY = 'ClientError: Data download failed:No S3 objects found under S3 URL "{}" given in input data source.'


class NoSuchKey(Exception):
    """An object that is not there."""


class NoSuchBucket(Exception):
    """A bucket that is none of the stack's, or of no folder."""


@dataclass
class Refused(Exception):
    """A job that could not be created."""

    error: str
    cause: str


@dataclass
class Store:
    """Buckets as folders, by their names."""

    folders: dict[str, Path]

    def place(self, uri: str) -> tuple[Path, str]:
        """The folder of the bucket of an `s3://` URI, and the key."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not uri.startswith("s3://") or bucket not in self.folders:
            raise NoSuchBucket(uri)
        return self.folders[bucket], key

    def read(self, bucket: str, key: str) -> str:
        place = self.place(f"s3://{bucket}/{key}")[0] / key
        if not place.is_file():
            raise NoSuchKey(key)
        return place.read_text(encoding="utf-8")

    def download(self, uri: str, target: Path) -> int:
        """Copies all objects whose keys begin as the URI does, by what follows its last slash; how many there were."""
        folder, prefix = self.place(uri)
        files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).as_posix().startswith(prefix)]
        for path in files:
            place = target / path.relative_to(folder).as_posix()[prefix.rfind("/") + 1 :]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
        return len(files)

    def upload(self, folder: Path, uri: str) -> None:
        place, prefix = self.place(uri)
        if folder.is_dir():
            shutil.copytree(folder, place / prefix, dirs_exist_ok=True)


@dataclass
class SageMaker:
    """The jobs of one execution and those that it starts."""

    store: Store
    faults: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, step: str) -> str | None:
        with self._lock:
            words = self.faults.get(step) or next((words for path, words in self.faults.items() if path.endswith(f".{step}")), [])
            return words.pop(0) if words else None

    def train(self, request: dict[str, Any], step: str, limit: float) -> dict[str, Any]:
        """Creates a job and waits for its end: what DescribeTrainingJob tells. TimeoutError where it ran too long, Refused where it was not created."""
        name = request["TrainingJobName"]
        fault = self.fault(step)
        if fault == "throttled":
            raise Refused("SageMaker.AmazonSageMakerException", "Rate exceeded (Service: AmazonSageMaker; Status Code: 400; Error Code: ThrottlingException)")
        with self._lock:
            if name in self.jobs:
                raise Refused("SageMaker.ResourceInUseException", f"Training job names must be unique within an AWS account and region, found: {name}")
            job = self.jobs[name] = {"TrainingJobName": name, "TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting"}
        job |= {key: value for key, value in request.items() if key != "Tags"}
        if fault == "capacity":
            return self.failed(job, "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.")
        with tempfile.TemporaryDirectory(prefix="mlpipe-sagemaker-") as folder:
            hosts = [f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.1"]
            hosts += [f"{hosts[0].rpartition('.')[0]}.{n}" for n in range(2, request["ResourceConfig"]["InstanceCount"] + 1)]
            machines = [Path(folder) / host for host in hosts]
            for host, machine in zip(hosts, machines):
                problem = self.provide(request, machine, host, hosts)
                if problem:
                    return self.failed(job, problem)
            job["SecondaryStatus"] = "Training"
            algorithm = request["AlgorithmSpecification"]
            words = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
            codes = run(words, machines, {"TRAINING_JOB_NAME": name}, min(limit, request["StoppingCondition"]["MaxRuntimeInSeconds"]))
            if codes is None:
                raise TimeoutError
            for machine in machines:
                if fault != "vanished":
                    self.store.upload(machine / "checkpoints", request["CheckpointConfig"]["S3Uri"])
            if fault == "vanished":
                return self.failed(job, "AlgorithmError: , exit code: 137")
            worst = next((code for code in codes if code != 0), 0)
            if worst:
                told = [text.read_text() for machine in machines if (text := machine / "output" / "failure").is_file()]
                return self.failed(job, f"AlgorithmError: {told[0][:1024] if told else ''}, exit code: {worst % 256}")
            artifacts = f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output"
            packed = Path(folder) / "packed"
            packed.mkdir()
            shutil.make_archive(str(packed / "model"), "gztar", machines[0] / "model")
            self.store.upload(packed, artifacts)
        job |= {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed", "ModelArtifacts": {"S3ModelArtifacts": f"{artifacts}/model.tar.gz"}}
        return job

    def process(self, request: dict[str, Any], step: str, limit: float) -> dict[str, Any]:
        """Creates a processing job and waits for its end, as `train` does; API reference, DescribeProcessingJob."""
        name = request["ProcessingJobName"]
        fault = self.fault(step)
        if fault == "throttled":
            raise Refused("SageMaker.AmazonSageMakerException", "Rate exceeded (Service: AmazonSageMaker; Status Code: 400; Error Code: ThrottlingException)")
        with self._lock:
            if name in self.jobs:
                raise Refused("SageMaker.ResourceInUseException", f"Processing job names must be unique within an AWS account and region, found: {name}")
            job = self.jobs[name] = {"ProcessingJobName": name, "ProcessingJobStatus": "InProgress"}
        job |= {key: value for key, value in request.items() if key != "Tags"}

        def failed(reason: str) -> dict[str, Any]:
            job.update(ProcessingJobStatus="Failed", FailureReason=reason)
            return job

        if fault == "capacity":
            return failed("CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.")
        with tempfile.TemporaryDirectory(prefix="mlpipe-sagemaker-") as folder:
            machine = Path(folder)
            (machine / "output").mkdir()
            for part in request["ProcessingInputs"]:
                uri, place = part["S3Input"]["S3Uri"], machine / Path(part["S3Input"]["LocalPath"]).relative_to(OPT)
                try:
                    found = self.store.download(uri, place)
                except NoSuchBucket:
                    found = 0
                if not found:
                    return failed(EMPTY.format(uri))
            outputs = [part["S3Output"] for part in request["ProcessingOutputConfig"]["Outputs"]]
            for output in outputs:
                (machine / Path(output["LocalPath"]).relative_to(OPT)).mkdir(parents=True)
            codes = run(request["AppSpecification"]["ContainerEntrypoint"], [machine], {"PROCESSING_JOB_NAME": name}, min(limit, request["StoppingCondition"]["MaxRuntimeInSeconds"]))
            if codes is None:
                raise TimeoutError
            if fault == "vanished":
                return failed("AlgorithmError: , exit code: 137")
            message = machine / "output" / "message"
            if message.is_file():
                job["ExitMessage"] = message.read_bytes()[:1024].decode("utf-8")
            if codes[0]:
                return failed(f"AlgorithmError: See job logs for more information, exit code: {codes[0] % 256}")
            for output in outputs:
                self.store.upload(machine / Path(output["LocalPath"]).relative_to(OPT), output["S3Uri"])
        job["ProcessingJobStatus"] = "Completed"
        return job

    def stop(self, name: str) -> None:
        if name not in self.jobs:
            raise Refused("Sagemaker.SageMakerException", "Requested resource not found.")
        job = self.jobs[name]
        job.update({"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"} if "TrainingJobName" in job else {"ProcessingJobStatus": "Stopped"})

    @staticmethod
    def failed(job: dict[str, Any], reason: str) -> dict[str, Any]:
        job |= {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": reason}
        return job

    def provide(self, request: dict[str, Any], machine: Path, host: str, hosts: list[str]) -> str | None:
        """Fills a machine's /opt/ml; what went wrong."""
        channels = {channel["ChannelName"]: channel for channel in request["InputDataConfig"]}
        for name in ("model", "output", "checkpoints", "input/config"):
            (machine / name).mkdir(parents=True)
        for name, channel in channels.items():
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            try:
                found = self.store.download(uri, machine / "input" / "data" / name)
            except NoSuchBucket:
                found = 0
            if not found:
                return EMPTY.format(uri)
        self.store.download(request["CheckpointConfig"]["S3Uri"] + "/", machine / "checkpoints")
        config = {
            "hyperparameters": request.get("HyperParameters", {}),
            "inputdataconfig": {name: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"} for name in channels},
            "resourceconfig": {"current_host": host, "hosts": hosts, "network_interface_name": "eth0"},
        }
        for name, value in config.items():
            (machine / "input" / "config" / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
        return None


def run(words: list[str], machines: list[Path], variables: dict[str, str], limit: float) -> list[int] | None:
    """The exit codes of the machines; None where they ran too long. Where one fails, SageMaker stops the others."""
    processes = []
    for machine in machines:
        command = [PYTHON if word == "python3" else word.replace(OPT, str(machine), 1) if word.startswith(f"{OPT}/") else word for word in words]
        environment = {**BASE, "SAGEMAKER_BASE_DIR": str(machine), **variables}
        environment.pop("PYTHONPATH")
        log = None if os.environ.get("MLPIPE_TEST_LOG") else subprocess.DEVNULL
        processes.append(subprocess.Popen(command, env=environment, cwd=machine, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    end = time.monotonic() + limit
    try:
        while True:
            codes = [process.poll() for process in processes]
            if any(code not in (None, 0) for code in codes) or None not in codes:
                return [0 if code is None else code for code in codes]
            if time.monotonic() >= end:
                return None
            time.sleep(0.02)
    finally:
        for process in processes:
            process.kill()
            process.wait()
