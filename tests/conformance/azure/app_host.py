"""app_host.py APP_DIR: imports one app and runs its orchestrations, a JSON line for each. Started by engine.py, in the app's environment."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, TextIO

from host import border
from host.app import Functions, load_app
from host.host import Host, Instance
from host.protocol import HostError, NonDeterministic, Stuck
from host.services import Deployed, Services
from host.workers import Workers


def main(folder: Path) -> None:
    requests, answers = take_over_streams()
    warnings.simplefilter("ignore")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    os.chdir(folder)
    try:
        functions = Functions(load_app(folder))
    except BaseException:
        traceback.print_exc()
        reply(answers, {"engine_error": f"function_app.py cannot be imported: {traceback.format_exc(limit=-1)}"})
        return
    reply(answers, {"ready": True})
    for line in requests:
        request = json.loads(line)
        os.environ["MLPIPE_TEST_BUCKETS"] = json.dumps(request["folders"])
        reply(answers, run(functions, request))


def take_over_streams() -> tuple[TextIO, TextIO]:
    """Keeps stdin and stdout for the protocol; what the app prints goes to stderr."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


def reply(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def run(functions: Functions, request: dict[str, Any]) -> dict[str, Any]:
    services = Services(Deployed(**request["services"])) if request.get("services") else None
    border.services = services.port if services else None
    workers = Workers(functions)
    host = Host(functions, workers)
    host.approvals = request.get("approvals") or {}
    host.pipelines = {name.removeprefix("mlpipe_pipeline_"): module.NAME for name, module in sys.modules.items() if name.startswith("mlpipe_pipeline_")}
    try:
        root = host.create(request["orchestrator"], json.dumps(request["params"]), request["run_id"])
        if request.get("one_by_one"):
            host.batch = 1
        host.run(root)
        return answer(host, root, request["steps"])
    except (NonDeterministic, Stuck, HostError) as error:
        return {"engine_error": f"{type(error).__name__}: {error}"}
    except Exception:
        return {"engine_error": traceback.format_exc()}
    finally:
        workers.close()
        if services:
            services.close()


def answer(host: Host, root: Instance, steps: list[str]) -> dict[str, Any]:
    """The run as the harness wants it told."""
    error = None
    if root.status == "Failed":
        error = as_error(root.error)
        if error is None:
            return {"engine_error": f"the orchestrator failed with a text that is no error of the pipeline: {root.error}"}
    left = [timer.seconds for timer in host.timers.values() if not timer.fired and not timer.cancelled]
    if left and root.status == "Completed":
        # https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-timers: Running until each has fired or is cancelled
        return {"engine_error": f"the orchestrator returned and left timers running: {left} s"}
    return {
        "status": "failed" if error else "succeeded",
        "outputs": None if error else root.output,
        "error": error,
        "attempts": host.steps,
        "waits": host.waits(),
        "skipped": skipped(root.custom, steps),
        "published": [{"topic": topic, "message": message} for topic, message in host.published],
        "run_id": root.id,
        "costs": host.costs(),
    }


def skipped(custom: Any, steps: list[str]) -> list[str] | None:
    """The steps that never ran, as the custom status tells: they are shown as skipped, or a group round them is, or they are not shown."""
    if not isinstance(custom, dict) or not isinstance(custom.get("steps"), dict):
        return None
    shown = custom["steps"]
    partial = "counts" in custom  # there was no room for all

    def never_ran(step: str) -> bool:
        parts = step.split(".")
        round_it = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        return any(shown.get(path) == "skipped" for path in round_it) or (step not in shown and not partial)

    return [step for step in steps if never_ran(step)]


def as_error(text: str | None) -> dict[str, Any] | None:
    try:
        error = json.loads(text)
        return {"name": error["name"], "message": error["message"], "step": error["step"]}
    except (TypeError, ValueError, KeyError):
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
