"""Runs a training script by the rules of mlpipe. What a cloud has in its own way is set in the environment before `launch`."""

import json
import math
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import traceback

MAX_BYTES = 252 * 1024
MAX_MESSAGE = 2048  # as JSON it still fits what every cloud carries of an error


def launch(script, arguments, result):
    """Runs the script as Python would, with these arguments; says in the file `result` what came of it.

    The file holds {"metrics": value} or {"error": {"name", "message"}}. Gives the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    sys.dont_write_bytecode = True
    folder = os.path.dirname(os.path.abspath(script))
    sys.path[0:0] = [folder]
    os.chdir(folder)
    sys.argv = [script, *arguments]
    outcome = attempt(script)
    if first_worker() or "error" in outcome:
        write(result, outcome)
    return 1 if "error" in outcome else 0


def install(code):
    """Has pip install what MLPIPE_REQUIREMENTS names, then the requirements.txt of the code."""
    pins = os.environ.get("MLPIPE_REQUIREMENTS", "").split()
    requirements = os.path.join(code, "requirements.txt")
    for wanted in (pins, ["-r", requirements] if os.path.exists(requirements) else []):
        if wanted:
            subprocess.run([sys.executable, "-m", "pip", "install", *wanted], check=True)


def channel_folder(path, name):
    """The channel's folder: the path, or a folder of its name with the one file that it is."""
    if os.path.isdir(path):
        return path
    folder = os.path.join(tempfile.mkdtemp(prefix="mlpipe-"), name)
    os.mkdir(folder)
    shutil.copy(path, folder)
    return folder


def attempt(script):
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if ended.code not in (None, 0):
            return failed("SystemExit", str(ended.code))
    except BaseException as error:  # KeyboardInterrupt is a failure of the step too
        traceback.print_exception(type(error), error, below_launcher(error.__traceback__))
        return failed(type(error).__name__, str(error))
    return metrics(os.environ.get("MLPIPE_METRICS", ""))


def metrics(path):
    """What the script wrote to MLPIPE_METRICS: JSON, or nothing."""
    if not os.path.exists(path):
        return {"metrics": None}
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        value = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return failed("InvalidOutput", f"metrics is not JSON: {error}")
    if not finite(value):
        return failed("InvalidOutput", "metrics is not JSON: a number is too large")
    if len(text.encode()) > MAX_BYTES:
        return failed("PayloadTooLarge", "output is larger than 256 KiB")
    return {"metrics": value}


def refuse(constant):
    raise ValueError(f"it holds {constant}")


def finite(value):
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return not isinstance(value, list) or all(map(finite, value))


def failed(name, message):
    return {"error": {"name": name, "message": message[:MAX_MESSAGE]}}


def below_launcher(trace):
    """The part of a traceback that is the user's."""
    at = trace
    while at and at.tb_frame.f_code.co_filename != os.path.abspath(sys.argv[0]):
        at = at.tb_next
    return at or trace


def first_worker():
    return os.environ.get("RANK", "0") == "0"


def write(path, outcome):
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    partial = f"{path}.{os.getpid()}"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(outcome, file, ensure_ascii=False)
    os.replace(partial, path)
