"""Answers requests to a SageMaker endpoint: {"instances": […]} in, {"predictions": […]} out.

SageMaker's images of scikit-learn, XGBoost and PyTorch call these functions (SageMaker Python SDK, "Deploy … Models": model_fn, input_fn, predict_fn, output_fn).
"""

import json

import mlpipe_serving


def model_fn(folder):
    return mlpipe_serving.load(folder)


def input_fn(body, _content_type):
    return json.loads(body)["instances"]


def predict_fn(instances, model):
    return mlpipe_serving.predict(model, instances)


def output_fn(predictions, _accept):
    return json.dumps({"predictions": predictions}), "application/json"
