"""Runs a pipeline's steps as a Durable Functions orchestration.

Each step starts as soon as all that it follows has ended. The host runs the orchestrator again, from its history, after
every event: so nothing here reads a clock, the environment or chance, and every loop goes in the order of the file.
"""

import json
import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from mlpipe_params import check

MAX_BYTES = 252 * 1024
MAX_STATUS = 8000  # characters; a custom status is at most 16 KB of UTF-16
LONGEST_TIMER = timedelta(days=6)  # of the Azure Storage provider
TRANSIENT = ("WorkerCrashed", "ServiceUnavailable")


@dataclass(frozen=True)
class Retry:
    """`attempts` counts the first try. The wait before try n+1 is min(delay * backoff^(n-1), max_delay) seconds."""

    attempts: int = 1
    delay: float = 1
    backoff: float = 1
    max_delay: float = 1
    on: tuple = ()

    def wants(self, attempt, name):
        if attempt >= self.attempts or name == "ExpressionError":
            return False
        return "all" in self.on or name in self.on or ("transient" in self.on and name in TRANSIENT)

    def wait_after(self, attempt):
        try:
            return min(self.delay * self.backoff ** (attempt - 1), self.max_delay)
        except OverflowError:
            return self.max_delay


@dataclass(frozen=True, kw_only=True)
class Step:
    """What all kinds of step have. `when`, `input` and their like are values, or functions of no arguments."""

    id: str = field(kw_only=False)
    needs: tuple = ()  # steps whose skip it follows
    after: tuple = ()  # further steps that it reads, so that it starts after them
    join: str = "all"  # skipped where "all": one of `needs` was skipped, "any": each of them was
    when: object = True
    timeout: float | None = None  # of one attempt, in seconds
    retry: Retry = Retry()


@dataclass(frozen=True, kw_only=True)
class Function(Step):
    """A step that runs an activity of the same name, with `_` for `-`."""

    input: object = None


