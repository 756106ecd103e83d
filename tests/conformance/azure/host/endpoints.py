"""Managed online endpoints of Azure Machine Learning: endpoints and deployments with state, which time takes on: a few looks each.

https://learn.microsoft.com/rest/api/azureml/online-endpoints and online-deployments
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

MANAGEMENT = "https://management.azure.com"
KIND = "Microsoft.MachineLearningServices/workspaces"
PROVIDER = "Microsoft.MachineLearningServices@2026-05-01"
ROOT = rf"{MANAGEMENT}(/subscriptions/[^?]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/?]+)"
NAME = r"([A-Za-z][A-Za-z0-9-]{2,31})"
ENDPOINT = re.compile(rf"{ROOT}/onlineEndpoints/{NAME}(?:/deployments(?:/{NAME})?)?(?:/operations/([\w-]+))?\?api-version=2026-05-01")
ASSET = re.compile(rf"{ROOT}/(models|codes|data)/([\w-]{{1,255}})/versions/([\w-]+)\?api-version=2026-05-01")
DATASTORE = re.compile(rf"{ROOT}/datastores/(\w+)\?api-version=2026-05-01")
SCALING = re.compile(rf"{MANAGEMENT}/subscriptions/[^?]+/resourceGroups/[^/?]+/providers/Microsoft\.Insights/autoscalesettings/([\w-]+)\?api-version=2022-10-01")
PATH = re.compile(r"azureml://subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/[^/]+/datastores/(\w+)/paths/(.*)")
LOOKS = 2
"""How often what is under way says so."""
MODELS = ("serving.py", "model.joblib", "model.pkl", "model.json", "model.ubj", "model.bst", "model.pt", "model.keras", "saved_model.pb")
"""What mlpipe_serving.py loads."""

Answer = tuple[int, dict[str, str], Any]
Problems = Callable[[str, str, str, Any], list[str]]


@dataclass
class Resource:
    """An endpoint or a deployment: its body, and the state that it comes to after some looks."""

    body: dict[str, Any]
    to: str
    state: str
    left: int = LOOKS
    error: str | None = None
    deployments: dict[str, Resource] = field(default_factory=dict)

    def looked(self) -> str:
        if self.left:
            self.left -= 1
            return self.state
        self.state = self.to
        return self.state


@dataclass
class Endpoints:
    """The workspace's endpoints and what they refer to."""

    workspace: str
    environments: list[str]
    identities: list[str]
    folder: Callable[[str, str], Path | None]
    """The folder of a container of an account."""
    storage: str
    fault: Callable[[str, str], str | None]
    problems: Problems
    endpoints: dict[str, Resource] = field(default_factory=dict)
    assets: dict[str, Any] = field(default_factory=dict)
    datastores: dict[str, tuple[str, str]] = field(default_factory=dict)
    scalings: dict[str, Any] = field(default_factory=dict)
    throttled: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)

    def answer(self, method: str, url: str, body: Any) -> Answer | None:
        """None where it is none of the services here."""
        if match := ENDPOINT.fullmatch(url):
            return self.mine(match[1]) or self.endpoint(method, match, body)
        if match := ASSET.fullmatch(url):
            return self.mine(match[1]) or self.asset(method, match, body)
        if match := DATASTORE.fullmatch(url):
            return self.mine(match[1]) or self.datastore(method, match[2], body)
        if match := SCALING.fullmatch(url):
            return self.scaling(method, match[1], body)
        return None

    def mine(self, workspace: str) -> Answer | None:
        return None if workspace == self.workspace else refused(404, "ResourceNotFound")

    def endpoint(self, method: str, match: re.Match[str], body: Any) -> Answer:
        _, name, deployment, operation = match.groups()
        known = self.endpoints.get(name)
        if operation:
            return self.operation(name, operation)
        if "/deployments" in match[0]:
            if known is None:
                return refused(404, "ResourceNotFound")
            if deployment is None:
                return self.listed(known)
            return self.deployment(method, name, known, deployment, body)
        if method == "PUT":
            return self.put_endpoint(name, known, body)
        if known is None:
            return refused(404, "ResourceNotFound")
        if method == "DELETE":
            self.ended.append(name)
            known.state, known.to, known.left = "Deleting", "gone", LOOKS
            return 202, {}, None
        if known.looked() == "gone":
            del self.endpoints[name]
            return refused(404, "ResourceNotFound")
        properties = {**known.body["properties"], "provisioningState": known.state, "scoringUri": f"https://{name}.westeurope.inference.ml.azure.com/score"}
        return 200, {}, {**known.body, "name": name, "properties": properties}

    def put_endpoint(self, name: str, known: Resource | None, body: Any) -> Answer:
        problems = self.problems(PROVIDER, f"{KIND}/onlineEndpoints", name, body)
        if known and known.left:
            return refused(409, "Conflict: the endpoint is busy")
        traffic = body["properties"].get("traffic", {})
        for deployment, percent in traffic.items():
            there = known.deployments.get(deployment) if known else None
            if percent and (there is None or there.state != "Succeeded"):
                problems.append(f"traffic: no deployment {deployment} is up")
        if traffic and sum(traffic.values()) not in (0, 100):
            problems.append("traffic: not 100 in sum")
        if not all(identity in self.identities for identity in body["identity"]["userAssignedIdentities"]):
            problems.append("no such identity")
        if problems:
            return refused(400, "; ".join(problems))
        if known:
            known.body, known.state, known.to, known.left = body, "Updating", "Succeeded", LOOKS
            return 200, {}, body
        self.endpoints[name] = Resource(body, "Succeeded", "Creating")
        return 201, {}, body

    def listed(self, endpoint: Resource) -> Answer:
        for name, deployment in list(endpoint.deployments.items()):
            if deployment.looked() == "gone":
                del endpoint.deployments[name]
        return 200, {}, {"value": [self.shown(name, deployment) for name, deployment in endpoint.deployments.items()]}

    @staticmethod
    def shown(name: str, deployment: Resource) -> dict[str, Any]:
        return {**deployment.body, "name": name, "properties": {**deployment.body["properties"], "provisioningState": deployment.state}}

    def deployment(self, method: str, endpoint: str, known: Resource, name: str, body: Any) -> Answer:
        there = known.deployments.get(name)
        if method == "DELETE":
            if there is None:
                return 204, {}, None
            if known.body["properties"].get("traffic", {}).get(name):
                return refused(400, "the deployment has traffic")
            self.ended.append(name)
            there.state, there.to, there.left = "Deleting", "gone", LOOKS
            return 202, {}, None
        if method != "PUT":
            return (200, {}, self.shown(name, there)) if there else refused(404, "ResourceNotFound")
        problems = self.problems(PROVIDER, f"{KIND}/onlineEndpoints/deployments", name, body)
        if there:
            problems.append("what is there is not to be changed")
        problems += self.missing(body["properties"])
        if problems:
            return refused(400, "; ".join(problems))
        tags = body["tags"]
        attempt = f"{name} {tags['mlpipe-attempt']}"
        fault = "throttled" if attempt in self.throttled else self.fault(tags["pipeline"], tags["step"])
        if fault == "throttled":
            self.throttled.add(attempt)  # however often it is tried
            return refused(429, fault)
        made = Resource(body, "Succeeded", "Creating")
        if fault or not self.serves(body["properties"]):
            made.to, made.error = "Failed", "OutOfCapacity" if fault == "capacity" else "ResourceNotReady"
        known.deployments[name] = made
        operation = f"{MANAGEMENT}{self.workspace}/onlineEndpoints/{endpoint}/operations/{name}?api-version=2026-05-01"
        return 201, {"Azure-AsyncOperation": operation}, self.shown(name, made)

    def operation(self, endpoint: str, name: str) -> Answer:
        known = self.endpoints.get(endpoint)
        deployment = known.deployments.get(name) if known else None
        if deployment is None:
            return refused(404, "ResourceNotFound")
        error = {"error": {"code": deployment.error, "message": "no"}} if deployment.error else {}
        return 200, {}, {"status": deployment.state, **error}

    def missing(self, properties: Any) -> list[str]:
        """What a deployment refers to and is not there."""
        wanted = [properties["model"], *(c["dataId"] for c in properties.get("dataCollector", {}).get("collections", {}).values())]
        if "codeConfiguration" in properties:
            wanted.append(properties["codeConfiguration"]["codeId"])
        problems = [f"no asset {asset}" for asset in wanted if asset not in self.assets]
        if properties["environmentId"] not in self.environments:
            problems.append(f"no environment {properties['environmentId']}")
        return problems

    def serves(self, properties: Any) -> bool:
        """Whether there is a model; where a script loads it, whether it would."""
        match = PATH.fullmatch(self.assets[properties["model"]]["modelUri"])
        place = self.datastores.get(match[1]) if match else None
        root = self.folder(*place) if place else None
        if root is None:
            return False
        model = root / match[2]
        if "codeConfiguration" not in properties:
            return model.exists()
        code = self.assets[properties["codeConfiguration"]["codeId"]]["codeUri"]
        if code != f"https://{self.storage}.blob.core.windows.net/artifacts/serving":
            return False
        return any((model / name).exists() for name in MODELS)

    def asset(self, method: str, match: re.Match[str], body: Any) -> Answer:
        _, kind, name, version = match.groups()
        problems = self.problems(PROVIDER, f"{KIND}/{kind}/versions", name, body)
        key = f"{self.workspace}/{kind}/{name}/versions/{version}"
        if method != "PUT" or problems:
            return refused(400, "; ".join(problems))
        before = self.assets.setdefault(key, body["properties"])
        if before != body["properties"]:
            return refused(400, "a version is not to be changed")
        return 201, {}, {"id": key, **body}

    def datastore(self, method: str, name: str, body: Any) -> Answer:
        problems = self.problems(PROVIDER, f"{KIND}/datastores", name, body)
        if method != "PUT" or problems:
            return refused(400, "; ".join(problems))
        self.datastores[name] = (body["properties"]["accountName"], body["properties"]["containerName"])
        return 201, {}, body

    def scaling(self, method: str, name: str, body: Any) -> Answer:
        if method == "PUT":
            problems = self.problems("Microsoft.Insights@2022-10-01", "Microsoft.Insights/autoscalesettings", name, body)
            if problems:
                return refused(400, "; ".join(problems))
            self.scalings[name] = body
            return 201, {}, body
        if name not in self.scalings:
            return refused(404, "ResourceNotFound")
        if method == "DELETE":
            del self.scalings[name]
        return 200, {}, self.scalings.get(name)


def refused(status: int, text: str) -> Answer:
    return status, {}, {"error": {"code": text, "message": text}}
