"""Starts the predictions of a SageMaker processing job, with mlpipe_training.py, mlpipe_predicting.py and mlpipe_serving.py beside this file.

What it writes to the file `message` is what DescribeProcessingJob tells as ExitMessage (SageMaker Developer Guide, "Save and Access
Metadata Information About Your Processing Job").
"""

import json
import os
import sys

from mlpipe_training import launch

BASE = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
FOLDER = os.path.join(BASE, "processing")
RESULT = os.path.join(BASE, "mlpipe-result.json")
MESSAGE = os.path.join(BASE, "output", "message")
MAX_BYTES = 1024  # of an ExitMessage


def told(outcome):
    """The outcome as JSON that an ExitMessage holds: a longer message loses its end."""
    error = outcome.get("error")
    if error is None:
        return json.dumps({"predictions": outcome["metrics"]["predictions"]})
    name, message = error["name"][:128], error["message"]
    text = write(name, message)
    while len(text.encode()) > MAX_BYTES:
        over = len(text.encode()) - MAX_BYTES
        message = message[: -max(1, over // 6)]  # a character takes six bytes at most
        text = write(name, message)
    return text


def write(name, message):
    return json.dumps({"error": {"name": name, "message": message}}, ensure_ascii=False)


def main():
    os.environ.update(
        MLPIPE_DATA_MODEL=os.path.join(FOLDER, "model"),
        MLPIPE_DATA_INPUT=os.path.join(FOLDER, "input"),
        MLPIPE_OUTPUT_DIR=os.path.join(FOLDER, "output"),
        MLPIPE_METRICS=os.path.join(BASE, "mlpipe-metrics.json"),
    )
    code = os.path.dirname(os.path.abspath(__file__))
    ended = launch(os.path.join(code, "mlpipe_predicting.py"), [], RESULT)
    with open(RESULT, encoding="utf-8") as file:
        text = told(json.load(file))
    os.makedirs(os.path.dirname(MESSAGE), exist_ok=True)
    with open(MESSAGE, "w", encoding="utf-8") as file:
        file.write(text)
    return ended


if __name__ == "__main__":
    sys.exit(main())