@dataclass(frozen=True, kw_only=True)
class Wait(Step):
    """A step that lets time pass."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Fail(Step):
    """A step that ends the run as failed."""

    error: object
    message: object


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    steps: list
    outputs: object = field(default_factory=dict)
    on_failure: Function | None = None


@dataclass(frozen=True)
class Bucket:
    """A blob container."""

    name: str
    account: str

    @property
    def uri(self):
        return f"abfs://{self.name}@{self.account}.dfs.core.windows.net"


@dataclass(frozen=True)
class Run:
    """What expressions may know of the run."""

    id: str
    name: str
    started_at: str


@dataclass(frozen=True)
class Result:
    """How a step ended."""

    status: str
    output: object = None
    error: object = None


class StepFailed(Exception):
    """A step failed for good, and with it the run."""

    def __init__(self, step, name, message):
        super().__init__(message)
        self.step, self.name, self.message = step, name, message


class PipelineFailed(Exception):
    """The failure of the run: its text is JSON."""


def run(context, name, params, define):
    """The orchestration: to be `yield from`-ed. Returns the pipeline's outputs or raises PipelineFailed.

    `define(params, steps, run)` gives the Pipeline; `steps` fills with each step's Result as it ends.
    """
    started_at = context.current_utc_datetime.strftime("%Y-%m-%dT%H:%M:%SZ")
    values, mismatch = check(params, context.get_input())
    results = {}
    pipeline = define(values, results, Run(context.instance_id, name, started_at))
    scheduler = Scheduler(context, results)
    try:
        if mismatch is not None:
            raise StepFailed("params", "ParamMismatch", mismatch)
        yield from scheduler.run(pipeline.steps)
        return scheduler.evaluate("outputs", "outputs", pipeline.outputs)
    except StepFailed as failure:
        if pipeline.on_failure is not None:
            yield from scheduler.handle(pipeline.on_failure, failure)
        text = json.dumps({"name": failure.name, "message": failure.message, "step": failure.step}, ensure_ascii=False)
        raise PipelineFailed(text) from None


class Attempt:
    """One try of a step that is under way: an activity with its timeout, or a timer."""

    def __init__(self, step, value=None, number=1):
        self.step = step
        self.value = value  # the input of its function
        self.number = number
        self.activity = None
        self.timer = None
        self.until = None  # when its pause ends: of a wait step, or before the next try
        self.task = None

    def cancel(self):
        """A run ends only when each of its timers fired or was cancelled."""
        if self.timer is not None and not self.timer.is_completed:
            self.timer.cancel()


class Scheduler:
    def __init__(self, context, results):
        self.context = context
        self.results = results
        self.progress = Progress(context)
        self.running = {}  # attempts by the identity of their task, in order of start
        self.new = []  # those of them that the host does not know yet

    def run(self, steps):
        """Runs the steps; raises StepFailed."""
        followed = {step.id: set(step.needs).union(step.after) for step in steps}
        missing = {step: len(others) for step, others in followed.items()}
        followers = {step.id: [] for step in steps}
        for step in steps:
            for other in followed[step.id]:
                followers[other].append(step)
        ready = deque(step for step in steps if not missing[step.id])
        try:
            while ready or self.running:
                if ready:
                    ended = self.start(ready.popleft())
                else:
                    ended = yield from self.next_end()
                if ended is not None:
                    for follower in followers[ended.id]:
                        missing[follower.id] -= 1
                        if not missing[follower.id]:
                            ready.append(follower)
        except StepFailed:
            for attempt in self.running.values():
                attempt.cancel()
            self.running.clear()
            self.new.clear()
            raise

    def handle(self, step, failure):
        """Runs the failure handler; its own failure changes nothing."""
        try:
            value = self.evaluate("input", step.id, lambda: step.input(failure) if callable(step.input) else step.input)
            self.begin(Attempt(step, value))
            while self.running:
                yield from self.next_end()
        except StepFailed as error:
            self.log("the failure handler failed: %s: %s", error.name, error.message)

    def start(self, step):
        """Starts a step whose predecessors have all ended. Returns it where it ended at once."""
        skipped = [self.results[other].status == "skipped" for other in step.needs]
        if skipped and (all(skipped) if step.join == "any" else any(skipped)):
            return self.end(step, "skipped")
        when = self.evaluate("when", step.id, step.when)
        if not isinstance(when, bool):
            raise StepFailed(step.id, "ExpressionError", "cannot evaluate `when`")
        if not when:
            return self.end(step, "skipped")
        if isinstance(step, Fail):
            name = self.evaluate("fail", step.id, step.error)
            message = self.evaluate("fail", step.id, step.message)
            if not (isinstance(name, str) and isinstance(message, str)):
                raise StepFailed(step.id, "ExpressionError", "cannot evaluate `fail`")
            raise StepFailed(step.id, name, message)
        value = self.evaluate("input", step.id, step.input) if isinstance(step, Function) else None
        self.begin(Attempt(step, value))
        return None

    def begin(self, attempt):
        """Starts a step's first try or its next one."""
        step, context = attempt.step, self.context
        self.progress.started(step.id)
        if isinstance(step, Wait):
            self.pause(attempt, step.seconds)
            return
        check_size(step.id, attempt.value)
        attempt.activity = context.call_activity(
            step.id.replace("-", "_"),
            {"run_id": context.instance_id, "step": step.id, "attempt": attempt.number, "input": attempt.value},
        )
        # Every attempt has a bound. The host's own (functionTimeout) would end the whole worker process and the other
        # activities in it, so a durable timer runs beside the activity; an activity that loses is left to end unheard.
        attempt.timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=step.timeout))
        self.watch(attempt, context.task_any([attempt.activity, attempt.timer]))

    def pause(self, attempt, seconds):
        attempt.until = self.context.current_utc_datetime + timedelta(seconds=seconds)
        self.sleep(attempt)

    def sleep(self, attempt):
        attempt.activity = None
        attempt.timer = self.context.create_timer(min(attempt.until, self.context.current_utc_datetime + LONGEST_TIMER))
        self.watch(attempt, attempt.timer)

    def watch(self, attempt, task):
        attempt.task = task
        self.running[id(task)] = attempt
        self.new.append(task)

    def next_end(self):
        """Waits until something ends. Returns the step that ended; None where it goes on with another try."""
        tasks = [attempt.task for attempt in self.running.values()]
        if self.new and len(self.new) < len(tasks):
            # The host takes an orchestrator's actions one by one and awaits each. Given only the new tasks it would take
            # no other action before one of *these* ended, though an older one may end first. A timer that is cancelled
            # from the start lets it pass on.
            marker = self.context.create_timer(self.context.current_utc_datetime + timedelta(hours=1))
            marker.cancel()
            tasks.append(marker)
        self.new.clear()
        winner = yield self.context.task_any(tasks)
        attempt = self.running.pop(id(winner), None)
        if attempt is None:  # a cancelled timer that fired all the same
            return None
        if attempt.activity is None:
            return self.awake(attempt)
        answer = answer_of(attempt)
        if "output" in answer:
            return self.end(attempt.step, "succeeded", answer["output"])
        return self.failed(attempt, **answer["error"])

    def awake(self, attempt):
        """A timer fired: a pause is over, or its next part begins."""
        if attempt.until - self.context.current_utc_datetime > timedelta(seconds=1):
            self.sleep(attempt)
        elif isinstance(attempt.step, Wait):
            return self.end(attempt.step, "succeeded")
        else:
            self.begin(attempt)
        return None

    def failed(self, attempt, name, message):
        retry = attempt.step.retry
        if not retry.wants(attempt.number, name):
            self.progress.ended(attempt.step.id, "failed")
            raise StepFailed(attempt.step.id, name, message)
        wait = retry.wait_after(attempt.number)
        self.log("%s: %s: %s; trying again in %s s", attempt.step.id, name, message, wait)
        attempt.number += 1
        self.pause(attempt, wait)

    def end(self, step, status, output=None):
        self.results[step.id] = Result(status, output)
        self.progress.ended(step.id, status)
        return step

    def evaluate(self, what, step, value):
        """The value of an expression, or of what is constant anyway."""
        if not callable(value):
            return value
        try:
            return value()
        except Exception as error:
            self.log("%s: cannot evaluate `%s`: %s: %s", step, what, type(error).__name__, error)
            raise StepFailed(step, "ExpressionError", f"cannot evaluate `{what}`") from error

    def log(self, *message):
        if not self.context.is_replaying:
            logging.warning(*message)


