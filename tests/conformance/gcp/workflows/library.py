"""The functions of the standard library that do not block, and the signatures of those that do."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import math
import re
import urllib.parse
import uuid
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import key_error, type_error, undocumented, value_error
from .values import boolean, is_number, to_string, type_name


class Runtime(Protocol):
    """What the functions that are not pure need."""

    environment: dict[str, str]

    def now(self) -> float:
        """Seconds since 1970, by the execution's clock."""


@dataclass(frozen=True)
class Function:
    """A library function; `implementation` is None where the interpreter itself does the work."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    implementation: Callable[..., Any] | None = None
    blocking: bool = False
    needs_runtime: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """All names in the order of positional arguments."""
        return self.required + self.optional


def _typed(value: Any, expected: type | tuple[type, ...], function: str) -> Any:
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise type_error(f"{function} does not take a {type_name(value)}")
    return value


def _text(value: Any, function: str) -> str:
    return _typed(value, str, function)


def _not_empty(value: Any, function: str) -> str:
    if not _text(value, function):
        raise undocumented(f"{function} with an empty string")
    return value


# Expression helpers


def _default(value: Any, fallback: Any) -> Any:
    """Workflows docs, Expression helpers: returns defaultVal only where val is null."""
    return fallback if value is None else value


def _if(condition: Any, when_true: Any, when_false: Any) -> Any:
    """Workflows docs, Expression helpers: both arguments are evaluated; null counts as false."""
    if condition is None:
        return when_false
    return when_true if boolean(condition, "if()") else when_false


def _keys(mapping: Any) -> list[str]:
    """Workflows docs, Expression helpers: a list of keys. Its order is not documented.

    So it is neither the order of insertion nor the alphabet's here.
    """
    _typed(mapping, dict, "keys()")
    return sorted(mapping, key=lambda key: hashlib.sha256(key.encode()).digest())


def _len(value: Any) -> int:
    """Workflows docs, Expression helpers: elements, entries, or characters of a string."""
    return len(_typed(value, (str, list, dict), "len()"))


def _int(value: Any) -> int:
    """Workflows docs, Expression helpers: int() takes a string or a double."""
    if isinstance(value, str):
        if not re.fullmatch(r"-?[0-9]+", value):
            raise value_error(f"int() cannot read {value!r}")
        number = int(value)
    elif is_number(value):
        if not math.isfinite(value):
            raise value_error("int() of a double that is not finite")
        number = int(value)
    else:
        raise type_error(f"int() does not take a {type_name(value)}")
    if not -(2**63) <= number < 2**63:
        raise value_error("int() beyond 64 bits")
    return number


def _double(value: Any) -> float:
    """Workflows docs, Expression helpers: double() takes a string or an integer."""
    if isinstance(value, str):
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", value):
            raise value_error(f"double() cannot read {value!r}")
        return float(value)
    if not is_number(value):
        raise type_error(f"double() does not take a {type_name(value)}")
    return float(value)


# text


def _split(source: Any, separator: Any) -> list[str]:
    """Workflows docs, text.split: the parts between the separators."""
    return _text(source, "text.split").split(_not_empty(separator, "text.split"))


def _substring(source: Any, start: Any, end: Any) -> str:
    """Workflows docs, text.substring: from start (included) to end (excluded)."""
    text = _text(source, "text.substring")
    for bound in (start, end):
        _typed(bound, int, "text.substring")
    if not 0 <= start <= end <= len(text):
        raise undocumented("text.substring out of range")
    return text[start:end]


def _find_all(source: Any, substr: Any) -> list[int]:
    """Workflows docs, text.find_all: the starting indexes of the substring."""
    text, needle = _text(source, "text.find_all"), _not_empty(substr, "text.find_all")
    return [match.start() for match in re.finditer(re.escape(needle), text)]


def _pattern(regexp: Any, function: str) -> re.Pattern[str]:
    """Workflows docs, text module: RE2. What RE2 lacks is refused."""
    text = _text(regexp, function)
    if re.search(r"\(\?[=!<]|\\[1-9]", text):
        raise value_error(f"{function}: not in RE2: {text}")
    # RE2 writes a character by its number in braces, and its `$` is the end of the text alone.
    text = re.sub(r"\\x\{([0-9A-Fa-f]{1,6})\}", lambda code: f"\\U{int(code[1], 16):08x}", text)
    tokens = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
    text = tokens.sub(lambda token: r"\Z" if token[0] == "$" else token[0], text)
    try:
        return re.compile(text, re.ASCII)
    except re.error as error:
        raise value_error(f"{function}: {error}") from None


def _find_all_regex(source: Any, regexp: Any) -> list[dict[str, Any]]:
    """Workflows docs, text.find_all_regex: maps of `index` and `match`."""
    matches = _pattern(regexp, "text.find_all_regex").finditer(_text(source, "text.find_all_regex"))
    return [{"index": match.start(), "match": match.group()} for match in matches]


def _match_regex(source: Any, regexp: Any) -> bool:
    """Workflows docs, text.match_regex: whether the source matches.

    Whether the whole source must is not documented: a pattern must say so itself.
    """
    pattern, text = _pattern(regexp, "text.match_regex"), _text(source, "text.match_regex")
    found, whole = bool(pattern.search(text)), bool(pattern.fullmatch(text))
    if found != whole:
        raise undocumented("text.match_regex with a match of a part; anchor the pattern")
    return whole


def _replace_all(source: Any, substr: Any, repl: Any) -> str:
    """Workflows docs, text.replace_all."""
    needle = _not_empty(substr, "text.replace_all")
    return _text(source, "text.replace_all").replace(needle, _text(repl, "text.replace_all"))


def _replace_all_regex(source: Any, substr: Any, repl: Any) -> str:
    """Workflows docs, text.replace_all_regex: \\0 to \\9 stand for the groups."""
    replacement = _text(repl, "text.replace_all_regex").replace("\\0", "\\g<0>")
    return _pattern(substr, "text.replace_all_regex").sub(
        replacement, _text(source, "text.replace_all_regex")
    )


def _text_encode(text: Any, charset: Any = "UTF-8") -> bytes:
    return _text(text, "text.encode").encode(_text(charset, "text.encode"))


def _text_decode(data: Any, charset: Any = "UTF-8") -> str:
    try:
        return _typed(data, bytes, "text.decode").decode(_text(charset, "text.decode"))
    except UnicodeDecodeError as error:
        raise value_error(f"text.decode: {error}") from None


# list and map


def _list_concat(objs: Any, val: Any) -> list[Any]:
    """Workflows docs, list.concat: a copy of the list with one element at the end."""
    return [*_typed(objs, list, "list.concat"), val]


def _list_prepend(objs: Any, val: Any) -> list[Any]:
    """Workflows docs, list.prepend: a copy of the list with one element at the beginning."""
    return [val, *_typed(objs, list, "list.prepend")]


def _map_get(mapping: Any, keys: Any) -> Any:
    """Workflows docs, map.get: null where the input is no map or has no such key."""
    path = keys if isinstance(keys, list) else [keys]
    if not all(isinstance(key, str) for key in path):
        raise type_error("map.get takes a string or a list of strings")
    value = mapping
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _map_delete(mapping: Any, key: Any) -> dict[str, Any]:
    """Workflows docs, map.delete: a copy without the key."""
    _typed(mapping, dict, "map.delete")
    if _text(key, "map.delete") not in mapping:
        raise key_error(f"map.delete: key not found: {key}")
    return {name: value for name, value in mapping.items() if name != key}


def _map_merge(first: Any, second: Any) -> dict[str, Any]:
    """Workflows docs, map.merge: the second map's values win."""
    return {**_typed(first, dict, "map.merge"), **_typed(second, dict, "map.merge")}


