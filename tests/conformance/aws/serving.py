"""SageMaker's endpoints and their scaling, as far as pipelines need them, under virtual time.

Statuses: API reference, DescribeEndpoint. An update that fails goes back to what served before (Developer Guide, "Auto-Rollback Configuration and
Monitoring": "all at once" updates keep the old fleet until the new one is healthy).
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from training import NoSuchBucket, Refused, SageMaker

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
MODEL_FILES = {"serving.py", "model.joblib", "model.pkl", "model.json", "model.ubj", "model.bst", "model.pt", "model.keras", "saved_model.pb"}
CREATING, UPDATING, ROLLING_BACK, DELETING = 240, 300, 60, 60
NO_CAPACITY = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a different ML instance type or after some time."
NOT_HEALTHY = "The primary container for production variant {} did not pass the ping health check. Please check CloudWatch logs for this endpoint."


def refused(message: str, error: str = "SageMaker.SageMakerException") -> Refused:
    """As a state sees what a service does not take: a name of Java's SDK, and a cause with the status."""
    return Refused(error, f"{message} (Service: {error.split('.')[0]}, Status Code: 400, Request ID: 0)")


@dataclass
class Endpoint:
    """One endpoint: what serves, and the end of what is being done to it."""

    config: str
    status: str
    until: float
    then: str
    """The status after that."""
    serves: str | None = None
    """The configuration that serves."""
    reason: str | None = None


