"""The host loop: delivers events to orchestrations, replays them, does what they ask for."""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from .activities import Outcome
from .app import Functions
from .border import Message
from .newtonsoft import rewrite_dates
from .protocol import (
    EPOCH,
    OUT_OF_PROC,
    SCHEDULED,
    Action,
    Event,
    EventType,
    HostError,
    NonDeterministic,
    Stuck,
    iso,
)
from .shim import Scheduled, Shim

MAX_REPLAYS = 20_000
BATCH = 1_000
"""The most events that one replay is given."""
MAX_CUSTOM_STATUS = 16 * 1024
"""Bytes of UTF-16: https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-custom-orchestration-status"""
LONGEST_TIMER = 6 * 24 * 3600.0
"""Seconds: https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-timers"""
MAX_SHORT_TIMER, LONG_TIMER_INTERVAL = "6.00:00:00", "3.00:00:00"

SERVICE, SERVICE_START = "mlpipe-service", "mlpipe-service-start"
"""The orchestrator that looks at what managed services run, with timers that are no waits of the pipeline, and its first activity."""

Key = tuple[str, int, int]
"""An activity in flight: instance id, generation, sequence id."""


class Executor(Protocol):
    """Where activities run."""

    busy: dict[Any, Any]
    sent: list[Message]

    def start(self, key: Key, name: str, raw: str | None) -> tuple[Outcome, float] | None: ...
    def wait(self, timeout: float | None) -> dict[Key, Outcome]: ...
    def kill(self, key: Key) -> None: ...


@dataclass
class Timer:
    """A timer as the report tells it."""

    seconds: float
    retry: bool
    rival: Key | None
    pair: bool
    continues: Key | None = None
    """The timer of the longest length that ended when this one was made: a longer wait comes in such parts."""
    void: bool = False
    """It was cancelled when it was made."""
    fired: bool = False
    cancelled: bool = False
    beat: bool = False
    """It fired while the activity that it raced was still running."""

    @property
    def is_wait(self) -> bool:
        """Neither a function's timeout, nor one that never ran, nor one that was due at once. A wait that was given up did begin."""
        return self.seconds > 0 and not self.void and not self.pair and not self.beat


@dataclass(eq=False)
class Instance:
    """One orchestration."""

    name: str
    raw_input: str | None
    id: str
    parent: Instance | None = None
    parent_task: tuple[int, int] | None = None
    history: list[Event] = field(default_factory=list)
    inbox: list[Event] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    shim: Shim | None = None
    status: str = "Running"
    output: Any = None
    error: str | None = None
    """The text of the exception that the orchestrator raised."""
    custom: Any = None
    generation: int = 0
    queued: bool = False
    seen: int = 0


