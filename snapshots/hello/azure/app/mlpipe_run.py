"""Runs a pipeline as a Durable Functions orchestration.

Each step starts as soon as all that it follows has ended. Nothing here reads a clock, the environment or chance, and every loop
goes in the order of the file, so that the host's replays take the same way. Groups are no orchestrations of their own, nor are
items but those of long lists: one that is given up, because another step failed or time ran out, has to be told to stop.
"""

import json
import logging
import re
from collections import ChainMap
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from types import SimpleNamespace

import mlpipe_sub
from mlpipe_dag import Approval, BatchPredict, Child, Endpoint, Fail, Function, Group, Job, Monitor, Notify, Train, Wait, matches
from mlpipe_expr import string
from mlpipe_fibers import Fibers, StepFailed
from mlpipe_params import check
from mlpipe_progress import Progress

MAX_BYTES = 252 * 1024
LONGEST_TIMER = timedelta(days=6)  # of the Azure Storage provider
LONGEST_WAIT = 1000 * 365 * 86400  # seconds; dates end with the year 9999
SERVICE_SECONDS = 3600  # that a service has where nothing says how many
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True)
class Run:
    """What expressions may know of the run."""

    id: str
    name: str
    started_at: str


@dataclass(frozen=True)
class Result:
    """How a step ended, as `steps["X"]` tells later steps."""

    status: str
    output: object = None
    error: object = None  # what was caught: {"name", "message"}


@dataclass(frozen=True)
class Current:
    """What `steps["X"]` tells while X runs: its item and that item's index, the output of the run before or of the one to judge."""

    item: object = None
    index: int | None = None
    previous: object = None
    output: object = None


class Steps:
    """`steps` in expressions: what is known of each step where the expression stands.

    A group's steps have results of their own in each of its runs, so each run has a scope, a mapping from paths to Result or
    Current that goes on into those round it.
    """

    def __init__(self):
        self.scope = {}

    def __getitem__(self, path):
        return self.scope[path]


class PipelineFailed(Exception):
    """The failure of the run: its text is JSON."""


def run(context, pipeline, prefix=""):
    """The orchestration of a pipeline: to be `yield from`-ed. Returns its outputs or raises PipelineFailed.

    `pipeline` is the module with its PARAMS and `define`; `prefix` is what the names of its activities start with. One that
    another pipeline runs returns either as JSON, as text so that the host leaves dates in it alone, and ends when it is told to stop.
    """
    started_at = context.current_utc_datetime.strftime("%Y-%m-%dT%H:%M:%SZ")
    values, mismatch = check(pipeline.PARAMS, context.get_input())
    runner = Runner(context, pipeline, prefix, values, Run(context.instance_id, pipeline.NAME, started_at))
    child = context.parent_instance_id is not None
    whole = runner.whole(mismatch)
    try:
        outputs = yield from runner.fibers.run(runner.stoppable(whole) if child else whole)
    except StepFailed as failure:
        error = {"name": failure.name, "message": failure.message, "step": failure.step}
        if child:
            return json.dumps({"error": error})
        raise PipelineFailed(json.dumps(error, ensure_ascii=False)) from None
    return json.dumps({"outputs": fitting(outputs)}) if child else outputs


def run_items(context, pipeline, prefix=""):
    """The orchestration of a slice of a list: to be `yield from`-ed. Returns JSON, as `run` does."""
    given = context.get_input()
    runner = Runner(context, pipeline, prefix, given["params"], Run(**given["run"]))
    scope = ChainMap({path: SimpleNamespace(**known) for path, known in given["steps"].items()})
    step = find(runner.pipeline.steps, given["step"])
    items = runner.list(step, scope, given["first"], given["items"], given["most"])
    try:
        answer = {"outputs": fitting((yield from runner.fibers.run(runner.stoppable(items))))}
    except StepFailed as failure:
        answer = {"error": {"step": failure.step, "name": failure.name, "message": failure.message}}
    return json.dumps({**answer, "progress": runner.progress.ends})


def fitting(outputs):
    """None in place of what is too large anyway: it need not be carried to the orchestration that finds it too large."""
    return outputs if size(outputs) <= MAX_BYTES else None


def find(steps, path):
    """A step by its path."""
    step = next(step for step in steps if path == step.path or path.startswith(f"{step.path}."))
    return step if step.path == path else find(step.steps, path)


