"""Training: command jobs of Azure Machine Learning on serverless compute, those of mlpipe_batch.py too.

The job reads the code from the container `artifacts`, below `code/`, and leaves there, below `runs/`, its model and what came of it.
"""

import json
import os
import re
from urllib.parse import quote

from mlpipe_rest import MANAGEMENT, STORAGE, Refused, call, send

API = "api-version=2026-05-01"
BLOBS = {"x-ms-version": "2023-11-03"}
NOT_FOUND = 404
BUCKET = re.compile(r"abfss?://([^@/]+)@([^./]+)\.dfs\.core\.windows\.net/?(.*)")
ENDED = ("Completed", "Failed", "Canceled")
GRACE = 60  # seconds that a job may run longer than its step: the app cancels it, and the service only where the app cannot


class NothingThere(Exception):
    """A channel's URI names nothing."""


def start(request, name):
    """Creates a job of this name."""
    return create(request, name, [(f"channel `{channel}`", channel, uri) for channel, uri in request["data"].items()])


def create(request, name, channels, output=None):
    """Creates a job: its channels are names in messages, names and URIs; `output` is the URI of a folder that is not the run's own."""
    inputs = {"mlpipe": folder(f"azureml://datastores/artifacts/paths/code/{request['code']}/", "Download")}
    for title, channel, uri in channels:
        try:
            inputs[f"data_{channel}"] = found(uri)
        except NothingThere:
            return {"error": {"name": "DataNotFound", "message": f"{title}: there is nothing at {uri}"}}
    outputs = {"run": made(f"azureml://datastores/artifacts/paths/runs/{name}/")}
    words = [f'{channel}="${{{{inputs.data_{channel}}}}}"' for _, channel, _ in channels]
    if output is not None:
        outputs["made"] = made(f"{place(output).rstrip('/')}/")
        words.append('--output="${{outputs.made}}"')
    properties = {
        "jobType": "Command",
        "displayName": name,
        "experimentName": request["pipeline"],
        "tags": {"pipeline": request["pipeline"], "run": request["run"], "step": request["step"]},
        "command": " ".join(['python "${{inputs.mlpipe}}/mlpipe_launcher.py" "${{outputs.run}}"', *words]),
        "environmentId": request["environment"],
        # No `$` that the service could take for a reference of its own.
        "environmentVariables": {
            "MLPIPE_SCRIPT": request["script"],
            "MLPIPE_ARGUMENTS": json.dumps(request["arguments"]).replace("$", "\\u0024"),
            "MLPIPE_REQUIREMENTS": " ".join(request["requirements"]),
            "AZURE_CLIENT_ID": os.environ["MLPIPE_ML_CLIENT_ID"],
        },
        "identity": {"identityType": "Managed", "clientId": os.environ["MLPIPE_ML_CLIENT_ID"]},
        "inputs": inputs,
        "outputs": outputs,
        "resources": {"instanceType": request["instance"], "instanceCount": request["count"]},
        "queueSettings": {"jobTier": "Spot" if request["spot"] else "Standard"},
        "limits": {"jobLimitsType": "Command", "timeout": f"PT{request['timeout'] + GRACE}S"},
    }
    if request["count"] > 1:
        properties["distribution"] = {"distributionType": "PyTorch", "processCountPerInstance": 1}
    call("PUT", address(name), {"properties": properties})
    return {"name": name}


def look(handle):
    """How it went: None while it runs."""
    answer = ended(handle["name"], "training")
    if answer is None or "error" in answer:
        return answer
    name, account = handle["name"], os.environ["MLPIPE_ML_STORAGE"]
    model = f"abfs://artifacts@{account}.dfs.core.windows.net/runs/{name}/model"
    return {"output": {"job_name": name, "model_uri": model, "metrics": answer["metrics"]}}


def ended(name, what):
    """What the launcher of a job said in the end, or that it said nothing; None while it runs."""
    status = call("GET", address(name))["properties"]["status"]
    if status not in ENDED:
        return None
    answer = result(os.environ["MLPIPE_ML_STORAGE"], name)
    if "error" in answer:
        return {"error": answer["error"]}
    if status != "Completed" or "metrics" not in answer:
        return {"error": {"name": "WorkerCrashed", "message": f"the {what} ended without an answer"}}
    return answer


def stop(handle):
    call("POST", address(handle["name"], "/cancel"))


def address(name, action=""):
    return f"{MANAGEMENT}{os.environ['MLPIPE_ML_WORKSPACE']}/jobs/{name}{action}?{API}"


def result(account, name):
    """What the launcher said; nothing where it did not come to that."""
    try:
        return json.loads(blob("GET", f"{account}/artifacts/runs/{name}/result.json").content)
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        return {}


def found(uri):
    """The input of a channel: one file, or a folder. What this app may not see is taken for a folder."""
    match = BUCKET.fullmatch(uri)
    if match is None:
        return folder(uri)
    container, account, path = match.groups()
    try:
        if path and not path.endswith("/") and exists(f"{account}/{container}/{quote(path)}"):
            return {"jobInputType": "uri_file", "mode": "ReadOnlyMount", "uri": place(uri)}
        prefix = quote(f"{path.rstrip('/')}/", safe="") if path else ""
        query = f"restype=container&comp=list&maxresults=1&prefix={prefix}"
        if b"<Blob>" not in blob("GET", f"{account}/{container}?{query}").content:
            raise NothingThere
    except Refused as refused:
        if refused.status == NOT_FOUND:
            raise NothingThere from refused
    return folder(f"{place(uri).rstrip('/')}/")


def place(uri):
    """A bucket's URI as jobs take it; any other as it is."""
    match = BUCKET.fullmatch(uri)
    if match is None:
        return uri
    container, account, path = match.groups()
    return f"wasbs://{container}@{account}.blob.core.windows.net/{path}"


def exists(path):
    try:
        blob("HEAD", path)
        return True
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        return False


def folder(uri, mode="ReadOnlyMount"):
    return {"jobInputType": "uri_folder", "mode": mode, "uri": uri}


def made(uri):
    return {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": uri}


def blob(method, path):
    account, _, rest = path.partition("/")
    return send(method, f"https://{account}.blob.core.windows.net/{rest}", scope=STORAGE, headers=BLOBS)