def _map_merge_nested(first: Any, second: Any) -> dict[str, Any]:
    """Workflows docs, map.merge_nested: maps under the same key are merged too."""
    merged = dict(_typed(first, dict, "map.merge_nested"))
    for key, value in _typed(second, dict, "map.merge_nested").items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = _map_merge_nested(merged[key], value) if both else value
    return merged


# math


def _number(value: Any, function: str) -> int | float:
    if not is_number(value):
        raise type_error(f"{function} does not take a {type_name(value)}")
    return value


def _abs(x: Any) -> int | float:
    return abs(_number(x, "math.abs"))


def _floor(x: Any) -> int:
    """Workflows docs, math.floor: the greatest integer not above x."""
    return _int(math.floor(_number(x, "math.floor")))


def _max(x: Any, y: Any) -> int | float:
    return max(_number(x, "math.max"), _number(y, "math.max"))


def _min(x: Any, y: Any) -> int | float:
    return min(_number(x, "math.min"), _number(y, "math.min"))


# json, base64, hash


def _reject_constant(text: str) -> Any:
    raise value_error(f"json.decode: {text} is not JSON")


def decode_json(text: str | bytes) -> Any:
    """JSON as a value; a number without fraction and exponent is an integer."""
    value = json.loads(text, parse_constant=_reject_constant)
    _check_integers(value)
    return value


