"""Discrete events: branches take turns step by step, waits move a virtual clock.

A task is a generator that yields what it waits for. The clock moves only when every task waits for
it and no HTTP call is under way.
"""

from __future__ import annotations

import heapq
import queue
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from .errors import Fault, WorkflowError


@dataclass(frozen=True)
class Turn:
    """Let the other tasks take a step."""


@dataclass(frozen=True)
class Never:
    """Wait for nothing."""


@dataclass(frozen=True)
class Sleep:
    """Wait for the virtual clock; `told` among the waits of the execution."""

    seconds: float
    told: bool = True


@dataclass(frozen=True)
class Blocking:
    """Do this in another thread, in real time; its result or WorkflowError comes back."""

    work: Callable[[], Any]


@dataclass(frozen=True)
class Fork:
    """Run these side by side, at most `limit` at once; a list of Results comes back."""

    tasks: list[Task]
    limit: int


@dataclass(frozen=True)
class Bounded:
    """Run this beside everything else; its value or error comes back, or `late` when the clock has run so long.

    What is late goes on: nobody waits for it any more.
    """

    task: Task
    seconds: float
    late: WorkflowError


@dataclass(frozen=True)
class Start:
    """Run this beside everything else; nobody waits for it."""

    task: Task


@dataclass(frozen=True)
class Result:
    """How a forked task ended."""

    value: Any = None
    error: WorkflowError | None = None


Request = Turn | Never | Sleep | Blocking | Fork | Bounded | Start
Task = Generator[Request, Any, Any]
_Resume = Callable[[Result], None]


class Scheduler:
    """Runs one task, and those that it forks, to the end."""

    def __init__(self) -> None:
        self.virtual_seconds = 0.0
        self.waits: list[float] = []
        self._started = time.time()
        self._ready: deque[Callable[[], None]] = deque()
        self._sleepers: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._completed: queue.Queue[Callable[[], None]] = queue.Queue()
        self._blocking = 0
        self._pool = ThreadPoolExecutor(max_workers=64)

    def now(self) -> float:
        """Unix time, with the waits that were not slept."""
        return time.time() + self.virtual_seconds

    def run(self, task: Task) -> Any:
        """The task's value, or its WorkflowError raised."""
        results: list[Result] = []
        self._start(task, results.append)
        try:
            while not results:
                self._next_event()()
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        if results[0].error is not None:
            raise results[0].error
        return results[0].value

    def _next_event(self) -> Callable[[], None]:
        while not self._completed.empty():
            self._ready.append(self._completed.get())
            self._blocking -= 1
        if self._ready:
            return self._ready.popleft()
        if self._blocking:
            event = self._completed.get()
            self._blocking -= 1
            return event
        if self._sleepers:
            moment, _, event = heapq.heappop(self._sleepers)
            self.virtual_seconds = max(self.virtual_seconds, moment)
            return event
        raise Fault("every branch waits for another")

    def _start(self, task: Task, done: _Resume) -> None:
        self._ready.append(lambda: self._resume(task, Result(), done))

    def _resume(self, task: Task, outcome: Result, done: _Resume) -> None:
        try:
            if outcome.error is not None:
                request = task.throw(outcome.error)
            else:
                request = task.send(outcome.value)
        except StopIteration as end:
            done(Result(end.value))
        except WorkflowError as error:
            done(Result(error=error))
        else:
            self._wait(request, lambda result: self._resume(task, result, done))

    def _wait(self, request: Request, resume: _Resume) -> None:
        match request:
            case Turn():
                self._ready.append(lambda: resume(Result()))
            case Never():
                pass
            case Sleep(seconds, told):
                if told:
                    self.waits.append(seconds)
                self._at(seconds, lambda: resume(Result()))
            case Blocking(work):
                self._blocking += 1
                self._pool.submit(self._work, work, resume)
            case Fork(tasks, limit):
                _Group(self, tasks, limit, resume).start()
            case Start(task):
                self._start(task, lambda result: None)
                self._ready.append(lambda: resume(Result()))
            case Bounded(task, seconds, late):
                first = _First(resume)
                self._at(seconds, lambda: first(Result(error=late)))
                self._start(task, first)

    def _at(self, seconds: float, event: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._sleepers, (self.virtual_seconds + seconds, self._sequence, event))

    def _work(self, work: Callable[[], Any], resume: _Resume) -> None:
        try:
            result = Result(work())
        except WorkflowError as error:
            result = Result(error=error)
        except BaseException as error:  # noqa: BLE001 - carried to the scheduler's thread
            fault = error if isinstance(error, Fault) else Fault(f"a call failed: {error!r}")
            self._completed.put(lambda: _throw(fault))
            return
        self._completed.put(lambda: resume(result))


def _throw(fault: Fault) -> None:
    raise fault


class _First:
    """Passes on the first of two results."""

    def __init__(self, resume: _Resume) -> None:
        self.resume: _Resume | None = resume

    def __call__(self, result: Result) -> None:
        if self.resume is not None:
            resume, self.resume = self.resume, None
            resume(result)


class _Group:
    """The tasks of one Fork."""

    def __init__(
        self, scheduler: Scheduler, tasks: list[Task], limit: int, resume: _Resume
    ) -> None:
        self.scheduler = scheduler
        self.waiting = deque(enumerate(tasks))
        self.results: list[Result | None] = [None] * len(tasks)
        self.running = 0
        self.limit = limit
        self.resume = resume

    def start(self) -> None:
        while self.waiting and self.running < self.limit:
            index, task = self.waiting.popleft()
            self.running += 1
            self.scheduler._start(task, partial(self.ended, index))
        if not self.running:
            results = self.results
            self.scheduler._ready.append(lambda: self.resume(Result(results)))

    def ended(self, index: int, result: Result) -> None:
        self.results[index] = result
        self.running -= 1
        self.start()
