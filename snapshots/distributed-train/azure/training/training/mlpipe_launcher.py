"""Starts the training script of an Azure Machine Learning job, with mlpipe_training.py beside this file.

Usage: python mlpipe_launcher.py RUN [CHANNEL=PATH...] [--output=PATH]: RUN is the folder for what comes of it, a path that of a channel's folder or
one file, and the output's that of the folder for what the script leaves in MLPIPE_OUTPUT_DIR.
MLPIPE_SCRIPT names the script, MLPIPE_ARGUMENTS holds its arguments as JSON, MLPIPE_REQUIREMENTS what pip installs first. RANK and its like come
with the service's PyTorch distribution.
"""

import json
import os
import shutil
import sys
import tempfile

from mlpipe_training import channel_folder, first_worker, install, launch


def main(run, channels):
    code = os.path.dirname(os.path.abspath(__file__))
    work = tempfile.mkdtemp(prefix="mlpipe-")
    model, result = os.path.join(work, "model"), os.path.join(work, "result.json")
    made, output = os.path.join(work, "output"), None
    os.mkdir(model)
    os.mkdir(made)
    os.environ.update(MLPIPE_MODEL_DIR=model, MLPIPE_OUTPUT_DIR=made, MLPIPE_METRICS=os.path.join(work, "metrics.json"))
    for channel in channels:
        name, _, path = channel.partition("=")
        if name == "--output":
            output = os.path.abspath(path)
            continue
        os.environ[f"MLPIPE_DATA_{name.upper()}"] = channel_folder(path, name)
    install(code)
    script = os.path.join(code, os.environ["MLPIPE_SCRIPT"])
    ended = launch(script, json.loads(os.environ["MLPIPE_ARGUMENTS"]), result)
    # These folders are mounted containers: files come there whole, the result last.
    if first_worker():
        shutil.copytree(model, os.path.join(run, "model"), copy_function=shutil.copyfile, dirs_exist_ok=True)
        if output is not None:
            shutil.copytree(made, output, copy_function=shutil.copyfile, dirs_exist_ok=True)
    if os.path.exists(result):
        shutil.copyfile(result, os.path.join(run, "result.json"))
    return ended


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1]), sys.argv[2:]))
