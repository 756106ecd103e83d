"""Endpoints: managed online endpoints of Azure Machine Learning.

Each update makes deployments of its own, one a variant, beside those that serve. Requests go to them when all are up, and only then are the
others deleted: where one does not come up, what served before goes on. A tag of the endpoint says whose deployments serve.
"""

import hashlib
import logging
import os
import re

from mlpipe_rest import MANAGEMENT, Refused, call, send
from mlpipe_service import UNAVAILABLE
from mlpipe_train import API, BUCKET, NOT_FOUND, NothingThere, found

SCALING = "api-version=2022-10-01"
ATTEMPT = "mlpipe-attempt"
CONFLICT = 409
BUSY = ("Creating", "Updating", "Scaling", "Deleting")
WANTING = re.compile("quota|capacity", re.IGNORECASE)  # what is said where machines are not to be had
SERVICES_OWN = ("OutOfQuota", "OutOfCapacity", "InternalServerError")  # of a deployment that failed, not the endpoint's trouble
CAPTURES = ("model_inputs", "model_outputs")  # as score.py names them


def start(request, name):
    """Names the deployments to come; `look` makes them."""
    for uri in request["models"].values():
        try:
            found(uri)
        except NothingThere:
            return failed(request)
    endpoint = known(address(request))
    deployments = ours(request, tag(endpoint)) if endpoint and tag(endpoint) else {}
    names = {variant: f"{variant}-b" if f"{variant}-a" in deployments else f"{variant}-a" for variant in request["models"]}
    return {"request": request, "attempt": hashlib.sha256(name.encode()).hexdigest()[:16], "deployments": names, "operations": {}, "made": False}


def look(handle):
    """The next thing to do, as the service has it. None where there is nothing but to wait."""
    request, attempt = handle["request"], handle["attempt"]
    try:
        endpoint = known(address(request))
        if endpoint is None:
            if handle["made"]:
                return failed(request)
            put_endpoint(handle, {}, {})
            return {"handle": {**handle, "made": True}}
        state = endpoint["properties"]["provisioningState"]
        if state in BUSY:
            return None
        if state == "Failed" and (handle["made"] or tag(endpoint) == attempt):
            return give_up(handle, failed(request))
        if state == "Failed" and not tag(endpoint):
            call("DELETE", address(request))  # it never served
            return None
        if tag(endpoint) != attempt:
            return deploy(handle, endpoint)
        clean_up(handle)
        return {"output": {"endpoint_name": request["endpoint"], "url": endpoint["properties"]["scoringUri"]}}
    except Refused as refused:
        if refused.status == CONFLICT and not WANTING.search(str(refused)):
            return None  # something else is under way
        if WANTING.search(str(refused)):
            return UNAVAILABLE
        raise


def deploy(handle, endpoint):
    """Makes the deployments; sends the requests to them when all are up."""
    request, attempt = handle["request"], handle["attempt"]
    there = every(request)
    operations, ready = dict(handle["operations"]), 0
    for variant, name in handle["deployments"].items():
        deployment = there.get(name)
        if deployment is None:
            if name in operations:  # it was there before
                return give_up(handle, failed(request))
            operations[name] = put_deployment(handle, variant)
        elif tag(deployment) != attempt:
            delete(request, name, deployment)
        elif deployment["properties"]["provisioningState"] == "Succeeded":
            ready += 1
        elif deployment["properties"]["provisioningState"] not in BUSY:
            return give_up(handle, UNAVAILABLE if wanting(operations.get(name)) else failed(request))
    if ready < len(handle["deployments"]):
        return {"handle": {**handle, "operations": operations}}
    for variant, name in handle["deployments"].items():
        if request["autoscale"]:
            put_scaling(request, name)
    traffic = {name: request["variants"][variant]["percent"] for variant, name in handle["deployments"].items()}
    put_endpoint(handle, traffic, {ATTEMPT: attempt})
    return None


def clean_up(handle):
    """Deletes what does not serve any more."""
    for name, deployment in every(handle["request"]).items():
        if tag(deployment) != handle["attempt"]:
            delete(handle["request"], name, deployment)


