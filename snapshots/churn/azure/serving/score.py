"""What an online endpoint of Azure Machine Learning runs, with mlpipe_serving.py beside this file.

A request is {"instances": [...]}, its answer {"predictions": [...]}. MLPIPE_CAPTURED is set where both are kept for a monitor.
"""

import json
import logging
import os

import mlpipe_serving

model = None
collectors = None


def init():
    """The service calls it once, before the first request."""
    global model, collectors
    model = mlpipe_serving.load(model_folder(os.environ["AZUREML_MODEL_DIR"]))
    if os.environ.get("MLPIPE_CAPTURED"):
        from azureml.ai.monitoring import Collector

        collectors = [Collector(name=name, on_error=failed) for name in ("model_inputs", "model_outputs")]


def run(data):
    """A request's answer. What the model raises is an answer with status 500."""
    try:
        instances = json.loads(data)["instances"]
        if not isinstance(instances, list):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        return refused({"error": 'send {"instances": [...]}'})
    predictions = mlpipe_serving.predict(model, instances)
    if collectors:
        capture(instances, predictions)
    return {"predictions": predictions}


def model_folder(folder):
    """A model that was registered as a folder lies in one of that name."""
    while len(inner := os.listdir(folder)) == 1 and os.path.isdir(os.path.join(folder, inner[0])):
        if inner[0] == "variables":  # of TensorFlow
            break
        folder = os.path.join(folder, inner[0])
    return folder


def refused(answer):
    from azureml_inference_server_http.api.aml_response import AMLResponse

    return AMLResponse(answer, 400, json_str=True)


def capture(instances, predictions):
    """Keeps a row for each instance. Its trouble is none of the request's."""
    try:
        import pandas

        columns = pandas.DataFrame([row if isinstance(row, (dict, list)) else [row] for row in instances])
        columns.columns = [str(name) for name in columns.columns]
        inputs, outputs = collectors
        outputs.collect(pandas.DataFrame({"prediction": predictions}), inputs.collect(columns))
    except Exception as error:
        failed(error)


def failed(error):
    logging.warning("cannot keep a request: %s", error)
