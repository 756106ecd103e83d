"""Predictions for the files of a folder: a command job of Azure Machine Learning with mlpipe's own script."""

import mlpipe_train


def start(request, name):
    """Creates a job of this name."""
    job = {**request, "code": "mlpipe_predicting", "script": "mlpipe_predicting.py", "arguments": [], "count": 1, "spot": False}
    created = mlpipe_train.create(job, name, [(channel, channel, request[channel]) for channel in ("model", "input")], request["output"])
    return created if "error" in created else {**created, "output": request["output"]}


def look(handle):
    """How it went: None while it runs."""
    answer = mlpipe_train.ended(handle["name"], "job")
    if answer is None or "error" in answer:
        return answer
    predictions = (answer["metrics"] or {}).get("predictions")
    return {"output": {"job_name": handle["name"], "output_uri": handle["output"], "predictions": predictions}}


stop = mlpipe_train.stop
