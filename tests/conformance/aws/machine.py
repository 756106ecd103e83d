"""Runs one execution of a state machine in moto's interpreter, under virtual time."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from moto.stepfunctions.parser.api import StateMachineType
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

import patches
from clock import Clock
from functions import BASE, Functions
from query import Jsonata
from serving import Serving
from training import SageMaker, Store
from template import ACCOUNT, REGION, Machine

patches.install()


@dataclass
class Outcome:
    """How an execution ended."""

    status: str
    output: Any = None
    error: str | None = None
    cause: str | None = None
    waits: list[float] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    """States of the pipeline, not of those that it runs."""
    events: list[tuple[str, Any]] = field(default_factory=list)
    """What functions were called with, and in which other pipeline ("": in the first)."""
    published: list[dict[str, str]] = field(default_factory=list)
    """Messages to topics, but for those of approvals."""
    name: str = ""


@dataclass
class MapRun:
    """The executions that a Distributed Map started."""

    arn: str
    execution_arn: str
    machine_arn: str
    started: str
    children: list[dict[str, Any]] = field(default_factory=list)

    def listed(self) -> dict[str, Any]:
        """As ListMapRuns tells of it."""
        return {"ExecutionArn": self.execution_arn, "MapRunArn": self.arn, "StartDate": self.started, "StateMachineArn": self.machine_arn}


@lru_cache(maxsize=64)
def parse(definition: str) -> Program:
    """The program of a definition; raises moto's ASLParserException. Without spaces, each of which is a token, it takes less time."""
    compact = json.dumps(json.loads(definition), separators=(",", ":"))
    return AmazonStateLanguageParser.parse(compact)[0]


