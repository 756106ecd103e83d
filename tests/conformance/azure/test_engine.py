"""Tests the engine over a small app: outputs, errors, timeouts, crashes, hangs, waits, buckets, settings."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

APP = '''
import datetime as dt
import json
import os
import time
import azure.durable_functions as df

app = df.DFApp()


@app.orchestration_trigger(context_name="context", orchestration="a_pipeline")
def a_pipeline(context):
    params = context.get_input()
    attempts = params.get("attempts", 1)
    context.set_custom_status({"steps": {"work": "running", "group": "skipped"}})
    for attempt in range(1, attempts + 1):
        envelope = {"run_id": context.instance_id, "step": "work", "attempt": attempt, "input": params}
        work = context.call_activity("work", envelope)
        timer = context.create_timer(context.current_utc_datetime + dt.timedelta(seconds=params.get("timeout", 60)))
        try:
            yield context.task_any([work, timer])
            if work.is_completed:
                timer.cancel()
                if isinstance(work.result, Exception):
                    answer = {"error": {"name": "WorkerCrashed", "message": "the function ended without an answer"}}
                else:
                    answer = work.result
            else:
                answer = {"error": {"name": "timeout", "message": "the attempt ran longer than its timeout"}}
        except Exception as error:
            answer = {"error": {"name": "Unexpected", "message": str(error)}}
        if "output" in answer:
            return {"work": answer["output"]}
        if attempt < attempts:
            yield context.create_timer(context.current_utc_datetime + dt.timedelta(seconds=2 * attempt))
    raise Exception(json.dumps({**answer["error"], "step": "work"}))


@app.orchestration_trigger(context_name="context", orchestration="random_pipeline")
def random_pipeline(context):
    yield context.call_activity("work", {"step": "work", "attempt": 1, "input": {"do": "echo", "with": time.perf_counter_ns()}})
    return {}


@app.orchestration_trigger(context_name="context", orchestration="side_by_side")
def side_by_side(context):
    works = [context.call_activity("work", {"step": s, "attempt": 1, "input": {"do": "sleep", "with": 0.7}}) for s in "abc"]
    yield context.task_all([*works, context.create_timer(context.current_utc_datetime + dt.timedelta(hours=1))])
    return {"seconds": (context.current_utc_datetime - dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)).total_seconds()}


@app.orchestration_trigger(context_name="context", orchestration="long_wait")
def long_wait(context):
    until = context.current_utc_datetime + dt.timedelta(days=20)
    while until > context.current_utc_datetime:
        yield context.create_timer(min(until, context.current_utc_datetime + dt.timedelta(days=6)))
    return {}


@app.activity_trigger(input_name="envelope", activity="work")
def work(envelope):
    do, value = envelope["input"].get("do"), envelope["input"].get("with")
    print("to nowhere")
    if do == "exit" and envelope["attempt"] < value:
        os._exit(3)
    if do == "system_exit":
        raise SystemExit(1)
    if do == "hang":
        time.sleep(600)
    if do == "sleep":
        time.sleep(value)
    if do == "fail":
        return {"error": {"name": "NotEnoughData", "message": "only 3 rows"}}
    if do == "environment":
        return {"output": os.environ.get(value)}
    if do == "read":
        import fsspec
        with fsspec.open(value, "rt") as file:
            return {"output": file.read()}
    return {"output": value}
'''

MAIN = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "variables": {"storage": "[concat('st', uniqueString(resourceGroup().id, 'a'))]"},
    "resources": [
        {"type": "Microsoft.Storage/storageAccounts/blobServices/containers", "name": "[concat(variables('storage'), '/default/raw')]"},
        {
            "type": "Microsoft.Web/sites",
            "name": "app",
            "properties": {
                "siteConfig": {
                    "appSettings": [
                        {"name": "RAW_URI", "value": "[concat('abfs://raw@', variables('storage'), '.dfs.', environment().suffixes.storage)]"},
                        {"name": "KEY", "value": "[reference(resourceId('Microsoft.Insights/components', 'x'), '2020-02-02').ConnectionString]"},
                    ]
                }
            },
        },
    ],
}


class EngineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = tempfile.TemporaryDirectory()
        root = Path(cls.scratch.name)
        cls.artifacts = root / "build"
        (cls.artifacts / "app").mkdir(parents=True)
        (cls.artifacts / "app" / "function_app.py").write_text(APP)
        (cls.artifacts / "main.json").write_text(json.dumps(MAIN))
        cls.pipeline = root / "pipeline.yaml"
        cls.pipeline.write_text("name: a-pipeline\nbuckets: { raw: {} }\n")
        cls.raw = root / "raw"
        cls.raw.mkdir()
        (cls.raw / "a.txt").write_text("hello")
        cls.engine = subprocess.Popen([sys.executable, str(HERE / "engine.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.engine.stdin.close()
        cls.engine.wait(10)
        cls.engine.stdout.close()
        cls.scratch.cleanup()

    def ask(self, params: dict[str, Any], name: str = "a-pipeline") -> dict[str, Any]:
        request = {
            "pipeline": str(self.pipeline),
            "pipeline_name": name,
            "artifacts": str(self.artifacts),
            "params": params,
            "buckets": {"raw": str(self.raw)},
            "steps": ["work", "group.inner", "loop.inner"],
        }
        self.engine.stdin.write(json.dumps(request) + "\n")
        self.engine.stdin.flush()
        return json.loads(self.engine.stdout.readline())

    def test_succeeds(self) -> None:
        answer = self.ask({"with": {"a": [1, 2.5, None]}})
        self.assertEqual("succeeded", answer["status"])
        self.assertEqual({"work": {"a": [1, 2.5, None]}}, answer["outputs"])
        # A step of a group that was skipped never ran, nor did one that is not shown.
        self.assertEqual(({"work": 1}, [], ["group.inner", "loop.inner"], None), (answer["attempts"], answer["waits"], answer["skipped"], answer["error"]))

    def test_fails(self) -> None:
        answer = self.ask({"do": "fail"})
        self.assertEqual("failed", answer["status"])
        self.assertEqual({"name": "NotEnoughData", "message": "only 3 rows", "step": "work"}, answer["error"])

    def test_crash_is_a_failed_activity(self) -> None:
        for params in ({"do": "exit", "with": 9}, {"do": "system_exit"}):
            self.assertEqual("WorkerCrashed", self.ask(params)["error"]["name"])

    def test_retries_wait(self) -> None:
        answer = self.ask({"do": "exit", "with": 3, "attempts": 3})
        self.assertEqual(("succeeded", {"work": 3}, [2.0, 4.0]), (answer["status"], answer["attempts"], answer["waits"]))

    def test_timeout_kills_and_is_no_wait(self) -> None:
        answer = self.ask({"do": "hang", "timeout": 1, "attempts": 2})
        self.assertEqual(("timeout", {"work": 2}, [2.0]), (answer["error"]["name"], answer["attempts"], answer["waits"]))

    def test_within_timeout(self) -> None:
        self.assertEqual("succeeded", self.ask({"do": "sleep", "with": 0.2, "timeout": 5})["status"])

    def test_parallel_activities_and_a_wait(self) -> None:
        answer = self.ask({}, "side-by-side")
        self.assertEqual([3600.0], answer["waits"])
        self.assertEqual({"seconds": 3600.0}, answer["outputs"])

    def test_a_long_wait_is_one(self) -> None:
        self.assertEqual([20 * 86400.0], self.ask({}, "long-wait")["waits"])

    def test_non_determinism_is_a_fault(self) -> None:
        self.assertIn("NonDeterministic", self.ask({}, "random-pipeline")["engine_error"])

    def test_unknown_orchestrator_is_a_fault(self) -> None:
        self.assertIn("doesn't exist", self.ask({}, "nothing")["engine_error"])

    def test_buckets_and_settings(self) -> None:
        answer = self.ask({"do": "environment", "with": "RAW_URI"})
        uri = answer["outputs"]["work"]
        self.assertEqual({"raw": {"uri": uri, "name": "raw"}}, answer["buckets"])
        self.assertEqual({"work": "hello"}, self.ask({"do": "read", "with": f"{uri}/a.txt"})["outputs"])
        self.assertEqual({"work": "<reference.ConnectionString>"}, self.ask({"do": "environment", "with": "KEY"})["outputs"])


if __name__ == "__main__":
    unittest.main()
