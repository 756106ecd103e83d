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


class WithServices(unittest.TestCase):
    """What an activity does against the services."""

    def with_services(self, work: Any, measured: Any = None) -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            raw = Path(scratch) / "raw"
            (raw / "rows").mkdir(parents=True)
            (raw / "rows" / "a.csv").write_text("a")
            deployed = Deployed("p", {}, SETTINGS["MLPIPE_ML_WORKSPACE"], "mlx", containers={"acc/raw": str(raw)}, measured=measured or {}, code=scratch)
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


class TrainTest(WithServices):
    """mlpipe_train.py against the services."""

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


DRIFT = {
    "schedule": "0 3 * * *", "window": "P1D", "instance": "Standard_E4s_v3", "runtime": "3.4", "threshold": 0.2,
    "numerical": "PopulationStabilityIndex", "categorical": "PopulationStabilityIndex", "preprocessor": "azureml://registries/azureml/components/c/versions/1",
}  # fmt: skip
BASE = "abfs://raw@acc.dfs.core.windows.net"
WATCHED = {"name": "p-watch", "title": "churn", "endpoint": "churn-x", "drift": DRIFT, "baseline": f"{BASE}/rows/a.csv"}
ENDPOINT = f"{SETTINGS['MLPIPE_ML_WORKSPACE']}/onlineEndpoints/churn-x"
TOPIC = "https://alerts-x.westeurope-1.eventgrid.azure.net/api/events"


class MonitorTest(WithServices):
    """mlpipe_monitor.py against the services."""

    def in_monitor(self, work: Any, measured: Any = None) -> Any:
        def inside(train: Any, _: int) -> Any:
            os.environ["MLPIPE_ML_IDENTITY"] = "/subscriptions/s/providers/Microsoft.ManagedIdentity/userAssignedIdentities/jobs"
            import mlpipe_monitor
            import mlpipe_rest

            # Endpoints are none of these services.
            there = {"properties": {"traffic": {"main-a": 90, "canary-a": 10, "old-b": 0}}}
            mlpipe_monitor.call = lambda method, url, body=None: there if url.partition("?")[0].endswith(ENDPOINT) else mlpipe_rest.call(method, url, body)
            return work(mlpipe_monitor)

        return self.with_services(inside, measured)

    def test_the_schedule_is_made_and_deleted(self) -> None:
        def work(monitor: Any) -> Any:
            put = []
            real = monitor.call
            monitor.call = lambda method, url, body=None: (put.append(body), real(method, url, body))[1]
            made = [monitor.look(monitor.start(WATCHED, "r-1")), monitor.look(monitor.start(WATCHED, "r-2"))]
            without = {**WATCHED, "drift": None, "baseline": None}
            ended = [monitor.look(monitor.start(without, "r-3")), monitor.look(monitor.start(without, "r-4"))]
            return [made, ended, [body for body in put if body][-1]["properties"]["action"]["monitorDefinition"]["signals"]]

        made, ended, signals = self.in_monitor(work)
        self.assertEqual((made, ended), ([{"output": None}] * 2, [{"output": None}] * 2))
        self.assertEqual(list(signals), ["p-watch-on-main-a", "p-watch-on-canary-a"])
        self.assertEqual(signals["p-watch-on-main-a"]["productionData"]["uri"], "azureml://datastores/artifacts/paths/captured/churn-x/main-a/model_inputs/")

    def test_what_cannot_be_made(self) -> None:
        def work(monitor: Any) -> Any:
            return [monitor.start({**WATCHED, **change}, "r") for change in ({"baseline": f"{BASE}/none.csv"}, {"drift": {**DRIFT, "numerical": "Chance"}})]

        missing, refused = self.in_monitor(work)
        self.assertEqual(missing["error"], {"name": "DataNotFound", "message": f"baseline: there is nothing at {BASE}/none.csv"})
        self.assertEqual(refused["error"], {"name": "MonitorFailed", "message": "the monitor of `churn` could not be set up"})

    def looks(self, measured: Any, status: Any) -> list[Any]:
        """What a timer tells the topic."""

        def work(monitor: Any) -> Any:
            from azure.functions.timer import TimerRequest

            from mlpipe_dag import Topic

            bounds = monitor.Bounds(
                endpoint="churn", pipeline="p", step="watch", topic=Topic("alerts-x", TOPIC), resource="churn-x", latency_p95_ms=300.0, error_rate=0.01
            )
            monitor.watch(TimerRequest(schedule_status=status), bounds)
            return [message for _, message in border.taken()]

        return self.in_monitor(work, measured)

    def test_the_timer_tells_what_is_out_of_bounds(self) -> None:
        latency = {"": [{"average": 250}, {}, {"average": 450}]}
        measured = {ENDPOINT: {"RequestLatency_P95": latency, "RequestsPerMinute": {"2xx": [{"average": 90}, {"average": 5}], "4xx": [{"average": 3}], "5xx": [{"average": 2}]}}}
        told = self.looks(measured, {"Last": "2026-01-01T00:00:00+00:00"})
        self.assertEqual([(topic, kind, data["step"]) for topic, kind, data in told], [("alerts-x", "mlpipe.notify", "watch")] * 2)
        latency_text, errors_text = [data["message"] for *_, data in told]
        self.assertEqual(latency_text, "churn: the 95th percentile of the latency is 350 ms, more than 300 ms")
        self.assertEqual(errors_text, "churn: 2.0% of the requests failed, more than 1.0%")

    def test_the_timer_is_silent_where_all_is_well_or_nothing_is_there(self) -> None:
        quiet = {ENDPOINT: {"RequestLatency_P95": {"": []}, "RequestsPerMinute": {"2xx": [{"average": 100}], "5xx": [{"average": 1}]}}}
        self.assertEqual((self.looks(quiet, {}), self.looks({}, {"Last": "0001-01-01T00:00:00"})), ([], []))

    def test_drift_is_told(self) -> None:
        def work(monitor: Any) -> Any:
            from test_start import event

            from mlpipe_dag import Topic

            bounds = monitor.Bounds(endpoint="churn", pipeline="p", step="watch", topic=Topic("alerts-x", TOPIC))
            said = "The signal '{}' has failed due to one or more features violating metric thresholds.\nThe feature names are \n['{{\"metric_value\":0.5,\"group\":\"age\"}}']\n"
            for signal in ("p-watch-on-main-a", "another-on-main-a"):
                tags = {"azureml_modelmonitor_threshold_breached": said.format(signal)}
                monitor.drifted(event("Microsoft.MachineLearningServices.RunStatusChanged", {"RunId": "x", "RunTags": tags}), {"p-watch": bounds})
            return [data["message"] for _, (_, _, data) in border.taken()]

        self.assertEqual(self.in_monitor(work), ["churn: `age` drifted from the baseline on the deployment `main-a`"])


if __name__ == "__main__":
    unittest.main()
