"""A definition read into typed steps. Every key that is not known is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import limits
from .errors import DeployError
from .expressions import Access, Node, Variable, parse
from .yamlsource import load_yaml

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_STEP_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")
_JUMPS = ("end", "break", "continue")


@dataclass(frozen=True)
class Literal:
    """A YAML scalar without an expression."""

    value: Any


@dataclass(frozen=True)
class Expression:
    """A scalar `${…}`."""

    node: Node
    text: str


@dataclass(frozen=True)
class ListOf:
    """A YAML list."""

    items: tuple[Template, ...]


@dataclass(frozen=True)
class MapOf:
    """A YAML map; a key may be an expression (Workflows docs, Maps: dynamic keys)."""

    items: tuple[tuple[Template, Template], ...]


Template = Literal | Expression | ListOf | MapOf


@dataclass(frozen=True)
class Target:
    """The left side of an assignment: a variable and the keys under it."""

    variable: str
    keys: tuple[Node, ...]


@dataclass(frozen=True)
class Assign:
    """`assign`: pairs of a target and a value, in order."""

    pairs: tuple[tuple[Target, Template], ...]


@dataclass(frozen=True)
class Call:
    """`call` with `args` and `result`."""

    function: str
    arguments: tuple[tuple[str, Template], ...]
    result: Target | None


@dataclass(frozen=True)
class Case:
    """One entry of a `switch`; `body` is empty for an entry that only jumps."""

    condition: Template
    body: tuple[Step, ...]
    next: str | None


@dataclass(frozen=True)
class Switch:
    """`switch`."""

    cases: tuple[Case, ...]


@dataclass(frozen=True)
class For:
    """`for`: over `items` (`in`) or over the integers of `range`, both ends included."""

    value: str
    index: str | None
    items: Template | None
    range: tuple[Template, Template] | None
    body: tuple[Step, ...]


@dataclass(frozen=True)
class Parallel:
    """`parallel` with `branches` or with a `for`."""

    shared: tuple[str, ...]
    concurrency_limit: Template | None
    branches: tuple[tuple[str, tuple[Step, ...]], ...]
    loop: For | None


@dataclass(frozen=True)
class Retry:
    """`retry`: a named policy, or a predicate with numbers."""

    policy: str | None
    predicate: str | None = None
    max_retries: Template | None = None
    initial_delay: Template | None = None
    max_delay: Template | None = None
    multiplier: Template | None = None


@dataclass(frozen=True)
class Try:
    """`try` with `retry` and `except`."""

    body: tuple[Step, ...]
    retry: Retry | None
    error: str | None
    handler: tuple[Step, ...]


@dataclass(frozen=True)
class Raise:
    """`raise`."""

    value: Template


@dataclass(frozen=True)
class Return:
    """`return`."""

    value: Template


@dataclass(frozen=True)
class Steps:
    """Nested `steps`."""

    body: tuple[Step, ...]


@dataclass(frozen=True)
class Jump:
    """A step that is a `next` alone."""


Action = Assign | Call | Switch | For | Parallel | Try | Raise | Return | Steps | Jump


@dataclass(frozen=True)
class Step:
    """A named step; an unnamed one (the single call of a `try`, an inline entry) has no name."""

    name: str
    action: Action
    next: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of a subworkflow."""

    name: str
    default: Template | None


