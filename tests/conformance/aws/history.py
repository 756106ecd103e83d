"""Counts what Step Functions would write into the histories of a run's executions, and what of it is billed.

moto's own history is not kept (`patches` replaces most of what writes it). Event types: API reference, HistoryEvent. Billing: Step Functions
pricing, "counts a state transition each time a step of your workflow is executed … including retries".
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.state_parallel import StateParallel
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import StateTaskServiceAwsSdk
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_batch import StateTaskServiceBatch
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import StateTaskServiceLambda
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import StateTaskServiceSfn
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sns import StateTaskServiceSns
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_unsupported import StateTaskServiceUnsupported
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField

import patches
from clock import Cancelled
from machine import Run

KINDS = ("Task", "Parallel", "Map", "Choice", "Pass", "Wait", "Succeed", "Fail")
RETRY = "retry"
"""Not an event: history tells of a second try by its TaskScheduled only."""


class History:
    """The events of all executions of a run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, *types: str) -> None:
        with self._lock:
            self.counts.update(types)

    def costs(self) -> dict[str, int]:
        """Each execution has an event at its end too, whichever that is."""
        transitions = sum(count for kind, count in self.counts.items() if kind.endswith("StateEntered") or kind == RETRY)
        events = sum(count for kind, count in self.counts.items() if kind != RETRY) + self.counts["ExecutionStarted"]
        return {"transitions": transitions, "events": events, "executions": self.counts["ExecutionStarted"]}


_current = History()


def costs() -> dict[str, int]:
    """What the last run came to."""
    return _current.costs()


def install() -> None:
    """Counts round what `patches.install` has put in place, from now on."""
    Run.__init__ = new_run(Run.__init__)
    Run.environment = new_execution(Run.environment)
    Run.map_run = new_map_run(Run.map_run)
    CommonStateField._eval_body = within_state(CommonStateField._eval_body)
    StateTaskServiceLambda._eval_service_task = between(StateTaskServiceLambda._eval_service_task, ["TaskScheduled", "TaskStarted"], "TaskSucceeded", "TaskFailed")
    StateTaskServiceAwsSdk._eval_execution = between(StateTaskServiceAwsSdk._eval_execution, ["TaskScheduled", "TaskStarted"], "TaskSucceeded", "TaskFailed")
    StateTaskServiceSfn._eval_execution = between(StateTaskServiceSfn._eval_execution, ["TaskScheduled", "TaskStarted", "TaskSubmitted"], "TaskSucceeded", "TaskFailed")
    StateTaskServiceSns._eval_execution = between(StateTaskServiceSns._eval_execution, ["TaskScheduled", "TaskStarted"], "TaskSucceeded", "TaskFailed")
    StateTaskServiceBatch._eval_execution = between(StateTaskServiceBatch._eval_execution, ["TaskScheduled", "TaskStarted", "TaskSubmitted"], "TaskSucceeded", "TaskFailed")
    StateTaskServiceUnsupported._eval_execution = between(StateTaskServiceUnsupported._eval_execution, ["TaskScheduled", "TaskStarted", "TaskSubmitted"], "TaskSucceeded", "TaskFailed")
    patches.ask = between(patches.ask, ["TaskSubmitted"], None, None)  # and waits for a token
    StateParallel._eval_execution = between(StateParallel._eval_execution, ["ParallelStateStarted"], "ParallelStateSucceeded", "ParallelStateFailed")
    StateMap._eval_execution = between(StateMap._eval_execution, ["MapStateStarted"], "MapStateSucceeded", "MapStateFailed")
    StringJSONata._eval_body = between(StringJSONata._eval_body, [], None, "EvaluationFailed")
    patches.branch = iterations(patches.branch)
    patches.Retries.interval = retried(patches.Retries.interval)


def new_run(inner: Callable[..., None]) -> Callable[..., None]:
    def init(*arguments: Any, **named: Any) -> None:
        global _current
        _current = History()
        inner(*arguments, **named)

    return init


def new_execution(inner: Callable[..., Any]) -> Callable[..., Any]:
    def environment(*arguments: Any, **named: Any) -> Any:
        _current.add("ExecutionStarted")
        return inner(*arguments, **named)

    return environment


def new_map_run(inner: Callable[..., Any]) -> Callable[..., Any]:
    """A Distributed Map's run has a start and an end; its items are executions."""

    def map_run(*arguments: Any, **named: Any) -> Any:
        _current.add("MapRunStarted", "MapRunEnded")
        return inner(*arguments, **named)

    return map_run


def within_state(inner: Callable[..., None]) -> Callable[..., None]:
    """A state that fails is not exited."""

    def eval_body(self: CommonStateField, env: Any) -> None:
        kind = kind_of(self)
        patches.run.clock.check()
        history = _current
        history.add(f"{kind}StateEntered")
        try:
            inner(self, env)
        except Cancelled:
            history.add(f"{kind}StateAborted")
            raise
        history.add(f"{kind}StateExited")

    return eval_body


def kind_of(state: CommonStateField) -> str:
    names = [cls.__name__.removeprefix("State") for cls in type(state).__mro__]
    return next(name for name in names if name in KINDS)


def between(inner: Callable[..., Any], before: list[str], succeeded: str | None, failed: str | None) -> Callable[..., Any]:
    """The events of one attempt."""

    def evaluate(*arguments: Any, **named: Any) -> Any:
        history = _current
        history.add(*before)
        try:
            result = inner(*arguments, **named)
        except Exception:
            if failed is not None:
                history.add(failed)
            raise
        if succeeded is not None:
            history.add(succeeded)
        return result

    return evaluate


def iterations(inner: Callable[..., Callable[[], Any]]) -> Callable[..., Callable[[], Any]]:
    """A Map's branches are those that are prepared for an item; a Parallel's branches write no events of their own."""

    def branch(env: Any, program: Any, value: Any, *prepare: Any) -> Callable[[], Any]:
        job = inner(env, program, value, *prepare)
        return between(job, ["MapIterationStarted"], "MapIterationSucceeded", "MapIterationFailed") if prepare else job

    return branch


def retried(inner: Callable[..., float | None]) -> Callable[..., float | None]:
    def interval(*arguments: Any) -> float | None:
        delay = inner(*arguments)
        if delay is not None:
            _current.add(RETRY)
        return delay

    return interval
