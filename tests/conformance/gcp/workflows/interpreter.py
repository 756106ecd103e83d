"""Executes a definition."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import connectors, discovery, http, limits
from .definition import (
    Assign,
    Call,
    Case,
    Expression,
    For,
    Jump,
    ListOf,
    Literal,
    MapOf,
    Parallel,
    Raise,
    Retry,
    Return,
    Routine,
    Step,
    Steps,
    Switch,
    Target,
    Template,
    Try,
    Workflow,
)
from .errors import (
    DeployError,
    Fault,
    WorkflowError,
    runtime_error,
    type_error,
    undocumented,
    value_error,
)
from .expressions import Access, Binary, Constant, Invocation, ListLiteral, Node, Unary, Variable
from .jobs import Jobs
from .serving import Endpoints
from .training import Trainings
from .library import (
    EXECUTIONS,
    FUNCTIONS,
    CUSTOM_JOBS,
    JOBS,
    OBJECT,
    POLICIES,
    POLICY_BACKOFF,
    POLICY_RETRIES,
    PREDICATES,
    PUBLISH,
    decode_json,
    encode_json,
)
from .scheduler import Blocking, Bounded, Fork, Never, Request, Result, Scheduler, Sleep, Start, Task, Turn
from .scopes import Memory, Scope
from .values import (
    access,
    arithmetic,
    boolean,
    compare,
    contains,
    equal,
    is_number,
    negate,
    replaced,
    size,
    type_name,
)

sys.setrecursionlimit(20_000)


@dataclass(frozen=True)
class _Next:
    """Go to a step of the same list, or to end, break or continue."""

    target: str


@dataclass(frozen=True)
class _Returned:
    """The routine has ended with a value."""

    value: Any


_Signal = _Next | _Returned | None
_Steps = Generator[Request, Any, _Signal]


@dataclass(frozen=True)
class _Frame:
    """A routine that runs: its scope, how deep the calls and the parallel steps are."""

    routine: str
    scope: Scope
    depth: int
    parallels: int

    def within(self, scope: Scope, parallels: int = 0) -> _Frame:
        return _Frame(self.routine, scope, self.depth, self.parallels + parallels)


@dataclass
class Outcome:
    """How an execution ended, with what was seen on the way.

    `error` is the value that was raised and not caught, `entered` the names of the steps of `main`.
    """

    result: Any = None
    error: Any = None
    failed: bool = False
    waits: list[float] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    failed_in: str = ""
    children: list[Child] = field(default_factory=list)


@dataclass
class Child:
    """An execution that another one started."""

    workflow: str
    run_id: str
    outcome: Outcome


@dataclass(frozen=True)
class Deployed:
    """A workflow that others may start."""

    workflow: Workflow
    environment: dict[str, str]


@dataclass
class World:
    """What an execution finds round it, and what it leaves there.

    `workflows` are those that it may start, by name, `topics` those that it may publish to, by id.
    `answer` gives the body with which a message is answered that holds the URL of a callback, or
    None where nobody answers.
    """

    workflows: dict[str, Deployed] = field(default_factory=dict)
    topics: set[str] = field(default_factory=set)
    answer: Callable[[Any], Any] = lambda message: None
    messages: list[tuple[str, connectors.Message]] = field(default_factory=list)
    executions: dict[str, Execution] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=Jobs)
    trainings: Trainings = field(default_factory=Trainings)
    endpoints: Endpoints = field(default_factory=Endpoints)


class Execution:
    """One execution of a workflow."""

    def __init__(
        self,
        workflow: Workflow,
        environment: dict[str, str] | None = None,
        world: World | None = None,
        parent: Execution | None = None,
    ) -> None:
        """The executions that it starts share its clock."""
        self.workflow = workflow
        self.environment = environment or {}
        _check_environment(self.environment)
        self._world = world or World()
        self._scheduler = parent._scheduler if parent else Scheduler()
        self._memory = Memory()
        self._outcome = Outcome()
        self._steps = 0
        self.cancelled = False
        self.state = "ACTIVE"

    def now(self) -> float:
        """Seconds since 1970, waits included."""
        return self._scheduler.now()

    def run(self, argument: Any = None) -> Outcome:
        """Runs `main`. Raises Fault where the definition leaves documented ground."""
        if size(argument) > limits.VARIABLE_BYTES:
            raise Fault(f"arguments of more than {limits.VARIABLE_BYTES} bytes")
        try:
            self._outcome.result = self._scheduler.run(self._main(argument))
        except WorkflowError as error:
            self._outcome.failed, self._outcome.error = True, error.value
        except DeployError as error:
            raise Fault(f"found at run time: {error}") from error
        self._outcome.waits = sorted(self._scheduler.waits)
        return self._outcome

    def _main(self, argument: Any) -> Task:
        self._argument = argument
        main = self.workflow.routines["main"]
        if not main.parameters and argument is not None:
            # Workflows docs, Runtime arguments: main must take the argument that is passed.
            raise Fault("an argument was passed, but main has no parameter")
        names = [parameter.name for parameter in main.parameters]
        return (yield from self._routine(main, dict(zip(names, [argument])), 1, 0))

    # Routines

    def _routine(
        self, routine: Routine, arguments: dict[str, Any], depth: int, parallels: int
    ) -> Task:
        if depth > limits.CALL_DEPTH:
            raise runtime_error("RecursionError", "maximum call depth exceeded")
        scope = Scope(self._memory)
        frame = _Frame(routine.name, scope, depth, parallels)
        for parameter in routine.parameters:
            if parameter.name in arguments:
                value = arguments[parameter.name]
            else:
                assert parameter.default is not None
                value = self._value(parameter.default, frame)
            scope.put(parameter.name, value)
        try:
            signal = yield from self._run_steps(routine.body, frame)
        finally:
            scope.end()
        return signal.value if isinstance(signal, _Returned) else None

    def _called_in_expression(self, name: str, arguments: list[Any], frame: _Frame) -> Any:
        """Workflows docs, Subworkflows: called in an expression, arguments by position."""
        routine = self.workflow.routines[name]
        named = dict(zip((parameter.name for parameter in routine.parameters), arguments))
        task = self._routine(routine, named, frame.depth + 1, frame.parallels)
        try:
            while True:
                if not isinstance(next(task), Turn):
                    raise undocumented(f"{name} blocks, but is called in an expression")
        except StopIteration as end:
            return end.value

    # Steps

    def _run_steps(self, steps: tuple[Step, ...], frame: _Frame) -> _Steps:
        positions = {step.name: index for index, step in enumerate(steps)}
        index = 0
        while index < len(steps):
            step = steps[index]
            while self.cancelled:
                yield Never()
            self._enter(step, frame)
            yield Turn()
            try:
                signal = yield from self._step(step, frame)
            except WorkflowError:
                self._outcome.failed_in = self._outcome.failed_in or f"{frame.routine}/{step.name}"
                raise
            if signal is None and step.next is not None:
                signal = _Next(step.next)
            if isinstance(signal, _Next) and signal.target in positions:
                index = positions[signal.target]
            elif signal is not None:
                return signal
            else:
                index += 1
        return None

    def _enter(self, step: Step, frame: _Frame) -> None:
        self._steps += 1
        if self._steps > limits.STEPS_PER_EXECUTION:
            raise runtime_error("ResourceLimitError", "step limit exceeded")
        if step.name and frame.routine == "main":
            self._outcome.entered.append(step.name)

    def _step(self, step: Step, frame: _Frame) -> _Steps:
        match step.action:
            case Assign(pairs):
                for target, value in pairs:
                    self._assign(target, self._value(value, frame), frame)
            case Call():
                yield from self._call(step.action, frame)
            case Switch(cases):
                return (yield from self._switch(cases, step, frame))
            case For():
                return (yield from self._for(step.action, frame))
            case Parallel():
                yield from self._parallel(step.action, frame)
            case Try():
                return (yield from self._try(step.action, frame))
            case Raise(value):
                raise WorkflowError(self._raised(value, frame))
            case Return(value):
                return _Returned(self._value(value, frame))
            case Steps(body):
                return (yield from self._run_steps(body, frame))
            case Jump():
                pass
        return None

    def _assign(self, target: Target, value: Any, frame: _Frame) -> None:
        if target.keys:
            keys = [self._evaluate(key, frame) for key in target.keys]
            value = replaced(frame.scope.get(target.variable), keys, value)
        frame.scope.set(target.variable, value)

    def _raised(self, template: Template, frame: _Frame) -> Any:
        """Workflows docs, Raise errors: a string or a map."""
        value = self._value(template, frame)
        if not isinstance(value, (str, dict)):
            raise undocumented(f"raise of a {type_name(value)}")
        return value

    def _switch(self, cases: tuple[Case, ...], step: Step, frame: _Frame) -> _Steps:
        """Workflows docs, Conditions: the first entry whose condition is true is taken."""
        for case in cases:
            if boolean(self._value(case.condition, frame), "a condition"):
                signal = yield from self._run_steps(case.body, frame)
                if signal is None and case.next is not None:
                    return _Next(case.next)
                return signal
        return None

    def _for(self, loop: For, frame: _Frame) -> _Steps:
        """Workflows docs, Iteration."""
        for index, value in enumerate(self._items(loop, frame)):
            scope = self._iteration(loop, index, value, frame, None)
            try:
                signal = yield from self._run_steps(loop.body, frame.within(scope))
            finally:
                scope.end()
            if isinstance(signal, _Next) and signal.target in ("break", "continue"):
                if signal.target == "break":
                    break
            elif signal is not None:
                return signal
        return None

    def _items(self, loop: For, frame: _Frame) -> Sequence[Any]:
        if loop.range is None:
            assert loop.items is not None
            items = self._value(loop.items, frame)
            if not isinstance(items, list):
                raise type_error(f"a for runs over a list, not over a {type_name(items)}")
            return items
        # Workflows docs, Iteration: both ends of a range are included.
        first, last = (self._value(bound, frame) for bound in loop.range)
        for bound in (first, last):
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise undocumented(f"a range with a {type_name(bound)}")
        return range(first, last + 1)

    def _iteration(
        self, loop: For, index: int, value: Any, frame: _Frame, shared: frozenset[str] | None
    ) -> Scope:
        scope = Scope(self._memory, frame.scope, shared)
        scope.put(loop.value, value)
        if loop.index is not None:
            scope.put(loop.index, index)
        return scope

    def _parallel(self, action: Parallel, frame: _Frame) -> Task:
        """Workflows docs, Parallel steps: all branches end before the step does.

        continueAll: an error does not stop the other branches; the step then raises an
        UnhandledBranchError.
        """
        if frame.parallels == limits.PARALLEL_NESTING:
            raise runtime_error("ParallelNestingError", "parallel steps are nested too deeply")
        shared = frozenset(action.shared)
        tasks: list[Task] = []
        if action.loop is not None:
            for index, value in enumerate(self._items(action.loop, frame)):
                scope = self._iteration(action.loop, index, value, frame, shared)
                tasks.append(self._branch(action.loop.body, frame.within(scope, 1)))
        for _, body in action.branches:
            scope = Scope(self._memory, frame.scope, shared)
            tasks.append(self._branch(body, frame.within(scope, 1)))
        results: list[Result] = yield Fork(tasks, self._concurrency(action, frame))
        failed = [result.error for result in results if result.error is not None]
        if failed:
            branches = [{"error": error.value} for error in failed]
            raise runtime_error(
                "UnhandledBranchError",
                "One or more branches or iterations encountered an unhandled runtime error",
                branches=branches,
            )

    def _concurrency(self, action: Parallel, frame: _Frame) -> int:
        if action.concurrency_limit is None:
            return limits.PARALLEL_CONCURRENCY
        limit = self._value(action.concurrency_limit, frame)
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise Fault(f"concurrency_limit is a positive integer: {limit!r}")
        return min(limit, limits.PARALLEL_CONCURRENCY)

    def _branch(self, body: tuple[Step, ...], frame: _Frame) -> Task:
        try:
            signal = yield from self._run_steps(body, frame)
        finally:
            frame.scope.end()
        if signal is not None:
            raise undocumented(f"{signal} out of a branch")

    # Errors

    def _try(self, action: Try, frame: _Frame) -> _Steps:
        """Workflows docs, Retry steps and Catch errors: retries first, then `except`."""
        tries = 0
        while True:
            try:
                return (yield from self._run_steps(action.body, frame))
            except WorkflowError as error:
                tries += 1
                raised = error
            delay = yield from self._retry_delay(action.retry, tries, raised.value, frame)
            if delay is None:
                break
            yield Sleep(delay)
        if action.error is None:
            raise raised
        self._outcome.failed_in = ""
        scope = Scope(self._memory, frame.scope)
        scope.put(action.error, raised.value)
        try:
            return (yield from self._run_steps(action.handler, frame.within(scope)))
        finally:
            scope.end()

    def _retry_delay(
        self, retry: Retry | None, tries: int, error: Any, frame: _Frame
    ) -> Generator[Request, Any, float | None]:
        if retry is None:
            return None
        if retry.policy is not None:
            most: int | float = POLICY_RETRIES
            initial, longest, multiplier = POLICY_BACKOFF
            if tries > most or not POLICIES[retry.policy](error):
                return None
        else:
            most = self._number(retry.max_retries, frame)
            if tries > most or not (yield from self._predicate(retry, error, frame)):
                return None
            initial = self._number(retry.initial_delay, frame)
            longest = self._number(retry.max_delay, frame)
            multiplier = self._number(retry.multiplier, frame)
        # Workflows docs, Retry steps: the multiplier is applied to the previous delay.
        return min(initial * multiplier ** (tries - 1), longest)

    def _number(self, template: Template | None, frame: _Frame) -> int | float:
        assert template is not None
        value = self._value(template, frame)
        if not is_number(value) or value < 0:
            raise undocumented(f"a retry number that is {value!r}")
        return value

    def _predicate(self, retry: Retry, error: Any, frame: _Frame) -> Task:
        """Workflows docs, Retry steps: a custom predicate is a subworkflow of the error."""
        assert retry.predicate is not None
        routine = self.workflow.routines.get(retry.predicate)
        if routine is None:
            return PREDICATES[retry.predicate](error)
        arguments = {routine.parameters[0].name: error}
        try:
            verdict = yield from self._routine(routine, arguments, frame.depth + 1, frame.parallels)
        except WorkflowError as broken:
            raise undocumented(
                f"an error in the predicate {routine.name}: {broken.value}"
            ) from None
        if not isinstance(verdict, bool):
            raise undocumented(f"a predicate that returns a {type_name(verdict)}")
        return verdict

    # Calls

    def _call(self, call: Call, frame: _Frame) -> Task:
        arguments = {name: self._value(value, frame) for name, value in call.arguments}
        function = FUNCTIONS.get(call.function)
        if function is None:
            routine = self.workflow.routines[call.function]
            value = yield from self._routine(routine, arguments, frame.depth + 1, frame.parallels)
        elif function.implementation is not None:
            prefix = [self] if function.needs_runtime else []
            names = [name for name in function.parameters if name in arguments]
            if names != list(function.parameters[: len(names)]):
                raise Fault(f"{call.function}: an optional argument is left out before another")
            value = function.implementation(*prefix, *(arguments[name] for name in names))
        else:
            value = yield from self._blocking(call.function, arguments, frame)
        if call.result is not None:
            self._assign(call.result, value, frame)

    def _blocking(self, function: str, arguments: dict[str, Any], frame: _Frame) -> Task:
        if function.startswith(discovery.PREFIX) and (problems := discovery.check_call(function, arguments)):
            raise Fault("; ".join(problems))
        if function == "sys.sleep":
            seconds = arguments["seconds"]
            if not is_number(seconds):
                raise type_error(f"sys.sleep takes a number, not a {type_name(seconds)}")
            if seconds < 0:
                raise undocumented("sys.sleep of a negative time")
            # What a helper waits for is no wait of the pipeline.
            yield Sleep(seconds, frame.routine == "main")
            return None
        if function == f"{EXECUTIONS}.run":
            return (yield from self._run_workflow(connectors.run_request(arguments)))
        if function == f"{EXECUTIONS}.create":
            return (yield from self._create_workflow(arguments))
        if function == f"{EXECUTIONS}.get":
            return self._get_execution(arguments)
        if function == f"{EXECUTIONS}.cancel":
            return self._cancel_execution(arguments)
        if function == PUBLISH:
            return self._publish(arguments)
        if function == f"{JOBS}.run":
            return (yield Blocking(lambda: self._world.jobs.run(arguments)))
        if function == f"{JOBS}.executions.get":
            return (yield Blocking(lambda: self._world.jobs.get(arguments)))
        if function == f"{JOBS}.executions.cancel":
            return (yield Blocking(lambda: self._world.jobs.cancel(arguments)))
        if function == f"{CUSTOM_JOBS}.create":
            return (yield Blocking(lambda: self._world.trainings.create(arguments)))
        if function == f"{CUSTOM_JOBS}.get":
            return (yield Blocking(lambda: self._world.trainings.get(arguments)))
        if function == f"{CUSTOM_JOBS}.cancel":
            return (yield Blocking(lambda: self._world.trainings.cancel(arguments)))
        if function == OBJECT:
            return (yield Blocking(lambda: self._world.trainings.read(arguments)))
        if function == "events.create_callback_endpoint":
            return self._callback(arguments["http_callback_method"])
        if function == "events.await_callback":
            return (yield from self._await_callback(arguments))
        if function == "sys.log":
            self._outcome.logs.append(arguments)
            return None
        if self._world.endpoints.answers(function, arguments):
            location = self.environment.get("GOOGLE_CLOUD_LOCATION", "")
            return (yield Blocking(lambda: self._world.endpoints.request(function, arguments, location)))
        request = http.prepare(function, arguments)
        return (yield Blocking(lambda: http.send(request)))

    def _run_workflow(self, request: connectors.RunRequest) -> Task:
        """Workflows docs, executions.run: starts an execution and waits for its end.

        The result is decoded from its JSON. An execution that fails is an OperationError. One that
        is late is not ended.
        """
        _, execution = self._start_workflow(request.workflow)
        late = runtime_error("TimeoutError", f"no end in {request.timeout} s")
        yield Bounded(execution._child(request.argument), request.timeout, late)
        if execution._outcome.failed:
            raise connectors.operation_error(execution._outcome.error)
        return decode_json(encode_json(execution._outcome.result))

    def _create_workflow(self, arguments: dict[str, Any]) -> Generator[Request, Any, dict[str, Any]]:
        """Workflows docs, executions.create with skip_polling: the new execution."""
        name, execution = self._start_workflow(connectors.parent(arguments))
        yield Start(execution._child(connectors.argument(arguments)))
        return {"name": name, "state": "ACTIVE"}

    def _start_workflow(self, workflow: str) -> tuple[str, Execution]:
        deployed = self._world.workflows.get(workflow)
        if deployed is None:
            raise connectors.not_found(f"the workflow {workflow}")
        run_id = str(uuid.uuid4())
        environment = {**deployed.environment, "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": run_id}
        execution = Execution(deployed.workflow, environment, self._world, self)
        self._outcome.children.append(Child(workflow, run_id, execution._outcome))
        name = f"projects/test/locations/test/workflows/{workflow}/executions/{run_id}"
        self._world.executions[name] = execution
        return name, execution

    def _child(self, argument: Any) -> Task:
        try:
            self._outcome.result = yield from self._main(argument)
            self.state = "SUCCEEDED"
        except WorkflowError as error:
            self._outcome.failed, self._outcome.error = True, error.value
            self.state = "FAILED"

    def _look_up(self, arguments: dict[str, Any]) -> Execution:
        execution = self._world.executions.get(arguments["name"])
        if execution is None:
            raise connectors.not_found(f"the execution {arguments['name']}")
        return execution

    def _get_execution(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Workflows docs, executions.get: FULL unless `view` says BASIC."""
        execution = self._look_up(arguments)
        found = {"name": arguments["name"], "state": execution.state}
        if arguments.get("view") not in ("BASIC", "FULL", None):
            raise value_error(f"no view {arguments['view']!r}")
        if arguments.get("view") != "BASIC" and execution.state == "SUCCEEDED":
            found["argument"] = encode_json(execution._argument)
            found["result"] = encode_json(execution._outcome.result)
        return found

    def _cancel_execution(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Workflows docs, executions.cancel: its steps go no further; what it started itself goes on."""
        execution = self._look_up(arguments)
        if execution.state == "ACTIVE":
            execution.state, execution.cancelled = "CANCELLED", True
        return {"name": arguments["name"], "state": execution.state}

    def _publish(self, arguments: dict[str, Any]) -> dict[str, Any]:
        project = self.environment.get("GOOGLE_CLOUD_PROJECT_ID", "")
        topic, messages = connectors.published(arguments, project)
        if topic not in self._world.topics:
            raise connectors.not_found(f"the topic {topic}")
        self._world.messages += [(topic, message) for message in messages]
        return {"messageIds": [str(uuid.uuid4().int % 10**16) for _ in messages]}

    def _callback(self, method: Any) -> dict[str, Any]:
        if method not in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            raise value_error(f"no HTTP method {method!r}")
        host = "https://workflowexecutions.googleapis.com/v1"
        return {"url": f"{host}/projects/test/callbacks/{method}/{uuid.uuid4()}"}

    def _await_callback(self, arguments: dict[str, Any]) -> Task:
        """Workflows docs, events.await_callback: the request that came, or a TimeoutError.

        The answer comes at once where the URL went out in a message, and that is answered.
        """
        url, seconds = arguments["callback"]["url"], arguments.get("timeout", 43_200.0)
        if not is_number(seconds) or seconds <= 0:
            raise value_error(f"await_callback: a timeout of {seconds!r}")
        texts = [message.data for _, message in self._world.messages if url.encode() in message.data]
        body = self._world.answer(decode_json(texts[-1])) if texts else None
        if body is None:
            late = runtime_error("TimeoutError", f"no callback in {seconds} s")
            return (yield Bounded(_never(), float(seconds), late))
        yield Turn()
        request = {"body": body, "headers": {}, "method": "POST", "query": {}, "url": url}
        return {"http_request": request, "received_time": self.now(), "type": "HTTP"}

    # Values

    def _value(self, template: Template, frame: _Frame) -> Any:
        match template:
            case Literal(value):
                return value
            case Expression(node):
                return self._evaluate(node, frame)
            case ListOf(items):
                return [self._value(item, frame) for item in items]
            case MapOf(pairs):
                return self._map(pairs, frame)

    def _map(self, pairs: tuple[tuple[Template, Template], ...], frame: _Frame) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_template, template in pairs:
            key = self._value(key_template, frame)
            if not isinstance(key, str):
                raise type_error(f"a key is a string, not a {type_name(key)}")
            if key in result:
                raise undocumented(f"a map with the key {key} twice")
            result[key] = self._value(template, frame)
        return result

    def _evaluate(self, node: Node, frame: _Frame) -> Any:
        match node:
            case Constant(value):
                return value
            case Variable(name):
                return frame.scope.get(name)
            case ListLiteral(items):
                return [self._evaluate(item, frame) for item in items]
            case Access(container, key):
                return access(self._evaluate(container, frame), self._evaluate(key, frame))
            case Invocation(name, arguments):
                return self._invoke(
                    name, [self._evaluate(item, frame) for item in arguments], frame
                )
            case Unary("-", operand):
                return negate(self._evaluate(operand, frame))
            case Unary(_, operand):
                return not boolean(self._evaluate(operand, frame), "not")
            case Binary():
                return self._binary(node, frame)

    def _invoke(self, name: str, arguments: list[Any], frame: _Frame) -> Any:
        function = FUNCTIONS.get(name)
        if function is None:
            return self._called_in_expression(name, arguments, frame)
        assert function.implementation is not None
        prefix = [self] if function.needs_runtime else []
        return function.implementation(*prefix, *arguments)

    def _binary(self, node: Binary, frame: _Frame) -> Any:
        left = self._evaluate(node.left, frame)
        if node.operator in ("and", "or"):
            # Workflows docs, Catch errors: samples guard `e.code` by `"HttpError" in e.tags and`.
            if boolean(left, node.operator) is (node.operator == "or"):
                return left
            return boolean(self._evaluate(node.right, frame), node.operator)
        right = self._evaluate(node.right, frame)
        match node.operator:
            case "==":
                return equal(left, right)
            case "!=":
                return not equal(left, right)
            case "in":
                return contains(left, right)
            case "not in":
                return not contains(left, right)
            case "<" | "<=" | ">" | ">=":
                return compare(node.operator, left, right)
        return arithmetic(node.operator, left, right)


def _never() -> Task:
    """Waits without an end."""
    yield Never()


def _check_environment(environment: dict[str, str]) -> None:
    """Workflows docs, Use environment variables: how many, how long, which names."""
    own = {name: value for name, value in environment.items() if not name.startswith("GOOGLE_")}
    if len(own) > limits.USER_ENV_VARS:
        raise DeployError(f"more than {limits.USER_ENV_VARS} environment variables")
    for name, value in own.items():
        if name.startswith(("GOOGLE", "WORKFLOWS")):
            raise DeployError(f"an environment variable must not be named {name}")
        if len(name.encode()) + len(value.encode()) > limits.USER_ENV_VAR_BYTES:
            raise DeployError(f"environment variable of more than 4 KiB: {name}")
