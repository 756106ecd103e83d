"""The http.* functions over real connections to loopback."""

from __future__ import annotations

import http.client
import ipaddress
import urllib.parse
from dataclasses import dataclass
from typing import Any

from . import limits
from .errors import Fault, WorkflowError, runtime_error, type_error, undocumented, value_error
from .library import decode_json, encode_json
from .values import is_number, to_string, type_name

_AGENT = "GoogleCloudWorkflows; (+https://cloud.google.com/workflows/docs)"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Request:
    """A request ready to be sent."""

    method: str
    host: str
    port: int
    path: str
    headers: dict[str, str]
    body: bytes | None
    timeout: float


def prepare(function: str, arguments: dict[str, Any]) -> Request:
    """Workflows docs, Make an HTTP request: the arguments as a request."""
    method = function.removeprefix("http.").upper()
    if method == "REQUEST":
        method = arguments["method"]
        if method not in _METHODS:
            raise value_error(f"http.request: no method {method}")
    for name in ("private_service_name", "ca_certificate"):
        if arguments.get(name) is not None:
            raise Fault(f"{function}: {name} is not supported by this interpreter")
    url = _url(arguments["url"], arguments.get("query"))
    headers = _headers(arguments.get("headers"), arguments.get("auth"), url)
    body = _body(arguments.get("body"), headers)
    timeout = arguments.get("timeout")
    if timeout is None:
        timeout = limits.HTTP_TIMEOUT_SECONDS
    if not is_number(timeout):
        raise type_error(f"timeout is a number, not a {type_name(timeout)}")
    if not 0 < timeout <= limits.HTTP_TIMEOUT_SECONDS:
        raise value_error(f"timeout out of range: {timeout}")
    path = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))
    assert url.hostname is not None
    return Request(method, url.hostname, url.port or 80, path, headers, body, float(timeout))


def _url(text: Any, query: Any) -> urllib.parse.SplitResult:
    if not isinstance(text, str):
        raise type_error(f"url is a string, not a {type_name(text)}")
    url = urllib.parse.urlsplit(text)
    if not url.hostname or url.scheme not in ("http", "https"):
        raise value_error(f"not a URL: {text}")
    if url.scheme != "http" or not _is_loopback(url.hostname):
        raise Fault(f"a call would leave this machine: {text}")
    if query is None:
        return url
    if not isinstance(query, dict):
        raise type_error(f"query is a map, not a {type_name(query)}")
    pairs = [(name, to_string(value)) for name, value in query.items()]
    joined = "&".join(filter(None, (url.query, urllib.parse.urlencode(pairs))))
    return url._replace(query=joined)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _headers(given: Any, auth: Any, url: urllib.parse.SplitResult) -> dict[str, str]:
    headers: dict[str, str] = {}
    if given is not None:
        if not isinstance(given, dict):
            raise type_error(f"headers is a map, not a {type_name(given)}")
        headers = {name: to_string(value) for name, value in given.items()}
    agent = next((name for name in headers if name.lower() == "user-agent"), "User-Agent")
    headers[agent] = " ".join(filter(None, (headers.get(agent), _AGENT)))
    if auth is not None:
        headers["Authorization"] = f"Bearer {_token(auth, url)}"
    return headers


def _token(auth: Any, url: urllib.parse.SplitResult) -> str:
    """Workflows docs, Make authenticated requests: OIDC with an audience, OAuth2 with scopes."""
    if not isinstance(auth, dict) or auth.get("type") not in ("OIDC", "OAuth2"):
        raise value_error(f"auth needs the type OIDC or OAuth2: {auth!r}")
    allowed = {"OIDC": {"type", "audience"}, "OAuth2": {"type", "scope", "scopes"}}[auth["type"]]
    if unknown := set(auth) - allowed:
        raise value_error(f"auth of type {auth['type']} has no {', '.join(sorted(unknown))}")
    default = urllib.parse.urlunsplit((url.scheme, url.netloc, url.path, "", ""))
    return f"{auth['type']}:{auth.get('audience', default)}"


def _body(value: Any, headers: dict[str, str]) -> bytes | None:
    """Workflows docs, Make an HTTP request: a body that is no bytes is sent as JSON."""
    if value is None:
        return None
    kind = next((name for name in headers if name.lower() == "content-type"), None)
    if isinstance(value, bytes):
        if kind is None:
            headers["Content-Type"] = "application/octet-stream"
        return value
    if kind is None:
        headers["Content-Type"] = "application/json; charset=utf-8"
    elif "json" not in headers[kind]:
        if isinstance(value, str):
            return value.encode()
        raise undocumented(f"a {type_name(value)} as a body of type {headers[kind]}")
    return encode_json(value).encode()


def send(request: Request) -> dict[str, Any]:
    """The answer as a map of body, code and headers; a WorkflowError for any other outcome.

    Workflows docs, Workflow errors: ConnectionFailedError where no connection was made,
    ConnectionError where it broke, TimeoutError, HttpError for a status that is not a success.
    """
    connection = http.client.HTTPConnection(request.host, request.port, timeout=request.timeout)
    try:
        try:
            connection.connect()
        except TimeoutError:
            raise
        except OSError as error:
            raise runtime_error("ConnectionFailedError", str(error)) from None
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        content = response.read(limits.RESPONSE_BYTES + 1)
    except TimeoutError:
        raise runtime_error("TimeoutError", f"no answer in {request.timeout} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise runtime_error("ConnectionError", repr(error)) from None
    finally:
        connection.close()
    if len(content) > limits.RESPONSE_BYTES:
        raise runtime_error("ResourceLimitError", "response too large")
    body = _parsed(content, response.headers.get_content_type(), response.headers)
    headers = dict(response.headers.items())
    if 200 <= response.status < 300:
        return {"body": body, "code": response.status, "headers": headers}
    raise WorkflowError(
        {
            "message": f"HTTP server responded with error code {response.status}",
            "tags": ["HttpError"],
            "code": response.status,
            "headers": headers,
            "body": body,
        }
    )


def _parsed(content: bytes, kind: str, headers: Any) -> Any:
    """Workflows docs, Access HTTP response data: JSON is converted, text is a string."""
    if "content-type" not in headers:
        return content
    if kind == "application/json":
        try:
            return decode_json(content)
        except ValueError:
            raise undocumented("a response of type application/json that is not JSON") from None
    return content.decode() if kind.startswith("text/") else content
