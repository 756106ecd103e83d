"""Containers: executions of Container Apps jobs, which main.json makes, a job a step."""

import time

from mlpipe_rest import MANAGEMENT, call, send

API = "api-version=2026-01-01"
ACCEPTED = 202
KEPT = ("image", "name", "resources", "env")  # of the job's container; an execution is given a whole one


def start(request, _):
    """Starts an execution with the words and variables of a step at hand."""
    job = f"{MANAGEMENT}{request['job']}"
    found = call("GET", f"{job}?{API}")["properties"]["template"]["containers"][0]
    container = {name: found[name] for name in KEPT if name in found}
    container["resources"] = {name: container["resources"][name] for name in ("cpu", "memory")}
    own = [{"name": name, "value": value} for name, value in request["env"].items()]
    container["env"] = [entry for entry in container.get("env", []) if entry["name"] not in request["env"]] + own
    if request["command"]:
        container["command"] = request["command"]
    response = send("POST", f"{job}/start?{API}", {"containers": [container]})
    while response.status_code == ACCEPTED and not response.content:
        time.sleep(float(response.headers.get("Retry-After", 1)))
        response = send("GET", response.headers["Location"])
    return {"job": request["job"], "execution": response.json()["name"]}


def look(handle):
    """How it went: None while it runs."""
    answer = call("GET", f"{MANAGEMENT}{handle['job']}/executions/{handle['execution']}?{API}")
    match answer["properties"]["status"]:
        case "Succeeded":
            return {"output": None}
        case "Failed" | "Degraded":
            return {"error": {"name": "JobFailed", "message": "the container ended with an error"}}
        case "Stopped":
            return {"error": {"name": "WorkerCrashed", "message": "the container ended without an answer"}}
    return None


def stop(handle):
    call("POST", f"{MANAGEMENT}{handle['job']}/executions/{handle['execution']}/stop?{API}")
