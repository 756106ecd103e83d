"""Tests the common part with a compiler and engines of straw."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from harness import command, compile, install, validators
from harness.compare import compare, equal, matches
from harness.discover import Case, CaseError, Pipeline, as_case, load
from harness.engines import Engine

STRAW = '''
import json, sys, time
for line in sys.stdin:
    request = json.loads(line)
    do = request["params"].get("do")
    if do == "die": sys.exit(1)
    if do == "hang": time.sleep(60)
    if do == "noise": print("not json"); sys.stdout.flush(); continue
    print(json.dumps({"status": "succeeded", "outputs": request["params"].get("out", {}), "error": None, "attempts": {"a": 1},
        "waits": [], "skipped": [], "run_id": "r", "buckets": {}}), flush=True)
'''


def pipeline() -> Pipeline:
    """a -> b -> c, with d beside them."""
    return Pipeline(
        path=Path("pipeline.yaml"),
        label="p",
        name="p",
        steps=["a", "b", "c", "d", "w"],
        functions={name: name for name in ("a", "b", "c", "d", "on_failure")},
        needs={"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": set(), "w": set()},
        buckets=[],
        seeds={},
    )


def answer(**more):
    return {"status": "succeeded", "outputs": {}, "error": None, "attempts": {"a": 1}, "waits": [], "skipped": [], "run_id": "r1", "buckets": {}, **more}


def fields(case: dict, **answers) -> list[str]:
    return [difference.field for difference in compare(pipeline(), Case("c", {}, case), answers)]


class Compare(unittest.TestCase):
    def test_numbers(self) -> None:
        self.assertTrue(equal({"a": [1, None]}, {"a": [1.0, None]}))
        self.assertFalse(equal(True, 1))
        self.assertFalse(equal("1", 1))
        self.assertFalse(equal({"a": None}, {}))

    def test_equal_answers(self) -> None:
        self.assertEqual([], fields({"status": "succeeded"}, x=answer(attempts={"a": 1, "b": 0, "w": 1}), y=answer(waits=[0.0])))

    def test_engines_are_compared_where_the_case_is_silent(self) -> None:
        self.assertEqual(["outputs"], fields({"status": "succeeded"}, x=answer(outputs={"n": 1}), y=answer(outputs={"n": 2})))
        self.assertEqual(["waits", "attempts.a"], fields({"status": "succeeded"}, x=answer(waits=[2, 1]), y=answer(waits=[1, 3], attempts={"a": 2})))

    def test_unobservable(self) -> None:
        self.assertEqual([], fields({"status": "succeeded", "skipped": ["b"]}, x=answer(skipped=None), y=answer(skipped=["b"])))

    def test_case(self) -> None:
        case = {"status": "succeeded", "outputs": {"n": 1}, "attempts": {"a": 2}, "waits": [4, 2], "skipped": ["c", "b"]}
        good = answer(outputs={"n": 1.0}, attempts={"a": 2}, waits=[2, 4], skipped=["b", "c"])
        self.assertEqual([], fields(case, x=good))
        self.assertEqual(["outputs", "waits", "skipped", "attempts.a"], fields(case, x=answer()))

    def test_status(self) -> None:
        found = compare(pipeline(), Case("c", {}, {"status": "failed"}), {"x": answer(), "y": answer(status="failed", error={"name": "E", "message": "m", "step": "a"})})
        self.assertEqual('status: x="succeeded", y="failed", expected="failed"', found[0].line())
        self.assertEqual({"x"}, found[0].wrong)

    def test_failed_runs_do_not_compare_siblings(self) -> None:
        error = {"name": "E", "message": "m", "step": "b"}
        x = answer(status="failed", error=error, attempts={"a": 1, "b": 1, "d": 1}, skipped=["c"], outputs=None)
        y = answer(status="failed", error=error, attempts={"a": 1, "b": 1, "d": 0}, skipped=[], waits=[9])
        self.assertEqual([], fields({"status": "failed"}, x=x, y=y))
        self.assertEqual(["attempts.a"], fields({"status": "failed"}, x=x, y={**y, "attempts": {"a": 2, "b": 1}}))
        self.assertEqual(["attempts.c"], fields({"status": "failed"}, x=x, y={**y, "attempts": {"a": 1, "b": 1, "c": 1}}))
        self.assertEqual(["attempts.on_failure"], fields({"status": "failed", "attempts": {"on_failure": 1}}, x=x))
        self.assertEqual(["error.name"], fields({"status": "failed", "error": {"name": "F"}}, x=x))

    def test_refused_params_start_nothing(self) -> None:
        error = {"name": "ParamMismatch", "message": "m", "step": "params"}
        self.assertEqual(["attempts.a"], fields({"status": "failed", "error": error}, x=answer(status="failed", error=error)))

    def test_placeholders(self) -> None:
        own = {"run_id": "r1", "buckets": {"raw": {"uri": "s3://x", "name": "x"}}}
        self.assertTrue(matches(["s3://x/a.csv", "r1-x"], ["{{buckets.raw.uri}}/a.csv", "{{run.id}}-{{buckets.raw.name}}"], own))
        self.assertFalse(matches("gs://x/a.csv", "{{buckets.raw.uri}}/a.csv", own))
        self.assertTrue(matches("anything", "{{run.id}}", {"run_id": None}))
        x = answer(outputs={"u": "s3://x/k"}, **own)
        y = answer(outputs={"u": "gs://y/k"}, run_id="r2", buckets={"raw": {"uri": "gs://y", "name": "y"}})
        self.assertEqual([], fields({"status": "succeeded"}, x=x, y=y))


class Discover(unittest.TestCase):
    def test_needs(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pipeline.yaml"
            path.write_text(
                "name: x\nbuckets: {raw: {}}\ntargets: {local: {buckets: {raw: data}}}\nsteps:\n"
                "  a: {function: {handler: m.f}}\n"
                "  b-c: {wait: {duration: 3s}, when: \"${{ steps.a.output.x > 1 }}\"}\n"
                "  d: {function: {handler: m.f}, input: [\"${{ steps['b-c'].status }}\"]}\n"
            )
            with self.assertRaisesRegex(CaseError, "no cases.json"):
                load(path, "x")
            (Path(folder) / "cases.json").write_text('[{"status": "succeeded"}]')
            found = load(path, "x")
            self.assertEqual({"a": set(), "b-c": {"a"}, "d": {"a", "b-c"}}, found.needs)
            self.assertEqual(({"a": "a", "d": "d"}, ["raw"], {"raw": Path(folder) / "data"}), (found.functions, found.buckets, found.seeds))

    def test_faults_of_services(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pipeline.yaml"
            path.write_text("name: x\nsteps:\n  fit: {train: {}}\n")
            cases = Path(folder) / "cases.json"
            cases.write_text('[{"status": "failed", "service_faults": {"fit": ["capacity", "vanished"]}}]')
            [case] = load(path, "x").cases
            self.assertEqual(({"fit": ["capacity", "vanished"]}, {"status": "failed"}), (case.service_faults, case.expected))
            cases.write_text('[{"status": "failed", "service_faults": {"fit": ["broken"]}}]')
            with self.assertRaisesRegex(CaseError, "unknown fault `broken`"):
                load(path, "x")

    def test_another_pipeline(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pipeline.yaml"
            path.write_text("name: x\nsteps:\n  one: {pipeline: {file: y.yaml}}\n  two: {pipeline: {file: y.yaml}}\n")
            (Path(folder) / "y.yaml").write_text("name: y\nsteps:\n  a: {function: {handler: m.f}}\n  b: {pipeline: {file: z.yaml}}\n")
            (Path(folder) / "z.yaml").write_text("name: z\nsteps: {a: {function: {handler: m.f}}}\n")
            (Path(folder) / "cases.json").write_text('[{"status": "succeeded", "outputs": {}, "skipped": [], "waits": []}]')
            found = load(path, "x")
            self.assertEqual({"one.a": "y/a", "two.a": "y/a", "one.b.a": "z/a", "two.b.a": "z/a"}, found.functions)
            done = {"status": "succeeded", "outputs": {}, "error": None, "waits": [], "skipped": []}
            local = {**done, "attempts": {"one.a": 1, "two.a": 2, "one.b.a": 1, "two.b.a": 1}}
            aws = {**done, "attempts": {"y/a": 3, "z/a": 1}}
            self.assertEqual(["attempts.z/a"], [d.field for d in compare(found, found.cases[0], {"local": local, "aws": aws})])

    def test_cases_are_checked(self) -> None:
        for entry in ({"status": "fine"}, {"status": "failed", "outptus": 1}, []):
            with self.assertRaises(CaseError):
                as_case(1, entry)


class Engines(unittest.TestCase):
    def test_faults_are_answers_and_the_engine_comes_back(self) -> None:
        engine = Engine([sys.executable, "-c", STRAW], 1)
        for do, said in (("die", "died"), ("hang", "no answer within"), ("noise", "not an answer")):
            self.assertIn(said, engine.ask({"params": {"do": do}})["engine_error"])
            self.assertEqual("succeeded", engine.ask({"params": {}})["status"])
        engine.stop()


class Command(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = tempfile.TemporaryDirectory()
        self.root = Path(self.scratch.name)
        self.addCleanup(self.scratch.cleanup)
        self.mlpipe = self.root / "mlpipe"
        self.mlpipe.write_text(
            f"#!{sys.executable}\n"
            "import os, sys\n"
            "if 'bad' in sys.argv[2]: sys.exit('MLP0001')\n"
            "for at, word in enumerate(sys.argv):\n"
            "    if word == '--target': os.makedirs(os.path.join(sys.argv[4], sys.argv[at + 1]))\n"
        )
        os.chmod(self.mlpipe, 0o755)

    def pipeline(self, name: str, cases: str | None) -> None:
        folder = self.root / "corpus" / name
        folder.mkdir(parents=True)
        (folder / "pipeline.yaml").write_text(f"name: {name}\nsteps: {{a: {{function: {{handler: m.f}}}}}}\n")
        if cases is not None:
            (folder / "cases.json").write_text(cases)

    def run_it(self, *more: str) -> tuple[int, str]:
        straw = [sys.executable, "-c", STRAW]
        out = io.StringIO()
        with (
            mock.patch.object(install, "install", return_value="current"),
            mock.patch.object(command, "command", lambda *_: straw),
            mock.patch("sys.stdout", out),
        ):
            code = command.main([str(self.root / "corpus"), "--mlpipe", str(self.mlpipe), *more])
        return code, out.getvalue()

    def test_passes(self) -> None:
        self.pipeline("good", json.dumps([{"status": "succeeded"}, {"name": "two", "params": {"out": {"n": 1}}, "status": "succeeded", "outputs": {"n": 1}}]))
        code, out = self.run_it()
        self.assertEqual((0, "2 passed, 0 failed"), (code, out.splitlines()[-1]), out)
        self.assertRegex(out, r"good/two +✓ +✓ +✓ +✓")

    def test_fails(self) -> None:
        self.pipeline("bad", '[{"status": "succeeded"}]')
        self.pipeline("empty", None)
        self.pipeline("wrong", '[{"status": "succeeded", "outputs": {"n": 2}}]')
        code, out = self.run_it("--engines", "local,aws")
        self.assertEqual((1, "0 passed, 3 failed"), (code, out.splitlines()[-1]), out)
        self.assertIn('wrong/1, outputs: local={}, aws={}, expected={"n": 2}', out)
        self.assertIn("empty: has no cases.json", out)
        self.assertIn("bad (compile): exit code 1\n    MLP0001", out)

    def test_nothing_is_a_failure(self) -> None:
        (self.root / "corpus").mkdir()
        self.assertEqual(1, self.run_it()[0])

    def test_an_engine_that_cannot_be_installed_is_a_failure(self) -> None:
        self.pipeline("good", '[{"status": "succeeded"}]')
        real = install.InstallError("no network")

        def refuse(name: str) -> str:
            if name == "gcp":
                raise real
            return "current"

        with mock.patch.object(install, "install", refuse), mock.patch.object(command, "command", lambda *_: [sys.executable, "-c", STRAW]):
            out = io.StringIO()
            with mock.patch("sys.stdout", out):
                code = command.main([str(self.root / "corpus"), "--mlpipe", str(self.mlpipe)])
        self.assertEqual((1, "1 passed, 1 failed"), (code, out.getvalue().splitlines()[-1]))

    def test_python_is_compiled(self) -> None:
        (self.root / "x.py").write_text("def f(:\n")
        self.assertIn("x.py", validators.compile_python([self.root]))
        (self.root / "x.py").write_text("def f(): pass\n")
        self.assertIsNone(validators.compile_python([self.root]))

    def test_a_compiler_that_is_not_there(self) -> None:
        with self.assertRaises(compile.BuildError):
            compile.binary(str(self.root / "nothing"))


if __name__ == "__main__":
    unittest.main()
