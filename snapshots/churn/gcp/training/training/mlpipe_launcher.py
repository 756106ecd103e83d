"""Starts the script of a Vertex AI custom job. Usage: python3 mlpipe_launcher.py SCRIPT [ARGUMENT...], with mlpipe_training.py beside this file.

Where things are: Vertex AI docs, "Environment variables for special Cloud Storage directories", "Use Cloud Storage as a mounted file system"
and "Distributed training".
"""

import json
import os
import sys
import tempfile

from mlpipe_training import channel_folder, failed, first_worker, install, launch, write

MOUNTED = os.environ.get("MLPIPE_GCS", "/gcs")
CHANNEL = "MLPIPE_CHANNEL_"


def mounted(uri):
    """Where a gs:// URI is among the files."""
    return os.path.join(MOUNTED, uri.removeprefix("gs://")).rstrip("/")


def cluster():
    """Who the workers are, where there are several: the first pool has the first of them."""
    spec = json.loads(os.environ.get("CLUSTER_SPEC") or "{}")
    pools = spec.get("cluster", {})
    workers = [(pool, index) for pool in sorted(pools) for index in range(len(pools[pool]))]
    if len(workers) < 2:
        return {}
    task = spec["task"]
    host, _, port = pools[workers[0][0]][0].rpartition(":")
    rank = workers.index((task["type"], int(task["index"])))
    return {"RANK": str(rank), "WORLD_SIZE": str(len(workers)), "MASTER_ADDR": host, "MASTER_PORT": port}


def folder_of(uri, name):
    """The folder that the URI names, or one with the file that it names; None where there is nothing."""
    path = mounted(uri)
    if not uri.startswith("gs://") or not os.path.exists(path):
        return None
    return channel_folder(path, name)


def channels():
    """The folders of the channels; the first that has nothing as a failure."""
    found = {}
    for variable, uri in os.environ.items():
        if not variable.startswith(CHANNEL):
            continue
        name = variable.removeprefix(CHANNEL)
        folder = folder_of(uri, name)
        if folder is None:
            what = name if "MLPIPE_OUTPUT" in os.environ else f"channel `{name}`"
            return found, failed("DataNotFound", f"{what}: there is nothing at {uri}")
        found[f"MLPIPE_DATA_{name.upper()}"] = folder
    return found, None


def made():
    """The folder for what the script makes by its variable: a model, or files at a URI of the user's."""
    output = os.environ.get("MLPIPE_OUTPUT")
    variable, folder = ("MLPIPE_MODEL_DIR", os.environ["AIP_MODEL_DIR"]) if output is None else ("MLPIPE_OUTPUT_DIR", output)
    if not folder.startswith("gs://"):
        return {}, failed("DataNotFound", f"output: there is nothing at {folder}")
    os.makedirs(mounted(folder), exist_ok=True)
    return {variable: mounted(folder)}, None


def main(script, arguments):
    code = os.path.dirname(os.path.abspath(__file__))
    result = mounted(os.environ["MLPIPE_RESULT"])
    os.environ.update(cluster())
    if first_worker() and os.path.exists(result):
        os.remove(result)  # of before an interruption
    folders, problem = channels()
    if not problem:
        making, problem = made()
    if problem:
        write(result, problem)
        return 1
    work = tempfile.mkdtemp(prefix="mlpipe-")
    os.environ.update(folders, **making, MLPIPE_METRICS=os.path.join(work, "metrics.json"))
    install(code)
    return launch(os.path.join(code, script), arguments, result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
