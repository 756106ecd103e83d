"""The Azure engine: runs the app folder of each artifacts folder under the real Durable Functions library.

A JSON line on stdin for each case, a JSON line on stdout for each answer. Every app has a process of its own (app_host.py), which stays
for as long as the cases are of the same artifacts.
"""

from __future__ import annotations

import json
import os
import selectors
import sys
import traceback
import uuid
from pathlib import Path
from typing import Any

import yaml

sys.path.append(str(Path(__file__).resolve().parent.parent))

from arm import Template  # noqa: E402
from forks import Forks  # noqa: E402
from host.services import known  # noqa: E402
from settings import bucket_addresses, environment, topic_ids  # noqa: E402

HERE = Path(__file__).resolve().parent
STORAGE = HERE.parent / "storage"
LIBRARIES = ["azure.functions", "azure.durable_functions"]
"""What every app imports, which takes longer than most runs."""
LIMIT = 110
"""Seconds that a case may take."""


class Gone(Exception):
    """The app's process died, or took too long."""


class App:
    """One app's process."""

    def __init__(self, artifacts: Path, forks: Forks) -> None:
        self.artifacts = artifacts
        self.template = Template.load(artifacts / "main.json")
        self.settings = environment(self.template)
        self.process = forks.start(HERE / "app_host.py", [str((artifacts / "app").resolve())], {**inherited(), **self.settings}, HERE)
        self.received = bytearray()
        hello = self.receive()
        if "engine_error" in hello:
            self.stop()
            raise Gone(hello["engine_error"])

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Gone("the app's process died") from None
        return self.receive()

    def receive(self) -> dict[str, Any]:
        pipe = self.process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not self.received.endswith(b"\n"):
                if not selector.select(LIMIT):
                    raise Gone(f"no end of the run within {LIMIT} s")
                data = os.read(pipe, 1 << 16)
                if not data:
                    raise Gone(f"the app's process died with exit code {self.process.wait()}")
                self.received += data
        line = bytes(self.received)
        self.received.clear()
        return json.loads(line)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def inherited() -> dict[str, str]:
    """What an app may see of this machine's environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TMP", "TEMP", "SYSTEMROOT", "MLPIPE_PYTHON") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": str(STORAGE), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


class Engine:
    """Answers requests; keeps the app of the last one."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.forks = Forks(LIBRARIES, inherited())

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        artifacts = Path(request["artifacts"])
        try:
            app = self.app_of(artifacts)
            addresses = bucket_addresses(app.template, Path(request["pipeline"]), list(request["buckets"]), app.settings)
            result = app.ask(
                {
                    "orchestrator": (request.get("pipeline_name") or pipeline_name(request)).replace("-", "_"),
                    "params": request["params"],
                    "approvals": request.get("approvals") or {},
                    "steps": request["steps"],
                    "run_id": uuid.uuid4().hex,
                    "one_by_one": request.get("one_by_one", False),
                    "services": deployed(app.template, artifacts, request, addresses),
                    "folders": {addresses[name]["uri"]: folder for name, folder in request["buckets"].items() if name in addresses},
                }
            )
        except Gone as error:
            self.drop()
            return {"engine_error": str(error)}
        if result.get("waits") and waits_until(Path(request["pipeline"])):
            result["waits"] = None  # a timer to a point in time, on a clock of our own, looks like any other
        topics = topic_ids(app.template, Path(request["pipeline"]))
        for message in result.get("published", []):
            message["topic"] = topics.get(message["topic"], message["topic"])
        return {**result, "buckets": addresses}

    def app_of(self, artifacts: Path) -> App:
        if self.app is None or self.app.artifacts != artifacts or self.app.process.poll() is not None:
            self.drop()
            self.app = App(artifacts, self.forks)
        return self.app

    def drop(self) -> None:
        if self.app is not None:
            self.app.stop()
        self.app = None


def deployed(template: Template, artifacts: Path, request: dict[str, Any], addresses: dict[str, dict[str, str]]) -> dict[str, Any] | None:
    """The resources of managed services; None where there are none. The code of trainings is copied as README.md says."""
    jobs = {template.id(job): known({"tags": job["tags"], "properties": template.evaluate(job["properties"])}) for job in template.of_type("Microsoft.App/jobs")}
    workspaces = [template.id(workspace) for workspace in template.of_type("Microsoft.MachineLearningServices/workspaces")]
    if not jobs and not workspaces:
        return None
    storage = template.evaluate("[variables('mlStorage')]") if workspaces else None
    environments = [template.id(one) for one in template.of_type("Microsoft.MachineLearningServices/workspaces/environments/versions")]
    containers = {f"{uri.split('@')[1].split('.')[0]}/{name}": request["buckets"][bucket] for bucket, (uri, name) in ((b, (a["uri"], a["name"])) for b, a in addresses.items())}
    return {
        "root": request.get("pipeline_name") or pipeline_name(request),
        "jobs": jobs,
        "faults": request.get("service_faults") or {},
        "workspace": next(iter(workspaces), None),
        "storage": storage,
        "environments": environments,
        "identities": [template.id(one) for one in template.of_type("Microsoft.ManagedIdentity/userAssignedIdentities")],
        "containers": containers,
        "code": str((artifacts / "training").resolve()),
    }


def waits_until(pipeline: Path) -> bool:
    """Whether a step of the pipeline waits for a point in time."""

    def found(value: Any) -> bool:
        if isinstance(value, dict):
            wait = value.get("wait")
            return (isinstance(wait, dict) and "until" in wait) or any(map(found, value.values()))
        return isinstance(value, list) and any(map(found, value))

    return found(yaml.safe_load(pipeline.read_text()))


def pipeline_name(request: dict[str, Any]) -> str:
    return yaml.safe_load(Path(request["pipeline"]).read_text())["name"]


def main() -> None:
    engine = Engine()
    try:
        for line in sys.stdin:
            try:
                result = engine.answer(json.loads(line))
            except Exception as error:
                traceback.print_exc()
                result = {"engine_error": f"{type(error).__name__}: {error}"}
            print(json.dumps(result), flush=True)
    finally:
        engine.drop()


if __name__ == "__main__":
    main()
