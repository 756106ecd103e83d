"""The connectors of Google's own services that generated workflows call."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from .errors import Fault, WorkflowError, runtime_error, type_error, undocumented, value_error
from .library import decode_json, encode_json
from .values import is_number, type_name

_DEFAULT_SECONDS, _MOST_SECONDS = 1800, 31_536_000


@dataclass(frozen=True)
class RunRequest:
    """`executions.run`: which workflow, with what, for how long."""

    workflow: str
    argument: Any
    timeout: float


def run_request(arguments: dict[str, Any]) -> RunRequest:
    """Workflows docs, executions.run: the arguments, `argument` as JSON carries it."""
    workflow = arguments["workflow_id"]
    if not isinstance(workflow, str):
        raise type_error(f"workflow_id is a string, not a {type_name(workflow)}")
    argument = arguments.get("argument")
    encode_json(argument)
    return RunRequest(workflow, argument, _timeout(arguments.get("connector_params")))


def _timeout(params: Any) -> float:
    """Workflows docs, Invoke a connector call: 30 minutes unless told otherwise, a year at most."""
    if params is None:
        return _DEFAULT_SECONDS
    if not isinstance(params, dict) or set(params) - {"timeout"}:
        raise Fault(f"connector_params that this interpreter does not know: {params!r}")
    seconds = params.get("timeout", _DEFAULT_SECONDS)
    if not is_number(seconds):
        raise type_error(f"timeout is a number, not a {type_name(seconds)}")
    if not 0 < seconds <= _MOST_SECONDS:
        raise value_error(f"timeout out of range: {seconds}")
    return float(seconds)


def parent(arguments: dict[str, Any]) -> str:
    """Workflows docs, executions.create: the workflow in `parent`.

    What `create` gives where it waits is not clear from the documentation.
    """
    if arguments.get("connector_params") != {"skip_polling": True}:
        raise undocumented("executions.create that waits; use run, or skip_polling")
    found = re.fullmatch(r"projects/[^/]+/locations/[^/]+/workflows/([^/]+)", arguments["parent"])
    if found is None:
        raise value_error(f"not the name of a workflow: {arguments['parent']!r}")
    return found[1]


def argument(arguments: dict[str, Any]) -> Any:
    """The argument in the body of executions.create: JSON in a string."""
    match arguments["body"]:
        case {"argument": str(text)}:
            return decode_json(text)
    raise value_error(f"not an execution with an argument: {arguments['body']!r}")


@dataclass(frozen=True)
class Message:
    """Pub/Sub docs, PubsubMessage: its data, and its attributes."""

    data: bytes
    attributes: dict[str, str]


def published(arguments: dict[str, Any], project: str) -> tuple[str, list[Message]]:
    """Workflows docs, topics.publish: the topic's id, and the messages."""
    topic = arguments["topic"]
    prefix = f"projects/{project}/topics/"
    if not isinstance(topic, str) or not topic.startswith(prefix):
        raise value_error(f"not the name of a topic: {topic!r}")
    body = arguments.get("body")
    match body:
        case {"messages": [_, *_] as messages} if set(body) == {"messages"}:
            return topic.removeprefix(prefix), [_message(message) for message in messages]
    raise value_error(f"not what publish takes: {body!r}")


def _message(message: Any) -> Message:
    """Pub/Sub docs, PubsubMessage: `data` is base64, attributes are strings; one of them is there."""
    if not isinstance(message, dict) or not message or set(message) - {"data", "attributes"}:
        raise value_error(f"not a message: {message!r}")
    attributes = message.get("attributes", {})
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise value_error(f"attributes are strings: {attributes!r}")
    try:
        data = base64.b64decode(message.get("data", ""), validate=True)
    except (TypeError, ValueError) as error:
        raise value_error(f"not a message: {message!r}: {error}") from None
    if not data and not attributes:
        raise value_error("a message has data or attributes")
    return Message(data, attributes)


def not_found(what: str) -> WorkflowError:
    """A workflow or topic that is not there, or that the caller may not use."""
    return WorkflowError(
        {
            "message": f"{what} was not found, or this account may not use it",
            "tags": ["HttpError"],
            "code": 404,
            "headers": {},
            "body": {"error": {"code": 404, "status": "NOT_FOUND"}},
        }
    )


def operation_error(error: Any) -> WorkflowError:
    """Workflows docs, Understand connectors: what a failed long-running operation raises."""
    operation = {"state": "FAILED", "error": {"payload": encode_json(error)}}
    return runtime_error("OperationError", "the execution failed", operation=operation)