class Runner:
    """The methods that are generators run in a fiber; each raises StepFailed where what it runs fails."""

    def __init__(self, context, pipeline, prefix, params, run):
        self.context, self.prefix, self.params, self.run = context, prefix, params, run
        self.steps = Steps()
        self.pipeline = pipeline.define(params, self.steps, run)
        self.fibers = Fibers(context)
        self.progress = Progress(context)
        self.inline = 0  # calls for items so far
        self.asked = {}  # how often each approval was asked for

    def whole(self, mismatch):
        """Runs the pipeline, and its failure handler where it fails. Returns its outputs."""
        try:
            if mismatch is not None:
                raise StepFailed("params", "ParamMismatch", mismatch)
            return (yield from self.block(self.pipeline, "outputs", ChainMap()))
        except StepFailed as failure:
            if self.pipeline.on_failure is not None:
                yield from self.handle(self.pipeline.on_failure, failure)
            raise

    def block(self, block, path, scope):
        """Runs the steps of a group or of the pipeline. Returns its outputs."""
        results = {}
        scope = scope.new_child(results)
        followed = {step.path: set(step.needs).union(step.after) for step in block.steps}
        missing = {path: len(others) for path, others in followed.items()}
        followers = {path: [] for path in followed}
        for step in block.steps:
            for other in followed[step.path]:
                followers[other].append(step)
        with self.fibers.nursery() as running:
            for step in block.steps:
                if not missing[step.path]:
                    running.start(self.step(step, scope))
            while running:
                ended, result = yield running
                results[ended] = result
                for follower in followers[ended]:
                    missing[follower.path] -= 1
                    if not missing[follower.path]:
                        running.start(self.step(follower, scope))
        return self.evaluate("outputs", path, block.outputs, scope)

    def step(self, step, scope):
        """Runs a step whose predecessors have all ended, or skips it. Returns its path and its Result."""
        skipped = [scope[other].status == "skipped" for other in step.needs]
        skip = bool(skipped) and (all(skipped) if step.join == "any" else any(skipped))
        if skip or not self.condition("when", step.path, step.when, scope):
            self.progress.skipped(step.path)
            return step.path, Result("skipped")
        with self.shown(step):
            if step.for_each is None:
                result = yield from self.caught(step, scope)
            else:
                result = Result("succeeded", (yield from self.items(step, scope)))
        return step.path, result

    def items(self, step, scope):
        """Runs a step for each item of its list. Returns the list of outputs."""
        items = self.evaluate("for_each", step.path, step.for_each.items, scope)
        if not isinstance(items, list):
            raise cannot_evaluate("for_each", step.path)
        most = min(step.for_each.max_concurrency or mlpipe_sub.MOST_ITEMS, mlpipe_sub.MOST_ITEMS)
        outputs = yield from self.list(step, scope, 0, items, most)
        check_size(step.path, outputs, "output")
        return outputs

    def list(self, step, scope, first, items, most):
        """Runs a step for items of its list, the `first` and those after it, `most` at once. Returns the list of outputs."""
        weight = mlpipe_sub.weight(step)
        if len(items) < 2 or self.inline + len(items) * weight <= mlpipe_sub.MOST_INLINE:
            self.inline += len(items) * weight
            runs = [self.item(step, first + at, item, scope) for at, item in enumerate(items)]
            return (yield from self.some_at_once(runs, most))
        length, at_once, each = mlpipe_sub.spread(len(items), weight, most)
        slices = [self.slice(step, scope, first + at, items[at : at + length], each) for at in range(0, len(items), length)]
        parts = yield from self.some_at_once(slices, at_once)
        if None in parts:
            raise too_large(step.path, "output")
        return [output for part in parts for output in part]

    def some_at_once(self, generators, most):
        """Runs generators, `most` at once. Returns what they return, in their order."""
        results = [None] * len(generators)
        upcoming = enumerate(generators)
        with self.fibers.nursery() as running:
            for at, generator in islice(upcoming, most):
                running.start(numbered(at, generator))
            while running:
                ended, result = yield running
                results[ended] = result
                for at, generator in islice(upcoming, 1):
                    running.start(numbered(at, generator))
        return results

    def item(self, step, index, item, scope):
        result = yield from self.caught(step, scope.new_child({step.path: Current(item=item, index=index)}))
        return result.output

    def slice(self, step, scope, first, items, most):
        """Runs a slice of a list as an orchestration of its own. Returns its outputs; None where they are too large."""
        known = {path: {name: getattr(scope[path], name) for name in names} for path, names in step.for_each.steps.items()}
        given = {
            "step": step.path,
            "first": first,
            "items": items,
            "most": most,
            "params": {name: self.params[name] for name in step.for_each.params},
            "steps": known,
            "run": asdict(self.run),
        }
        answer = yield from self.orchestration(f"{self.run.name}-items", given)
        if answer is None:
            raise StepFailed(step.path, "WorkerCrashed", "a part of the list ended without an answer")
        if "error" in answer:
            raise StepFailed(**answer["error"])
        return answer["outputs"]

    def orchestration(self, name, given):
        """Runs a sub-orchestration, which is told to stop where this is given up. Returns its answer."""
        # An id has 100 characters at most: it starts with that of the outermost run, not of each one between.
        instance = f"{self.run.id.partition(':')[0]}:{self.context.new_uuid()}"
        task = self.context.call_sub_orchestrator(name, given, instance)
        try:
            yield task
        finally:
            if not task.is_completed and self.fibers.knows(task):
                self.fibers.endings.start(self.stop(task, instance))
        return self.answer(task)

    def stop(self, task, instance):
        """Ends a sub-orchestration, and waits for that."""
        yield self.context.call_activity(mlpipe_sub.STOP_ACTIVITY, instance)
        if not task.is_completed:
            yield task
        self.answer(task)

    def answer(self, task):
        """What a sub-orchestration that has ended returned; None where it failed or was terminated."""
        if not isinstance(task.result, str):
            return None
        answer = json.loads(task.result)
        self.progress.merge(answer.get("progress", {}))
        return answer

    def stoppable(self, generator):
        """In a sub-orchestration: runs a generator until it ends, or until the caller says to stop."""
        with self.fibers.nursery() as running:
            running.start(generator)
            running.start(self.stopped())
            return (yield running)

    def stopped(self):
        yield self.context.wait_for_external_event(mlpipe_sub.STOP)
        return None

    def caught(self, step, scope):
        """Runs a step, or what its `catch` has for its failure. Returns its Result."""
        try:
            return Result("succeeded", (yield from self.repeated(step, scope)))
        except StepFailed as error:
            failure = error
            catch = next((catch for catch in step.catch if matches(catch.on, failure.name)), None)
            if catch is None:
                raise
        self.log("%s: caught %s: %s", step.path, failure.name, failure.message)
        if catch.do is None:
            output = self.evaluate("catch", step.path, catch.output, scope, failure)
        else:
            with self.shown(catch.do):
                output = yield from self.tried(catch.do, scope, failure)
        check_size(step.path, output, "output")
        return Result("succeeded", output, {"name": failure.name, "message": failure.message})

    def repeated(self, step, scope):
        """Runs a step as often as its `repeat` says. Returns the output of the last run."""
        repeat = step.repeat
        if repeat is None:
            return (yield from self.tried(step, scope))
        current = scope.get(step.path, Current())
        previous = None
        for number in range(1, repeat.max + 1):
            output = yield from self.tried(step, scope.new_child({step.path: replace(current, previous=previous)}))
            judged = scope.new_child({step.path: replace(current, output=output)})
            if self.condition("until", step.path, repeat.until, judged):
                return output
            previous = output
            if number < repeat.max:
                yield from self.pause(repeat.delay)
        runs = "1 run" if repeat.max == 1 else f"{repeat.max} runs"
        raise StepFailed(step.path, "RepeatLimit", f"`until` was still false after {runs}")

    def tried(self, step, scope, *error):
        """Runs what a step does as often as its `retry` says. `error` is what a step in a `catch` sees."""
        value = None
        if isinstance(step, Function):
            value = self.evaluate("input", step.path, step.input, scope, *error)
            check_size(step.path, value, "input")
        elif isinstance(step, Child):
            value = self.evaluate("params", step.path, step.params, scope, *error)
            check_size(step.path, value, "input")
        number = 1
        while True:
            try:
                return (yield from self.attempt(step, number, value, scope, *error))
            except StepFailed as failure:
                if not step.retry.wants(number, failure.name):
                    raise
                wait = step.retry.wait_after(number)
                self.log("%s: %s: %s; trying again in %s s", step.path, failure.name, failure.message, wait)
            yield from self.pause(wait)
            number += 1

    def attempt(self, step, number, value, scope, *error):
        match step:
            case Function():
                return (yield from self.call(step, number, value))
            case Group():
                return (yield from self.bounded(step, self.block(step, step.path, scope)))
            case Child():
                return (yield from self.bounded(step, self.child(step, value)))
            case Notify():
                return (yield from self.bounded(step, self.notify(step, scope, *error)))
            case Job():
                return (yield from self.job(step, scope, *error))
            case Train():
                return (yield from self.train(step, scope, *error))
            case Endpoint():
                return (yield from self.endpoint(step, scope, *error))
            case BatchPredict():
                return (yield from self.batch_predict(step, scope, *error))
            case Monitor():
                return (yield from self.monitor(step, scope, *error))
            case Approval():
                return (yield from self.approval(step, scope, *error))
            case Wait():
                return (yield from self.wait(step, scope, *error))
            case Fail():
                name = self.evaluate("fail", step.path, step.error, scope, *error)
                message = self.evaluate("fail", step.path, step.message, scope, *error)
                if not (isinstance(name, str) and isinstance(message, str)):
                    raise cannot_evaluate("fail", step.path)
                raise StepFailed(step.path, name, message)

    def call(self, step, number, value):
        """One attempt of a function."""
        context = self.context
        activity = context.call_activity(
            self.prefix + re.sub("[-.]", "_", step.path),
            {"run_id": self.run.id, "step": step.path, "attempt": number, "input": value},
        )
        # Every attempt has a bound. The host's own (functionTimeout) would end the whole worker process and the other
        # activities in it, so a durable timer runs beside the activity; an activity that loses is left to end unheard.
        timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=step.timeout))
        try:
            yield context.task_any([activity, timer])
        finally:
            cancel(timer)
        if not activity.is_completed:
            raise out_of_time(step)
        answer = activity.result
        if not isinstance(answer, dict):  # the adapter answers even where a handler raises: the process must have died
            raise StepFailed(step.path, "WorkerCrashed", "the function ended without an answer")
        if "error" in answer:
            raise StepFailed(step.path, **answer["error"])
        return answer["output"]

    def bounded(self, step, work):
        """One attempt of a group or of another pipeline, whose steps are `work`."""
        if step.timeout is None:
            outputs = yield from work
        else:
            with self.fibers.nursery() as running:  # the first of the two to end gives up the other
                running.start(work)
                running.start(self.time_out(step))
                outputs = yield running
        check_size(step.path, outputs, "output")
        return outputs

    def child(self, step, params):
        """Runs another pipeline."""
        answer = yield from self.orchestration(step.pipeline, params)
        if answer is None:
            raise StepFailed(step.path, "WorkerCrashed", "the pipeline ended without an answer")
        if "error" in answer:
            error = answer["error"]
            raise StepFailed(f"{step.path}.{error['step']}", error["name"], error["message"])
        if answer["outputs"] is None:
            raise too_large(step.path, "output")
        return answer["outputs"]

    def notify(self, step, scope, *error):
        """Publishes a message."""
        message = self.message("notify", step, scope, *error)
        data = {"pipeline": self.run.name, "run": self.run.id, "step": step.path, "message": message}
        request = self.publishing(step, "mlpipe.notify", data)
        yield request
        if isinstance(request.result, Exception):
            raise StepFailed(step.path, "ServiceUnavailable", "the service could not be reached")

    def message(self, what, step, scope, *error):
        message = self.evaluate(what, step.path, step.message, scope, *error)
        if not isinstance(message, str):
            raise cannot_evaluate(what, step.path)
        return message

    def publishing(self, step, kind, data):
        request = {"endpoint": step.topic.endpoint, "type": kind, "data": data}
        return self.context.call_activity(mlpipe_sub.PUBLISH_ACTIVITY, request)

    def job(self, step, scope, *error):
        """Runs a container."""
        command = self.evaluate("job", step.path, step.command, scope, *error)
        env = self.evaluate("job", step.path, step.env, scope, *error)
        if not all(isinstance(text, str) for text in [*command, *env.values()]):
            raise cannot_evaluate("job", step.path)
        return (yield from self.service(step, "job", {"job": step.job, "command": command, "env": env}))

    def train(self, step, scope, *error):
        """Trains."""
        given = self.evaluate("train", step.path, step.hyperparameters, scope, *error)
        data = self.evaluate("train", step.path, step.data, scope, *error)
        if not all(isinstance(uri, str) for uri in data.values()):
            raise cannot_evaluate("train", step.path)
        texts = {name: self.evaluate("train", step.path, partial(string, value), scope) for name, value in given.items()}
        request = {
            **{name: getattr(step, name) for name in ("code", "script", "environment", "requirements", "instance", "count", "spot", "timeout")},
            "arguments": [word for name, text in texts.items() for word in (f"--{name}", text)],
            "data": data,
            "pipeline": self.run.name,
            "run": self.run.id,
            "step": step.path,
        }
        return (yield from self.service(step, "train", request))

    def endpoint(self, step, scope, *error):
        """Brings an endpoint into service."""
        models = self.evaluate("endpoint", step.path, step.models, scope, *error)
        if not all(isinstance(uri, str) for uri in models.values()):
            raise cannot_evaluate("endpoint", step.path)
        request = {
            **{name: getattr(step, name) for name in ("endpoint", "name", "environment", "variants", "scores", "captured", "autoscale")},
            "models": models,
            "pipeline": self.run.name,
            "run": self.run.id,
            "step": step.path,
        }
        return (yield from self.service(step, "endpoint", request))

    def batch_predict(self, step, scope, *error):
        """Predicts for files."""
        uris = {name: self.evaluate("batch_predict", step.path, getattr(step, name), scope, *error) for name in ("model", "input", "output")}
        if not all(isinstance(uri, str) for uri in uris.values()):
            raise cannot_evaluate("batch_predict", step.path)
        request = {
            **{name: getattr(step, name) for name in ("environment", "requirements", "instance", "timeout")},
            **uris,
            "pipeline": self.run.name,
            "run": self.run.id,
            "step": step.path,
        }
        return (yield from self.service(step, "batch", request))

    def monitor(self, step, scope, *error):
        """Has an endpoint watched."""
        baseline = self.evaluate("monitor", step.path, step.baseline, scope, *error)
        if step.baseline is not None and not isinstance(baseline, str):
            raise cannot_evaluate("monitor", step.path)
        request = {**{name: getattr(step, name) for name in ("name", "title", "endpoint", "drift")}, "baseline": baseline}
        return (yield from self.service(step, "monitor", request))

    def service(self, step, service, request):
        """One attempt of what a managed service runs."""
        given = {"service": service, "pipeline": self.run.name, "step": step.path, "timeout": step.timeout or SERVICE_SECONDS, "request": request}
        answer = yield from self.orchestration(mlpipe_sub.SERVICE, given)
        if answer is None:
            raise StepFailed(step.path, "WorkerCrashed", "the service's orchestration ended without an answer")
        if "error" in answer:
            raise StepFailed(step.path, **answer["error"])
        check_size(step.path, answer["output"], "output")
        return answer["output"]

    def approval(self, step, scope, *error):
        """Asks a person, who answers with an event of this orchestration."""
        context = self.context
        message = self.message("approval", step, scope, *error)
        number = self.asked[step.path] = self.asked.get(step.path, 0) + 1
        event = step.path if number == 1 else f"{step.path}-{number}"  # several items may wait at once
        data = {"pipeline": self.run.name, "run": context.instance_id, "step": step.path, "message": message, "event": event}
        answer = context.wait_for_external_event(event)
        request = self.publishing(step, "mlpipe.approval", data)
        until = context.current_utc_datetime + timedelta(seconds=step.timeout)
        timer = context.create_timer(min(until, context.current_utc_datetime + LONGEST_TIMER))
        marker = []
        try:
            while True:
                yield context.task_any([task for task in (answer, request, timer) if not task.is_completed] + marker)
                marker = []
                if answer.is_completed:
                    return judged(step.path, answer.result)
                if request.is_completed and isinstance(request.result, Exception):
                    raise StepFailed(step.path, "ServiceUnavailable", "the request for approval cannot be published")
                if timer.is_completed:
                    if until - context.current_utc_datetime <= timedelta(seconds=1):
                        raise out_of_time(step)
                    timer = context.create_timer(min(until, context.current_utc_datetime + LONGEST_TIMER))
                    marker = [self.fibers.marker()]  # the host must not wait for the new timer alone
        finally:
            cancel(timer)

    def time_out(self, step):
        yield from self.pause(step.timeout)
        raise out_of_time(step)

    def wait(self, step, scope, *error):
        seconds = step.seconds
        if step.until is not None:
            seconds = self.seconds_until(step.path, self.evaluate("until", step.path, step.until, scope, *error))
        if step.timeout is not None and seconds > step.timeout:
            yield from self.time_out(step)
        yield from self.pause(seconds)

    def seconds_until(self, path, time):
        """From now to a point in time: RFC 3339 text or Unix seconds."""
        try:
            if isinstance(time, str):
                date, minutes, seconds, fraction, zone = TIME.fullmatch(time).groups()
                seconds = min(int(seconds), 59)  # a leap second, 60, is no other moment here
                zone = "+00:00" if zone in "Zz" else zone
                time = datetime.fromisoformat(f"{date}T{minutes}{seconds:02}{zone}").timestamp() + float(fraction or 0)
            elif isinstance(time, bool):
                raise TypeError
            return min(time - self.context.current_utc_datetime.timestamp(), LONGEST_WAIT)
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise cannot_evaluate("until", path) from None

    def pause(self, seconds):
        """Lets time pass."""
        if seconds <= 0:
            return
        context = self.context
        until = context.current_utc_datetime + timedelta(seconds=seconds)
        while True:
            timer = context.create_timer(min(until, context.current_utc_datetime + LONGEST_TIMER))
            try:
                yield timer
            finally:
                cancel(timer)
            if until - context.current_utc_datetime <= timedelta(seconds=1):
                return

    def handle(self, step, failure):
        """Runs the failure handler; its own failure changes nothing."""
        try:
            with self.shown(step):
                yield from self.tried(step, ChainMap(), failure)
        except StepFailed as error:
            self.log("the failure handler failed: %s: %s", error.name, error.message)

    def condition(self, what, path, value, scope):
        holds = self.evaluate(what, path, value, scope)
        if not isinstance(holds, bool):
            raise cannot_evaluate(what, path)
        return holds

    def evaluate(self, what, path, value, scope, *error):
        """The value of an expression, or of what is constant anyway."""
        if not callable(value):
            return value
        self.steps.scope = scope
        try:
            return value(*error)
        except Exception as reason:
            self.log("%s: cannot evaluate `%s`: %s: %s", path, what, type(reason).__name__, reason)
            raise cannot_evaluate(what, path) from reason

    def shown(self, step):
        return Shown(self.progress, step.path)

    def log(self, *message):
        if not self.context.is_replaying:
            logging.warning(*message)


