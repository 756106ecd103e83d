"""Vertex AI's endpoints and models, as far as generated workflows need them: what REST answers to the requests of their subworkflows.

A model comes into service where its folder holds something that the code in its container loads, or anything at all where the container is the
user's. An operation has ended when it was looked at a few times.
"""

from __future__ import annotations

import random
import re
import threading
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .connectors import not_found
from .errors import runtime_error, undocumented, value_error
from .training import checked

# Vertex AI API's discovery document, v1, revision 20261106: UploadModelRequest, DeployModelRequest, UndeployModelRequest, Endpoint. What is only
# given back and what no workflow uses is left out. A field is required where its name ends with `!`.
_ENV = {"name!": str, "value!": str}
_CONTAINER = {
    "imageUri!": str,
    "command": [str],
    "args": [str],
    "env": [_ENV],
    "ports": [{"containerPort": int}],
    "healthRoute": str,
    "predictRoute": str,
}
_MODEL = {"displayName!": str, "description": str, "artifactUri": str, "containerSpec!": _CONTAINER}
_MACHINE = {"machineType!": str, "acceleratorType": str, "acceleratorCount": int}
_RESOURCES = {
    "machineSpec!": _MACHINE,
    "minReplicaCount!": int,
    "maxReplicaCount": int,
    "autoscalingMetricSpecs": [{"metricName!": str, "target": int}],
}
_DEPLOYED = {"displayName": str, "model!": str, "dedicatedResources!": _RESOURCES}
_ENDPOINT = {"displayName!": str}
_METRICS = {"aiplatform.googleapis.com/prediction/online/" + name for name in ("request_count", "cpu/utilization", "accelerator/duty_cycle")}
# What mlpipe_serving loads.
_FILES = (
    "serving.py model.joblib model.pkl model.json model.ubj model.bst model.pt model.keras saved_model.pb model.tar.gz".split()
)
_LOOKS = 3
PERMISSIONS = {
    f"aiplatform.{action}"
    for action in (
        "endpoints.create endpoints.deploy endpoints.get endpoints.undeploy endpoints.update models.delete models.get models.upload".split()
    )
}


@dataclass
class _Operation:
    looks: int
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@dataclass
class _Endpoint:
    body: dict[str, Any]
    deployed: dict[str, dict[str, Any]] = field(default_factory=dict)
    split: dict[str, int] = field(default_factory=dict)

    def told(self, name: str) -> dict[str, Any]:
        """Lists and maps that hold nothing are left out."""
        told = {**self.body, "name": name}
        if self.deployed:
            told["deployedModels"] = [{**body, "id": number} for number, body in self.deployed.items()]
        return {**told, "trafficSplit": self.split} if self.split else told