def give_up(handle, answer):
    try:
        stop(handle)
    except Refused as refused:
        logging.warning("%s", refused)
    return answer


def stop(handle):
    """Deletes what this attempt made, unless it serves."""
    request = handle["request"]
    endpoint = known(address(request))
    if endpoint is None or tag(endpoint) == handle["attempt"]:
        return
    if not tag(endpoint) and handle["made"]:
        call("DELETE", address(request))
        return
    for name, deployment in ours(request, handle["attempt"]).items():
        delete(request, name, deployment)


def failed(request):
    return {"error": {"name": "EndpointFailed", "message": f"the endpoint `{request['name']}` did not come into service"}}


def put_endpoint(handle, traffic, tags):
    request = handle["request"]
    properties = {"authMode": "AADToken", "publicNetworkAccess": "Enabled"}
    if traffic:
        properties["traffic"] = traffic
    body = {
        "location": os.environ["MLPIPE_ML_LOCATION"],
        "tags": {"pipeline": request["pipeline"], **tags},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {os.environ["MLPIPE_ML_SERVING_IDENTITY"]: {}}},
        "properties": properties,
    }
    call("PUT", address(request), body)


def put_deployment(handle, variant):
    """Where its operation can be looked at."""
    request, attempt, name = handle["request"], handle["attempt"], handle["deployments"][variant]
    own = request["variants"][variant]
    properties = {
        "endpointComputeType": "Managed",
        "instanceType": own["instance"],
        "model": model(request, f"{request['endpoint']}-{variant}", attempt, request["models"][variant]),
        "environmentId": request["environment"],
        "scaleSettings": {"scaleType": "Default"},
        "requestSettings": {"requestTimeout": "PT1M"},
    }
    if request["scores"]:
        properties["codeConfiguration"] = {"codeId": code(attempt), "scoringScript": "score.py"}
    else:
        properties["modelMountPath"] = "/var/model"
    if request["captured"] and request["scores"]:
        properties["environmentVariables"] = {"MLPIPE_CAPTURED": "1"}
        collections = {kind: {"dataCollectionMode": "Enabled", "samplingRate": 1, "dataId": captured(request, name, kind)} for kind in CAPTURES}
        properties["dataCollector"] = {"collections": collections, "rollingRate": "Hour"}
    body = {
        "location": os.environ["MLPIPE_ML_LOCATION"],
        "tags": {ATTEMPT: attempt, "pipeline": request["pipeline"], "run": request["run"], "step": request["step"]},
        "sku": {"name": "Default", "capacity": request["autoscale"]["min"] if request["autoscale"] else own["count"]},
        "properties": properties,
    }
    return send("PUT", address(request, name), body).headers.get("Azure-AsyncOperation", "")


