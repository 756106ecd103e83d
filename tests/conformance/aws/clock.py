"""Virtual time for the threads of one execution.

The clock moves to the earliest sleeper when no thread runs; a thread inside a function counts as running.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any


class Cancelled(BaseException):
    """Ends a thread whose Parallel or Map state has failed already."""


class Finished(Exception):
    """The work that a timer bounds has ended."""

    def __init__(self, result: Any) -> None:
        self.result = result


class Scope:
    """One Parallel or Map state's threads; cancelling it cancels what runs inside."""

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        return self._cancelled or (self.parent is not None and self.parent.cancelled)

    def within(self, other: Scope) -> bool:
        return self is other or (self.parent is not None and self.parent.within(other))


class Group:
    """The threads that one parent waits for."""

    def __init__(self, scope: Scope, size: int) -> None:
        self.scope = scope
        self.pending = size
        self.done = threading.Event()
        self.failure: BaseException | None = None


class Clock:
    """Counts seconds from 0. The thread that makes it is its first running thread."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()
        self._running = 1
        self._sleepers: list[tuple[float, int, Scope, threading.Event]] = []
        self._sequence = itertools.count()
        self._threads: list[threading.Thread] = []
        self._local = threading.local()
        self._local.scope = Scope()

    @property
    def scope(self) -> Scope:
        return self._local.scope

    def check(self) -> None:
        """Raises where this thread's work is not wanted any more."""
        if self.scope.cancelled:
            raise Cancelled

    def sleep(self, seconds: float, record: bool = True) -> None:
        """Records the wait and returns when the clock has reached its end."""
        self.check()
        wake = threading.Event()
        with self._lock:
            if record:
                self.waits.append(seconds)
            heapq.heappush(self._sleepers, (self.now + seconds, next(self._sequence), self.scope, wake))
            self._running -= 1
            self._advance()
        wake.wait()
        self.check()

    def run_all(self, jobs: list[Callable[[], Any]], at_once: int = 0) -> list[Any]:
        """Runs the jobs side by side, at most `at_once` (0: all), and gives their results in order.

        The first failure cancels the others and is raised at once: a function that runs goes on, unheard.
        """
        if not jobs:
            return []
        scope = Scope(self.scope)
        queue = iter(enumerate(jobs))
        threads = min(at_once or len(jobs), len(jobs))
        group = Group(scope, threads)
        results: list[Any] = [None] * len(jobs)
        take = threading.Lock()

        def work() -> None:
            self._local.scope = scope
            failure: BaseException | None = None
            try:
                while True:
                    with take:
                        index, job = next(queue, (None, None))
                    if job is None:
                        break
                    self.check()
                    results[index] = job()
            except Cancelled:
                pass
            except BaseException as error:
                failure = error
            self._finish(group, failure)

        started = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        with self._lock:
            self._running += threads - 1
            self._threads += started
        for thread in started:
            thread.start()
        group.done.wait()
        self.check()
        if group.failure is not None:
            raise group.failure
        return results

    def bounded(self, job: Callable[[], Any], seconds: float) -> Any:
        """The result of the job; TimeoutError, and the job cancelled, where the time is up before."""

        def first() -> None:
            raise Finished(job())

        def timer() -> None:
            self.sleep(seconds, record=False)
            raise TimeoutError

        try:
            self.run_all([first, timer])
        except Finished as finished:
            return finished.result

    def join(self) -> None:
        """Waits for the functions that cancelled threads left running."""
        for thread in self._threads:
            thread.join()

    def _finish(self, group: Group, failure: BaseException | None) -> None:
        with self._lock:
            self._running -= 1
            group.pending -= 1
            if not group.done.is_set() and (failure is not None or group.pending == 0):
                group.failure = failure
                if failure is not None:
                    group.scope.cancel()
                    self._wake_cancelled(group.scope)
                self._running += 1
                group.done.set()
            self._advance()

    def _wake_cancelled(self, scope: Scope) -> None:
        woken = [sleeper for sleeper in self._sleepers if sleeper[2].within(scope)]
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[2].within(scope)]
        heapq.heapify(self._sleepers)
        for *_, wake in woken:
            self._running += 1
            wake.set()

    def _advance(self) -> None:
        if self._running == 0 and self._sleepers:
            self.now, _, _, wake = heapq.heappop(self._sleepers)
            self._running += 1
            wake.set()
