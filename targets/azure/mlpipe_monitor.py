"""Monitors of endpoints: a schedule of Azure Machine Learning looks for drift, timers of the app look at the endpoint's metrics.

Both tell a topic. The step makes the schedule, or makes it anew.
"""

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from mlpipe_rest import MANAGEMENT, STORAGE, Refused, call, send
from mlpipe_train import API, BLOBS, NOT_FOUND, NothingThere, found

METRICS = "api-version=2024-02-01"
LONGEST = timedelta(days=30)  # from look to look
BREACH = re.compile(r"The signal '([^']+)' has failed")
TAG = "azureml_modelmonitor_threshold_breached"


@dataclass(frozen=True)
class Bounds:
    """What an endpoint has to keep to, and who hears where it does not. `resource` is its name in the workspace."""

    endpoint: str
    pipeline: str
    step: str
    topic: object
    resource: str = ""
    latency_p95_ms: float | None = None
    error_rate: float | None = None


# The step


def start(request, name):
    """Makes the schedule; where nothing looks for drift any more, deletes it."""
    try:
        if request["drift"] is None:
            delete(request["name"])
            return {**request, "made": False}
        endpoint = call("GET", f"{MANAGEMENT}{resource(request['endpoint'])}?{API}")
        deployments = [deployment for deployment, percent in endpoint["properties"].get("traffic", {}).items() if percent]
        try:
            baseline = table(request["name"], request["baseline"])
        except NothingThere:
            return {"error": {"name": "DataNotFound", "message": f"baseline: there is nothing at {request['baseline']}"}}
        call("PUT", address(request["name"]), {"properties": schedule(request, baseline, deployments)})
    except Refused as refused:
        if 400 <= refused.status < 500 and refused.status not in (408, 409, 429):
            return failed(request)
        raise
    return {**request, "made": True}


def look(handle):
    """How it went: None while it is made."""
    if handle["made"]:
        state = call("GET", address(handle["name"]))["properties"]["provisioningState"]
        if state in ("Failed", "Canceled"):
            return failed(handle)
        if state != "Succeeded":
            return None
    return {"output": None}


def stop(handle):
    """Nothing runs: a schedule that is being made stays, and the next try makes it anew."""


def failed(request):
    return {"error": {"name": "MonitorFailed", "message": f"the monitor of `{request['title']}` could not be set up"}}


def schedule(request, baseline, deployments):
    drift = request["drift"]
    thresholds = [{"dataType": kind, "metric": drift[kind.lower()], "threshold": {"value": drift["threshold"]}} for kind in ("Numerical", "Categorical")]
    signals = {f"{request['name']}-on-{deployment}": signal(request, deployment, baseline, thresholds) for deployment in deployments}
    identity = {"type": "UserAssigned", "userAssignedIdentities": {os.environ["MLPIPE_ML_IDENTITY"]: {}}}
    compute = {
        "computeType": "ServerlessSpark",
        "instanceType": drift["instance"],
        "runtimeVersion": drift["runtime"],
        "computeIdentity": {"computeIdentityType": "ManagedIdentity", "identity": identity},
    }
    return {
        "displayName": request["name"],
        "isEnabled": True,
        "trigger": {"triggerType": "Cron", "expression": drift["schedule"], "timeZone": "UTC"},
        "action": {"actionType": "CreateMonitor", "monitorDefinition": {"computeConfiguration": compute, "signals": signals}},
    }


def signal(request, deployment, baseline, thresholds):
    drift = request["drift"]
    captured = f"azureml://datastores/artifacts/paths/captured/{request['endpoint']}/{deployment}/model_inputs/"
    return {
        "signalType": "DataDrift",
        "productionData": {
            "inputDataType": "Rolling",
            "jobInputType": "uri_folder",
            "uri": captured,
            "dataContext": "model_inputs",
            "windowSize": drift["window"],
            "windowOffset": "P0D",
            "preprocessingComponentId": drift["preprocessor"],
        },
        "referenceData": {"inputDataType": "Fixed", "jobInputType": "mltable", "uri": baseline, "dataContext": "training"},
        "features": {"filterType": "AllFeatures"},
        "metricThresholds": thresholds,
    }


