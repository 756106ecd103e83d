"""The runtime of the app over a list of so many items: how many orchestrations it takes, and that none is left when it is given up."""

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
import time
import azure.durable_functions as df
import mlpipe_run, mlpipe_sub
from mlpipe_dag import ForEach, Function, Group, Pipeline, Wait
from mlpipe_params import Param

app = df.DFApp()
NAME = "p"
PARAMS = [Param("n", "integer"), Param("bad", "integer"), Param("waits", "integer")]
pipeline = sys.modules[__name__]


def define(params, steps, run):
    return Pipeline(
        steps=[
            Function("all", for_each=ForEach(lambda: list(range(params["n"])), params=["bad"]), timeout=60, input=lambda: steps["all"].item == params["bad"]),
            Group("each", after=["all"], for_each=ForEach(lambda: list(range(params["waits"]))), timeout=60, steps=[Wait("each.w", seconds=3600)]),
        ],
        outputs=lambda: {"sizes": [len(steps["all"].output), len(steps["each"].output)]},
    )


@app.orchestration_trigger(context_name="context", orchestration="p")
def p(context):
    return (yield from mlpipe_run.run(context, pipeline))


@app.orchestration_trigger(context_name="context", orchestration="p-items")
def items(context):
    return (yield from mlpipe_run.run_items(context, pipeline))


@app.activity_trigger(input_name="instance", activity="mlpipe-stop")
@app.durable_client_input(client_name="client")
async def stop(instance: str, client):
    await mlpipe_sub.stop(client, instance)


@app.activity_trigger(input_name="envelope", activity="all")
def all_(envelope):
    time.sleep(1)
    return {"error": {"name": "Bad", "message": "-"}} if envelope["input"] else {"output": envelope["run_id"]}
'''


def run(folder: Path, params: dict[str, Any]) -> dict[str, Any]:
    functions = Functions(load_app(folder))
    host = Host(functions, Virtual(functions))
    root = host.create("p", json.dumps(params), "run-1")
    host.run(root)
    return {
        "status": root.status,
        "output": root.output,
        "error": root.error,
        "orchestrations": len(host.instances),
        "running": [instance.id for instance in host.instances.values() if instance.status == "Running"],
        "timers": sum(not timer.fired and not timer.cancelled for timer in host.timers.values()),
        "longest": max(len(instance.history) for instance in host.instances.values()),
        "calls": host.attempts,
    }


class SlicesTest(unittest.TestCase):
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

    def run_it(self, n: int, bad: int = -1, waits: int = 0) -> dict[str, Any]:
        return in_child(lambda: run(self.folder, {"n": n, "bad": bad, "waits": waits}))

    def test_the_threshold(self) -> None:
        for n, orchestrations in ((1, 1), (200, 1), (201, 4), (1001, 12)):
            got = self.run_it(n)
            self.assertEqual((got["status"], got["output"], got["orchestrations"]), ("Completed", {"sizes": [n, 0]}, orchestrations), n)

    def test_no_history_is_long(self) -> None:
        self.assertLess(self.run_it(2000)["longest"], 700)

    def test_a_failure_stops_the_other_slices(self) -> None:
        got = self.run_it(1000, bad=30)
        self.assertEqual(json.loads(got["error"]), {"name": "Bad", "message": "-", "step": "all"})
        self.assertEqual((got["status"], got["running"], got["timers"]), ("Failed", [], 0))
        # Eight of the ten slices run at once; the 28th second of one of them ends all of them.
        self.assertEqual(got["calls"]["mlpipe-stop"], 7)
        self.assertLess(got["calls"]["all"], 1000)

    def test_lists_one_after_the_other_count_together(self) -> None:
        # The items run out of time one by one; the first to do so ends the list, and the slices are stopped.
        got = self.run_it(150, waits=51)
        self.assertEqual(json.loads(got["error"])["name"], "timeout")
        self.assertEqual((got["orchestrations"], got["running"], got["timers"]), (2, [], 0))


if __name__ == "__main__":
    unittest.main()
