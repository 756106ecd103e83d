"""OutOfProcOrchestrationShim and TaskOrchestrationContext: replays the orchestrator's actions over the history."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Iterable

from .app import Functions
from .protocol import EPOCH, Action, ActionType, Event, EventType, HostError, parse_fire_at

STOP = "_stop"
"""The event that ends an orchestration of ours: a timer beside it does not race it."""
COMPLETIONS = (EventType.TASK_COMPLETED, EventType.TASK_FAILED, EventType.SUB_COMPLETED, EventType.SUB_FAILED, EventType.TIMER_FIRED)


@dataclass
class Node:
    """An awaited task: a leaf, or a WhenAny/WhenAll over others."""

    kind: ActionType
    parent: Node | None = None
    done: bool = False
    failed: bool = False
    remaining: int = 0
    action: Action | None = None
    left: int = 0
    waiting: bool = False
    interval: dt.timedelta = dt.timedelta()


@dataclass
class Scheduled:
    """One thing that the orchestration asked the host to do."""

    kind: EventType
    id: int
    at: dt.datetime
    name: str | None = None
    input: str | None = None
    instance_id: str | None = None
    fire_at: dt.datetime | None = None
    retry: bool = False
    cancelled: bool = False
    rival: int | None = None
    """For a timer: the id of the activity that it races."""
    pair: bool = False
    """For a timer: it races that activity and nothing else."""


@dataclass
class Shim:
    """One replay. `scheduled` is all that the orchestration has asked for so far."""

    functions: Functions
    actions: list[Action]
    sequence: int = 0
    cursor: int = 0
    now: dt.datetime = EPOCH
    error: str | None = None
    current: Node | None = None
    continue_as_new: Action | None = None
    scheduled: list[Scheduled] = field(default_factory=list)
    open: dict[int, Node] = field(default_factory=dict)
    waiters: dict[str, list[Node]] = field(default_factory=dict)
    buffer: dict[str, list[Event]] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        return self.cursor >= len(self.actions)

    def run(self, history: Iterable[Event]) -> Shim:
        try:
            for event in history:
                self.apply(event)
        except HostError as error:
            self.error = str(error)
        return self

    def apply(self, event: Event) -> None:
        kind = event["EventType"]
        if kind == EventType.ORCHESTRATOR_STARTED:
            self.now = event["_at"]
            return
        if kind in COMPLETIONS:
            node = self.open.pop(event["TimerId"] if kind == EventType.TIMER_FIRED else event["TaskScheduledId"], None)
            if node is None:
                return
            self.complete(node, kind not in (EventType.TASK_FAILED, EventType.SUB_FAILED))
        elif kind == EventType.EVENT_RAISED:
            if self.waiters.get(event["Name"]):
                self.finish(self.waiters[event["Name"]].pop(0))
            else:
                self.buffer.setdefault(event["Name"], []).append(event)
        elif kind != EventType.EXECUTION_STARTED:
            return
        self.advance()

    def advance(self) -> None:
        """ProcessAsyncActionsV2: schedule an action, await it, only then look at the next."""
        while self.cursor < len(self.actions):
            if self.current is None:
                self.current = self.build(self.actions[self.cursor])
            if not self.current.done:
                return
            self.current = None
            self.cursor += 1

    def build(self, action: Action, parent: Node | None = None, rival: int | None = None, pair: bool = False) -> Node:
        kind = action["actionType"]
        if kind in (ActionType.ALL, ActionType.ANY):
            return self.build_compound(action, parent)
        node = Node(kind, parent)
        if kind in (ActionType.ACTIVITY, ActionType.SUB):
            self.leaf(action, node)
        elif kind in (ActionType.ACTIVITY_RETRY, ActionType.SUB_RETRY):
            options = action["retryOptions"]
            node.action, node.left = action, int(options["maxNumberOfAttempts"])
            node.interval = dt.timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"])
            if node.left <= 0:
                raise HostError("maxNumberOfAttempts must be greater than zero")
            self.leaf(action, node)
        elif kind == ActionType.TIMER:
            timer = self.schedule(EventType.TIMER_CREATED, node, fire_at=parse_fire_at(action["fireAt"]), rival=rival, pair=pair)
            if action.get("isCanceled"):
                timer.cancelled = True
                del self.open[timer.id]
                self.finish(node)
        elif kind == ActionType.EXTERNAL_EVENT:
            name = action["externalEventName"]
            if self.buffer.get(name):
                self.buffer[name].pop(0)
                self.finish(node)
            else:
                self.waiters.setdefault(name, []).append(node)
        elif kind == ActionType.CONTINUE_AS_NEW:
            self.continue_as_new = action
            self.finish(node)
        elif kind == ActionType.HTTP:
            raise HostError("call_http is not supported by this host")
        else:
            raise HostError(f"action type {kind} (entities) is not supported by this host")
        return node

    def build_compound(self, action: Action, parent: Node | None) -> Node:
        node = Node(action["actionType"], parent)
        children = action["compoundActions"]
        if node.kind == ActionType.ANY and not children:
            raise HostError("The tasks argument contains no tasks.")
        node.remaining = len(children)
        before: int | None = None
        for child in children:
            races = node.kind == ActionType.ANY and child["actionType"] == ActionType.TIMER
            asks = any(other["actionType"] == ActionType.EXTERNAL_EVENT and other["externalEventName"] != STOP for other in children)
            self.build(child, node, before if races else None, races and (asks or (before is not None and len(children) == 2)))
            # At the top stand the tasks of steps side by side: another orchestration there has no bound of its own.
            bounded = child["actionType"] == ActionType.ACTIVITY or (child["actionType"] == ActionType.SUB and parent is not None)
            before = self.sequence - 1 if bounded else None
        if not node.done and node.remaining == 0:
            self.finish(node)
        return node

    def leaf(self, action: Action, node: Node) -> None:
        name = action["functionName"]
        if action["actionType"] in (ActionType.ACTIVITY, ActionType.ACTIVITY_RETRY):
            check_known(name, self.functions.activities, "an activity function", "activity functions")
            self.schedule(EventType.TASK_SCHEDULED, node, name=name, input=action.get("input"))
        else:
            check_known(name, self.functions.orchestrators, "an orchestrator function", "orchestrator functions")
            self.schedule(EventType.SUB_CREATED, node, name=name, input=action.get("input"), instance_id=action.get("instanceId"))

    def schedule(self, kind: EventType, node: Node, **info: Any) -> Scheduled:
        task = Scheduled(kind, self.sequence, self.now, **info)
        self.open[task.id] = node
        self.scheduled.append(task)
        self.sequence += 1
        return task

    def complete(self, node: Node, ok: bool) -> None:
        if node.kind not in (ActionType.ACTIVITY_RETRY, ActionType.SUB_RETRY):
            self.finish(node, not ok)
        elif node.waiting:
            node.waiting = False
            if node.left <= 0:
                self.finish(node, True)
            else:
                self.leaf(node.action, node)
        elif ok:
            self.finish(node)
        else:
            # DurableTask.Core's RetryInterceptor: a timer follows every failure, the last one too
            node.left -= 1
            node.waiting = True
            self.schedule(EventType.TIMER_CREATED, node, fire_at=self.now + node.interval, retry=True)

    def finish(self, node: Node, failed: bool = False) -> None:
        if node.done:
            return
        node.done, node.failed = True, failed
        parent = node.parent
        if parent is not None:
            parent.remaining -= 1
            if parent.kind == ActionType.ANY or parent.remaining == 0:
                self.finish(parent)


def check_known(name: str, known: dict[str, Any], what: str, plural: str) -> None:
    if name not in known:
        names = ", ".join(repr(n) for n in known)
        raise HostError(
            f"The function '{name}' doesn't exist, is disabled, or is not {what}. Additional info: The following are the known {plural}: {names}."
        )


