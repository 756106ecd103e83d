"""The network as an activity sees it: requests of the durable client are kept for the host, and answered as it would.

The client is the real one; only its function that sends the request is replaced.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

BASE = "http://localhost:7071/durabletask/"
CLIENT = json.dumps({"taskHubName": "TestHub", "creationUrls": {}, "managementUrls": {"id": "INSTANCEID"}, "rpcBaseUrl": BASE})
"""What the binding `durableClient` gives to a function."""

Message = tuple[str, str, Any]
"""An event for an orchestration: instance id, name, value."""

sent: list[Message] = []
"""What the activity under way has sent."""


def install() -> None:
    from azure.durable_functions.models import DurableOrchestrationClient as client

    client.post_async_request = post


async def post(url: str, data: Any = None, *_: Any, **__: Any) -> list[Any]:
    """https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-http-api#raise-event"""
    match = re.fullmatch(re.escape(BASE) + r"instances/([^/?]+)/raiseEvent/([^/?]+)", url)
    if match is None:
        raise ConnectionError(f"this host does not know {url}")
    sent.append((unquote(match[1]), unquote(match[2]), json.loads(data)))
    return [202, None]


def taken() -> list[Message]:
    messages = list(sent)
    sent.clear()
    return messages
