"""Starts the training script of a SageMaker training job. Usage: python3 mlpipe_launcher.py SCRIPT, with mlpipe_training.py beside this file.

Where things are: SageMaker Developer Guide, "How Amazon SageMaker AI Provides Training Information" and "Use checkpoints".
"""

import json
import os
import shutil
import sys

from mlpipe_training import install, launch

BASE = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
CODE = "mlpipe-code"  # the channel that this file is in
RESULT = os.path.join(BASE, "checkpoints", "mlpipe-result.json")  # a folder that is copied to S3 as it is
PORT = "29500"


def config(name):
    path = os.path.join(BASE, "input", "config", f"{name}.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def variables():
    """What a script finds in its environment on every cloud."""
    found = {"MLPIPE_MODEL_DIR": os.path.join(BASE, "model"), "MLPIPE_METRICS": os.path.join(BASE, "mlpipe-metrics.json")}
    for channel in config("inputdataconfig"):
        if channel != CODE:
            found[f"MLPIPE_DATA_{channel.upper()}"] = os.path.join(BASE, "input", "data", channel)
    resources = config("resourceconfig")
    hosts = sorted(resources.get("hosts", []))
    if len(hosts) > 1:
        rank = hosts.index(resources["current_host"])
        found.update(RANK=str(rank), WORLD_SIZE=str(len(hosts)), MASTER_ADDR=hosts[0], MASTER_PORT=PORT)
    return found


def tell_failure():
    """The console shows what is in this file as the reason of the failure."""
    if not os.path.exists(RESULT):
        return
    with open(RESULT, encoding="utf-8") as file:
        error = json.load(file).get("error")
    if error:
        os.makedirs(os.path.join(BASE, "output"), exist_ok=True)
        with open(os.path.join(BASE, "output", "failure"), "w", encoding="utf-8") as file:
            file.write(f"{error['name']}: {error['message']}")


def add_serving(code, model):
    """What an endpoint runs is in the model: SageMaker Python SDK, "Structure of the Model Directory". A folder of the script's own is left alone."""
    folder = os.path.join(model, "code")
    if os.path.exists(folder):
        return
    os.makedirs(folder)
    for name, found in (("inference.py", "mlpipe_inference.py"), ("mlpipe_serving.py", "mlpipe_serving.py"), ("requirements.txt", "requirements.txt")):
        if os.path.exists(os.path.join(code, found)):
            shutil.copy(os.path.join(code, found), os.path.join(folder, name))


def main(script):
    code = os.path.dirname(os.path.abspath(__file__))
    os.environ.update(variables())
    os.makedirs(os.environ["MLPIPE_MODEL_DIR"], exist_ok=True)
    if os.path.exists(RESULT):
        os.remove(RESULT)  # of before an interruption
    install(code)
    arguments = [word for name, value in config("hyperparameters").items() for word in (f"--{name}", value)]
    ended = launch(os.path.join(code, script), arguments, RESULT)
    if not ended:
        add_serving(code, os.environ["MLPIPE_MODEL_DIR"])
    tell_failure()
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