class Run:
    """One execution; what the patches reach for."""

    def __init__(
        self,
        functions: Functions,
        jsonata: Jsonata,
        machine: Machine | None = None,
        approvals: dict[str, Any] | None = None,
        sagemaker: SageMaker | None = None,
    ) -> None:
        self.functions = functions
        self.nested = machine.nested if machine else {}
        self.pipelines = machine.pipelines if machine else {}
        self.topics = machine.topics if machine else {}
        self.jobs = machine.jobs if machine else {}
        self.approvals = approvals or {}
        self.sagemaker = sagemaker or SageMaker(Store({}))
        self.images = machine.images if machine else set()
        self.jsonata = jsonata
        self.clock = Clock()
        self.serving = Serving(self.sagemaker, lambda: self.clock.now)
        self.started = datetime.now(UTC)
        self.name = str(uuid.uuid4())
        self.entered: list[str] = []
        self.events: list[tuple[str, Any]] = []
        self.published: list[dict[str, str]] = []
        self.alarms: dict[str, dict[str, Any]] = {}
        """Alarms by their names."""
        self.map_runs: list[MapRun] = []
        self.executions: dict[str, dict[str, Any]] = {}
        """What DescribeExecution tells of executions that are no items'."""
        self._lock = threading.Lock()

    def pipeline(self, env: Environment) -> str:
        """The pipeline whose execution it is; "": the first."""
        return self.pipelines.get(env.states.context_object.context_object_data["StateMachine"]["Id"], "")

    def enter(self, state: str, env: Environment) -> None:
        """Notes that a state is entered, unless it is not wanted any more."""
        self.clock.check()
        with self._lock:
            if not self.pipeline(env):
                self.entered.append(state)

    def answer(self, message: Any) -> Any:
        """What a person answers to a message of an approval; None: nobody does."""
        step = message["step"]
        return next((answer for path, answer in self.approvals.items() if path == step or path.endswith(f".{step}")), None)

    def contain(self, arguments: dict[str, Any], limit: float, env: Environment) -> int | None:
        """Runs the command of a container; its exit code, None where it ran too long."""
        if arguments["JobDefinition"] not in self.jobs or not arguments["JobQueue"]:
            raise patches.HarnessFault(f"no such job definition: {arguments['JobDefinition']}")
        with self._lock:
            self.events.append((self.pipeline(env), {"step": self.jobs[arguments["JobDefinition"]]}))
        overrides = arguments.get("ContainerOverrides", {})
        if not overrides.get("Command"):
            raise patches.HarnessFault(f"the harness cannot run an image: {arguments['JobName']}")
        variables = {variable["Name"]: variable["Value"] for variable in overrides.get("Environment", [])}
        try:
            return subprocess.run(overrides["Command"], env={**BASE, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit).returncode
        except subprocess.TimeoutExpired:
            return None

    def train(self, request: dict[str, Any], limit: float, env: Environment) -> dict[str, Any]:
        """Runs a training job; what DescribeTrainingJob tells at its end."""
        if request["AlgorithmSpecification"]["TrainingImage"] not in self.images:
            raise patches.HarnessFault(f"no such image: {request['AlgorithmSpecification']['TrainingImage']}")
        step = next(tag["Value"] for tag in request["Tags"] if tag["Key"] == "step")
        with self._lock:
            self.events.append((self.pipeline(env), {"step": step}))
        return self.sagemaker.train(request, step, limit)

    def process(self, request: dict[str, Any], limit: float, env: Environment) -> dict[str, Any]:
        """Runs a processing job; what DescribeProcessingJob tells at its end."""
        if request["AppSpecification"]["ImageUri"] not in self.images:
            raise patches.HarnessFault(f"no such image: {request['AppSpecification']['ImageUri']}")
        step = next(tag["Value"] for tag in request["Tags"] if tag["Key"] == "step")
        with self._lock:
            self.events.append((self.pipeline(env), {"step": step}))
        return self.sagemaker.process(request, step, limit)

    def serve(self, action: str, request: dict[str, Any], env: Environment) -> dict[str, Any]:
        """A call about an endpoint. An attempt begins with its first model."""
        if action == "CreateModel":
            if request["PrimaryContainer"]["Image"] not in self.images:
                raise patches.HarnessFault(f"no such image: {request['PrimaryContainer']['Image']}")
            if request["ModelName"].endswith("-0"):
                step = next(tag["Value"] for tag in request["Tags"] if tag["Key"] == "step")
                with self._lock:
                    self.events.append((self.pipeline(env), {"step": step}))
        with self._lock:
            return self.serving.call(action, request)

    def publish(self, topic: str, message: str) -> None:
        """Keeps a message to a topic."""
        with self._lock:
            self.published.append({"topic": self.topics[topic], "message": message})

    def invoke(self, arn: str, event: Any, limit: float | None, env: Environment) -> Any:
        """Calls a function."""
        if arn not in self.functions.functions:
            raise patches.HarnessFault(f"no such function: {arn}")
        with self._lock:
            self.events.append((self.pipeline(env), event))
        return self.functions.invoke(arn, event, limit)

    def start(self, arn: str, input_value: Any, name: str) -> Callable[[], Environment]:
        """A job that runs an execution of another state machine and gives its environment at the end."""
        if arn not in self.nested:
            raise patches.HarnessFault(f"no such state machine: {arn}")
        program = parse(self.nested[arn])
        env = self.environment(arn.rpartition(":")[2], input_value, name)

        def job() -> Environment:
            program.eval(env)
            return env

        return job

    def time(self) -> str:
        """What the clock says."""
        return (self.started + timedelta(seconds=self.clock.now)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def map_run(self, env: Environment, label: str) -> MapRun:
        """A run of a Distributed Map: `arn:…:mapRun:<state machine>/<label>:<id>`."""
        context = env.states.context_object.context_object_data
        machine = context["StateMachine"]
        arn = f"{machine['Id'].replace(':stateMachine:', ':mapRun:')}/{label}:{uuid.uuid4()}"
        found = MapRun(arn, context["Execution"]["Id"], machine["Id"], self.time())
        with self._lock:
            self.map_runs.append(found)
        return found

    def child(self, map_run: MapRun, program: Program, input_value: Any) -> Callable[[], Any]:
        """A job that runs the execution of an item and gives its output."""

        def job() -> Any:
            name = str(uuid.uuid4())
            machine = map_run.machine_arn.rpartition(":")[2]
            arn = f"{map_run.arn.replace(':mapRun:', ':execution:').rpartition(':')[0]}:{name}"
            env = self.environment(machine, input_value, name, arn)
            told = {"ExecutionArn": arn, "Input": json.dumps(input_value), "MapRunArn": map_run.arn, "Name": name}
            told |= {"StartDate": self.time(), "StateMachineArn": map_run.machine_arn, "Status": "RUNNING"}
            with self._lock:
                map_run.children.append(told)
            program.eval(env)
            end = env.program_state()
            told["StopDate"] = self.time()
            if isinstance(end, ProgramError):
                error = {"Error": (end.error or {}).get("error"), "Cause": (end.error or {}).get("cause")}
                told |= {key: value for key, value in error.items() if value is not None}
                told["Status"] = "FAILED"
                raise patches.ChildFailed
            told["Status"] = "SUCCEEDED"
            return env.states.get_input()

        return job

    def environment(self, machine: str, input_value: Any, name: str | None = None, arn: str | None = None) -> Environment:
        name = name or self.name
        role = f"arn:aws:iam::{ACCOUNT}:role/conformance"
        machine_arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}"
        return Environment(
            aws_execution_details=AWSExecutionDetails(account=ACCOUNT, region=REGION, role_arn=role),
            execution_type=StateMachineType.STANDARD,
            context={
                "Execution": {
                    "Id": arn or f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine}:{name}",
                    "Input": input_value,
                    "Name": name,
                    "RoleArn": role,
                    "StartTime": self.time(),
                    "RedriveCount": 0,
                },
                "StateMachine": {"Id": machine_arn, "Name": machine},
            },
            event_history_context=EventHistoryContext.of_program_start(),
            cloud_watch_logging_session=None,
            activity_store={},
        )

    def execute(self, definition: str, input_value: Any, machine: str = "machine") -> Outcome:
        """Runs the definition to its end."""
        program = parse(definition)
        env = self.environment(machine, input_value)
        patches.use(self)
        if not patches.within_quota(input_value):
            raise patches.HarnessFault("the execution's input is larger than 256 KiB: StartExecution refuses it")
        try:
            program.eval(env)
        finally:
            self.clock.join()
        outcome = Outcome("failed", waits=self.clock.waits, entered=self.entered, events=self.events, published=self.published, name=self.name)
        end = env.program_state()
        limit = json.loads(definition).get("TimeoutSeconds")
        if limit is not None and self.clock.now > limit:
            outcome.error = patches.TIMEOUT
        elif isinstance(end, ProgramError):
            outcome.error = (end.error or {}).get("error")
            outcome.cause = (end.error or {}).get("cause")
        elif isinstance(end, ProgramEnded):
            outcome.status = "succeeded"
            outcome.output = env.states.get_input()
        else:
            raise patches.HarnessFault(f"the execution ended as {type(end).__name__}")
        return outcome