def _check_integers(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_integers(item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise undocumented("a JSON integer beyond 64 bits")


def encode_json(value: Any) -> str:
    """A value as JSON. Workflows docs, Data types: bytes cannot be encoded."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise type_error(f"not JSON: {error}") from None


def _json_decode(data: Any) -> Any:
    """Workflows docs, json.decode: a string or bytes; ValueError where it is not JSON."""
    try:
        return decode_json(_typed(data, (str, bytes), "json.decode"))
    except ValueError as error:
        raise value_error(f"json.decode: {error}") from None


def _json_encode(data: Any) -> bytes:
    return encode_json(data).encode()


def _base64_encode(data: Any) -> str:
    return base64.b64encode(_typed(data, bytes, "base64.encode")).decode()


def _base64_decode(data: Any) -> bytes:
    try:
        return base64.b64decode(_text(data, "base64.decode"), validate=True)
    except ValueError as error:
        raise value_error(f"base64.decode: {error}") from None


_ALGORITHMS = ("MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512")


def _algorithm(name: Any, function: str) -> str:
    if _text(name, function) not in _ALGORITHMS:
        raise value_error(f"{function}: no algorithm {name}")
    return name.lower()


def _checksum(data: Any, algorithm: Any) -> bytes:
    digest = _algorithm(algorithm, "hash.compute_checksum")
    return hashlib.new(digest, _typed(data, bytes, "hash.compute_checksum")).digest()


def _hmac(key: Any, data: Any, algorithm: Any) -> bytes:
    digest = _algorithm(algorithm, "hash.compute_hmac")
    for value in (key, data):
        _typed(value, bytes, "hash.compute_hmac")
    return hmac.digest(key, data, digest)


# sys, time, uuid


def _get_env(runtime: Runtime, name: Any, default: Any = None) -> str:
    """Workflows docs, sys.get_env: an environment variable, or the default."""
    _text(name, "sys.get_env")
    if name in runtime.environment:
        return runtime.environment[name]
    if default is None:
        raise key_error(f"sys.get_env: no variable {name}")
    return _text(default, "sys.get_env")


def _now(runtime: Runtime) -> float:
    """Workflows docs, sys.now: Unix time as a double."""
    return runtime.now()


def _time_format(seconds: Any, timezone: Any = "UTC") -> str:
    """Workflows docs, time.format: ISO 8601."""
    stamp = _number(seconds, "time.format")
    try:
        zone = zoneinfo.ZoneInfo(_text(timezone, "time.format"))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise value_error(f"time.format: no time zone {timezone}") from None
    moment = datetime.datetime.fromtimestamp(stamp, zone)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _time_parse(value: Any) -> float:
    """Workflows docs, time.parse: seconds since 1970 of an ISO 8601 time."""
    text = _text(value, "time.parse")
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise value_error(f"time.parse: {error}") from None
    if moment.tzinfo is None:
        raise value_error(f"time.parse: no time zone in {text}")
    return moment.timestamp()


def _quote(source: Any) -> str:
    return urllib.parse.quote(_text(source, "text.url_encode"), safe="")


def _quote_plus(source: Any) -> str:
    return urllib.parse.quote_plus(_text(source, "text.url_encode_plus"))


def _unquote(source: Any) -> str:
    return urllib.parse.unquote(_text(source, "text.url_decode"))


def _lower(source: Any) -> str:
    return _text(source, "text.to_lower").lower()


def _upper(source: Any) -> str:
    return _text(source, "text.to_upper").upper()


PUBLISH = "googleapis.pubsub.v1.projects.topics.publish"
JOBS = "googleapis.run.v2.projects.locations.jobs"
CUSTOM_JOBS = "googleapis.aiplatform.v1.projects.locations.customJobs"
OBJECT = "googleapis.storage.v1.objects.get"
EXECUTIONS = "googleapis.workflowexecutions.v1.projects.locations.workflows.executions"

_REQUEST = ("headers", "query", "auth", "private_service_name", "ca_certificate")
_WITH_BODY = Function(("url",), ("timeout", "body", *_REQUEST), blocking=True)

FUNCTIONS: dict[str, Function] = {
    "default": Function(("val", "defaultVal"), (), _default),
    "if": Function(("condition", "ifTrue", "ifFalse"), (), _if),
    "keys": Function(("map",), (), _keys),
    "len": Function(("value",), (), _len),
    "int": Function(("value",), (), _int),
    "double": Function(("value",), (), _double),
    "string": Function(("value",), (), to_string),
    "get_type": Function(("value",), (), type_name),
    "text.split": Function(("source", "separator"), (), _split),
    "text.substring": Function(("source", "start", "end"), (), _substring),
    "text.find_all": Function(("source", "substr"), (), _find_all),
    "text.find_all_regex": Function(("source", "regexp"), (), _find_all_regex),
    "text.match_regex": Function(("source", "regexp"), (), _match_regex),
    "text.replace_all": Function(("source", "substr", "repl"), (), _replace_all),
    "text.replace_all_regex": Function(("source", "substr", "repl"), (), _replace_all_regex),
    "text.to_lower": Function(("source",), (), _lower),
    "text.to_upper": Function(("source",), (), _upper),
    "text.url_encode": Function(("source",), (), _quote),
    "text.url_encode_plus": Function(("source",), (), _quote_plus),
    "text.url_decode": Function(("source",), (), _unquote),
    "text.encode": Function(("text",), ("charset",), _text_encode),
    "text.decode": Function(("data",), ("charset",), _text_decode),
    "list.concat": Function(("objs", "val"), (), _list_concat),
    "list.prepend": Function(("objs", "val"), (), _list_prepend),
    "map.get": Function(("map", "keys"), (), _map_get),
    "map.delete": Function(("map", "key"), (), _map_delete),
    "map.merge": Function(("first", "second"), (), _map_merge),
    "map.merge_nested": Function(("first", "second"), (), _map_merge_nested),
    "math.abs": Function(("x",), (), _abs),
    "math.floor": Function(("x",), (), _floor),
    "math.max": Function(("x", "y"), (), _max),
    "math.min": Function(("x", "y"), (), _min),
    "json.decode": Function(("data",), (), _json_decode),
    "json.encode": Function(("data",), (), _json_encode),
    "json.encode_to_string": Function(("data",), (), encode_json),
    "base64.encode": Function(("data",), (), _base64_encode),
    "base64.decode": Function(("data",), (), _base64_decode),
    "hash.compute_checksum": Function(("data", "algorithm"), (), _checksum),
    "hash.compute_hmac": Function(("key", "data", "algorithm"), (), _hmac),
    "sys.get_env": Function(("name",), ("default",), _get_env, needs_runtime=True),
    "sys.now": Function((), (), _now, needs_runtime=True),
    "time.format": Function(("seconds",), ("timezone",), _time_format),
    "time.parse": Function(("value",), (), _time_parse),
    "uuid.generate": Function((), (), lambda: str(uuid.uuid4())),
    # Workflows docs, Expressions: blocking calls stand in call steps only.
    "sys.sleep": Function(("seconds",), (), blocking=True),
    "sys.log": Function((), ("data", "severity", "text", "json", "timeout"), blocking=True),
    "http.get": Function(("url",), ("timeout", *_REQUEST), blocking=True),
    "http.post": _WITH_BODY,
    "http.put": _WITH_BODY,
    "http.patch": _WITH_BODY,
    "http.delete": _WITH_BODY,
    # Workflows docs, Connectors reference: workflowexecutions.
    f"{EXECUTIONS}.run": Function(
        ("workflow_id",), ("location", "project_id", "argument", "connector_params"), blocking=True
    ),
    f"{EXECUTIONS}.create": Function(("parent", "body"), ("connector_params",), blocking=True),
    f"{EXECUTIONS}.get": Function(("name",), ("view", "connector_params"), blocking=True),
    f"{EXECUTIONS}.cancel": Function(("name",), ("connector_params",), blocking=True),
    # Workflows docs, Connectors reference: run v2.
    f"{JOBS}.run": Function(("name",), ("body", "connector_params"), blocking=True),
    f"{JOBS}.executions.get": Function(("name",), ("connector_params",), blocking=True),
    f"{JOBS}.executions.cancel": Function(("name",), ("body", "connector_params"), blocking=True),
    # Workflows docs, Connectors reference: aiplatform v1, storage v1.
    f"{CUSTOM_JOBS}.create": Function(("parent", "region", "body"), ("connector_params",), blocking=True),
    f"{CUSTOM_JOBS}.get": Function(("name", "region"), ("connector_params",), blocking=True),
    f"{CUSTOM_JOBS}.cancel": Function(("name", "region"), ("body", "connector_params"), blocking=True),
    OBJECT: Function(("bucket", "object"), ("alt", "connector_params"), blocking=True),
    PUBLISH: Function(("topic",), ("body", "connector_params"), blocking=True),
    # Workflows docs, Wait using callbacks.
    "events.create_callback_endpoint": Function(("http_callback_method",), blocking=True),
    "events.await_callback": Function(("callback",), ("timeout",), blocking=True),
    "http.request": Function(("method", "url"), ("timeout", "body", *_REQUEST), blocking=True),
}

MODULES = {name.partition(".")[0] for name in FUNCTIONS} | {"retry"}


def retry_default_predicate(error: Any) -> bool:
    """Workflows docs, Retry steps: http.default_retry_predicate.

    Codes 429, 502, 503 and 504, connection errors and timeouts.
    """
    if not isinstance(error, dict):
        return False
    tags = error.get("tags", [])
    if {"ConnectionError", "ConnectionFailedError", "TimeoutError"} & set(tags):
        return True
    return "HttpError" in tags and error.get("code") in (429, 502, 503, 504)


def retry_non_idempotent_predicate(error: Any) -> bool:
    """Workflows docs, Retry steps: http.default_retry_predicate_non_idempotent.

    Only what tells that the call was not carried out: 429, 503 and a refused connection.
    """
    if not isinstance(error, dict):
        return False
    tags = error.get("tags", [])
    return "ConnectionFailedError" in tags or (
        "HttpError" in tags and error.get("code") in (429, 503)
    )


PREDICATES: dict[str, Callable[[Any], bool]] = {
    "http.default_retry_predicate": retry_default_predicate,
    "http.default_retry_predicate_non_idempotent": retry_non_idempotent_predicate,
    "retry.always": lambda _: True,
    "retry.never": lambda _: False,
}
# Workflows docs, Retry steps: five retries, from one second by 1.25 up to a minute.
POLICIES: dict[str, Callable[[Any], bool]] = {
    "http.default_retry": retry_default_predicate,
    "http.default_retry_non_idempotent": retry_non_idempotent_predicate,
}
POLICY_RETRIES = 5
POLICY_BACKOFF: tuple[int | float, int | float, int | float] = (1, 60, 1.25)
