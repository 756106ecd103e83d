"""The AWS engine: runs build/aws as compiled, in moto's Step Functions interpreter, with the functions' real packages.

One JSON request a line on stdin, one answer a line on stdout; see the harness.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import asl
import history
from functions import Functions
from machine import Outcome, Run
from patches import HarnessFault
from query import Jsonata
from template import Machine, Template, TemplateError, pascal
from training import SageMaker, Store


class Engine:
    """Keeps the functions of the last artifacts folder warm."""

    def __init__(self) -> None:
        self.jsonata = Jsonata()
        self.functions: Functions | None = None
        self.loaded: tuple[Any, ...] | None = None
        self.machine: Machine | None = None

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Runs one case."""
        folder = Path(request["artifacts"])
        machine = Template(folder).machine()
        buckets = bucket_names(machine, request)
        storage = {f"s3://{names['name']}": request["buckets"][name] for name, names in buckets.items()}
        environment = {"MLPIPE_TEST_BUCKETS": json.dumps(storage, sort_keys=True)}
        key = (str(folder), machine.definition, tuple(machine.nested.items()), tuple(machine.functions.items()), environment["MLPIPE_TEST_BUCKETS"], stamp(folder))
        if self.functions is None or key != self.loaded:
            self.reload(machine, environment, key)
        assert self.functions is not None
        with tempfile.TemporaryDirectory(prefix="mlpipe-artifacts-") as deployed:
            store = deploy(folder, Path(deployed), machine)
            store.folders.update({names["name"]: Path(request["buckets"][name]) for name, names in buckets.items()})
            sagemaker = SageMaker(store, {step: list(words) for step, words in (request.get("service_faults") or {}).items()})
            run = Run(self.functions, self.jsonata, machine, request.get("approvals"), sagemaker)
            outcome = run.execute(machine.definition, request["params"], machine.name)
        return {**record(outcome, request["steps"]), "buckets": buckets}

    def reload(self, machine: Machine, environment: dict[str, str], key: tuple[Any, ...]) -> None:
        self.close_functions()
        definitions = [machine.definition, *machine.nested.values()]
        problems = [problem for definition in definitions for problem in asl.check(definition, self.jsonata)]
        if problems:
            raise TemplateError("Step Functions would refuse the definition: " + "; ".join(problems))
        self.functions = Functions(machine.functions, environment)
        self.loaded = key

    def close_functions(self) -> None:
        if self.functions is not None:
            self.functions.close()
            self.functions = None

    def close(self) -> None:
        self.close_functions()
        self.jsonata.close()


def deploy(artifacts: Path, bucket: Path, machine: Machine) -> Store:
    """The bucket of code and results, with the code where README has it copied to."""
    name = machine.buckets.get("TrainingArtifacts")
    if name is None:
        return Store({})
    shutil.copytree(artifacts / "training", bucket / "code")
    return Store({name: bucket})


def stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the artifacts does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)


def bucket_names(machine: Machine, request: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The name that each bucket of the pipeline has on AWS: its resource is `<Bucket>Bucket`."""
    names = {}
    for bucket in request["buckets"]:
        name = machine.buckets.get(f"{pascal(bucket)}Bucket") or machine.buckets.get(pascal(bucket))
        if name is None:
            raise TemplateError(f"no bucket resource {pascal(bucket)}Bucket for the bucket `{bucket}`")
        names[bucket] = {"uri": f"s3://{name}", "name": name}
    return names


def record(outcome: Outcome, steps: list[str]) -> dict[str, Any]:
    """The answer: what the harness compares."""
    envelopes = [(pipeline, event) for pipeline, event in outcome.events if isinstance(event, dict) and "step" in event]
    attempts = Counter(f"{pipeline}/{event['step']}" if pipeline else event["step"] for pipeline, event in envelopes)
    runs = [event["run_id"] for pipeline, event in envelopes if not pipeline and "run_id" in event]
    succeeded = outcome.status == "succeeded"
    return {
        "status": outcome.status,
        "outputs": outcome.output if succeeded else None,
        "error": None if succeeded else failure_of(outcome),
        "attempts": dict(attempts),
        "waits": sorted(whole(wait) for wait in outcome.waits),
        "skipped": [step for step in steps if step not in outcome.entered],
        "published": outcome.published,
        "run_id": runs[0] if runs else outcome.name,
    }


def whole(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds


def failure_of(outcome: Outcome) -> dict[str, Any]:
    """Error is the name, Cause the JSON text of {message, step}; another Cause is shown as the message."""
    try:
        cause = json.loads(outcome.cause or "")
        return {"name": outcome.error, "message": cause["message"], "step": cause["step"]}
    except (ValueError, KeyError, TypeError):
        return {"name": outcome.error, "message": outcome.cause, "step": None}


def answer(engine: Engine, line: str) -> dict[str, Any]:
    try:
        return {**engine.run(json.loads(line)), "costs": history.costs()}
    except (HarnessFault, TemplateError, OSError) as error:
        return {"engine_error": f"{type(error).__name__}: {error}"}
    except Exception as error:
        traceback.print_exc()
        return {"engine_error": f"{type(error).__name__}: {error}"}


def main() -> None:
    logging.disable(logging.CRITICAL)
    history.install()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    engine = Engine()
    try:
        for line in sys.stdin:
            if line.strip():
                answers.write(json.dumps(answer(engine, line)) + "\n")
                answers.flush()
    finally:
        engine.close()


if __name__ == "__main__":
    main()
