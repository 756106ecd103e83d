"""The runtime of the app around what managed services run: late, given up, failing."""

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
import mlpipe_run, mlpipe_service, mlpipe_sub
from mlpipe_dag import Catch, Fail, Group, Job, Pipeline, Retry, Wait

app = df.DFApp()
NAME = "p"
PARAMS = []
pipeline = sys.modules[__name__]


def define(params, steps, run):
    return Pipeline(steps=STEPS, outputs=lambda: {step.path: steps[step.path].error for step in STEPS})


STEPS = [%s]


@app.orchestration_trigger(context_name="context", orchestration="p")
def p(context):
    return (yield from mlpipe_run.run(context, pipeline))


@app.orchestration_trigger(context_name="context", orchestration="mlpipe-service")
def run_service(context):
    return (yield from mlpipe_service.run(context))


@app.activity_trigger(input_name="given", activity="mlpipe-service-start")
def start_service(given):
    return mlpipe_service.start(given)


@app.activity_trigger(input_name="known", activity="mlpipe-service-look")
def look_at_service(known):
    return mlpipe_service.look(known)


@app.activity_trigger(input_name="known", activity="mlpipe-service-end")
def end_service(known):
    mlpipe_service.end(known)


@app.activity_trigger(input_name="instance", activity="mlpipe-stop")
@app.durable_client_input(client_name="client")
async def stop(instance: str, client):
    await mlpipe_sub.stop(client, instance)
'''

SERVICE = '''
from mlpipe_rest import Refused

stopped = []


def start(request):
    if request["job"] == "none":
        raise Refused(409, "no machines")
    return request


def look(handle):
    if handle["job"] == "gone":
        raise ConnectionError
    return {"output": None} if handle["job"] == "quick" else None


def stop(handle):
    stopped.append(handle["job"])
    raise Refused(404, "it has ended")
'''


def run(folder: Path) -> dict[str, Any]:
    functions = Functions(load_app(folder))
    host = Host(functions, Virtual(functions))
    root = host.create("p", "{}", "run-1")
    host.run(root)
    from importlib import import_module

    histories = [len(instance.history) for instance in host.instances.values()]
    timers = sum(not timer.fired and not timer.cancelled for timer in host.timers.values())
    return {
        "outputs": root.output,
        "error": root.error and json.loads(root.error),
        "stopped": import_module("mlpipe_job").stopped,
        "waits": host.waits(),
        "attempts": host.steps,
        "longest": max(histories),
        "seconds": (host.now - host.began).total_seconds(),
        "timers": timers,
    }


class ServiceTest(unittest.TestCase):
    def run_steps(self, steps: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            for module in RUNTIME.glob("mlpipe_*.py"):
                shutil.copy(module, scratch)
            (Path(scratch) / "mlpipe_job.py").write_text(SERVICE)
            (Path(scratch) / "function_app.py").write_text(APP % steps)
            return in_child(lambda: run(Path(scratch)))

    def test_one_that_is_late_is_stopped(self) -> None:
        got = self.run_steps('Job("a", job="slow", timeout=7200, catch=[Catch(["timeout"])])')
        self.assertEqual(got["outputs"], {"a": {"name": "timeout", "message": "the attempt ran longer than its timeout"}})
        self.assertEqual((got["stopped"], got["waits"], got["timers"], got["attempts"]), (["slow"], [], 0, {"a": 1}))
        # Looks are no burden: some 120 of them, a new history every 50.
        self.assertAlmostEqual(got["seconds"], 7200, delta=2)
        self.assertLess(got["longest"], 600)

    def test_one_that_is_given_up_is_stopped(self) -> None:
        group = 'Group("g", steps=[Job("g.a", job="slow", timeout=7200)], timeout=90, catch=[Catch(["timeout"])])'
        got = self.run_steps(group)
        self.assertEqual((got["outputs"]["g"]["name"], got["stopped"]), ("timeout", ["slow"]))
        beside = 'Wait("w", seconds=30), Fail("f", error="E", message="m", after=["w"]), Job("a", job="slow", timeout=7200)'
        got = self.run_steps(beside)
        self.assertEqual((got["error"], got["stopped"]), ({"name": "E", "message": "m", "step": "f"}, ["slow"]))

    def test_trouble_of_the_service(self) -> None:
        caught = 'catch=[Catch(["transient"])], retry=Retry(attempts=2, delay=3, max_delay=9, on=["transient"])'
        got = self.run_steps(f'Job("a", job="none", timeout=60, {caught}), Job("b", job="gone", timeout=600, {caught}, needs=["a"]), Job("c", job="quick", timeout=60)')
        unavailable = {"name": "ServiceUnavailable", "message": "the service could not be reached"}
        self.assertEqual(got["outputs"], {"a": unavailable, "b": unavailable, "c": None})
        self.assertEqual((got["attempts"], got["waits"], got["stopped"]), ({"a": 2, "b": 2, "c": 1}, [3, 3], ["gone", "gone"]))


if __name__ == "__main__":
    unittest.main()
