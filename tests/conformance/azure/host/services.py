"""Managed services as an app reaches them over HTTP: a process of their own that keeps their state and runs containers as processes.

Time is the host's: who looks at what runs is answered when it has ended, and only where that takes long, that it runs.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from arm import Unknown
from arm_schema import Checker, files

from .endpoints import Endpoints

MANAGEMENT = "https://management.azure.com"
STUBS = Path(__file__).resolve().parent.parent / "stubs"
PATIENCE = 20.0
"""Real seconds: what runs longer is taken to run for ever."""
JOB = re.compile(rf"{MANAGEMENT}(/subscriptions/[^?]+/providers/Microsoft\.App/jobs/[^/?]+)(?:/(start|executions/([^/?]+)(/stop)?|starting/([^/?]+)))?\?api-version=2026-01-01")

TRAINING = re.compile(rf"{MANAGEMENT}(/subscriptions/[^?]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/?]+)/jobs/([A-Za-z0-9][\w-]{{0,254}})(/cancel)?\?api-version=2026-05-01")
SCHEDULE = re.compile(rf"{MANAGEMENT}(/subscriptions/[^?]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/?]+)/schedules/([A-Za-z0-9][\w-]{{0,254}})\?api-version=2026-05-01")
METRICS = re.compile(rf"{MANAGEMENT}(/subscriptions/[^?]+/onlineEndpoints/[^/?]+)/providers/Microsoft\.Insights/metrics\?(.*)")
BLOB = re.compile(r"https://([a-z0-9]{3,24})\.blob\.core\.windows\.net/([^/?]+)(?:/([^?]*))?(?:\?(.*))?")
PLACE = re.compile(r"wasbs://([^@/]+)@([^./]+)\.blob\.core\.windows\.net/(.*)")
ARTIFACTS = "azureml://datastores/artifacts/paths/"
REGISTRY = re.compile(r"azureml://registries/azureml/environments/[\w.-]+/versions/\d+")

Answer = tuple[int, dict[str, str], Any]
"""Status, headers, JSON."""


@dataclass
class Deployed:
    """What main.json makes, as far as the services know it."""

    root: str
    """The pipeline that was compiled."""
    jobs: dict[str, Any]
    """Container Apps jobs by their ids."""
    workspace: str | None = None
    """The id of the workspace of Azure Machine Learning."""
    storage: str | None = None
    """The name of its storage account."""
    environments: list[str] = field(default_factory=list)
    """The ids of environments in it."""
    identities: list[str] = field(default_factory=list)
    """The ids of identities."""
    containers: dict[str, str] = field(default_factory=dict)
    """Folders by account/container."""
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metrics of endpoints by their ids and names: minutes by values of a dimension."""
    code: str = ""
    """The folder of what README.md says to copy to `code/` in the container `artifacts`."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """By the path of a step, after its pipeline's name if another pipeline runs that: how its services fail, a word each time."""


@dataclass
class Execution:
    """A container under way."""

    process: subprocess.Popen[bytes]
    stopped: bool = False


@dataclass
class Training:
    """A job under way: a process a node."""

    nodes: list[subprocess.Popen[bytes]]
    canceled: bool = False


