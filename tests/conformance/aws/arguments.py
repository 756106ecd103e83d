"""Arguments of states against the models that botocore has of their services, as far as they are no expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError

RESOURCE = re.compile(r"arn:aws:states:::(aws-sdk:)?([a-z0-9]+):([A-Za-z]+)(?:\.sync(?::2)?|\.waitForTaskToken)?")
# Step Functions' names of services that botocore calls otherwise.
NAMES = {"states": "stepfunctions", "sfn": "stepfunctions", "applicationautoscaling": "application-autoscaling"}
# Step Functions docs, Optimized integrations: these take any JSON value where the service takes text.
JSON = {("states", "Input"), ("sns", "Message")}
# A function's payload is the function's business.
APART = {"lambda"}


def check(definition: str) -> list[str]:
    """What the services would refuse."""
    return [problem for name, state in states(json.loads(definition)) for problem in of_state(name, state)]


def states(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All states with their names, those of branches too."""
    if isinstance(value, list):
        for item in value:
            yield from states(item)
    elif isinstance(value, dict):
        for name, state in (value.get("States") or {}).items() if isinstance(value.get("States"), dict) else ():
            yield name, state
        for item in value.values():
            yield from states(item)


def of_state(name: str, state: dict[str, Any]) -> list[str]:
    found = RESOURCE.fullmatch(str(state.get("Resource")))
    if found is None:
        return []
    sdk, service, action = found[1], found[2], found[3][0].upper() + found[3][1:]
    if service in APART:
        return []
    arguments = state.get("Arguments")
    if sdk is None and isinstance(arguments, dict):
        arguments = {key: "{% json %}" if (service, key) in JSON else value for key, value in arguments.items()}
    try:
        shape = shape_of(NAMES.get(service, service), action)
    except UnknownServiceError:
        return [f"state '{name}': there is no service {service}"]
    except OperationNotFoundError:
        return [f"state '{name}': {service} has no {action}"]
    return [f"state '{name}': {problem}" for problem in differences(arguments, shape, action)]


@lru_cache
def shape_of(service: str, action: str) -> Any:
    return botocore.session.get_session().get_service_model(service).operation_model(action).input_shape


def differences(value: Any, shape: Any, place: str) -> list[str]:
    """Where the value has another shape. An expression may have any."""
    if isinstance(value, str) and value.startswith("{%"):
        return []
    match shape.type_name:
        case "structure":
            if not isinstance(value, dict):
                return [f"{place} is no object"]
            # Step Functions writes all names with capitals.
            members = {key[0].upper() + key[1:]: member for key, member in shape.members.items()}
            missing = {key[0].upper() + key[1:] for key in shape.required_members} - set(value)
            problems = [f"{place} lacks {key}" for key in sorted(missing)]
            problems += [f"{place} has no {key}" for key in value if key not in members]
            return problems + [problem for key, item in value.items() if key in members for problem in differences(item, members[key], f"{place}.{key}")]
        case "list":
            if not isinstance(value, list):
                return [f"{place} is no list"]
            return [problem for index, item in enumerate(value) for problem in differences(item, shape.member, f"{place}[{index}]")] + bounds(len(value), shape, place)
        case "map":
            if not isinstance(value, dict):
                return [f"{place} is no object"]
            return [problem for key, item in value.items() for problem in differences(item, shape.value, f"{place}.{key}")] + bounds(len(value), shape, place)
        case "string":
            if not isinstance(value, str):
                return [f"{place} is no text"]
            if shape.enum and value not in shape.enum:
                return [f"{place} is none of the values that there are: {value}"]
            return bounds(len(value), shape, place)
        case "integer" | "long":
            return bounds(value, shape, place) if isinstance(value, int) and not isinstance(value, bool) else [f"{place} is no integer"]
        case "float" | "double":
            return bounds(value, shape, place) if isinstance(value, (int, float)) and not isinstance(value, bool) else [f"{place} is no number"]
        case "boolean":
            return [] if isinstance(value, bool) else [f"{place} is no boolean"]
        case kind:
            return [f"{place}: the validator does not know {kind}"]


def bounds(size: float, shape: Any, place: str) -> list[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        return [f"{place}: {size} is not between {least} and {most}"]
    return []