def table(name, uri):
    """Describes the baseline as a table, as monitors read it; where that is."""
    place = found(uri)
    path = {"file": place["uri"]} if place["jobInputType"] == "uri_file" else {"folder": place["uri"]}
    reading = {"read_delimited": {"delimiter": ",", "encoding": "utf8", "header": "all_files_same_headers"}}
    url = f"https://{os.environ['MLPIPE_ML_STORAGE']}.blob.core.windows.net/artifacts/monitors/{quote(name)}/MLTable"
    # JSON is YAML.
    send("PUT", url, {"type": "mltable", "paths": [path], "transformations": [reading]}, STORAGE, {**BLOBS, "x-ms-blob-type": "BlockBlob"})
    return f"azureml://datastores/artifacts/paths/monitors/{name}/"


def delete(name):
    try:
        send("DELETE", address(name))
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise


def address(name):
    return f"{MANAGEMENT}{os.environ['MLPIPE_ML_WORKSPACE']}/schedules/{name}?{API}"


def resource(endpoint):
    return f"{os.environ['MLPIPE_ML_WORKSPACE']}/onlineEndpoints/{endpoint}"


# The timer


def watch(timer, bounds):
    """Looks at the endpoint's metrics since the timer fired last, and tells the topic of what is out of bounds."""
    until = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    since = max(last(timer) or until - timedelta(days=1), until - LONGEST)
    told = []
    try:
        if bounds.latency_p95_ms is not None:
            values = [value for _, value in metric(bounds, "RequestLatency_P95", since, until)]
            # The service has the percentile of each minute.
            latency = sum(values) / len(values) if values else 0
            if latency > bounds.latency_p95_ms:
                told.append(f"the 95th percentile of the latency is {latency:.0f} ms, more than {bounds.latency_p95_ms:g} ms")
        if bounds.error_rate is not None:
            counts = metric(bounds, "RequestsPerMinute", since, until, "statusCodeClass")
            failures, all_of_them = (sum(count for kind, count in counts if kind.startswith(start)) for start in ("5", ""))
            if all_of_them and failures / all_of_them > bounds.error_rate:
                told.append(f"{failures / all_of_them:.1%} of the requests failed, more than {bounds.error_rate:.1%}")
    except Refused as refused:
        if refused.status != NOT_FOUND:  # no endpoint yet
            raise
    for text in told:
        tell(bounds, text, until.isoformat())


def last(timer):
    """When it fired before; None where that is not known."""
    said = timer.schedule_status.get("Last")
    if not said or said.startswith("0001"):  # .NET's first moment: never
        return None
    time = datetime.fromisoformat(said)
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def metric(bounds, name, since, until, dimension=None):
    """The values of each minute that has one, with that of the dimension."""
    times = "/".join(f"{time.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}" for time in (since, until))
    query = f"{METRICS}&metricnames={name}&aggregation=Average&interval=PT1M&timespan={times}"
    if dimension:
        query += "&$filter=" + quote(f"{dimension} eq '*'")
    answer = call("GET", f"{MANAGEMENT}{resource(bounds.resource)}/providers/Microsoft.Insights/metrics?{query}")
    series = [series for value in answer["value"] for series in value["timeseries"]]
    return [(label(one), point["average"]) for one in series for point in one["data"] if point.get("average") is not None]


def label(series):
    values = series.get("metadatavalues") or [{}]
    return values[0].get("value", "")


# The event


def drifted(event, monitors):
    """Tells the topic of the monitor whose signal it is; `monitors` are by the names of schedules."""
    data = {name.lower(): value for name, value in event.get_json().items()}
    tags = data.get("runtags") or {}
    tags = json.loads(tags) if isinstance(tags, str) else tags
    breach = BREACH.search(tags.get(TAG, ""))
    if breach is None:
        return
    name, _, deployment = breach[1].rpartition("-on-")
    if name in monitors:
        features = sorted(set(re.findall(r'\\?"group\\?": ?\\?"([^"\\]+)', tags[TAG])))
        which = ", ".join(f"`{feature}`" for feature in features) or "the features"
        tell(monitors[name], f"{which} drifted from the baseline on the deployment `{deployment}`", event.id)


def tell(bounds, text, run):
    import mlpipe_topic

    data = {"pipeline": bounds.pipeline, "run": run, "step": bounds.step, "message": f"{bounds.endpoint}: {text}"}
    mlpipe_topic.publish({"endpoint": bounds.topic.endpoint, "type": "mlpipe.notify", "data": data})
