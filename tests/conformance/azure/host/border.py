"""The network as an activity sees it: its requests are kept for the host, and answered as the services would.

The clients are the real ones; what is replaced is the function that sends a request, and where a token comes from.
"""

from __future__ import annotations

import io
import json
import re
import time
from importlib import import_module
from typing import Any
from urllib.parse import unquote

from .services import ask

BASE = "http://localhost:7071/durabletask/"
CLIENT = json.dumps({"taskHubName": "TestHub", "creationUrls": {}, "managementUrls": {"id": "INSTANCEID"}, "rpcBaseUrl": BASE})
"""What the binding `durableClient` gives to a function."""
TOPIC = re.compile(r"https://([a-z0-9-]{3,50})\.westeurope-1\.eventgrid\.azure\.net/api/events\?api-version=2018-01-01")

Message = tuple[str, Any]
"""("event", [instance id, name, value]) for an orchestration, or ("published", [the topic's name, event type, data])."""

sent: list[Message] = []
"""What the activity under way has sent."""

services: int | None = None
"""The port of the managed services."""


def install() -> None:
    import_module("azure.durable_functions.models.DurableOrchestrationClient").post_async_request = post
    try:
        import azure.identity
        import requests
    except ImportError:  # only apps that publish need them
        return
    azure.identity.DefaultAzureCredential = Credential
    requests.Session.request = request
    import_module("azure.core.pipeline.transport").RequestsTransport.sleep = lambda *_: None


async def post(url: str, data: Any = None, *_: Any, **__: Any) -> list[Any]:
    """https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-http-api#raise-event"""
    match = re.fullmatch(re.escape(BASE) + r"instances/([^/?]+)/raiseEvent/([^/?]+)", url)
    if match is None:
        raise ConnectionError(f"this host does not know {url}")
    sent.append(("event", [unquote(match[1]), unquote(match[2]), json.loads(data)]))
    return [202, None]


class Credential:
    """A managed identity that always has a token."""

    def get_token(self, *scopes: str, **_: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken(" ".join(scopes), int(time.time()) + 3600)


def request(_: Any, method: str, url: str, headers: Any = None, data: Any = None, **__: Any) -> Any:
    """https://learn.microsoft.com/azure/event-grid/post-to-custom-topic, with a token of the identity for Event Grid; or the services."""
    import requests
    import urllib3

    response = requests.Response()
    response.url, response.raw = url, Nothing()
    if services is not None and TOPIC.fullmatch(url) is None:
        body = json.loads(data) if data else None
        response.status_code, answered, body = ask(services, [method, url, headers.get("Authorization"), body])
        response.headers.update(answered)
        text = body["text"] if isinstance(body, dict) and body.keys() == {"text"} else json.dumps(body)
        content = b"" if body is None else text.encode()
        response.raw = urllib3.HTTPResponse(io.BytesIO(content), status=response.status_code, preload_content=False)
        return response
    topic = TOPIC.fullmatch(url)
    if method != "POST" or topic is None:
        raise ConnectionError(f"this host does not know {method} {url}")
    if headers.get("Authorization") != "Bearer https://eventgrid.azure.net/.default":
        response.status_code = 401
        return response
    for event in json.loads(data):
        missing = {"id", "subject", "eventType", "eventTime", "data", "dataVersion"} - set(event)
        if missing:
            raise ValueError(f"an event without {', '.join(sorted(missing))}")
        sent.append(("published", [topic[1], event["eventType"], event["data"]]))
    response.status_code = 200
    return response


class Nothing:
    """An empty body."""

    headers: dict[str, str] = {}

    def read(self, *_: Any, **__: Any) -> bytes:
        return b""

    def stream(self, *_: Any, **__: Any) -> Any:
        return iter(())

    def close(self) -> None:
        pass

    def release_conn(self) -> None:
        pass


def taken() -> list[Message]:
    messages = list(sent)
    sent.clear()
    return messages
