"""mlpipe_endpoint.py against the services, and what an endpoint runs."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import types
import unittest
from pathlib import Path
from typing import Any

from test_host import in_child

from host import border
from host.endpoints import LOOKS
from host.services import Deployed, Services, ask

TARGETS = Path(__file__).resolve().parents[3] / "targets"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/ml-x"
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/p-serving"
ENVIRONMENT = f"{WORKSPACE}/environments/serving-x/versions/1"
SETTINGS = {
    "MLPIPE_ML_WORKSPACE": WORKSPACE,
    "MLPIPE_ML_STORAGE": "mlx",
    "MLPIPE_ML_LOCATION": "westeurope",
    "MLPIPE_ML_SERVING_IDENTITY": IDENTITY,
    "MLPIPE_ML_AUTOSCALES": "1",
}
MODEL = "abfs://raw@acc.dfs.core.windows.net/good"
REQUEST = {
    "pipeline": "p", "run": "r", "step": "serve", "endpoint": "churn-x", "name": "churn", "environment": ENVIRONMENT, "scores": True, "captured": False,
    "autoscale": None, "models": {"main": MODEL}, "variants": {"main": {"instance": "Standard_DS2_v2", "count": 1, "percent": 100}},
}  # fmt: skip
FAILED = {"error": {"name": "EndpointFailed", "message": "the endpoint `churn` did not come into service"}}


class EndpointTest(unittest.TestCase):
    def with_services(self, work: Any, faults: dict[str, list[str]] | None = None) -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            for name, file in (("good", "model.joblib"), ("bad", "notes.txt")):
                (Path(scratch) / name).mkdir()
                (Path(scratch) / name / file).write_text("x")
            deployed = Deployed("p", {}, WORKSPACE, "mlx", [ENVIRONMENT], [IDENTITY], containers={"acc/raw": scratch}, faults=faults or {})
            services = Services(deployed, patience=0.1)
            try:
                return in_child(lambda: self.in_activity(services.port, work))
            finally:
                services.close()

    def in_activity(self, port: int, work: Any) -> Any:
        border.services = port
        border.install()
        os.environ.update(SETTINGS)
        sys.path.insert(0, str(TARGETS / "azure"))
        import mlpipe_endpoint

        return work(mlpipe_endpoint, port)

    def attempt(self, endpoint: Any, name: str, **change: Any) -> Any:
        """The answer of one attempt, and the handle that it ended with."""
        handle = endpoint.start({**REQUEST, **change}, name)
        if "error" in handle:
            return handle, handle
        for _ in range(20 * LOOKS):
            answer = endpoint.look(handle)
            handle = (answer or {}).get("handle", handle)
            if answer and "handle" not in answer:
                return answer, handle
        raise AssertionError(f"no end: {handle}")

    def there(self, endpoint: Any) -> Any:
        found = endpoint.known(endpoint.address(REQUEST))
        deployments = {name: one["properties"]["provisioningState"] for name, one in endpoint.every(REQUEST).items()} if found else {}
        return {"traffic": found and found["properties"].get("traffic"), "deployments": deployments}

    def test_an_update_takes_the_place_of_what_served(self) -> None:
        def work(endpoint: Any, port: int) -> Any:
            first, _ = self.attempt(endpoint, "one")
            before = self.there(endpoint)
            scaled = {"min": 2, "max": 3, "requests": 100}
            variants = {"main": {**REQUEST["variants"]["main"], "percent": 90}, "other": {**REQUEST["variants"]["main"], "percent": 10}}
            second, _ = self.attempt(endpoint, "two", autoscale=scaled, captured=True, models={"main": MODEL, "other": MODEL}, variants=variants)
            for _ in range(LOOKS + 1):
                after = self.there(endpoint)
            scalings = [bool(endpoint.known(endpoint.scaling(REQUEST, name))) for name in ("main-a", "main-b", "other-a")]
            return [first, second, before, after, scalings]

        first, second, before, after, scalings = self.with_services(work)
        self.assertEqual(first, {"output": {"endpoint_name": "churn-x", "url": "https://churn-x.westeurope.inference.ml.azure.com/score"}})
        self.assertEqual(first, second)
        self.assertEqual(before, {"traffic": {"main-a": 100}, "deployments": {"main-a": "Succeeded"}})
        self.assertEqual(after, {"traffic": {"main-b": 90, "other-a": 10}, "deployments": {"main-b": "Succeeded", "other-a": "Succeeded"}})
        self.assertEqual(scalings, [False, True, True])

    def test_what_served_before_goes_on(self) -> None:
        def work(endpoint: Any, port: int) -> Any:
            self.attempt(endpoint, "one")
            answers = [self.attempt(endpoint, name, models={"main": uri})[0] for name, uri in (("two", MODEL.replace("good", "bad")), ("three", f"{MODEL}/no"))]
            answers.append(self.attempt(endpoint, "four")[0])
            for _ in range(LOOKS + 1):
                after = self.there(endpoint)
            return [answers, after, ask(port, "ended")]

        answers, after, ended = self.with_services(work, {"serve": []})
        self.assertEqual(answers[:2], [FAILED, FAILED])
        self.assertIn("output", answers[2])
        self.assertEqual(after, {"traffic": {"main-b": 100}, "deployments": {"main-b": "Succeeded"}})
        self.assertEqual(ended, ["main-b", "main-a"])

    def test_one_that_never_served_is_taken_away(self) -> None:
        def work(endpoint: Any, port: int) -> Any:
            answer, handle = self.attempt(endpoint, "one", models={"main": MODEL.replace("good", "bad")})
            first = self.attempt(endpoint, "two")[0]
            return [answer, first, ask(port, "ended")]

        answer, first, ended = self.with_services(work)
        self.assertEqual((answer, ended), (FAILED, ["churn-x"]))
        self.assertIn("output", first)

    def test_one_that_is_stopped(self) -> None:
        def work(endpoint: Any, port: int) -> Any:
            self.attempt(endpoint, "one")
            handle = endpoint.start(REQUEST, "two")
            handle = (endpoint.look(handle) or {}).get("handle", handle)
            endpoint.stop(handle)
            stopped = ask(port, "ended")
            done, handle = self.attempt(endpoint, "three")
            endpoint.stop(handle)
            return [stopped, done, ask(port, "ended")]

        stopped, done, ended = self.with_services(work)
        self.assertEqual(stopped, ["main-b"])
        self.assertIn("output", done)
        self.assertEqual(ended, ["main-b", "main-a"])  # what serves stays

    def test_no_machines(self) -> None:
        def work(endpoint: Any, port: int) -> Any:
            return [self.attempt(endpoint, "one")[0], ask(port, "ended")]

        unavailable = {"error": {"name": "ServiceUnavailable", "message": "the service could not be reached"}}
        answer, ended = self.with_services(work, {"serve": ["capacity"]})
        self.assertEqual((answer, ended), (unavailable, ["churn-x"]))


SERVING = """
def load(folder):
    return 3