@dataclass
class Serving:
    """The endpoints of one execution and of those that it starts."""

    sagemaker: SageMaker
    now: Callable[[], float]
    models: dict[str, str | None] = field(default_factory=dict)
    """Why a model does not serve, by name."""
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[str, str | None] = field(default_factory=dict)
    """By the start of the models' names."""

    def call(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        self.tick()
        return {
            "CreateModel": self.create_model,
            "CreateEndpointConfig": self.create_config,
            "DescribeEndpoint": self.describe,
            "CreateEndpoint": self.create,
            "UpdateEndpoint": self.update,
            "DeleteEndpoint": self.delete,
            "RegisterScalableTarget": self.register,
            "DeregisterScalableTarget": self.deregister,
            "PutScalingPolicy": self.policy,
        }[action](request)

    def tick(self) -> None:
        """Ends what has had its time."""
        for name, endpoint in list(self.endpoints.items()):
            while endpoint.until <= self.now() and endpoint.status != endpoint.then:
                if endpoint.then == "Gone":
                    del self.endpoints[name]
                    break
                endpoint.status = endpoint.then
                if endpoint.status == "RollingBack":
                    endpoint.until, endpoint.then = endpoint.until + ROLLING_BACK, "InService"
                elif endpoint.status == "InService" and endpoint.reason is None:
                    endpoint.serves = endpoint.config

    def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        name, container = self.new(request["ModelName"], self.models), request["PrimaryContainer"]
        start = name.rpartition("-")[0]
        if start not in self.faults:
            step = next(tag["Value"] for tag in request["Tags"] if tag["Key"] == "step")
            self.faults[start] = self.sagemaker.fault(step)
        if self.faults[start] == "throttled":
            raise refused("Rate exceeded")
        if ("ModelDataUrl" in container) == ("ModelDataSource" in container):
            raise refused("Exactly one of ModelDataUrl and ModelDataSource is needed")
        self.models[name] = self.flaw(container)
        return {"ModelArn": f"arn:aws:sagemaker:us-east-1:123456789012:model/{name}"}

    def flaw(self, container: dict[str, Any]) -> str | None:
        """Why a container would not pass its health check; raises where there is no model."""
        archive = container.get("ModelDataUrl")
        uri = archive or container["ModelDataSource"]["S3DataSource"]["S3Uri"]
        try:
            folder, key = self.sagemaker.store.place(uri)
        except NoSuchBucket:
            raise refused(f"Could not access model data at {uri}. Please ensure that the role exists") from None
        if archive:
            if not (folder / key).is_file():
                raise refused(f"Could not find model data at {uri}.")
            with tarfile.open(folder / key) as packed:
                files = {name.removeprefix("./") for name in packed.getnames()}
        else:
            if not uri.endswith("/"):
                raise refused("S3Uri of an S3Prefix must end with a forward slash")
            files = {path.relative_to(folder / key).as_posix() for path in (folder / key).rglob("*") if path.is_file()} if (folder / key).is_dir() else set()
            if not files:
                raise refused(f"Could not find model data at {uri}.")
        environment = container.get("Environment")
        if environment is None:
            return None
        if environment != {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}:
            return "no script"
        lacking = {"code/inference.py", "code/mlpipe_serving.py"} - files
        return f"no {sorted(lacking)}" if lacking else None if files & MODEL_FILES else "no model"

    def create_config(self, request: dict[str, Any]) -> dict[str, Any]:
        name = self.new(request["EndpointConfigName"], self.configs)
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        for variant in request["ProductionVariants"]:
            if variant["ModelName"] not in self.models:
                raise refused(f"Could not find model {variant['ModelName']}")
            if not NAME.fullmatch(variant["VariantName"]) or names.count(variant["VariantName"]) > 1:
                raise refused(f"variantName {variant['VariantName']}")
        self.configs[name] = request
        return {"EndpointConfigArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{name}"}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.found(request)
        told: dict[str, Any] = {"EndpointName": request["EndpointName"], "EndpointStatus": endpoint.status, "EndpointConfigName": endpoint.serves or endpoint.config}
        if endpoint.reason is not None and endpoint.status not in ("Creating", "Updating"):
            told["FailureReason"] = endpoint.reason
        if endpoint.serves is not None:
            told["ProductionVariants"] = [{"VariantName": variant["VariantName"]} for variant in self.configs[endpoint.serves]["ProductionVariants"]]
        return told

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config = self.new(request["EndpointName"], self.endpoints), self.config(request)
        reason = self.trouble(config)
        self.endpoints[name] = Endpoint(config, "Creating", self.now() + CREATING, "InService" if reason is None else "Failed", None, reason)
        return {"EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"}

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint, config = self.found(request), self.config(request)
        if endpoint.status != "InService":
            raise refused("Cannot update in-progress endpoint")
        scaled = [target for target in self.targets if target.startswith(f"endpoint/{request['EndpointName']}/")]
        if scaled:
            raise refused(f"The variant(s) {scaled} must be deregistered as scalable targets")
        endpoint.config, endpoint.reason = config, self.trouble(config)
        endpoint.status, endpoint.until = "Updating", self.now() + UPDATING
        endpoint.then = "InService" if endpoint.reason is None else "RollingBack"
        return {"EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{request['EndpointName']}"}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.found(request)
        if endpoint.status not in ("InService", "Failed"):
            raise refused(f"Cannot delete endpoint in {endpoint.status}")
        endpoint.status, endpoint.until, endpoint.then = "Deleting", self.now() + DELETING, "Gone"
        return {}

    def trouble(self, config: str) -> str | None:
        """Why no endpoint comes into service with a configuration."""
        fault = self.faults.get(config)
        if fault == "capacity":
            return NO_CAPACITY
        for variant in self.configs[config]["ProductionVariants"]:
            if fault == "rolled_back" or self.models[variant["ModelName"]] is not None:
                return NOT_HEALTHY.format(variant["VariantName"])
        return None

    def register(self, request: dict[str, Any]) -> dict[str, Any]:
        resource = self.variant(request)
        if not 0 < request["MinCapacity"] <= request["MaxCapacity"]:
            raise refused("Maximum capacity cannot be less than minimum capacity", "ApplicationAutoScaling.ValidationException")
        self.targets[resource] = {**request, "Policies": {}}
        return {}

    def deregister(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["ResourceId"] not in self.targets:
            raise refused("No scalable target found", "ApplicationAutoScaling.ObjectNotFoundException")
        del self.targets[request["ResourceId"]]
        return {}

    def policy(self, request: dict[str, Any]) -> dict[str, Any]:
        resource = self.variant(request)
        if resource not in self.targets:
            raise refused("No scalable target registered", "ApplicationAutoScaling.ObjectNotFoundException")
        self.targets[resource]["Policies"][request["PolicyName"]] = request
        return {}

    def variant(self, request: dict[str, Any]) -> str:
        """A variant that serves, by its resource's id."""
        _, name, _, variant = request["ResourceId"].split("/")
        endpoint = self.endpoints.get(name)
        serves = self.configs[endpoint.serves]["ProductionVariants"] if endpoint and endpoint.serves and endpoint.status == "InService" else []
        if variant not in [one["VariantName"] for one in serves] or request["ScalableDimension"] != "sagemaker:variant:DesiredInstanceCount":
            raise refused(f"ECS service doesn't exist: {request['ResourceId']}", "ApplicationAutoScaling.ValidationException")
        return request["ResourceId"]

    def found(self, request: dict[str, Any]) -> Endpoint:
        if request["EndpointName"] not in self.endpoints:
            raise refused(f'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/{request["EndpointName"]}".')
        return self.endpoints[request["EndpointName"]]

    def config(self, request: dict[str, Any]) -> str:
        if request["EndpointConfigName"] not in self.configs:
            raise refused(f"Could not find endpoint configuration {request['EndpointConfigName']}")
        return request["EndpointConfigName"]

    @staticmethod
    def new(name: str, known: dict[str, Any]) -> str:
        if not NAME.fullmatch(name) or len(name) > 63:
            raise refused(f"1 validation error detected: Value '{name}' failed to satisfy constraint")
        if name in known:
            raise refused(f"Cannot create already existing {name}")
        return name
