"""Connector calls against the discovery documents of their services, which PyPI's google-api-python-client carries.

`check` reads a workflow as it is written: what is an expression may have any value. `check_call` takes the values of a call that runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

PREFIX = "googleapis."
# Workflows docs, Connectors reference: calls that Workflows makes of several requests, with arguments of its own.
OWN = {
    "workflowexecutions.v1.projects.locations.workflows.executions.run": {"workflow_id", "argument", "location", "project_id", "connector_params"},
}
# Workflows docs, Invoke a connector call: arguments of every connector; `region` and `location` choose a regional endpoint.
EVERYWHERE = {"connector_params", "region", "location"}
PARAMS = {"timeout", "polling_policy", "skip_polling", "scopes"}


def check(definition: str) -> list[str]:
    """What the services would refuse of a workflow's connector calls."""
    return [
        problem
        for name, arguments in calls(yaml.safe_load(definition))
        for problem in check_call(name, arguments)
    ]


def calls(value: Any) -> Iterator[tuple[str, Any]]:
    """All connector calls with their arguments."""
    if isinstance(value, list):
        for item in value:
            yield from calls(item)
    elif isinstance(value, dict):
        call = value.get("call")
        if isinstance(call, str) and call.startswith(PREFIX):
            yield call, value.get("args") or {}
        for item in value.values():
            yield from calls(item)


def check_call(call: str, arguments: Any) -> list[str]:
    """Where a call's arguments have another shape than the service's."""
    path = call.removeprefix(PREFIX)
    if not isinstance(arguments, dict):
        return [] if expression(arguments) else [f"{call}: the arguments are no map"]
    problems = []
    if isinstance(params := arguments.get("connector_params"), dict):
        problems += [f"{call}: connector_params has no {key}" for key in sorted(set(params) - PARAMS)]
    if path in OWN:
        return problems + [f"{call} has no argument {name}" for name in sorted(set(arguments) - OWN[path])]
    service, version, *rest = path.split(".")
    document = discovery(service, version)
    if document is None:
        return [f"{call}: there is no service {service}.{version}"]
    method = find(document, rest)
    if method is None:
        return [f"{call}: {service}.{version} has no such method"]
    parameters = {**document.get("parameters", {}), **method.get("parameters", {})}
    for name, parameter in parameters.items():
        if name in arguments:
            problems += differences(arguments[name], parameter, document, f"{call}: {name}")
        elif parameter.get("required"):
            problems.append(f"{call} lacks {name}")
    request = method.get("request")
    if "body" in arguments and request:
        problems += differences(arguments["body"], request, document, f"{call}: {request['$ref']}")
    known = {*parameters, *EVERYWHERE, *(["body"] if request else [])}
    return problems + [f"{call} has no argument {name}" for name in sorted(set(arguments) - known)]


@lru_cache
def discovery(service: str, version: str) -> dict[str, Any] | None:
    file = resources.files("googleapiclient.discovery_cache.documents") / f"{service}.{version}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def find(document: dict[str, Any], path: list[str]) -> dict[str, Any] | None:
    """A method by its resources' names and its own."""
    place = document
    for name in path[:-1]:
        place = place.get("resources", {}).get(name)
        if place is None:
            return None
    return place.get("methods", {}).get(path[-1])


def differences(value: Any, schema: dict[str, Any], document: dict[str, Any], place: str) -> list[str]:
    """Where the value has another shape. An expression may have any."""
    if expression(value) or value is None:
        return []
    if "$ref" in schema:
        name = schema["$ref"]
        return differences(value, document["schemas"][name], document, place)
    if schema.get("repeated"):
        schema = {"type": "array", "items": {key: word for key, word in schema.items() if key != "repeated"}}
    match schema.get("type"):
        case "object":
            if not isinstance(value, dict):
                return [f"{place} is no map"]
            fields, rest = schema.get("properties", {}), schema.get("additionalProperties")
            problems = []
            for key, item in value.items():
                if key in fields:
                    if fields[key].get("readOnly"):
                        problems.append(f"{place}.{key} is only given back")
                    problems += differences(item, fields[key], document, f"{place}.{key}")
                elif rest:
                    problems += differences(item, rest, document, f"{place}.{key}")
                elif not expression(key):
                    problems.append(f"{place} has no {key}")
            return problems
        case "array":
            if not isinstance(value, list):
                return [f"{place} is no list"]
            return [problem for at, item in enumerate(value) for problem in differences(item, schema["items"], document, f"{place}[{at}]")]
        case "string":
            return text(value, schema, place)
        case "integer" | "number":
            right = isinstance(value, (int, float)) and not isinstance(value, bool)
            return [] if right else [f"{place} is no number"]
        case "boolean":
            return [] if isinstance(value, bool) else [f"{place} is neither true nor false"]
    return []  # any


def text(value: Any, schema: dict[str, Any], place: str) -> list[str]:
    # JSON has no 64-bit integers: they are written as strings, and numbers are read all the same.
    if schema.get("format") in ("int64", "uint64") and isinstance(value, int):
        return []
    if not isinstance(value, str):
        return [f"{place} is no text"]
    words = schema.get("enum")
    if words and value not in words:
        return [f"{place} is none of {', '.join(words)}"]
    return []


def expression(value: Any) -> bool:
    return isinstance(value, str) and "${" in value
