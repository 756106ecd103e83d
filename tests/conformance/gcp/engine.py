"""The Google engine of the conformance harness.

One JSON request a line on standard input, one JSON answer a line on standard output. The functions
run under functions-framework; the workflow in the interpreter of `workflows/`, or, with
`--gcp-api URL`, on a server of the Workflows REST API (`exec:/path` starts one for each execution).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent))

import costs  # noqa: E402
from api import ApiRunner  # noqa: E402
from deployment import NUMBER, PROJECT, ArtifactsError, Deployment, OtherWorkflow  # noqa: E402
from server import Server  # noqa: E402
from workflows.connectors import Message  # noqa: E402
from workflows.jobs import Jobs  # noqa: E402
from workflows.serving import Endpoints  # noqa: E402
from workflows.training import Trainings  # noqa: E402
from workflows import Deployed, DeployError, Execution, Fault, Outcome, World, load  # noqa: E402


class Runner(Protocol):
    """Runs a deployed workflow; `functions_need_identity` tells whether it sends OIDC tokens."""

    functions_need_identity: bool

    def run(self, deployment: Deployment, environment: dict[str, str], request: dict[str, Any]) -> Run: ...


@dataclass
class Run:
    """How an execution ended; what the runner cannot see is None.

    `children` are the pipelines that other executions ran, by run id; `published` are the messages
    to topics but for requests for approvals, which have no attributes.
    """

    result: Any
    error: Any
    where: str = ""
    waits: list[float] | None = None
    entered: list[str] | None = None
    children: dict[str, str] = field(default_factory=dict)
    published: list[dict[str, str]] | None = None
    started: Counter[str] = field(default_factory=Counter)


class Interpreter:
    """Our own interpreter."""

    functions_need_identity = True

    def run(self, deployment: Deployment, environment: dict[str, str], request: dict[str, Any]) -> Run:
        """Loads the definitions and executes the pipeline's."""
        built_in = {name: value for name, value in environment.items() if name.startswith("GOOGLE_")}
        workflows = {
            other.name: Deployed(
                load(other.source),
                {**built_in, **other.environment, "GOOGLE_CLOUD_WORKFLOW_ID": other.name},
            )
            for other in deployment.others
            if other.startable
        }
        world = World(workflows, set(deployment.topics), _answers(request.get("approvals") or {}))
        world.jobs = Jobs(deployment.jobs)
        world.trainings = Trainings(
            deployment.training, deployment.workflow_name, request["mounted"], request.get("service_faults")
        )
        world.endpoints = Endpoints(
            deployment.endpoints, deployment.workflow_name, request["mounted"], request.get("service_faults")
        )
        outcome = Execution(load(deployment.source), environment, world).run(request.get("params"))
        run = Run(
            outcome.result,
            outcome.error if outcome.failed else None,
            outcome.failed_in,
            outcome.waits,
            [],
        )
        run.started = world.jobs.started + world.trainings.started + world.endpoints.started
        run.published = [_published(deployment, *sent) for sent in world.messages if sent[1].attributes]
        _see(outcome, {other.name: other for other in deployment.others}, True, run)
        return run


def _see(outcome: Outcome, others: dict[str, OtherWorkflow], own: bool, run: Run) -> None:
    """Notes the steps entered in an execution of the pipeline and of its parts, and what other pipelines ran."""
    if own:
        assert run.entered is not None
        run.entered += outcome.entered
    for child in outcome.children:
        other = others[child.workflow]
        if other.child is not None:
            run.children[child.run_id] = other.child
        _see(child.outcome, others, own and other.part, run)


def _published(deployment: Deployment, topic: str, message: Message) -> dict[str, str]:
    if set(message.attributes) != {"pipeline", "run", "step"}:
        raise Fault(f"not the attributes of a notification: {message.attributes!r}")
    return {"topic": deployment.topics[topic], "message": message.data.decode()}


def _answers(approvals: dict[str, Any]) -> Callable[[Any], Any]:
    """Who answers a message: the key that is its step's path, or ends with it."""

    def answer(message: Any) -> Any:
        match message:
            case {"pipeline": str(), "run": str(), "step": str(step), "message": str(), "url": str()} if len(message) == 5:
                keys = [key for key in approvals if key == step or key.endswith(f".{step}")]
                return approvals[keys[0]] if keys else None
        raise Fault(f"not a request for an approval: {message!r}")

    return answer


