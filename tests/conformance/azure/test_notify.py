"""The runtime of the app where a message cannot be published."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from test_host import in_child

from host.app import Functions, load_app
from host.host import Host
from host.workers import Virtual

RUNTIME = Path(__file__).resolve().parents[3] / "targets" / "azure"

APP = '''
import sys
import azure.durable_functions as df
import mlpipe_run
from mlpipe_dag import Catch, Notify, Pipeline, Retry, Topic

app = df.DFApp()
NAME = "p"
PARAMS = []
pipeline = sys.modules[__name__]
gone = Topic("gone", "https://gone")
caught = [Catch(["ServiceUnavailable"], output=lambda error: error.message)]


def define(params, steps, run):
    return Pipeline(
        steps=[
            Notify("caught", topic=gone, message="x", retry=Retry(attempts=3, delay=2, on=["transient"]), catch=caught),
            Notify("a", topic=gone, message=lambda: steps["caught"].output, after=["caught"], timeout=30),
        ],
        on_failure=Notify("on_failure", topic=gone, message="y"),
    )


@app.orchestration_trigger(context_name="context", orchestration="p")
def p(context):
    return (yield from mlpipe_run.run(context, pipeline))


@app.activity_trigger(input_name="request", activity="mlpipe-publish")
def publish(request):
    raise ConnectionError("no route to " + request["endpoint"])
'''


def run(folder: Path) -> dict[str, Any]:
    functions = Functions(load_app(folder))
    host = Host(functions, Virtual(functions))
    root = host.create("p", "{}", "run-1")
    host.run(root)
    timers = sum(not timer.fired and not timer.cancelled for timer in host.timers.values())
    return {"error": root.error, "calls": host.attempts, "waits": host.waits(), "timers": timers}


class NotifyTest(unittest.TestCase):
    def test_a_topic_that_is_gone(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            for module in RUNTIME.glob("mlpipe_*.py"):
                shutil.copy(module, scratch)
            (Path(scratch) / "function_app.py").write_text(APP)
            got = in_child(lambda: run(Path(scratch)))
        # The failure of the handler, which cannot publish either, takes the place of none.
        error = {"name": "ServiceUnavailable", "message": "the service could not be reached", "step": "a"}
        self.assertEqual(json.loads(got["error"]), error)
        # Three for the step that is caught, one for `a`, one for the handler.
        self.assertEqual((got["calls"], got["timers"]), ({"mlpipe-publish": 5}, 0))
        # Between its three attempts; Retry's `max_delay` bounds them to 1 s.
        self.assertEqual(got["waits"], [1, 1])


if __name__ == "__main__":
    unittest.main()