class Endpoints:
    """The service. `allowed` is whether the workflows may use it; `faults` are how it fails, by step, one word an attempt."""

    def __init__(
        self,
        allowed: bool = False,
        root: str = "",
        mounted: Path | None = None,
        faults: dict[str, list[str]] | None = None,
    ) -> None:
        self.allowed, self.root, self.mounted = allowed, root, mounted
        self.faults = {step: list(words) for step, words in (faults or {}).items()}
        self.started: Counter[str] = Counter()
        self.endpoints: dict[str, _Endpoint] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self._operations: dict[str, _Operation] = {}
        self._first: dict[str, str] = {}
        self._fault: dict[str, str | None] = {}
        self._lock = threading.Lock()

    def answers(self, function: str, arguments: dict[str, Any]) -> bool:
        """True for a request to Vertex AI."""
        url = arguments.get("url")
        return function.startswith("http.") and isinstance(url, str) and "aiplatform.googleapis.com/" in url

    def request(self, function: str, arguments: dict[str, Any], location: str) -> dict[str, Any]:
        """Workflows docs, Make an HTTP request: the answer, whose body is decoded."""
        method = arguments["method"] if function == "http.request" else function.removeprefix("http.").upper()
        url = urllib.parse.urlsplit(arguments["url"])
        if url.scheme != "https" or url.hostname != f"{location}-aiplatform.googleapis.com":
            raise value_error(f"not the address of the region {location}: {arguments['url']}")
        if arguments.get("auth") != {"type": "OAuth2"}:
            raise _answered(401, "no token")
        if not self.allowed:
            raise not_found("the permission to make endpoints")
        query = dict(urllib.parse.parse_qsl(url.query))
        with self._lock:
            body = self._route(method, url.path.removeprefix("/v1/"), query, arguments.get("body"))
        return {"code": 200, "headers": {"Content-Type": "application/json"}, "body": body}

    def _route(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        name, _, verb = path.partition(":")
        match (method, re.sub(r"^projects/[^/]+/locations/[^/]+", "", name).split("/")[1:], verb):
            case ("GET", [*_, "operations", _], ""):
                return self._look(name)
            case ("GET", ["endpoints", _], ""):
                return self._endpoint(name).told(name)
            case ("POST", ["endpoints"], ""):
                return self._create(name, query, body)
            case ("PATCH", ["endpoints", _], ""):
                return self._patch(name, query, body)
            case ("POST", ["endpoints", _], "deployModel"):
                return self._deploy(name, body)
            case ("POST", ["endpoints", _], "undeployModel"):
                return self._undeploy(name, body)
            case ("POST", ["models"], "upload"):
                return self._upload(name, body)
            case ("DELETE", ["models", _], ""):
                return self._delete(name)
        raise undocumented(f"{method} {path}")

    def _create(self, parent: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        checked(body, _ENDPOINT, "Endpoint")
        identifier = query.get("endpointId", "")
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", identifier):
            raise _answered(400, f"not an id of an endpoint: {identifier!r}")
        name = f"{parent}/{identifier}"
        if name in self.endpoints:
            raise _answered(409, f"{name} exists already")
        self.endpoints[name] = _Endpoint(body)
        return self._begin(name, {"name": name, **body})

    def _patch(self, name: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        endpoint = self._endpoint(name)
        if query != {"updateMask": "trafficSplit"}:
            raise undocumented(f"endpoints.patch of {query}")
        split = body["trafficSplit"]
        checked(list(split.values()), [int], "trafficSplit")
        if sum(split.values()) != 100 or not set(split) <= set(endpoint.deployed):
            raise _answered(400, f"not a split of the traffic of {sorted(endpoint.deployed)}: {split}")
        endpoint.split = dict(split)
        return endpoint.told(name)

    def _upload(self, parent: str, body: Any) -> dict[str, Any]:
        checked(body, {"model!": _MODEL}, "UploadModelRequest")
        model = body["model"]
        pipeline, _, path = model["description"].partition("/")
        step = path if pipeline == self.root else f"{pipeline}/{path}"
        if self._first.setdefault(step, model["displayName"]) == model["displayName"]:
            # An attempt begins with its first variant.
            self.started[step] += 1
            self._fault[step] = self._next_fault(step)
        if self._fault[step] == "throttled":
            raise _answered(429, "Quota exceeded for aiplatform.googleapis.com/model_upload_requests")
        name = f"{parent}/{random.randrange(10**18)}"
        self.models[name] = {**model, "step": step}
        return self._begin(name, {"model": name, "modelVersionId": "1"})

    def _deploy(self, name: str, body: Any) -> dict[str, Any]:
        endpoint = self._endpoint(name)
        checked(body, {"deployedModel!": _DEPLOYED}, "DeployModelRequest")
        deployed = body["deployedModel"]
        model = self.models.get(deployed["model"])
        if model is None:
            raise not_found(deployed["model"])
        resources = deployed["dedicatedResources"]
        least, most = resources["minReplicaCount"], resources.get("maxReplicaCount", resources["minReplicaCount"])
        metrics = resources.get("autoscalingMetricSpecs", [])
        if not 1 <= least <= most or any(spec["metricName"] not in _METRICS for spec in metrics):
            raise _answered(400, f"not what an endpoint can run on: {resources}")
        fault = self._fault[model["step"]]
        if fault == "capacity":
            return self._fail(name, 8, "Machine type temporarily unavailable, please deploy with a different machine type or retry.")
        if fault == "rolled_back" or not self._serves(model):
            return self._fail(name, 9, "Model server exited unexpectedly.")
        number = str(random.randrange(10**9, 10**10))
        endpoint.deployed[number] = deployed
        return self._begin(name, {"deployedModel": {**deployed, "id": number}})

    def _undeploy(self, name: str, body: Any) -> dict[str, Any]:
        endpoint = self._endpoint(name)
        checked(body, {"deployedModelId!": str}, "UndeployModelRequest")
        number = body["deployedModelId"]
        if number not in endpoint.deployed:
            raise not_found(f"the deployed model {number}")
        if endpoint.split.get(number):
            raise _answered(400, f"the deployed model {number} has traffic")
        del endpoint.deployed[number]
        return self._begin(name, {})

    def _delete(self, name: str) -> dict[str, Any]:
        if any(deployed["model"] == name for endpoint in self.endpoints.values() for deployed in endpoint.deployed.values()):
            raise _answered(400, f"{name} is deployed")
        if self.models.pop(name, None) is None:
            raise not_found(name)
        return self._begin(name, {})

    def _serves(self, model: dict[str, Any]) -> bool:
        assert self.mounted is not None
        folder = self.mounted / model["artifactUri"].removeprefix("gs://").rstrip("/")
        if not folder.is_dir():
            return False
        names = {path.name for path in folder.iterdir()}
        return bool(names & set(_FILES)) if "command" in model["containerSpec"] else bool(names)

    def _begin(self, name: str, response: dict[str, Any]) -> dict[str, Any]:
        return self._operation(name, _Operation(_LOOKS, response))

    def _fail(self, name: str, code: int, message: str) -> dict[str, Any]:
        return self._operation(name, _Operation(_LOOKS, error={"code": code, "message": message}))

    def _operation(self, name: str, operation: _Operation) -> dict[str, Any]:
        full = f"{name}/operations/{random.randrange(10**18)}"
        self._operations[full] = operation
        return {"name": full, "metadata": {}}

    def _look(self, name: str) -> dict[str, Any]:
        operation = self._operations.get(name)
        if operation is None:
            raise not_found(name)
        operation.looks -= 1
        if operation.looks > 0:
            return {"name": name, "metadata": {}}
        end = {"error": operation.error} if operation.error else {"response": operation.response}
        return {"name": name, "metadata": {}, "done": True, **end}

    def _endpoint(self, name: str) -> _Endpoint:
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            raise not_found(name)
        return endpoint

    def _next_fault(self, step: str) -> str | None:
        ends = [path for path in self.faults if path == step or path.endswith((f".{step}", f"/{step}"))]
        return self.faults[ends[0]].pop(0) if ends and self.faults[ends[0]] else None


def _answered(code: int, message: str) -> Exception:
    error = runtime_error("HttpError", message)
    error.value["code"] = code
    return error