class Api:
    """A server of the Workflows REST API."""

    functions_need_identity = False

    def __init__(self, address: str) -> None:
        self.runner = ApiRunner(address)

    def run(self, deployment: Deployment, environment: dict[str, str], request: dict[str, Any]) -> Run:
        """Creates the workflow there and polls its execution."""
        if deployment.others or deployment.topics:
            raise ArtifactsError("other workflows and topics run in our interpreter only")
        result, error = self.runner.run(deployment, environment, request.get("params"))
        return Run(result, error)


def execute(server: Server, runner: Runner, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    costs.begin()
    buckets = request.get("buckets") or {}
    deployment = server.deploy(Path(request["artifacts"]), Path(request["pipeline"]), buckets)
    server.proxy.authenticated = runner.functions_need_identity
    run_id = str(uuid.uuid4())
    request = {**request, "mounted": server.mounted}
    run = runner.run(deployment, _environment(deployment, run_id), request)
    problems = server.proxy.problems()
    attempts: Counter[str] = Counter()
    for (seen, step), count in server.proxy.attempts().items():
        if seen != run_id and seen not in run.children:
            problems.append(f"the functions saw the run_id {seen}, not {run_id}")
        attempts[step if seen == run_id else f"{run.children.get(seen)}/{step}"] += count
    attempts.update(run.started)
    if problems:
        return {"engine_error": "; ".join(problems)}
    failure = None if run.error is None else _failure(run.error)
    if run.error is not None and failure is None:
        return {"engine_error": f"uncaught in {run.where or 'the workflow'}: {run.error!r}"}
    names = deployment.bucket_names
    skipped = None
    if run.entered is not None:
        entered = set(run.entered)
        steps = request.get("steps", [])
        skipped = [step for step in steps if not entered & _step_names(step)]
    return {
        "status": "succeeded" if run.error is None else "failed",
        "outputs": run.result if run.error is None else None,
        "error": failure,
        "attempts": dict(attempts),
        "waits": run.waits,
        "skipped": skipped,
        "published": run.published,
        "buckets": {key: {"uri": f"gs://{name}", "name": name} for key, name in names.items()},
        "run_id": run_id,
        "costs": costs.counted(),
    }


def _step_names(step: str) -> set[str]:
    """A step keeps its path, but for `.`, `-` and the words that `next` takes (`end`, `break`, `continue`); one with items reads them first, as one that waits reads until when."""
    name = step.replace("-", "_").replace(".", "_")
    names = {name, f"{name}_items", f"{name}_until"}
    return names | {f"{name}_step"} if name in ("end", "break", "continue") else names


def _failure(error: Any) -> dict[str, Any] | None:
    """The pipeline's failure that a raised map stands for.

    The map may carry `tags` of the form ["mlpipe", name, step] too: some servers drop the keys of a
    raised map other than message, code and tags.
    """
    match error:
        case {"name": str(name), "message": str(message), "step": str(step)}:
            return {"name": name, "message": message, "step": step}
        case {"message": str(message), "tags": ["mlpipe", str(name), str(step)]}:
            return {"name": name, "message": message, "step": step}
    return None


def _environment(deployment: Deployment, run_id: str) -> dict[str, str]:
    """Workflows docs, Built-in environment variables."""
    return {
        **deployment.environment,
        "GOOGLE_CLOUD_PROJECT_ID": PROJECT,
        "GOOGLE_CLOUD_PROJECT_NUMBER": NUMBER,
        "GOOGLE_CLOUD_LOCATION": deployment.region,
        "GOOGLE_CLOUD_WORKFLOW_ID": deployment.workflow_name,
        "GOOGLE_CLOUD_WORKFLOW_REVISION_ID": "000001-a4d",
        "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": run_id,
        "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT": "1",
    }


def answer(server: Server, runner: Runner, line: str) -> dict[str, Any]:
    """The answer to one line; whatever goes wrong is an `engine_error`."""
    try:
        return execute(server, runner, json.loads(line))
    except ArtifactsError as error:
        return {"engine_error": f"artifacts: {error}"}
    except DeployError as error:
        return {"engine_error": f"workflow.yaml would not deploy: {error}"}
    except Fault as error:
        return {"engine_error": f"workflow.yaml: {error}"}
    except Exception as error:  # noqa: BLE001 - an engine survives any artifact
        traceback.print_exc()
        return {"engine_error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answers until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gcp-api", metavar="URL", help="a Workflows API, or exec:/path/to/server")
    options = parser.parse_args()
    costs.install()
    # Only answers go to the real standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server()
    runner: Runner = Api(options.gcp_api) if options.gcp_api else Interpreter()
    try:
        for line in sys.stdin:
            if line.strip():
                print(json.dumps(answer(server, runner, line)), file=answers, flush=True)
    finally:
        server.close()


if __name__ == "__main__":
    main()
