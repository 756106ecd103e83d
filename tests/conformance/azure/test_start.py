"""Tests how messages and requests start runs, with the events and requests of the real library."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
import unittest
from pathlib import Path
from typing import Any

import azure.functions as func

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "targets" / "azure"))
sys.dont_write_bytecode = True

from mlpipe_start import start_by_request, topic_message  # noqa: E402


class Client:
    """Keeps what is started."""

    def __init__(self) -> None:
        self.started: list[Any] = []

    async def start_new(self, orchestrator: str, instance: str | None, params: Any) -> str:
        self.started.append((orchestrator, instance, params))
        return "an-id"

    def create_check_status_response(self, request: func.HttpRequest, instance: str) -> func.HttpResponse:
        return func.HttpResponse(instance, status_code=202)


def event(event_type: str, data: Any, id: str = "1") -> func.EventGridEvent:
    """As the worker reads it from what the host gives."""
    from azure.functions.eventgrid import EventGridEventInConverter
    from azure.functions.meta import Datum

    time = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc).isoformat()
    fields = {"id": id, "topic": "t", "subject": "s", "eventType": event_type, "eventTime": time, "data": data, "dataVersion": "1"}
    return EventGridEventInConverter.decode(Datum(json.dumps(fields), "json"), trigger_metadata=None)


class StartTest(unittest.TestCase):
    def test_messages(self) -> None:
        own = {"pipeline": "p", "run": "r", "step": "s", "message": "the text"}
        self.assertEqual(topic_message(event("mlpipe.notify", own)).message, "the text")
        self.assertEqual(topic_message(event("theirs", "plain")).message, "plain")
        self.assertEqual(topic_message(event("theirs", {"ä": [1]})).message, '{"ä":[1]}')

    def test_ids_of_messages_are_fit_for_runs(self) -> None:
        ids = [topic_message(event("theirs", "x", id)).id for id in ("a/b#c?" * 50, "b", "b")]
        self.assertTrue(all(id.isalnum() and len(id) <= 60 for id in ids), ids)
        self.assertEqual(len(set(ids)), 2, "one that comes again starts no second run")

    def test_requests(self) -> None:
        for body, status, started in [
            (b'{"n": 1}', 202, [("p", None, {"n": 1})]),
            (b"", 202, [("p", None, {})]),
            (b"[1]", 400, []),
            (b"{", 400, []),
        ]:
            client = Client()
            request = func.HttpRequest(method="POST", url="https://app/api/start", body=body)
            response = asyncio.run(start_by_request(client, "p", request))
            self.assertEqual((response.status_code, client.started), (status, started), body)


if __name__ == "__main__":
    unittest.main()