def put_scaling(request, name):
    """Another instance where one has more requests a minute than it is to have, one less where it has less than half of them."""
    identity = resource(request, name)
    scale = request["autoscale"]

    def rule(operator, threshold, direction):
        return {
            "metricTrigger": {
                "metricName": "RequestsPerMinute",
                "metricResourceUri": identity,
                "timeGrain": "PT1M",
                "timeWindow": "PT5M",
                "statistic": "Average",
                "timeAggregation": "Average",
                "operator": operator,
                "threshold": threshold,
                "dividePerInstance": True,
            },
            "scaleAction": {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": "PT5M"},
        }

    rules = [rule("GreaterThan", scale["requests"], "Increase"), rule("LessThan", scale["requests"] / 2, "Decrease")]
    capacity = {"minimum": str(scale["min"]), "maximum": str(scale["max"]), "default": str(scale["min"])}
    properties = {"enabled": True, "targetResourceUri": identity, "profiles": [{"name": "requests", "capacity": capacity, "rules": rules}]}
    call("PUT", scaling(request, name), {"location": os.environ["MLPIPE_ML_LOCATION"], "properties": properties})


def delete(request, name, deployment):
    if deployment["properties"]["provisioningState"] == "Deleting":
        return
    if "MLPIPE_ML_AUTOSCALES" in os.environ and known(scaling(request, name)):
        call("DELETE", scaling(request, name))
    call("DELETE", address(request, name))


def model(request, name, version, uri):
    """Registers a model, as a version that no other deployment has."""
    path = f"{os.environ['MLPIPE_ML_WORKSPACE']}/models/{name}/versions/{version}"
    properties = {"modelType": "custom_model", "modelUri": place(uri), "tags": {"pipeline": request["pipeline"], "run": request["run"]}}
    call("PUT", f"{MANAGEMENT}{path}?{API}", {"properties": properties})
    return path


def code(version):
    """Registers score.py and its module, which README.md says to copy."""
    path = f"{os.environ['MLPIPE_ML_WORKSPACE']}/codes/mlpipe-serving/versions/{version}"
    uri = f"https://{os.environ['MLPIPE_ML_STORAGE']}.blob.core.windows.net/artifacts/serving"
    call("PUT", f"{MANAGEMENT}{path}?{API}", {"properties": {"codeUri": uri}})
    return path


def captured(request, deployment, kind):
    """Registers the folder of what is kept of requests."""
    path = f"{os.environ['MLPIPE_ML_WORKSPACE']}/data/{request['endpoint']}-{deployment}-{kind}/versions/1"
    uri = datastore("artifacts", f"captured/{request['endpoint']}/{deployment}/{kind}")
    call("PUT", f"{MANAGEMENT}{path}?{API}", {"properties": {"dataType": "uri_folder", "dataUri": uri}})
    return path


def place(uri):
    """A model's URI as a datastore's: each container is one, by name. What is no container's is left as it is."""
    match = BUCKET.fullmatch(uri)
    if match is None:
        return uri
    container, account, path = match.groups()
    if (container, account) == ("artifacts", os.environ["MLPIPE_ML_STORAGE"]):
        return datastore("artifacts", path)
    name = re.sub(r"\W", "_", f"{account}_{container}")
    properties = {"datastoreType": "AzureBlob", "accountName": account, "containerName": container, "credentials": {"credentialsType": "None"}}
    call("PUT", f"{MANAGEMENT}{os.environ['MLPIPE_ML_WORKSPACE']}/datastores/{name}?{API}", {"properties": properties})
    return datastore(name, path)


def datastore(name, path):
    _, _, subscription, _, group, *_, workspace = os.environ["MLPIPE_ML_WORKSPACE"].split("/")
    return f"azureml://subscriptions/{subscription}/resourcegroups/{group}/workspaces/{workspace}/datastores/{name}/paths/{path.rstrip('/')}"


def wanting(operation):
    """Whether an operation failed for the service's own reasons."""
    error = (known(operation) or {}).get("error") if operation else None
    return isinstance(error, dict) and error.get("code") in SERVICES_OWN


def every(request):
    """The endpoint's deployments by name."""
    found, url = {}, f"{MANAGEMENT}{resource(request)}/deployments?{API}"
    while url:
        page = call("GET", url)
        found |= {deployment["name"]: deployment for deployment in page["value"]}
        url = page.get("nextLink")
    return found


def ours(request, attempt):
    return {name: deployment for name, deployment in every(request).items() if tag(deployment) == attempt}


def tag(resource):
    return (resource.get("tags") or {}).get(ATTEMPT)


def known(url):
    """What is there; None where nothing is."""
    try:
        return call("GET", url)
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        return None


def resource(request, deployment=None):
    endpoint = f"{os.environ['MLPIPE_ML_WORKSPACE']}/onlineEndpoints/{request['endpoint']}"
    return f"{endpoint}/deployments/{deployment}" if deployment else endpoint


def address(request, deployment=None):
    return f"{MANAGEMENT}{resource(request, deployment)}?{API}"


def scaling(request, deployment):
    group = os.environ["MLPIPE_ML_WORKSPACE"].partition("/providers/")[0]
    return f"{MANAGEMENT}{group}/providers/Microsoft.Insights/autoscalesettings/{request['endpoint']}-{deployment}?{SCALING}"
