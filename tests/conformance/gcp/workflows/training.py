"""Vertex AI's custom jobs and the bucket that they use, as far as generated workflows need them.

The replicas of a job are processes with the variables that Vertex AI gives (Vertex AI docs, "Environment variables for special Cloud Storage
directories", "Distributed training"): the image is not there, its Python is this one. The launcher of the artifacts runs in them as it stands, with
`MLPIPE_GCS` for `/gcs`.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .connectors import not_found
from .errors import WorkflowError, runtime_error, type_error, undocumented, value_error

# Real seconds: who runs longer is taken to run for ever.
_PATIENCE = 60
_GCS = "/gcs/"
# PEP 508, as far as it is used: a name, and the versions that do.
_REQUIREMENT = r"[A-Za-z0-9][A-Za-z0-9._-]*((==|<|<=|>=)[0-9][0-9.]*(\*)?)?"

# Vertex AI REST reference, v1, CustomJob, CustomJobSpec, WorkerPoolSpec, MachineSpec, ContainerSpec, EnvVar, Scheduling, GcsDestination
# (https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs and .../rest/v1/CustomJobSpec), read on 2026-11-25. What is
# only given back is left out. A field is required where its name ends with `!`; int64 may be a number or a string.
_ENV = {"name!": str, "value!": str}
_MACHINE = {"machineType": str, "acceleratorType": str, "acceleratorCount": int}
_CONTAINER = {"imageUri!": str, "command": [str], "args": [str], "env": [_ENV]}
_DISK = {"bootDiskType": str, "bootDiskSizeGb": int}
_POOL = {"machineSpec!": _MACHINE, "replicaCount": int, "diskSpec": _DISK, "containerSpec!": _CONTAINER}
_SCHEDULING = {"timeout": str, "restartJobOnWorkerRestart": bool, "disableRetries": bool, "strategy": str, "maxWaitDuration": str}
_SPEC = {
    "workerPoolSpecs!": [_POOL],
    "scheduling": _SCHEDULING,
    "serviceAccount": str,
    "network": str,
    "baseOutputDirectory": {"outputUriPrefix!": str},
}
_JOB = {"displayName!": str, "jobSpec!": _SPEC, "labels": dict}


@dataclass(frozen=True)
class Vertex:
    """What the deployment has for trainings: the bucket, the accounts of the jobs, and the folder with the training code."""

    bucket: str
    accounts: frozenset[str]
    code: Path


@dataclass
class _Job:
    body: dict[str, Any]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    state: str | None = None
    error: dict[str, Any] | None = None
    fault: str | None = None


class Trainings:
    """The service. `mounted` has a folder a bucket; `faults` are how it fails, by step, one word a creation."""

    def __init__(
        self,
        vertex: Vertex | None = None,
        root: str = "",
        mounted: Path | None = None,
        faults: dict[str, list[str]] | None = None,
    ) -> None:
        self.vertex, self.root, self.mounted = vertex, root, mounted
        self.faults = {step: list(words) for step, words in (faults or {}).items()}
        self.started: Counter[str] = Counter()
        self.jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    def create(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Connectors reference, aiplatform v1, customJobs.create: the new job."""
        if arguments.get("connector_params") != {"skip_polling": True}:
            raise undocumented("customJobs.create that waits; use skip_polling")
        parent = arguments["parent"]
        found = re.fullmatch(r"projects/([^/]+)/locations/([^/]+)", parent)
        if found is None or arguments["region"] != found[2]:
            raise value_error(f"not a location with its region: {parent!r}, {arguments['region']!r}")
        body = arguments["body"]
        checked(body, _JOB, "CustomJob")
        if self.vertex is None or self.mounted is None:
            raise not_found("the permission to create custom jobs")
        spec = body["jobSpec"]
        if spec.get("serviceAccount") not in self.vertex.accounts:
            raise _answered(403, f"this account may not act as {spec.get('serviceAccount')}")
        step = self._step(spec)
        with self._lock:
            self.started[step] += 1
            fault = self._fault(step)
        if fault == "throttled":
            raise _answered(429, "Quota exceeded for aiplatform.googleapis.com/custom_model_training_requests")
        job = _Job(body, fault=fault)
        name = f"{parent}/customJobs/{random.randrange(10**18)}"
        if fault == "capacity":
            job.state = "JOB_STATE_FAILED"
            job.error = {"code": 8, "message": "Resources are insufficient in region. Please try a different region."}
        else:
            job.processes = self._run(spec)
        self.jobs[name] = job
        return {**body, "name": name, "state": "JOB_STATE_PENDING"}

    def get(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Connectors reference, customJobs.get. Where a replica fails, Vertex AI ends the others."""
        job = self._job(arguments)
        if job.state is None:
            codes = _ended(job.processes)
            if codes is None:
                return self._told(arguments["name"], job, "JOB_STATE_RUNNING")
            for process in job.processes:
                process.kill()
                process.wait()
            worst = next((code for code in codes if code), 0)
            if job.fault == "vanished":
                worst = 137
                (self._result(job)).unlink(missing_ok=True)
            job.state = "JOB_STATE_FAILED" if worst else "JOB_STATE_SUCCEEDED"
            if worst:
                message = f"The replica workerpool0-0 exited with a non-zero status of {worst % 256}."
                job.error = {"code": 3, "message": message}
        return self._told(arguments["name"], job, job.state)

    def cancel(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Connectors reference, customJobs.cancel: an empty answer, whether it comes to that or not."""
        job = self._job(arguments)
        for process in job.processes:
            process.kill()
            process.wait()
        job.state = job.state or "JOB_STATE_CANCELLED"
        return {}

    def read(self, arguments: dict[str, Any]) -> Any:
        """Connectors reference, storage v1, objects.get with `alt: media`: JSON is decoded."""
        if arguments.get("alt") != "media":
            raise undocumented("objects.get of metadata")
        bucket, name = arguments["bucket"], urllib.parse.unquote(arguments["object"])
        if "/" in arguments["object"]:
            raise value_error(f"the name of an object is not path safe: {arguments['object']!r}")
        if self.vertex is None or self.mounted is None or bucket != self.vertex.bucket:
            raise not_found(f"the bucket {bucket}")
        path = self.mounted / bucket / name
        if not path.is_file():
            raise not_found(f"the object {name}")
        return json.loads(path.read_bytes())

    def running(self) -> int:
        """How many replicas run now."""
        return sum(process.poll() is None for job in self.jobs.values() for process in job.processes)

    def _told(self, name: str, job: _Job, state: str) -> dict[str, Any]:
        told = {**job.body, "name": name, "state": state}
        return {**told, "error": job.error} if job.error else told

    def _job(self, arguments: dict[str, Any]) -> _Job:
        job = self.jobs.get(arguments["name"])
        if job is None or f"/locations/{arguments['region']}/" not in arguments["name"]:
            raise not_found(arguments["name"])
        return job

    def _step(self, spec: dict[str, Any]) -> str:
        """The step's path, from the folder of the run."""
        assert self.vertex is not None
        prefix = f"gs://{self.vertex.bucket}/runs/"
        uri = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")
        parts = uri.removeprefix(prefix).split("/")
        if not uri.startswith(prefix) or len(parts) != 3:
            raise value_error(f"not a folder for the results of one attempt: {uri!r}")
        pipeline, step, _ = parts
        return step if pipeline == self.root else f"{pipeline}/{step}"

    def _fault(self, step: str) -> str | None:
        ends = [path for path in self.faults if path == step or path.endswith((f".{step}", f"/{step}"))]
        return self.faults[ends[0]].pop(0) if ends and self.faults[ends[0]] else None

    def _result(self, job: _Job) -> Path:
        assert self.mounted is not None
        uri = job.body["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
        return self.mounted / uri.removeprefix("gs://") / "result.json"

    def _run(self, spec: dict[str, Any]) -> list[subprocess.Popen[bytes]]:
        """Starts the replicas. Vertex AI docs, "Distributed training": the format of CLUSTER_SPEC."""
        network = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        cluster: dict[str, list[str]] = {}
        for number, pool in enumerate(spec["workerPoolSpecs"]):
            first = sum(map(len, cluster.values())) + 1
            hosts = range(first, first + int(pool.get("replicaCount", 1)))
            cluster[f"workerpool{number}"] = [f"{network}.{host}:2222" for host in hosts]
        if len(cluster["workerpool0"]) != 1:
            raise value_error("the first pool has one replica")
        processes = []
        for pool_name, pool in zip(cluster, spec["workerPoolSpecs"]):
            for index in range(len(cluster[pool_name])):
                task = {"type": pool_name, "index": index, "trial": ""}
                told = {"cluster": cluster, "environment": "cloud", "task": task}
                processes.append(self._replica(spec, pool["containerSpec"], json.dumps(told)))
        return processes

    def _replica(self, spec: dict[str, Any], container: dict[str, Any], cluster: str) -> subprocess.Popen[bytes]:
        output = spec["baseOutputDirectory"]["outputUriPrefix"].rstrip("/")
        words = [*container.get("command", []), *container.get("args", [])]
        script = [word.replace(_GCS, f"{self.mounted}/", 1) if word.startswith(_GCS) else word for word in words]
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "MLPIPE_GCS": str(self.mounted),
            "AIP_MODEL_DIR": f"{output}/model/",
            "AIP_CHECKPOINT_DIR": f"{output}/checkpoints/",
            "AIP_TENSORBOARD_LOG_DIR": f"{output}/logs/",
            "CLUSTER_SPEC": cluster,
            **{pair["name"]: pair["value"] for pair in container.get("env", [])},
        }
        # The Python at hand stands for the image with the framework that was asked for: nothing is installed in it.
        for requirement in environment.pop("MLPIPE_REQUIREMENTS", "").split():
            if not re.fullmatch(_REQUIREMENT, requirement):
                raise value_error(f"not what pip takes: {requirement!r}")
        python = os.environ.get("MLPIPE_PYTHON", sys.executable)
        log = None if os.environ.get("MLPIPE_TEST_LOG") else subprocess.DEVNULL
        return subprocess.Popen(
            [python if word == "python3" else word for word in script],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _ended(processes: list[subprocess.Popen[bytes]]) -> list[int] | None:
    """The exit codes, where all have ended well or one badly."""
    end = time.monotonic() + _PATIENCE
    while True:
        codes = [process.poll() for process in processes]
        if any(codes) or None not in codes:
            return [0 if code is None else code for code in codes]
        if time.monotonic() >= end:
            return None
        time.sleep(0.02)


def checked(value: Any, shape: Any, where: str) -> None:
    """Raises for what a documented shape does not have."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise type_error(f"{where} is a list: {value!r}")
        for index, item in enumerate(value):
            checked(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            raise type_error(f"{where} is a map: {value!r}")
        fields = {name.rstrip("!"): field for name, field in shape.items()}
        if unknown := set(value) - set(fields):
            raise value_error(f"{where} has no {', '.join(sorted(unknown))}")
        if missing := {name.rstrip("!") for name in shape if name.endswith("!")} - set(value):
            raise value_error(f"{where} needs {', '.join(sorted(missing))}")
        for name, item in value.items():
            checked(item, fields[name], f"{where}.{name}")
    elif type(value) is not shape:
        raise type_error(f"{where} is of type {shape.__name__}: {value!r}")


def _answered(code: int, message: str) -> WorkflowError:
    error = runtime_error("HttpError", message)
    error.value["code"] = code
    return error