class Shown:
    """Shows how a step goes, for as long as its `with` lasts."""

    def __init__(self, progress, path):
        self.progress, self.path = progress, path

    def __enter__(self):
        self.progress.started(self.path)

    def __exit__(self, kind, *_):
        status = "succeeded" if kind is None else "failed" if issubclass(kind, StepFailed) else "abandoned"
        self.progress.ended(self.path, status)


def cancel(timer):
    """A run ends only when each of its timers fired or was cancelled."""
    if not timer.is_completed:
        timer.cancel()


def judged(path, answer):
    """The output that an answer makes."""
    answer = answer if isinstance(answer, dict) else {}
    output = {"approved": answer.get("approved"), "by": answer.get("by"), "comment": answer.get("comment")}
    if isinstance(output["approved"], bool) and all(isinstance(output[name], str | None) for name in ("by", "comment")):
        return output
    raise StepFailed(path, "InvalidOutput", "the answer is not an approval")


def cannot_evaluate(what, path):
    return StepFailed(path, "ExpressionError", f"cannot evaluate `{what}`")


def out_of_time(step):
    return StepFailed(step.path, "timeout", "the attempt ran longer than its timeout")


def numbered(number, generator):
    return number, (yield from generator)


def size(value):
    """The length of its JSON in bytes."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def too_large(path, what):
    return StepFailed(path, "PayloadTooLarge", f"{what} is larger than 256 KiB")


def check_size(path, value, what):
    if size(value) > MAX_BYTES:
        raise too_large(path, what)
