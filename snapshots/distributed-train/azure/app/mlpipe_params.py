"""Checks the input of a run against the pipeline's params.

A type is "string", "number", "integer", "boolean", "null" or "any", [type] for a list, {"field": type} for an object,
and Optional(type) for what may be null or missing.
"""

import json
from dataclasses import dataclass

from mlpipe_expr import equal, is_number, plain

MAX_INTEGER = 2**53 - 1
REQUIRED = object()


@dataclass(frozen=True)
class Optional:
    type: object


@dataclass(frozen=True)
class Param:
    name: str
    type: object
    default: object = REQUIRED
    enum: tuple = ()
    minimum: float | None = None
    maximum: float | None = None


def check(params, given):
    """The values of all params, and what is wrong with the first bad one (None: nothing).

    A pipeline without params takes no notice of what a run is started with.
    """
    if not params:
        return {}, None
    if given is None:
        given = {}
    if not isinstance(given, dict):
        return {}, "the input must be an object"
    given = plain(given)
    values = {param.name: value_of(param, given) for param in params}
    problems = [problem_of(param, values[param.name]) for param in params]
    problems += [f"param `{name}` is unknown" for name in given if name not in values]
    problem = next(filter(None, problems), None)
    if problem:  # the failure handler may still read what was given
        values = {param.name: None for param in params} | given
    return values, problem


def value_of(param, given):
    if param.name in given:
        return given[param.name]
    if param.default is REQUIRED and isinstance(param.type, Optional):
        return None
    return param.default


def problem_of(param, value):
    if value is REQUIRED:
        return f"param `{param.name}` is missing"
    if not is_of(value, param.type):
        return f"param `{param.name}` must be {text(param.type)}"
    if param.enum and not any(equal(value, allowed) for allowed in param.enum):
        allowed = ", ".join(json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in param.enum)
        return f"param `{param.name}` must be one of {allowed}"
    if not is_number(value):
        return None
    if param.minimum is not None and value < param.minimum:
        return f"param `{param.name}` must be at least {param.minimum}"
    if param.maximum is not None and value > param.maximum:
        return f"param `{param.name}` must be at most {param.maximum}"
    return None


def is_of(value, type_):
    if isinstance(type_, Optional):
        return value is None or is_of(value, type_.type)
    if isinstance(type_, list):
        return isinstance(value, list) and all(is_of(item, type_[0]) for item in value)
    if isinstance(type_, dict):
        return isinstance(value, dict) and all(has_field(value, name, item) for name, item in type_.items())
    if type_ == "integer":
        return is_number(value) and float(value).is_integer() and abs(value) <= MAX_INTEGER
    if type_ == "number":
        return is_number(value)
    if type_ == "any":
        return True
    return isinstance(value, {"string": str, "boolean": bool, "null": type(None)}[type_])


def has_field(value, name, type_):
    return is_of(value[name], type_) if name in value else isinstance(type_, Optional)


def text(type_):
    """The type as the pipeline file writes it."""
    if isinstance(type_, Optional):
        return f"optional {text(type_.type)}"
    if isinstance(type_, list):
        return f"[{text(type_[0])}]"
    if isinstance(type_, dict):
        fields = ", ".join(f"{name}: {text(item)}" for name, item in type_.items())
        return f"{{ {fields} }}" if fields else "{}"
    return type_
