"""The runtime of the app where people answer early, late, twice or never, and where nobody can be asked."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from test_host import in_child
from test_slices import RUNTIME

from host.app import Functions, load_app
from host.host import Host
from host.workers import Virtual

APP = '''
import os
import sys
import azure.durable_functions as df
import mlpipe_run, mlpipe_topic
from mlpipe_dag import Approval, ForEach, Pipeline, Retry, Topic, Wait

app = df.DFApp()
NAME = "p"
PARAMS = []
pipeline = sys.modules[__name__]


def define(params, steps, run):
    topic = Topic("t", os.environ["ENDPOINT"])
    return Pipeline(
        steps=[
            Wait("w", seconds=60),
            Approval("gate", after=["w"], for_each=ForEach(["a", "b"]), topic=topic, message=lambda: steps["gate"].item, timeout=20 * 86400),
        ],
        outputs=lambda: {"gate": steps["gate"].output},
    )


@app.orchestration_trigger(context_name="context", orchestration="p")
def p(context):
    return (yield from mlpipe_run.run(context, pipeline))


@app.activity_trigger(input_name="request", activity="mlpipe-publish")
def publish(request):
    mlpipe_topic.publish(request)
'''
ENDPOINT = "https://approvals.westeurope-1.eventgrid.azure.net/api/events"
DAY = 86400.0


class Listener(Host):
    """Keeps what is published."""

    def answer_to(self, request: dict[str, Any]) -> Any:
        self.published.append(request)


def run(folder: Path, events: list[tuple[str, Any, float]], endpoint: str) -> dict[str, Any]:
    import datetime as dt

    os.environ["ENDPOINT"] = endpoint
    functions = Functions(load_app(folder))
    host = Listener(functions, Virtual(functions))
    host.published = []
    root = host.create("p", "{}", "run-1")
    for name, value, at in events:
        host.raise_event("run-1", name, value, host.began + dt.timedelta(seconds=at))
    host.run(root)
    return {
        "output": root.output,
        "error": json.loads(root.error) if root.error else None,
        "published": host.published,
        "waits": host.waits(),
        "seconds": (host.now - host.began).total_seconds(),
        "timers": sum(not timer.fired and not timer.cancelled for timer in host.timers.values()),
    }


class ApprovalsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.scratch.name)
        for module in RUNTIME.glob("mlpipe_*.py"):
            shutil.copy(module, cls.folder)
        (cls.folder / "function_app.py").write_text(APP)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.scratch.cleanup()

    def run_it(self, *events: tuple[str, Any, float], endpoint: str = ENDPOINT) -> dict[str, Any]:
        return in_child(lambda: run(self.folder, list(events), endpoint))

    def test_each_item_has_an_event_of_its_own(self) -> None:
        got = self.run_it(("gate", {"approved": True, "by": "ann"}, 3600), ("gate-2", {"approved": False, "x": 1}, 1800))
        self.assertEqual(got["output"], {"gate": [{"approved": True, "by": "ann", "comment": None}, {"approved": False, "by": None, "comment": None}]})
        asked = [{"pipeline": "p", "run": "run-1", "step": "gate", "message": item, "event": event} for item, event in (("a", "gate"), ("b", "gate-2"))]
        self.assertEqual((got["published"], got["waits"], got["timers"], got["seconds"]), (asked, [60.0], 0, 3600.0))

    def test_an_answer_may_be_there_before_the_question(self) -> None:
        got = self.run_it(("gate", {"approved": True}, 1), ("gate-2", {"approved": True}, 2))
        self.assertEqual([answer["approved"] for answer in got["output"]["gate"]], [True, True])

    def test_an_answer_after_more_than_one_timer(self) -> None:
        got = self.run_it(("gate", {"approved": True}, 13 * DAY), ("gate-2", {"approved": True}, 14 * DAY))
        self.assertEqual((got["error"], got["waits"], got["seconds"], got["timers"]), (None, [60.0], 14 * DAY, 0))

    def test_nobody_answers(self) -> None:
        got = self.run_it(("gate", {"approved": True}, 13 * DAY), ("other", {"approved": True}, 14 * DAY))
        self.assertEqual(got["error"], {"name": "timeout", "message": "the attempt ran longer than its timeout", "step": "gate"})
        self.assertEqual((got["seconds"], got["timers"]), (20 * DAY + 60, 0))

    def test_a_topic_that_is_not_there(self) -> None:
        got = self.run_it(endpoint="https://nowhere.example/api/events")
        self.assertEqual((got["error"]["name"], got["timers"]), ("ServiceUnavailable", 0))


if __name__ == "__main__":
    unittest.main()
