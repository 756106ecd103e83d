"""What can be known to be wrong before a definition runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import limits
from .definition import (
    Assign,
    Call,
    Expression,
    For,
    Jump,
    ListOf,
    MapOf,
    Parallel,
    Raise,
    Retry,
    Return,
    Routine,
    Step,
    Steps,
    Switch,
    Template,
    Try,
    Workflow,
)
from .errors import DeployError
from .expressions import Invocation, Node, Variable, walk
from .library import FUNCTIONS, MODULES, POLICIES, PREDICATES


def check(workflow: Workflow) -> None:
    """Raises a DeployError for the first problem found."""
    for routine in workflow.routines.values():
        if routine.name in MODULES:
            raise DeployError(f"a subworkflow must not be named {routine.name}")
        _Checker(workflow, routine).run()


@dataclass
class _Scope:
    """The variables of one scope; `shared` is set where a branch begins."""

    names: set[str]
    parent: _Scope | None = None
    shared: frozenset[str] | None = None

    def visible(self, name: str) -> bool:
        return name in self.names or (self.parent is not None and self.parent.visible(name))

    def writable(self, name: str) -> bool:
        if name in self.names or self.parent is None or not self.parent.visible(name):
            return True
        return (self.shared is None or name in self.shared) and self.parent.writable(name)


@dataclass(frozen=True)
class _Place:
    """Where a step stands: the scope, the jumps it may take, the depth of parallel steps."""

    scope: _Scope
    in_loop: bool = False
    in_branch: bool = False
    parallels: int = 0


class _Checker:
    def __init__(self, workflow: Workflow, routine: Routine) -> None:
        self.workflow = workflow
        self.routine = routine

    def run(self) -> None:
        parameters = {parameter.name for parameter in self.routine.parameters}
        for parameter in self.routine.parameters:
            if parameter.name in MODULES or parameter.name in self.workflow.routines:
                raise self.error(f"parameter {parameter.name} has the name of a function")
            if parameter.default is not None:
                self.template(parameter.default, _Scope(set()))
        scope = _Scope(parameters | set(_assigned(self.routine.body)))
        self.steps(self.routine.body, _Place(scope))

    def error(self, message: str, step: Step | None = None) -> DeployError:
        where = self.routine.name if step is None else f"{self.routine.name}/{step.name}"
        return DeployError(f"{where}: {message}")

    def steps(self, steps: tuple[Step, ...], place: _Place) -> None:
        names = {step.name for step in steps}
        for step in steps:
            self.jump(step.next, names, step, place)
            self.step(step, names, place)

    def jump(self, target: str | None, names: set[str], step: Step, place: _Place) -> None:
        if target is None or target in names:
            return
        if target in ("break", "continue"):
            if not place.in_loop:
                raise self.error(f"`next: {target}` outside of a for", step)
        elif target == "end":
            if place.in_branch:
                raise self.error("`next: end` in a parallel step is not documented", step)
        else:
            raise self.error(f"no step `{target}` beside it", step)

    def step(self, step: Step, names: set[str], place: _Place) -> None:
        scope = place.scope
        match step.action:
            case Assign(pairs):
                for target, value in pairs:
                    self.template(value, scope)
                    self.nodes(target.keys, scope)
                    if target.keys and not scope.visible(target.variable):
                        raise self.error(f"{target.variable} is not assigned anywhere", step)
                    self.written(target.variable, scope, step)
            case Call():
                self.call(step.action, scope, step)
            case Switch(cases):
                for case in cases:
                    self.template(case.condition, scope)
                    self.jump(case.next, names, step, place)
                    if case.body:
                        self.steps(case.body, place)
            case For():
                self.loop(step.action, place, step)
            case Parallel():
                self.parallel(step.action, place, step)
            case Try(body, retry, error, handler):
                self.steps(body, place)
                if retry is not None:
                    self.retry(retry, scope, step)
                if error is not None:
                    inner = self.block({error}, handler, scope)
                    self.name(error, step)
                    self.steps(handler, _replace_scope(place, inner))
            case Raise(value):
                self.template(value, scope)
            case Return(value):
                if place.in_branch:
                    raise self.error("`return` in a parallel step is not documented", step)
                self.template(value, scope)
            case Steps(body):
                self.steps(body, place)
            case Jump():
                pass

    def block(self, own: set[str], body: tuple[Step, ...], scope: _Scope) -> _Scope:
        # Workflows docs, Variables: what is first assigned in a for or except block ends with it.
        return _Scope(own | {name for name in _assigned(body) if not scope.visible(name)}, scope)

    def loop(self, loop: For, place: _Place, step: Step) -> None:
        self.loop_head(loop, place.scope, step)
        inner = self.block({loop.value} | _some(loop.index), loop.body, place.scope)
        self.steps(loop.body, _Place(inner, True, place.in_branch, place.parallels))

    def loop_head(self, loop: For, scope: _Scope, step: Step) -> None:
        for name in {loop.value} | _some(loop.index):
            self.name(name, step)
            if scope.visible(name):
                raise self.error(f"the loop variable {name} hides another", step)
        if loop.items is not None:
            self.template(loop.items, scope)
        for bound in loop.range or ():
            self.template(bound, scope)

    def parallel(self, action: Parallel, place: _Place, step: Step) -> None:
        if place.parallels == limits.PARALLEL_NESTING:
            raise self.error("parallel steps are nested too deeply", step)
        for name in action.shared:
            # Workflows docs, Parallel steps: shared variables are writable variables of the parent.
            if not place.scope.visible(name):
                raise self.error(f"shared variable {name} is not in the parent scope", step)
            if not place.scope.writable(name):
                raise self.error(f"shared variable {name} is not shared by the parent", step)
        if action.concurrency_limit is not None:
            self.template(action.concurrency_limit, place.scope)
        loop, shared = action.loop, frozenset(action.shared)
        if loop is not None:
            self.loop_head(loop, place.scope, step)
            branches = [({loop.value} | _some(loop.index), loop.body)]
        else:
            branches = [(set(), body) for _, body in action.branches]
        for own, body in branches:
            scope = self.block(own, body, place.scope)
            scope.shared = shared
            self.steps(body, _Place(scope, False, True, place.parallels + 1))

    def retry(self, retry: Retry, scope: _Scope, step: Step) -> None:
        if retry.policy is not None:
            if retry.policy not in POLICIES:
                raise self.error(f"no retry policy {retry.policy}", step)
            return
        routine = self.workflow.routines.get(str(retry.predicate))
        if routine is None and retry.predicate not in PREDICATES:
            raise self.error(f"no predicate {retry.predicate}", step)
        if routine is not None and len(routine.parameters) != 1:
            raise self.error(f"a predicate takes the error only: {routine.name}", step)
        numbers = (retry.max_retries, retry.initial_delay, retry.max_delay, retry.multiplier)
        for number in numbers:
            if number is not None:
                self.template(number, scope)

    def call(self, call: Call, scope: _Scope, step: Step) -> None:
        given = {name for name, _ in call.arguments}
        required, optional = self.signature(call.function, step)
        if unknown := given - set(required) - set(optional):
            raise self.error(f"{call.function} has no argument {', '.join(sorted(unknown))}", step)
        if missing := set(required) - given:
            raise self.error(f"{call.function} needs {', '.join(sorted(missing))}", step)
        for _, value in call.arguments:
            self.template(value, scope)
        if call.result is not None:
            self.nodes(call.result.keys, scope)
            self.written(call.result.variable, scope, step)

    def signature(self, name: str, step: Step | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if function := FUNCTIONS.get(name):
            return function.required, function.optional
        routine = self.workflow.routines.get(name)
        if routine is None or name == "main":
            raise self.error(f"no function or subworkflow {name}", step)
        parameters = routine.parameters
        return (
            tuple(parameter.name for parameter in parameters if parameter.default is None),
            tuple(parameter.name for parameter in parameters if parameter.default is not None),
        )

    def written(self, name: str, scope: _Scope, step: Step) -> None:
        self.name(name, step)
        if not scope.writable(name):
            # Workflows docs, sample "Demonstrate variable scope in a parallel step".
            raise self.error(f"{name} is assigned in a branch, but not shared", step)

    def name(self, name: str, step: Step) -> None:
        if name in MODULES or name in self.workflow.routines:
            raise self.error(f"variable {name} has the name of a function", step)

    def template(self, value: Template, scope: _Scope) -> None:
        match value:
            case Expression(node):
                self.nodes((node,), scope)
            case ListOf(items):
                for item in items:
                    self.template(item, scope)
            case MapOf(pairs):
                for key, item in pairs:
                    self.template(key, scope)
                    self.template(item, scope)

    def nodes(self, nodes: tuple[Node, ...], scope: _Scope) -> None:
        for root in nodes:
            for node in walk(root):
                if isinstance(node, Variable) and not scope.visible(node.name):
                    raise self.error(f"variable {node.name} is not assigned anywhere")
                if isinstance(node, Invocation):
                    self.invocation(node)

    def invocation(self, node: Invocation) -> None:
        required, optional = self.signature(node.name, None)
        if not len(required) <= len(node.arguments) <= len(required) + len(optional):
            raise self.error(f"{node.name} does not take {len(node.arguments)} arguments")
        if node.name in FUNCTIONS and FUNCTIONS[node.name].blocking:
            # Workflows docs, Expressions: blocking calls.
            raise self.error(f"{node.name} blocks, so it cannot stand in an expression")


def _some(name: str | None) -> set[str]:
    return set() if name is None else {name}


def _replace_scope(place: _Place, scope: _Scope) -> _Place:
    return _Place(scope, place.in_loop, place.in_branch, place.parallels)


def _assigned(steps: tuple[Step, ...]) -> Iterator[str]:
    """Variables assigned in the scope of the steps: not those inside for, except or branches.

    A block's own assignment to a variable of its parent is found in the parent.
    """
    for step in steps:
        match step.action:
            case Assign(pairs):
                yield from (target.variable for target, _ in pairs if not target.keys)
            case Call(result=result) if result is not None and not result.keys:
                yield result.variable
            case Switch(cases):
                for case in cases:
                    yield from _assigned(case.body)
            case Try(body=body) | Steps(body=body):
                yield from _assigned(body)