@dataclass
class State:
    deployed: Deployed
    patience: float
    folder: Path
    executions: dict[str, Execution] = field(default_factory=dict)
    trainings: dict[str, Training] = field(default_factory=dict)
    schedules: dict[str, Any] = field(default_factory=dict)
    throttled: set[str] = field(default_factory=set)
    """Names of trainings that are never created."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    ended: list[str] = field(default_factory=list)
    """What was stopped."""
    endpoints: Endpoints = field(init=False)

    def __post_init__(self) -> None:
        known = self.deployed
        self.endpoints = Endpoints(
            known.workspace or "", known.environments, known.identities, self.container, known.storage or "", self.fault, resource_problems,
            datastores={"artifacts": (known.storage or "", "artifacts")}, ended=self.ended,
        )  # fmt: skip

    def container(self, account: str, name: str) -> Path | None:
        """The folder of a container."""
        if (account, name) == (self.deployed.storage, "artifacts"):
            return self.artifacts
        folder = self.deployed.containers.get(f"{account}/{name}")
        return Path(folder) if folder else None

    def fault(self, pipeline: str, step: str) -> str | None:
        """How this creation fails."""
        key = step if pipeline == self.deployed.root else f"{pipeline}/{step}"
        with self.lock:
            left = self.deployed.faults.get(key)
            return left.pop(0) if left else None

    def answer(self, method: str, url: str, token: str, body: Any) -> Answer:
        services = ((JOB, MANAGEMENT, self.job), (TRAINING, MANAGEMENT, self.training), (SCHEDULE, MANAGEMENT, self.schedule), (METRICS, MANAGEMENT, self.metrics), (BLOB, "https://storage.azure.com", self.blob))
        for pattern, scope, handler in services:
            match = pattern.fullmatch(url)
            if match is None:
                continue
            if token != f"Bearer {scope}/.default":
                return refused(401, "InvalidAuthenticationToken")
            return handler(method, match, body)
        with self.lock:
            answer = self.endpoints.answer(method, url, body)
        if answer is not None:
            return answer if token == f"Bearer {MANAGEMENT}/.default" else refused(401, "InvalidAuthenticationToken")
        return refused(404, f"this host does not know {method} {url}")

    # https://learn.microsoft.com/rest/api/resource-manager/containerapps/jobs

    def job(self, method: str, match: re.Match[str], body: Any) -> Answer:
        identity, action, execution, stop, starting = match.groups()
        job = self.deployed.jobs.get(identity)
        if job is None:
            return refused(404, "ResourceNotFound")
        if (method, action) == ("GET", None):
            return 200, {}, {"id": identity, **job}
        if (method, action) == ("POST", "start"):
            return self.start(identity, job, body)
        if method == "GET" and starting:
            return 200, {}, {"id": f"{identity}/executions/{starting}", "name": starting}
        known = self.executions.get(execution or "")
        if known is None:
            return refused(404, "JobExecutionNotFound")
        if (method, stop) == ("POST", "/stop"):
            known.stopped = True
            self.ended.append(identity)
            known.process.kill()
            return 200, {}, None
        return 200, {}, {"name": execution, "properties": {"status": self.status(known)}}

    def start(self, identity: str, job: Any, body: Any) -> Answer:
        problems = check("Microsoft.App@2026-01-01", "JobExecutionTemplate", body)
        if problems:
            return refused(400, "; ".join(problems))
        fault = self.fault(job["tags"]["mlpipe-pipeline"], job["tags"]["mlpipe-step"])
        if fault in ("capacity", "throttled"):
            return refused(429 if fault == "throttled" else 409, fault)
        [container] = body["containers"]
        words = container.get("command") or ["false"]
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        name = f"main-{uuid.uuid4().hex[:7]}"
        self.executions[name] = Execution(self.run(words, environment), stopped=fault == "vanished")
        # The answer comes with the end of an operation.
        return 202, {"Location": f"{MANAGEMENT}{identity}/starting/{name}?api-version=2026-01-01", "Retry-After": "0"}, None

    def run(self, words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        folder = tempfile.mkdtemp(dir=self.folder)
        python = shutil.which(os.environ.get("MLPIPE_PYTHON", sys.executable)) or sys.executable
        path = os.pathsep.join([str(Path(python).parent), "/usr/local/bin", "/usr/bin", "/bin"])
        given = {"PATH": path, "LANG": "C.UTF-8", "PYTHONPATH": str(STUBS), **environment}
        return subprocess.Popen(words, cwd=folder, env=given, stdin=subprocess.DEVNULL, stdout=2)

    def status(self, execution: Execution) -> str:
        try:
            code = execution.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            return "Running"
        return "Stopped" if execution.stopped else "Failed" if code else "Succeeded"


    # https://learn.microsoft.com/rest/api/azureml/jobs

    def training(self, method: str, match: re.Match[str], body: Any) -> Answer:
        workspace, name, cancel = match.groups()
        if workspace != self.deployed.workspace:
            return refused(404, "ResourceNotFound")
        if method == "PUT" and not cancel:
            return self.train(name, body)
        known = self.trainings.get(name)
        if known is None:
            return refused(404, "UserError")
        if method == "POST" and cancel:
            known.canceled = True
            self.ended.append(name)
            kill(known.nodes)
            return 200, {}, None
        return 200, {}, {"name": name, "properties": {"jobType": "Command", "status": self.training_status(known)}}

    def train(self, name: str, body: Any) -> Answer:
        problems = resource_problems("Microsoft.MachineLearningServices@2026-05-01", "Microsoft.MachineLearningServices/workspaces/jobs", name, body)
        if problems:
            return refused(400, "; ".join(problems))
        job = body["properties"]
        if job["environmentId"] not in self.deployed.environments and not REGISTRY.fullmatch(job["environmentId"]):
            return refused(400, f"no environment {job['environmentId']}")
        fault = "throttled" if name in self.throttled else self.fault(job["tags"]["pipeline"], job["tags"]["step"])
        if fault == "throttled":
            self.throttled.add(name)  # however often it is tried
            return refused(429, fault)
        if fault == "capacity":
            return refused(409, fault)
        count = job["resources"]["instanceCount"]
        port = free_port()
        self.trainings[name] = known = Training([])
        for rank in range(count):
            node = Path(tempfile.mkdtemp(dir=self.folder))
            words = job["command"]
            for key, given in job["inputs"].items():
                words = words.replace(f"${{{{inputs.{key}}}}}", str(self.input(node, given)))
            for key, given in job["outputs"].items():
                folder = self.place(given["uri"])
                folder.mkdir(parents=True, exist_ok=True)
                words = words.replace(f"${{{{outputs.{key}}}}}", str(folder))
            environment = dict(job["environmentVariables"])
            if job.get("distribution", {}).get("distributionType") == "PyTorch":
                environment |= {"RANK": str(rank), "NODE_RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": str(count)}
                environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            known.nodes.append(self.run(["bash", "-c", words], environment))
        if fault == "vanished":
            kill(known.nodes)
            known.nodes = [subprocess.Popen(["false"])]
        return 201, {}, {"name": name, "properties": {**job, "status": "NotStarted"}}

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def input(self, node: Path, given: dict[str, str]) -> Path:
        """Where a node has an input: a folder, or one file."""
        uri = given["uri"]
        if uri.startswith(ARTIFACTS):
            copied = node / "code"
            place = uri.removeprefix(f"{ARTIFACTS}code/")
            shutil.copytree(Path(self.deployed.code) / place, copied)
            return copied
        found = self.place(uri)
        if found.is_file() != (given["jobInputType"] == "uri_file"):
            raise ValueError(f"{uri} is no {given['jobInputType']}")
        return found

    def place(self, uri: str) -> Path:
        """A file or folder of the account of the workspace, or of a bucket."""
        if uri.startswith(ARTIFACTS):
            return self.artifacts / uri.removeprefix(ARTIFACTS)
        match = PLACE.fullmatch(uri)
        if match is None:
            raise ValueError(f"no place for a job here: {uri}")
        container, account, path = match.groups()
        if (account, container) == (self.deployed.storage, "artifacts"):
            return self.artifacts / path
        return Path(self.deployed.containers[f"{account}/{container}"]) / path

    def training_status(self, training: Training) -> str:
        try:
            codes = [node.wait(self.patience) for node in training.nodes]
        except subprocess.TimeoutExpired:
            return "Running"
        return "Canceled" if training.canceled else "Failed" if any(codes) else "Completed"

    # https://learn.microsoft.com/rest/api/azureml/schedules

    def schedule(self, method: str, match: re.Match[str], body: Any) -> Answer:
        workspace, name = match.groups()
        if workspace != self.deployed.workspace:
            return refused(404, "ResourceNotFound")
        if method == "PUT":
            problems = resource_problems("Microsoft.MachineLearningServices.Schedules@2026-05-01", "Microsoft.MachineLearningServices/workspaces/schedules", name, body)
            definition = body["properties"]["action"]["monitorDefinition"]
            tables = [self.place(signal["referenceData"]["uri"]) / "MLTable" for signal in definition["signals"].values()]
            problems += [f"no table at {table}" for table in tables if not table.is_file()]
            if problems:
                return refused(400, "; ".join(problems))
            self.schedules[name] = body["properties"]
            return 201, {}, {"name": name, "properties": {**body["properties"], "provisioningState": "Creating"}}
        if name not in self.schedules:
            return refused(404, "ResourceNotFound")
        if method == "DELETE":
            del self.schedules[name]
            return 202, {}, None
        return 200, {}, {"name": name, "properties": {**self.schedules[name], "provisioningState": "Succeeded"}}

    # https://learn.microsoft.com/rest/api/monitor/metrics/list

    def metrics(self, method: str, match: re.Match[str], _: Any) -> Answer:
        endpoint, query = match.groups()
        asked = dict(parse_qsl(query))
        if method != "GET" or asked.keys() - {"$filter"} != {"api-version", "metricnames", "aggregation", "interval", "timespan"}:
            return refused(400, "BadRequest")
        known = self.deployed.measured.get(endpoint)
        if known is None:
            return refused(404, "ResourceNotFound")
        dimension = asked.get("$filter", "").partition(" ")[0].lower()
        series = [
            {"metadatavalues": [{"name": {"value": dimension}, "value": value}] if dimension else [], "data": [{"timeStamp": "2026-01-01T00:00:00Z", **point} for point in points]}
            for value, points in known[asked["metricnames"]].items()
        ]
        return 200, {}, {"value": [{"name": {"value": asked["metricnames"]}, "timeseries": series}]}

    # https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api

    def blob(self, method: str, match: re.Match[str], body: Any) -> Answer:
        account, container, path, query = match.groups()
        if (account, container) == (self.deployed.storage, "artifacts"):
            root = self.artifacts
        elif f"{account}/{container}" in self.deployed.containers:
            root = Path(self.deployed.containers[f"{account}/{container}"])
        else:
            return refused(403, "AuthorizationPermissionMismatch")
        if query:
            options = dict(parse_qsl(query))
            if method != "GET" or path or options.get("comp") != "list":
                return refused(400, "InvalidUri")
            names = sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())
            blobs = [f"<Blob><Name>{escape(name)}</Name></Blob>" for name in names if name.startswith(options.get("prefix", ""))]
            return 200, {}, {"text": f"<EnumerationResults><Blobs>{''.join(blobs[:1])}</Blobs></EnumerationResults>"}
        file = root / unquote(path or "")
        if method == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(body))
            return 201, {}, None
        if not file.is_file():
            return refused(404, "BlobNotFound")
        return 200, {}, None if method == "HEAD" else {"text": file.read_text()}


def kill(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def resource_problems(provider: str, kind: str, name: str, body: Any) -> list[str]:
    """Problems of a resource that is put."""
    content = files()[provider]
    resource = {"type": kind, "apiVersion": provider.partition("@")[2], "name": name, **body}
    return Checker(content["definitions"]).check(content["resources"][kind], resource, "")


def refused(status: int, text: str) -> Answer:
    return status, {}, {"error": {"code": text, "message": text}}


def check(provider: str, name: str, body: Any) -> list[str]:
    """Problems of a request's body."""
    content = files()[provider]
    return Checker(content["definitions"]).check(content["requests"][name], body, "")


class Services:
    """The process. Call `close` after each run: what still runs in it ends."""

    def __init__(self, deployed: Deployed, patience: float = PATIENCE) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mlpipe-services-")
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = listener.getsockname()[1]
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setpgid(0, 0)
                serve(listener, State(deployed, patience, Path(self.folder.name)))
            finally:
                os._exit(1)
        listener.close()

    def close(self) -> None:
        for kill in (os.killpg, os.kill):  # the group is there as soon as the process has made it
            try:
                kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        self.folder.cleanup()


def serve(listener: socket.socket, state: State) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if request == "ended":
                answer: Any = state.ended
            else:
                try:
                    answer = state.answer(*request)
                except Exception as error:
                    answer = refused(500, f"{type(error).__name__}: {error}")
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


def ask(port: int, request: Any) -> Any:
    """What the process answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=110)
    connection.request("POST", "/", json.dumps(request))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def known(value: Any) -> Any:
    """A resource as JSON: texts in place of what only a deployed one knows."""
    if isinstance(value, Unknown):
        return str(value)
    if isinstance(value, dict):
        return {str(key): known(item) for key, item in value.items()}
    return [known(item) for item in value] if isinstance(value, list) else value
