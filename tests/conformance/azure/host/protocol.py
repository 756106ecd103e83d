"""The numbers and texts of the replay protocol."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import Any

Event = dict[str, Any]
Action = dict[str, Any]

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
OUT_OF_PROC = "\n\n$OutOfProcData$:"


class ActionType(IntEnum):
    """What the orchestrator asks for."""

    ACTIVITY = 0
    ACTIVITY_RETRY = 1
    SUB = 2
    SUB_RETRY = 3
    CONTINUE_AS_NEW = 4
    TIMER = 5
    EXTERNAL_EVENT = 6
    ENTITY = 7
    HTTP = 8
    SIGNAL = 9
    ANY = 11
    ALL = 12


class EventType(IntEnum):
    """What the history holds."""

    EXECUTION_STARTED = 0
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_CREATED = 7
    SUB_COMPLETED = 8
    SUB_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_RAISED = 15


SCHEDULED = {
    EventType.TASK_SCHEDULED: "activity",
    EventType.SUB_CREATED: "sub-orchestration",
    EventType.TIMER_CREATED: "timer",
}


class NonDeterministic(Exception):
    """A replay did something else than the run before it."""


class HostError(Exception):
    """An error that the extension raises while it replays the actions."""


class Stuck(Exception):
    """The orchestration waits for what never comes."""


def iso(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def parse_fire_at(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=dt.timezone.utc)
