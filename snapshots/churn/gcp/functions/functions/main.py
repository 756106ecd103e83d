"""The HTTP entry point of every step in this folder. Written by mlpipe from pipeline.yaml."""

import functools
import json
import os

import functions_framework

from mlpipe_core import invoke


@functions_framework.http
def handle(request):
    """Answers 200 with the step's output, or 422 with {"error": {"name", "message"}}."""
    result = invoke(request.get_json(), read_secret)
    body, status = (result, 422) if "error" in result else (result["output"], 200)
    return json.dumps(body, ensure_ascii=False), status, {"Content-Type": "application/json"}


def read_secret(name):
    version = os.environ["MLPIPE_SECRET_" + name.upper().replace("-", "_")]
    return secret_manager().access_secret_version(name=version).payload.data.decode()


@functools.cache
def secret_manager():
    from google.cloud import secretmanager

    return secretmanager.SecretManagerServiceClient()
