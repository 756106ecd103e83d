"""Runs the handlers of this folder by the rules of mlpipe. Written by mlpipe from pipeline.yaml."""

import asyncio
import importlib
import inspect
import json
import math
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass

# Each step: its handler, the seconds that one attempt may take, its declared output, the secrets it may read.
# A type is "string", "number", "integer", "boolean", "any", ["list", type], ["object", {field: type}] or ["optional", type].
STEPS = {
    "validate": {
        "module": "validate",
        "function": "handler",
        "timeout": 60,
        "output": ["object", {"rows": "integer", "shards": ["list", ["object", {"first": "integer", "last": "integer"}]]}],
        "secrets": [],
    },
    "features": {
        "module": "features",
        "function": "handler",
        "timeout": 600,
        "output": ["object", {"rows": "integer"}],
        "secrets": [],
    },
    "evaluate": {
        "module": "evaluate",
        "function": "handler",
        "timeout": 60,
        "output": ["object", {"auc": "number", "positives": "integer"}],
        "secrets": [],
    },
}

MAX_BYTES = 252 * 1024
MAX_MESSAGE = 2048  # as ASCII-escaped JSON it still fits what every cloud carries of an error
MAX_DEPTH = 100
MAX_INTEGER = 2**53 - 1


class StepError(Exception):
    """An error that mlpipe names itself."""

    def __init__(self, name, message):
        super().__init__(message)
        self.name = name


class Secrets(Mapping):
    """The secrets of one step, each read when it is first asked for."""

    _values = {}

    def __init__(self, names, read):
        self._names = names
        self._read = read

    def __getitem__(self, name):
        if name not in self._names:
            raise KeyError(name)
        if name not in self._values:
            self._values[name] = self._read(name)
        return self._values[name]

    def __iter__(self):
        return iter(self._names)

    def __len__(self):
        return len(self._names)

    def __repr__(self):
        return f"Secrets({list(self._names)})"


@dataclass(frozen=True)
class Context:
    """What a handler may know about its run."""

    run_id: str
    step: str
    attempt: int
    deadline: float
    secrets: Mapping


def invoke(envelope, read_secret):
    """Runs one attempt of one step.

    `envelope` is {"run_id", "step", "attempt", "input"}; `read_secret(name)` gives a secret's text.
    Returns {"output": value} or {"error": {"name", "message"}}.
    """
    started = time.time()
    try:
        return {"output": run(envelope, read_secret, started)}
    except StepError as error:
        print(f"{error.name}: {error}", file=sys.stderr, flush=True)
        return {"error": {"name": error.name, "message": str(error)[:MAX_MESSAGE]}}
    except BaseException as error:  # SystemExit and KeyboardInterrupt are failures of the step too
        traceback.print_exception(type(error), error, below_adapter(error.__traceback__))
        sys.stderr.flush()
        return {"error": {"name": type(error).__name__, "message": message_of(error)}}


def run(envelope, read_secret, started):
    step = STEPS[envelope["step"]]
    value = received(envelope["input"])
    check_size(value, "input")
    context = Context(
        run_id=envelope["run_id"],
        step=envelope["step"],
        attempt=envelope["attempt"],
        deadline=started + step["timeout"],
        secrets=Secrets(step["secrets"], read_secret),
    )
    output = call(load(step), value, context)
    output = returned(output, "output")
    check_size(output, "output")
    if step["output"] is not None:
        check_shape(output, step["output"], "output")
    return output


def load(step):
    return getattr(importlib.import_module(step["module"]), step["function"])


def call(handler, value, context):
    passing = wants_context(handler)
    if passing == "second":
        result = handler(value, context)
    elif passing == "keyword":
        result = handler(value, context=context)
    else:
        result = handler(value)
    return asyncio.run(finish(result)) if inspect.isawaitable(result) else result


async def finish(awaitable):
    return await awaitable


def wants_context(handler):
    """How the handler takes its context: "second", "keyword" or None."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        return None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) > 1:
        second = positional[1]
        return "second" if second.default is second.empty or second.name == "context" else None
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return "second"
    if any(p.kind == p.KEYWORD_ONLY and p.name == "context" for p in parameters):
        return "keyword"
    return None


def received(value):
    """The input with numbers as JSON means them: 3.0 is 3, whichever way a cloud writes it."""
    if isinstance(value, dict):
        return {key: received(item) for key, item in value.items()}
    if isinstance(value, list):
        return [received(item) for item in value]
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return float(value)
    return whole(value)


def whole(value):
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_INTEGER:
        return int(value)
    return value


def returned(value, path, depth=0):
    """The output as plain JSON values; raises where it is none."""
    if depth > MAX_DEPTH:
        raise StepError("InvalidOutput", f"output is not JSON: it is nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise not_json(path, "holds half a surrogate pair") from None
        return str.__str__(value)
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise StepError("NumberOutOfRange", f"{path}: the integer is beyond 2^53 - 1")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise not_json(path, "is NaN" if math.isnan(value) else "is infinite")
        return whole(float(value))
    if isinstance(value, (list, tuple)):
        return [returned(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise not_json(path, f"has a key of type {type(key).__name__}")
        return {returned(key, path): returned(item, field(path, key), depth + 1) for key, item in value.items()}
    raise not_json(path, f"is of type {type(value).__name__}")


def not_json(path, reason):
    return StepError("InvalidOutput", f"output is not JSON: {path} {reason}")


def check_size(value, what):
    try:
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:  # half a surrogate pair in an input: its size is near enough
        size = len(json.dumps(value, separators=(",", ":")))
    if size > MAX_BYTES:
        raise StepError("PayloadTooLarge", f"{what} is larger than 256 KiB")


def check_shape(value, declared, path):
    kind, inner = (declared, None) if isinstance(declared, str) else declared
    if kind == "optional":
        if value is not None:
            check_shape(value, inner, path)
        return
    if not is_kind(value, kind):
        raise mismatch(path, kind, kind_of(value))
    if kind == "list":
        for index, item in enumerate(value):
            check_shape(item, inner, f"{path}[{index}]")
    if kind == "object":
        for name, type_ in inner.items():
            if name in value:
                check_shape(value[name], type_, field(path, name))
            elif type_[0] != "optional":
                raise mismatch(field(path, name), type_ if isinstance(type_, str) else type_[0], "nothing")


def mismatch(path, expected, found):
    return StepError("OutputMismatch", f"{path}: expected {expected}, found {found}")


def is_kind(value, kind):
    if kind == "integer":
        return kind_of(value) == "number" and float(value).is_integer()
    return kind in ("any", kind_of(value))


def kind_of(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {str: "string", int: "number", float: "number", list: "list", dict: "object"}[type(value)]


def field(path, name):
    return f"{path}.{name}" if name.isidentifier() and name.isascii() else f"{path}[{json.dumps(name, ensure_ascii=False)}]"


def message_of(error):
    try:
        text = str(error)
    except Exception:
        text = ""
    return text[:MAX_MESSAGE].encode("utf-8", "replace").decode()


def below_adapter(trace):
    """The traceback from the handler down; the whole of it where the handler was not reached."""
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename == __file__:
        inner = inner.tb_next
    return inner or trace
