"""The runtime of the app around what managed services run: late, given up, failing."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

from test_host import in_child

from host import border
from host.app import Functions, load_app
from host.host import Host
from host.services import Deployed, Services, ask
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


def start(request, name):
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


SETTINGS = {"MLPIPE_ML_CLIENT_ID": "9ed2cb3a-5e06-4b62-92b5-34a3a3a3a3a3", "MLPIPE_ML_WORKSPACE": "/subscriptions/s/providers/Microsoft.MachineLearningServices/workspaces/ml-x", "MLPIPE_ML_STORAGE": "mlx"}
REQUEST = {
    "pipeline": "p", "run": "r", "step": "fit", "code": "training", "script": "fit.py", "arguments": ["--text", "$x ${{inputs.mlpipe}}"], "count": 1, "spot": True, "requirements": [],
    "environment": "azureml://registries/azureml/environments/sklearn-1.5/versions/50", "instance": "Standard_D2s_v3", "timeout": 60, "data": {},
}  # fmt: skip


class TrainTest(unittest.TestCase):
    """mlpipe_train.py against the services."""

    def with_services(self, work: Any) -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            raw = Path(scratch) / "raw"
            (raw / "rows").mkdir(parents=True)
            (raw / "rows" / "a.csv").write_text("a")
            deployed = Deployed("p", {}, SETTINGS["MLPIPE_ML_WORKSPACE"], "mlx", containers={"acc/raw": str(raw)}, code=scratch)
            for package in ("training", "mlpipe_predicting"):
                (Path(scratch) / package).mkdir()
                (Path(scratch) / package / "mlpipe_launcher.py").write_text("import time; time.sleep(600)")
            services = Services(deployed, patience=0.1)
            try:
                return in_child(lambda: self.in_activity(services.port, work))
            finally:
                services.close()

    def in_activity(self, port: int, work: Any) -> Any:
        border.services = port
        border.install()
        os.environ.update(SETTINGS)
        sys.path.insert(0, str(RUNTIME))
        import mlpipe_train

        return work(mlpipe_train, port)

    def test_channels(self) -> None:
        def work(train: Any, _: int) -> Any:
            base = "abfs://raw@acc.dfs.core.windows.net"
            kinds = [train.found(base + path) for path in ("/rows", "/rows/", "", "/rows/a.csv")]
            others = [train.found(uri) for uri in ("azureml://datastores/x/paths/y", "abfs://other@acc.dfs.core.windows.net/z")]
            missing = train.start({**REQUEST, "data": {"x": f"{base}/row"}}, "r-1")
            return [kinds, others, missing]

        kinds, others, missing = self.with_services(work)
        place = "wasbs://raw@acc.blob.core.windows.net/"
        self.assertEqual([(kind["jobInputType"], kind["uri"]) for kind in kinds], [("uri_folder", f"{place}rows/")] * 2 + [("uri_folder", place), ("uri_file", f"{place}rows/a.csv")])
        self.assertEqual([kind["jobInputType"] for kind in others], ["uri_folder"] * 2)
        message = "channel `x`: there is nothing at abfs://raw@acc.dfs.core.windows.net/row"
        self.assertEqual(missing, {"error": {"name": "DataNotFound", "message": message}})

    def test_one_that_is_stopped(self) -> None:
        def work(train: Any, port: int) -> Any:
            handle = train.start(REQUEST, "r-1")
            running = train.look(handle)
            train.stop(handle)
            return [running, train.look(handle), ask(port, "ended")]

        crashed = {"error": {"name": "WorkerCrashed", "message": "the training ended without an answer"}}
        self.assertEqual(self.with_services(work), [None, crashed, ["r-1"]])

    def test_predictions(self) -> None:
        def work(train: Any, _: int) -> Any:
            import mlpipe_batch

            base = "abfs://raw@acc.dfs.core.windows.net"
            given = {**REQUEST, "step": "predict", "model": f"{base}/model/", "input": f"{base}/rows/", "output": f"{base}/made/"}
            missing = mlpipe_batch.start(given, "r-1")
            handle = mlpipe_batch.start({**given, "model": f"{base}/rows"}, "r-2")
            mlpipe_batch.stop(handle)
            return [missing, mlpipe_batch.look(handle)]

        nothing = {"name": "DataNotFound", "message": "model: there is nothing at abfs://raw@acc.dfs.core.windows.net/model/"}
        crashed = {"name": "WorkerCrashed", "message": "the job ended without an answer"}
        self.assertEqual(self.with_services(work), [{"error": nothing}, {"error": crashed}])

    def test_bodies_are_held_against_the_schema(self) -> None:
        def work(train: Any, _: int) -> Any:
            said = []
            for change in ({"spot": False}, {"count": "2"}, {"instance": 1}):
                try:
                    said.append(train.start({**REQUEST, **change}, f"r-{len(said)}"))
                except Exception as error:
                    said.append(str(error))
            return said

        well, count, instance = self.with_services(work)
        self.assertEqual(well, {"name": "r-0"})
        self.assertIn("not supported", count)
        self.assertIn("properties.resources.instanceType: string expected", instance)


if __name__ == "__main__":
    unittest.main()
