"""Runs one execution of a state machine in moto's interpreter, under virtual time."""

from __future__ import annotations

import json
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
from functions import Functions
from query import Jsonata
from template import ACCOUNT, REGION

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
    events: list[Any] = field(default_factory=list)
    name: str = ""


@lru_cache(maxsize=64)
def parse(definition: str) -> Program:
    """The program of a definition; raises moto's ASLParserException. Without spaces, each of which is a token, it takes less time."""
    compact = json.dumps(json.loads(definition), separators=(",", ":"))
    return AmazonStateLanguageParser.parse(compact)[0]


class Run:
    """One execution; what the patches reach for."""

    def __init__(self, functions: Functions, jsonata: Jsonata, nested: dict[str, str] | None = None) -> None:
        self.functions = functions
        self.nested = nested or {}
        self.jsonata = jsonata
        self.clock = Clock()
        self.started = datetime.now(UTC)
        self.name = str(uuid.uuid4())
        self.entered: list[str] = []
        self.events: list[Any] = []
        self._lock = threading.Lock()

    def enter(self, state: str) -> None:
        """Notes that a state is entered, unless it is not wanted any more."""
        self.clock.check()
        with self._lock:
            self.entered.append(state)

    def invoke(self, arn: str, event: Any, limit: float | None) -> Any:
        """Calls a function."""
        if arn not in self.functions.functions:
            raise patches.HarnessFault(f"no such function: {arn}")
        with self._lock:
            self.events.append(event)
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

    def environment(self, machine: str, input_value: Any, name: str | None = None) -> Environment:
        name = name or self.name
        started = self.started + timedelta(seconds=self.clock.now)
        role = f"arn:aws:iam::{ACCOUNT}:role/conformance"
        machine_arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}"
        return Environment(
            aws_execution_details=AWSExecutionDetails(account=ACCOUNT, region=REGION, role_arn=role),
            execution_type=StateMachineType.STANDARD,
            context={
                "Execution": {
                    "Id": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine}:{name}",
                    "Input": input_value,
                    "Name": name,
                    "RoleArn": role,
                    "StartTime": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
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
        outcome = Outcome("failed", waits=self.clock.waits, entered=self.entered, events=self.events, name=self.name)
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