@dataclass(frozen=True)
class Routine:
    """`main` or a subworkflow."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Step, ...]


@dataclass(frozen=True)
class Workflow:
    """A whole definition."""

    routines: dict[str, Routine] = field(default_factory=dict)


def load(source: str) -> Workflow:
    """Reads and checks a definition. Raises DeployError."""
    from .check import check

    if len(source.encode()) > limits.SOURCE_BYTES:
        raise DeployError(f"source of more than {limits.SOURCE_BYTES} bytes")
    document = load_yaml(source)
    if isinstance(document, list):
        # Workflows docs, Subworkflows: `main` is needed only where there are subworkflows.
        document = {"main": {"steps": document}}
    if not isinstance(document, dict) or "main" not in document:
        raise DeployError("no `main`")
    workflow = Workflow({name: _routine(name, body) for name, body in document.items()})
    check(workflow)
    return workflow


def _routine(name: str, body: Any) -> Routine:
    _check_name(name, "subworkflow")
    fields = _Fields(body, name)
    parameters = tuple(_parameter(item, name) for item in fields.list("params", []))
    if name == "main" and (len(parameters) > 1 or any(p.default for p in parameters)):
        # Workflows docs, Runtime arguments: main takes one parameter, a map.
        raise DeployError("main takes one parameter without a default")
    steps = _steps(fields.take("steps"), name)
    fields.end()
    return Routine(name, parameters, steps)


def _parameter(item: Any, where: str) -> Parameter:
    # Workflows docs, Subworkflows: default parameters are written as `name: value`.
    if isinstance(item, dict) and len(item) == 1:
        ((name, default),) = item.items()
        _check_name(name, "parameter")
        return Parameter(name, template(default, where))
    _check_name(item, "parameter")
    return Parameter(item, None)


def _check_name(name: Any, kind: str) -> None:
    if not isinstance(name, str) or not _NAME.match(name):
        raise DeployError(f"not a name for a {kind}: {name!r}")


def _steps(value: Any, where: str) -> tuple[Step, ...]:
    if not isinstance(value, list) or not value:
        raise DeployError(f"{where}: steps must be a list of at least one step")
    steps: list[Step] = []
    for item in value:
        if not isinstance(item, dict) or len(item) != 1:
            raise DeployError(f"{where}: a step is one name with its body: {item!r}")
        ((name, body),) = item.items()
        if not _STEP_NAME.match(name) or name in _JUMPS:
            raise DeployError(f"{where}: not a name for a step: {name!r}")
        if any(step.name == name for step in steps):
            raise DeployError(f"{where}: two steps are named {name}")
        steps.append(_step(name, body, f"{where}/{name}"))
    return tuple(steps)


def _step(name: str, body: Any, where: str) -> Step:
    fields = _Fields(body, where)
    kinds = [kind for kind in _READERS if kind in fields]
    if len(kinds) > 1:
        raise DeployError(f"{where}: a step is only one of {', '.join(kinds)}")
    action: Action
    if kinds:
        action = _READERS[kinds[0]](fields, where)
    elif "next" in fields:
        action = Jump()
    else:
        raise DeployError(f"{where}: nothing to do in {body!r}")
    following = fields.take("next", None)
    if following is not None and isinstance(action, (Raise, Return)):
        raise DeployError(f"{where}: `next` behind return or raise")
    if following is not None and not isinstance(following, str):
        raise DeployError(f"{where}: `next` names a step")
    fields.end()
    return Step(name, action, following)


def _assign(fields: _Fields, where: str) -> Assign:
    items = fields.take("assign")
    if not isinstance(items, list) or not items:
        raise DeployError(f"{where}: assign is a list")
    if len(items) > limits.ASSIGNMENTS_PER_STEP:
        raise DeployError(f"{where}: more than {limits.ASSIGNMENTS_PER_STEP} assignments")
    pairs = []
    for item in items:
        if not isinstance(item, dict) or len(item) != 1:
            raise DeployError(f"{where}: an assignment is one target with its value: {item!r}")
        ((target, value),) = item.items()
        pairs.append((_target(target, where), template(value, where)))
    return Assign(tuple(pairs))


def _target(text: Any, where: str) -> Target:
    if not isinstance(text, str):
        raise DeployError(f"{where}: not the name of a variable: {text!r}")
    node, keys = parse(text), []
    while isinstance(node, Access):
        keys.append(node.key)
        node = node.container
    if not isinstance(node, Variable):
        raise DeployError(f"{where}: cannot assign to {text}")
    return Target(node.name, tuple(reversed(keys)))


def _call(fields: _Fields, where: str) -> Call:
    function = fields.take("call")
    if not isinstance(function, str) or not re.match(r"^[A-Za-z_][\w.]*$", function):
        raise DeployError(f"{where}: call names a function: {function!r}")
    arguments = fields.take("args", {})
    if not isinstance(arguments, dict):
        raise DeployError(f"{where}: args is a map of names and values")
    result = fields.take("result", None)
    return Call(
        function,
        tuple((name, template(value, where)) for name, value in arguments.items()),
        None if result is None else _target(result, where),
    )


def _switch(fields: _Fields, where: str) -> Switch:
    entries = fields.take("switch")
    if not isinstance(entries, list) or not entries:
        raise DeployError(f"{where}: switch is a list of conditions")
    if len(entries) > limits.CONDITIONS_PER_SWITCH:
        raise DeployError(f"{where}: more than {limits.CONDITIONS_PER_SWITCH} conditions")
    return Switch(tuple(_case(entry, where) for entry in entries))


def _case(entry: Any, where: str) -> Case:
    if not isinstance(entry, dict) or "condition" not in entry:
        raise DeployError(f"{where}: a switch entry needs a condition: {entry!r}")
    rest = {key: value for key, value in entry.items() if key != "condition"}
    condition = template(entry["condition"], where)
    if isinstance(condition, Literal) and not isinstance(condition.value, bool):
        raise DeployError(f"{where}: the condition {condition.value!r} is no expression")
    if not rest:
        raise DeployError(f"{where}: a switch entry without `next` or a body")
    if set(rest) <= {"steps", "next"}:
        body = _steps(rest["steps"], where) if "steps" in rest else ()
        return Case(condition, body, _optional_text(rest.get("next"), where))
    # Workflows docs, Conditions: an entry can hold a step in place, such as `return` or `raise`.
    step = _step("", rest, where)
    return Case(condition, (Step("", step.action),), step.next)


def _optional_text(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise DeployError(f"{where}: not a name: {value!r}")
    return value


def _for(fields: _Fields, where: str) -> For:
    return _loop(fields.take("for"), where)


def _loop(body: Any, where: str) -> For:
    inner = _Fields(body, where)
    value, index = inner.take("value"), inner.take("index", None)
    _check_name(value, "loop variable")
    if index is not None:
        _check_name(index, "loop variable")
    if ("in" in inner) == ("range" in inner):
        raise DeployError(f"{where}: a for has either `in` or `range`")
    items, bounds = None, None
    if "in" in inner:
        items = template(inner.take("in"), where)
    else:
        ends = inner.take("range")
        if not isinstance(ends, list) or len(ends) != 2:
            raise DeployError(f"{where}: range is a list of two")
        bounds = (template(ends[0], where), template(ends[1], where))
    steps = _steps(inner.take("steps"), where)
    inner.end()
    return For(value, index, items, bounds, steps)


def _parallel(fields: _Fields, where: str) -> Parallel:
    inner = _Fields(fields.take("parallel"), where)
    # Workflows docs, Parallel steps: continueAll is the default and the only policy.
    if inner.take("exception_policy", "continueAll") != "continueAll":
        raise DeployError(f"{where}: continueAll is the only exception_policy")
    shared = inner.list("shared", [])
    for name in shared:
        _check_name(name, "shared variable")
    limit = inner.take("concurrency_limit", None)
    if ("branches" in inner) == ("for" in inner):
        raise DeployError(f"{where}: a parallel step has either `branches` or `for`")
    branches: tuple[tuple[str, tuple[Step, ...]], ...] = ()
    loop = None
    if "for" in inner:
        loop = _loop(inner.take("for"), where)
    else:
        branches = _branches(inner.take("branches"), where)
    inner.end()
    limit_template = None if limit is None else template(limit, where)
    return Parallel(tuple(shared), limit_template, branches, loop)


def _branches(value: Any, where: str) -> tuple[tuple[str, tuple[Step, ...]], ...]:
    if not isinstance(value, list) or not value:
        raise DeployError(f"{where}: branches is a list")
    if len(value) > limits.PARALLEL_BRANCHES:
        raise DeployError(f"{where}: more than {limits.PARALLEL_BRANCHES} branches")
    branches: dict[str, tuple[Step, ...]] = {}
    for item in value:
        if not isinstance(item, dict) or len(item) != 1:
            raise DeployError(f"{where}: a branch is one name with its steps: {item!r}")
        ((name, body),) = item.items()
        if name in branches:
            raise DeployError(f"{where}: two branches are named {name}")
        inner = _Fields(body, f"{where}/{name}")
        branches[name] = _steps(inner.take("steps"), f"{where}/{name}")
        inner.end()
    return tuple(branches.items())


def _try(fields: _Fields, where: str) -> Try:
    body = _try_body(fields.take("try"), where)
    retry = _retry(fields.take("retry"), where) if "retry" in fields else None
    error = None
    handler: tuple[Step, ...] = ()
    if "except" in fields:
        inner = _Fields(fields.take("except"), where)
        error = inner.take("as")
        _check_name(error, "variable")
        handler = _steps(inner.take("steps"), f"{where}/except")
        inner.end()
    elif retry is None:
        raise DeployError(f"{where}: a try without retry or except")
    return Try(body, retry, error, handler)


def _try_body(value: Any, where: str) -> tuple[Step, ...]:
    if isinstance(value, dict) and set(value) == {"steps"}:
        return _steps(value["steps"], f"{where}/try")
    # Workflows docs, Catch errors: a try holds one call or a list of steps.
    if not isinstance(value, dict) or "call" not in value or "next" in value:
        raise DeployError(f"{where}: a try holds `steps` or one call")
    return (_step("", value, where),)


def _retry(value: Any, where: str) -> Retry:
    if isinstance(value, str):
        return Retry(policy=_function_reference(value, where))
    inner = _Fields(value, where)
    predicate = _function_reference(inner.take("predicate"), where)
    max_retries = template(inner.take("max_retries"), where)
    backoff = _Fields(inner.take("backoff"), where)
    initial, longest, multiplier = (
        template(backoff.take(key), where) for key in ("initial_delay", "max_delay", "multiplier")
    )
    backoff.end()
    inner.end()
    return Retry(None, predicate, max_retries, initial, longest, multiplier)


def _function_reference(value: Any, where: str) -> str:
    match = re.fullmatch(r"\$\{\s*([A-Za-z_][\w.]*)\s*\}", value if isinstance(value, str) else "")
    if match is None:
        raise DeployError(f"{where}: not the name of a function in ${{}}: {value!r}")
    return match.group(1)


def _raise(fields: _Fields, where: str) -> Raise:
    return Raise(template(fields.take("raise"), where))


def _return(fields: _Fields, where: str) -> Return:
    return Return(template(fields.take("return"), where))


def _nested(fields: _Fields, where: str) -> Steps:
    return Steps(_steps(fields.take("steps"), where))


_READERS: dict[str, Callable[[_Fields, str], Action]] = {
    "assign": _assign,
    "call": _call,
    "switch": _switch,
    "for": _for,
    "parallel": _parallel,
    "try": _try,
    "raise": _raise,
    "return": _return,
    "steps": _nested,
}


def template(value: Any, where: str) -> Template:
    """A YAML value with its expressions parsed."""
    if isinstance(value, dict):
        return MapOf(
            tuple((template(key, where), template(item, where)) for key, item in value.items())
        )
    if isinstance(value, list):
        return ListOf(tuple(template(item, where) for item in value))
    if isinstance(value, str) and "${" in value:
        # Workflows docs, Expressions: all expressions begin with a $ and are enclosed in braces.
        stripped = value.strip()
        if not (stripped.startswith("${") and stripped.endswith("}")):
            raise DeployError(f"{where}: an expression is the whole value, not a part: {value!r}")
        text = stripped[2:-1]
        try:
            return Expression(parse(text), text)
        except DeployError as error:
            raise DeployError(f"{where}: {error}") from None
    return Literal(value)


def bodies(action: Action) -> Iterator[tuple[Step, ...]]:
    """The lists of steps inside an action."""
    match action:
        case Switch(cases):
            yield from (case.body for case in cases if case.body)
        case For() | Steps():
            yield action.body
        case Parallel(branches=branches, loop=loop):
            yield from (body for _, body in branches)
            if loop is not None:
                yield loop.body
        case Try(body, _, _, handler):
            yield body
            if handler:
                yield handler


class _Fields:
    """The keys of a map, each to be taken once; what is left is unknown."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise DeployError(f"{where}: expected a map, found {value!r}")
        self.values = dict(value)
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def take(self, key: str, *default: Any) -> Any:
        if key not in self.values and not default:
            raise DeployError(f"{self.where}: missing key: {key}")
        return self.values.pop(key, *default)

    def list(self, key: str, default: list[Any]) -> list[Any]:
        value = self.take(key, default)
        if not isinstance(value, list):
            raise DeployError(f"{self.where}: {key} is a list")
        return value

    def end(self) -> None:
        if self.values:
            raise DeployError(f"{self.where}: unknown key: {', '.join(self.values)}")