class Host:
    """Runs orchestrations. The clock goes with real time while activities run, and jumps to the next event when none does."""

    def __init__(self, functions: Functions, executor: Executor) -> None:
        self.functions = functions
        self.executor = executor
        self.now = self.began = EPOCH
        self.heap: list[tuple[dt.datetime, int, Instance, Event, int | None]] = []
        self.tick = itertools.count()
        self.ready: list[Instance] = []
        self.instances: dict[str, Instance] = {}
        self.timers: dict[Key, Timer] = {}
        self.just_fired: list[Key] = []
        self.attempts: dict[str, int] = {}
        self.steps: dict[str, int] = {}
        """Attempts by the `step` of the activity's input, where it has one; `pipeline/step` for those of a pipeline that another runs."""
        self.pipelines: dict[str, str] = {}
        """Names of pipelines by what the names of their activities start with."""
        self.approvals: dict[str, Any] = {}
        """What people answer, by the path of the step; the pipelines round it may stand before it."""
        self.published: list[tuple[str, str]] = []
        """Messages to topics, by the topic's name; no requests for approval."""
        self.replays = 0
        self.peak_bytes = 0
        self.batch = BATCH

    # Events

    def post(self, instance: Instance, event: Event, at: dt.datetime, generation: int | None = None) -> None:
        heapq.heappush(self.heap, (at, next(self.tick), instance, event, generation))

    def raise_event(self, instance_id: str, name: str, value: Any, at: dt.datetime) -> None:
        event = {"EventType": EventType.EVENT_RAISED, "Name": name, "Input": json.dumps(value)}
        self.post(self.instances[instance_id], event, at)

    def create(self, name: str, raw_input: str | None, instance_id: str, parent: Instance | None = None, task: tuple[int, int] | None = None) -> Instance:
        if name not in self.functions.orchestrators:
            raise HostError(f"The function '{name}' doesn't exist, is disabled, or is not an orchestrator function.")
        instance = self.instances[instance_id] = Instance(name, raw_input, instance_id, parent, task)
        self.post(instance, started(name, raw_input), self.now)
        return instance

    # The loop

    def run(self, root: Instance) -> None:
        """Until `root` has ended; raises Stuck, NonDeterministic, HostError."""
        while root.status == "Running":
            if self.heap and self.heap[0][0] <= self.now:
                self.deliver()
                while self.ready and root.status == "Running":
                    self.turn(self.ready.pop(0))
            elif self.executor.busy:
                self.wait_for_activities()
            elif self.heap:
                self.now = self.heap[0][0]
            else:
                shim = root.shim
                pending = f" (action {shim.cursor + 1} of {len(shim.actions)} is still pending on the host)" if shim else ""
                raise Stuck(f"the orchestration waits for something that never comes{pending}")

    def deliver(self) -> None:
        """Puts all events that are due into their instances' inboxes."""
        while self.heap and self.heap[0][0] <= self.now:
            _, _, instance, event, generation = heapq.heappop(self.heap)
            if instance.status != "Running" or (generation is not None and generation != instance.generation):
                continue
            if event["EventType"] == EventType.TIMER_FIRED and not self.fire((instance.id, instance.generation, event["TimerId"])):
                continue
            instance.inbox.append(event)
            if not instance.queued:
                instance.queued = True
                self.ready.append(instance)

    def fire(self, key: Key) -> bool:
        """Whether the timer, which is due, still counts. The activity that it raced and beat is given up."""
        timer = self.timers[key]
        timer.fired = not timer.cancelled
        if timer.fired and timer.seconds == LONGEST_TIMER:
            self.just_fired.append(key)
        if timer.fired and timer.rival is not None and timer.rival in self.executor.busy:
            timer.beat = True
            self.executor.kill(timer.rival)
        return timer.fired

    def wait_for_activities(self) -> None:
        """Lets real time pass until an activity ends or a timer is due."""
        limit = (self.heap[0][0] - self.now).total_seconds() if self.heap else None
        began = time.monotonic()
        ended = self.executor.wait(limit)
        passed = time.monotonic() - began
        self.now += dt.timedelta(seconds=passed if limit is None or ended else limit)
        for key, outcome in ended.items():
            self.complete(key, outcome, self.now)

    def turn(self, instance: Instance) -> None:
        instance.queued = False
        batch, instance.inbox = instance.inbox[: self.batch], instance.inbox[self.batch :]
        if instance.inbox:
            instance.queued = True
            self.ready.append(instance)
        self.episode(instance, batch)

    # One episode: history in, actions out

    def episode(self, instance: Instance, batch: list[Event]) -> None:
        new = [{"EventType": EventType.ORCHESTRATOR_STARTED, **self.stamp(), "_at": self.now}]
        new += [{**event, **self.stamp()} for event in batch]
        history = instance.history + new
        state = self.replay(instance, history)
        actions = state["actions"][0] if state["actions"] else []
        check_prefix(instance, actions)
        if (state.get("isDone") or state.get("error")) and self.replay(instance, history) != state:
            raise NonDeterministic(f"'{instance.name}': two replays over the same history end differently")
        instance.actions = actions
        self.set_custom_status(instance, state.get("customStatus"))
        shim = instance.shim = Shim(self.functions, actions).run(history)
        check_history(shim, history)
        for task in shim.scheduled[instance.seen :]:
            new.append(self.start(instance, task))
        self.just_fired.clear()
        for task in shim.scheduled:
            if task.cancelled:
                self.timers[instance.id, instance.generation, task.id].cancelled = True
        instance.seen = len(shim.scheduled)
        new.append({"EventType": EventType.ORCHESTRATOR_COMPLETED, **self.stamp()})
        for event in new:
            if event["EventType"] != EventType.ORCHESTRATOR_STARTED:
                event["IsPlayed"] = True
        instance.history += new
        self.conclude(instance, shim, state)

    def conclude(self, instance: Instance, shim: Shim, state: dict[str, Any]) -> None:
        if shim.error:
            self.finish(instance, "Failed", error=shim.error)
        elif shim.exhausted:
            if state.get("error"):
                self.finish(instance, "Failed", error=state["error"])
            elif shim.continue_as_new is not None:
                self.restart(instance, shim)
            elif state.get("isDone"):
                self.finish(instance, "Completed", output=rewrite_dates(state.get("output")))

    def replay(self, instance: Instance, history: list[Event]) -> dict[str, Any]:
        """Calls the library over the history; its state."""
        from azure.functions._durable_functions import OrchestrationContext

        body = json.dumps(
            {
                "history": [{key: value for key, value in event.items() if not key.startswith("_")} for event in history],
                "input": instance.raw_input,
                "instanceId": instance.id,
                "isReplaying": instance.seen > 0,
                "parentInstanceId": instance.parent.id if instance.parent else None,
                "upperSchemaVersion": 1,
                "upperSchemaVersionNew": 2,
                "longRunningTimerIntervalDuration": LONG_TIMER_INTERVAL,
                "maximumShortTimerDuration": MAX_SHORT_TIMER,
                "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
            }
        )
        self.peak_bytes = max(self.peak_bytes, len(body))
        self.replays += 1
        if self.replays > MAX_REPLAYS:
            raise Stuck(f"more than {MAX_REPLAYS} replays")
        orchestrator = self.functions.orchestrators[instance.name].get_user_function()
        try:
            return json.loads(orchestrator(OrchestrationContext(body)))
        except Exception as error:
            text = str(error)
            at = text.find(OUT_OF_PROC)
            if at >= 0:
                return json.loads(text[at + len(OUT_OF_PROC) :])
            # an error outside the executor (bad history, not a generator…): no state came back
            return {"isDone": False, "actions": [[]], "error": f"{type(error).__name__}: {text}"}

    def set_custom_status(self, instance: Instance, value: Any) -> None:
        if value is None:
            return
        size = 2 * len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
        if size > MAX_CUSTOM_STATUS:
            kib = -(-size // 1024)
            raise HostError(f"The UTF-16 size of the JSON-serialized payload must not exceed 16 KB. The current payload size is {kib} KB.")
        instance.custom = rewrite_dates(value)

    # What orchestrations ask for

    def start(self, instance: Instance, task: Scheduled) -> Event:
        """Does what was asked; the event that tells so in the history."""
        stamp = {**self.stamp(), "EventId": task.id}
        generation = instance.generation
        key = (instance.id, generation, task.id)
        if task.kind == EventType.TIMER_CREATED:
            seconds = round(max(0.0, (task.fire_at - self.now).total_seconds()), 6)
            rival = None if task.rival is None else (instance.id, generation, task.rival)
            timer = self.timers[key] = Timer(seconds, task.retry, rival, task.pair, void=task.cancelled)
            if self.just_fired and seconds > 0 and not task.pair and not task.cancelled:
                timer.continues = self.just_fired.pop(0)
                timer.pair = self.timers[timer.continues].pair
            if not task.cancelled:
                fired = {"EventType": EventType.TIMER_FIRED, "TimerId": task.id, "FireAt": iso(task.fire_at)}
                self.post(instance, fired, max(self.now, task.fire_at), generation)
            return {"EventType": EventType.TIMER_CREATED, "FireAt": iso(task.fire_at), **stamp}
        if task.kind == EventType.SUB_CREATED:
            child = task.instance_id or f"{instance.id}:{task.id}" + (f":{generation}" if generation else "")
            self.create(task.name, task.input, child, instance, (task.id, generation))
            return {"EventType": EventType.SUB_CREATED, "Name": task.name, "InstanceId": child, "Input": task.input, **stamp}
        self.count(task)
        done = self.executor.start(key, task.name, task.input)
        if done is not None:
            outcome, seconds = done
            self.complete(key, outcome, self.now + dt.timedelta(seconds=seconds))
        return {"EventType": EventType.TASK_SCHEDULED, "Name": task.name, "Version": "", "Input": json.dumps([task.input]), **stamp}

    def count(self, task: Scheduled) -> None:
        self.attempts[task.name] = self.attempts.get(task.name, 0) + 1
        try:
            given = json.loads(task.input)
            step = given["step"]
        except (TypeError, ValueError, KeyError):
            return
        if isinstance(step, str) and given.get("service") != "monitor":
            prefix, dash, _ = task.name.rpartition("-")
            if task.name == SERVICE_START:  # the creation of what a managed service runs
                dash, prefix = given["pipeline"] in self.pipelines.values(), given["pipeline"]
            step = f"{self.pipelines.get(prefix, prefix)}/{step}" if dash else step
            self.steps[step] = self.steps.get(step, 0) + 1

    def complete(self, key: Key, outcome: Outcome, at: dt.datetime) -> None:
        instance_id, generation, task = key
        ok, value = outcome
        for kind, message in self.executor.sent:
            if kind == "event":
                self.raise_event(*message, at)
                continue
            topic, event_type, data = message
            if event_type == "mlpipe.notify":
                self.published.append((topic, data["message"]))
            elif (answer := self.answer_to(data)) is not None:
                self.raise_event(data["run"], data["event"], answer, at)
        self.executor.sent.clear()
        if ok:
            event = {"EventType": EventType.TASK_COMPLETED, "TaskScheduledId": task, "Result": value}
        else:
            event = {"EventType": EventType.TASK_FAILED, "TaskScheduledId": task, "Reason": value[0], "Details": value[1]}
        self.post(self.instances[instance_id], event, at, generation)

    def answer_to(self, request: dict[str, Any]) -> Any:
        """What a person answers to a request for approval; None: nothing."""
        step = request["step"]
        return next((answer for path, answer in self.approvals.items() if path == step or path.endswith(f".{step}")), None)

    def waits(self) -> list[float]:
        """The seconds of each wait, the parts of a long one summed."""
        watching = {instance.id for instance in self.instances.values() if instance.name == SERVICE}
        whole = {key: timer.seconds for key, timer in self.timers.items() if timer.is_wait and key[0] not in watching}
        for key, timer in self.timers.items():  # in order of creation
            if timer.continues is not None and key in whole:
                whole[key] += whole.pop(timer.continues, 0.0)
        return sorted(whole.values())

    def costs(self) -> dict[str, int]:
        """Events of all histories, executions of activities, and how often an orchestrator was woken."""
        histories = [instance.history for instance in self.instances.values()]
        replays = sum(event["EventType"] == EventType.ORCHESTRATOR_STARTED for history in histories for event in history)
        return {"events": sum(map(len, histories)), "activities": sum(self.attempts.values()), "replays": replays}

    # Ends

    def restart(self, instance: Instance, shim: Shim) -> None:
        """continue_as_new: the events that nobody took are delivered again."""
        left = [event for events in shim.buffer.values() for event in events] + instance.inbox
        instance.inbox, instance.history, instance.actions, instance.seen = [], [], [], 0
        instance.generation += 1
        instance.raw_input = shim.continue_as_new.get("input")
        self.post(instance, started(instance.name, instance.raw_input), self.now)
        for event in left:
            self.post(instance, {"EventType": EventType.EVENT_RAISED, "Name": event["Name"], "Input": event["Input"]}, self.now)

    def finish(self, instance: Instance, status: str, output: Any = None, error: str | None = None) -> None:
        instance.status, instance.output, instance.error = status, output, error
        if instance.parent is None:
            return
        task, generation = instance.parent_task
        if status == "Completed":
            event = {"EventType": EventType.SUB_COMPLETED, "TaskScheduledId": task, "Result": None if output is None else json.dumps(output)}
        else:
            event = {
                "EventType": EventType.SUB_FAILED,
                "TaskScheduledId": task,
                "Reason": failed_text(instance),
                "Details": f"Message: {error}, StackTrace: ",
            }
        self.post(instance.parent, event, self.now, generation)

    def stamp(self) -> Event:
        return {"EventId": -1, "IsPlayed": False, "Timestamp": iso(self.now)}


def started(name: str, raw_input: str | None) -> Event:
    return {"EventType": EventType.EXECUTION_STARTED, "Name": name, "Version": "", "Input": raw_input}


def failed_text(instance: Instance) -> str:
    return f"Orchestrator function '{instance.name}' failed: {instance.error}"


def canonical(action: Any) -> Any:
    """An action for the prefix check: a timer may become cancelled, nothing else may change."""
    if isinstance(action, list):
        return [canonical(item) for item in action]
    if isinstance(action, dict):
        return {key: canonical(value) for key, value in action.items() if key != "isCanceled"}
    return action


def check_prefix(instance: Instance, actions: list[Action]) -> None:
    old, new = canonical(instance.actions), canonical(actions)
    if new[: len(old)] == old:
        return
    at = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    now = json.dumps(new[at])[:300] if at < len(new) else "absent"
    raise NonDeterministic(f"'{instance.name}': action {at} was {json.dumps(old[at])[:300]} and is now {now}")


def check_history(shim: Shim, history: list[Event]) -> None:
    """TaskOrchestrationContext.HandleTaskScheduledEvent and its siblings."""
    past = [event for event in history if event["EventType"] in SCHEDULED]
    if len(shim.scheduled) < len(past):
        event = past[len(shim.scheduled)]
        raise NonDeterministic(
            f"Non-Deterministic workflow detected: a previous execution scheduled {SCHEDULED[event['EventType']]} "
            f"with sequence ID {event['EventId']} ({event.get('Name')}), but the current replay has not"
        )
    for event, task in zip(past, shim.scheduled):
        if (event["EventType"], event["EventId"], event.get("Name")) != (task.kind, task.id, task.name):
            raise NonDeterministic(
                f"Non-Deterministic workflow detected: sequence ID {event['EventId']} was {SCHEDULED[event['EventType']]} "
                f"{event.get('Name')} and is now {SCHEDULED[task.kind]} {task.name}"
            )