def predict(model, instances):
    return [sum(instance.values() if isinstance(instance, dict) else instance) * model for instance in instances]
"""


class Collector:
    """As azureml-ai-monitoring has it."""

    kept: list[Any] = []

    def __init__(self, *, name: str, on_error: Any = None) -> None:
        self.name = name

    def collect(self, frame: Any, context: Any = None) -> str:
        self.kept.append((self.name, frame.columns, context))
        return "context"


class Frame:
    """As much of a data frame as there need be."""

    def __init__(self, rows: Any) -> None:
        self.columns = list(rows[0]) if isinstance(rows, list) and isinstance(rows[0], dict) else list(range(len(rows[0]))) if isinstance(rows, list) else list(rows)


class ScoreTest(unittest.TestCase):
    def score(self, requests: list[str], **settings: str) -> Any:
        def work() -> Any:
            with tempfile.TemporaryDirectory() as scratch:
                code, model = Path(scratch) / "code", Path(scratch) / "models" / "good"
                code.mkdir()
                model.mkdir(parents=True)
                (model / "serving.py").write_text(SERVING)
                (code / "mlpipe_serving.py").write_text((TARGETS / "adapter" / "serving.py").read_text())
                (code / "score.py").write_text((TARGETS / "azure" / "score.py").read_text())
                stub("azureml.ai.monitoring", Collector=Collector)
                stub("azureml_inference_server_http.api.aml_response", AMLResponse=lambda message, status, json_str=False: [status, message])
                stub("pandas", DataFrame=Frame)
                os.environ |= {"AZUREML_MODEL_DIR": str(model.parent), **settings}
                sys.path.insert(0, str(code))
                score = importlib.import_module("score")
                score.init()
                return [[score.run(request) for request in requests], Collector.kept]

        return in_child(work)

    def test_answers(self) -> None:
        answers, kept = self.score(['{"instances": [[1, 2], [3, 4]]}', '{"rows": []}', "[", '{"instances": 1}', json.dumps({"instances": []})])
        refused = [400, {"error": 'send {"instances": [...]}'}]
        self.assertEqual(answers, [{"predictions": [9, 21]}, refused, refused, refused, {"predictions": []}])
        self.assertEqual(kept, [])

    def test_requests_are_kept(self) -> None:
        answers, kept = self.score(['{"instances": [{"a": 1, "b": 2}]}', '{"instances": [[1, 2]]}', '{"instances": []}'], MLPIPE_CAPTURED="1")
        self.assertEqual(answers, [{"predictions": [9]}, {"predictions": [9]}, {"predictions": []}])
        self.assertEqual([tuple(map(repr, one[:2])) for one in kept[:3]], [("'model_inputs'", "['a', 'b']"), ("'model_outputs'", "['prediction']"), ("'model_inputs'", "['0', '1']")])


def stub(name: str, **content: Any) -> None:
    """A module, and the packages that it is in."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:length]), types.ModuleType(".".join(parts[:length])))
    for key, value in content.items():
        setattr(sys.modules[name], key, value)


if __name__ == "__main__":
    unittest.main()
