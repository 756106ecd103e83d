"""The Lambda entry point of every step in this folder. Written by mlpipe from pipeline.yaml."""

import functools
import os

from mlpipe_core import invoke


def lambda_handler(event, _lambda_context):
    result = invoke(event, read_secret)
    if "error" in result:
        raise failure(**result["error"]) from None
    return result["output"]


def failure(name, message):
    """An exception whose class Lambda reports as the error's name."""
    return type(name, (Exception,), {})(message)


def read_secret(name):
    arn = os.environ["MLPIPE_SECRET_" + name.upper().replace("-", "_")]
    return secrets_manager().get_secret_value(SecretId=arn)["SecretString"]


@functools.cache
def secrets_manager():
    import boto3

    return boto3.client("secretsmanager")