def answer_of(attempt):
    """What an ended attempt answered: {"output"} or {"error"}."""
    if not attempt.activity.is_completed:
        return failure("timeout", "the attempt ran longer than its timeout")
    attempt.cancel()
    answer = attempt.activity.result
    if not isinstance(answer, dict):  # the adapter answers even where a handler raises: the process must have died
        return failure("WorkerCrashed", "the function ended without an answer")
    return answer


def failure(name, message):
    return {"error": {"name": name, "message": message}}


def check_size(step, value):
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise StepFailed(step, "PayloadTooLarge", "input is larger than 256 KiB")


class Progress:
    """The custom status of the run: how far each step is.

    There is room for some hundred steps. Beyond that it shows only the skipped ones, beyond that only counts.
    """

    def __init__(self, context):
        self.steps, self.counts, self.size, self.hidden = {}, {}, 0, set()
        self.status = {"steps": self.steps}
        context.set_custom_status(self.status)

    def started(self, step):
        self.show(step, "running")

    def ended(self, step, status):
        self.counts[status] = self.counts.get(status, 0) + 1
        self.show(step, status)

    def show(self, step, status):
        if status in self.hidden:
            self.steps.pop(step, None)
            return
        if step not in self.steps:
            self.size += len(step) + len('"": "succeeded", ')
        self.steps[step] = status
        if self.size > MAX_STATUS:
            self.hide(("running", "succeeded") if not self.hidden else ("skipped",))

    def hide(self, statuses):
        self.hidden.update(statuses)
        self.status["counts"] = self.counts
        for step, status in list(self.steps.items()):
            if status in self.hidden:
                del self.steps[step]
        self.size = sum(len(step) + len('"": "succeeded", ') for step in self.steps)
