"""Runs one activity as the Python worker does: converters, a thread of its own, the host's error texts."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import traceback
import uuid
from types import SimpleNamespace
from typing import Any

from . import border
from .app import Functions
from .protocol import OUT_OF_PROC

Outcome = tuple[bool, Any]
"""(True, JSON text or None) or (False, (reason, details))."""


def invoke(functions: Functions, name: str, raw: str | None) -> Outcome:
    """Runs the activity. An exception becomes the failure that the host reports; SystemExit and its like pass through."""
    from azure.functions.durable_functions import ActivityTriggerConverter
    from azure.functions.meta import Datum

    try:
        value = ActivityTriggerConverter.decode(Datum(raw, "string"), trigger_metadata=None) if raw is not None else None
        result = call(functions.activities[name], value)
        encoded = ActivityTriggerConverter.encode(result, expected_type=None).value
        return True, None if encoded == "null" else encoded
    except Exception as error:
        return False, failure(name, f"{type(error).__name__}: {error}", "".join(traceback.format_tb(error.__traceback__)))


def call(function: Any, value: Any) -> Any:
    user = function.get_user_function()
    arguments = {function.get_trigger().name: value}
    border.install()
    for binding in function.get_bindings():
        if binding.type == "durableClient":
            arguments[binding.name] = border.CLIENT
    if "context" in inspect.signature(user).parameters and "context" not in arguments:
        arguments["context"] = SimpleNamespace(
            function_name=function.get_function_name(),
            function_directory=".",
            invocation_id=str(uuid.uuid4()),
            trace_context=None,
            retry_context=None,
            thread_local_storage=None,
        )
    result = user(**arguments)
    return asyncio.run(awaited(result)) if inspect.isawaitable(result) else result


async def awaited(value: Any) -> Any:
    return await value


def on_thread(function: Any, *arguments: Any) -> Any:
    """The worker runs a plain function on its thread pool, never on the main thread."""
    result: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            result.append(function(*arguments))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="ThreadPoolExecutor-0_0")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return result[0]


def failure(name: str, message: str, stack: str = "") -> tuple[str, str]:
    """Reason and details of a failed activity.

    The worker sends "{type}: {error}"; the host makes an RpcException "Result: Failure\\nException: …\\nStack: …" of it; the extension
    takes the text between "\\nException:" and "\\nStack:" (so it keeps the space) and writes the cause as JSON.
    """
    rpc = f"Result: Failure\nException: {message}\nStack: {stack}"
    start = rpc.index("\nException:") + len("\nException:")
    friendly = rpc[start : rpc.index("\nStack:")].split(OUT_OF_PROC)[0]
    inner = cause("Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException", "Microsoft.Azure.WebJobs.Script", rpc, None)
    return f"Activity function '{name}' failed: {friendly}", json.dumps(cause("System.Exception", "System.Private.CoreLib", friendly, inner))


def cause(name: str, assembly: str, message: str, inner: Any) -> dict[str, Any]:
    return {
        "$type": f"{name}, {assembly}",
        "ClassName": name,
        "Message": message,
        "Data": None,
        "InnerException": inner,
        "HelpURL": None,
        "StackTraceString": None,
        "RemoteStackTraceString": None,
        "RemoteStackIndex": 0,
        "ExceptionMethod": None,
        "HResult": -2146233088,
        "Source": None,
        "WatsonBuckets": None,
    }
