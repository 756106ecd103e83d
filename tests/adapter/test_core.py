"""The adapter core and the entry points of the targets, as the compiler would render them.

Run: python3 -m unittest discover tests/adapter
"""

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
import types
import unittest
from pathlib import Path

TARGETS = Path(__file__).resolve().parents[2] / "targets"

HANDLERS = '''
import asyncio, collections, os, subprocess, sys

class NoRows(Exception):
    pass

def echo(input):
    return input

def about(input, context):
    return {"run": context.run_id, "step": context.step, "attempt": context.attempt, "deadline": context.deadline}

def keyword(input, *, context):
    return context.step

def optional(input, model="default"):
    return model

def any_arguments(*arguments):
    return len(arguments)

async def waits(input, context):
    await asyncio.sleep(0)
    return [input, context.attempt]

def raises(input):
    raise NoRows(input)

def key_error(input):
    return {}["gone"]

def exits(input):
    sys.exit(input)

def interrupted(input):
    raise KeyboardInterrupt()

def half_pair_message(input):
    raise NoRows("\\ud800!")

def broken_message(input):
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError("no")
    raise Broken()

def a_set(input):
    return {"xs": [1, {2}]}

def some_bytes(input):
    return b"x"

def nan(input):
    return [float("nan")]

def infinite(input):
    return {"a b": float("-inf")}

def integer_key(input):
    return {"a": {1: 2}}

def half_pair(input):
    return ["\\ud800"]

def too_big(input):
    return {"n": [2**53]}

def huge(input):
    return 10**5000

def deep(input):
    value = []
    value.append(value)
    return value

def kinds(input):
    Point = collections.namedtuple("Point", "x y")
    return {"tuple": (1, 2), "point": Point(1.0, 2.5), "dict": collections.OrderedDict(a=True), "none": None, "big": 1e300}

def long_text(input):
    return "x" * input

def prints(input):
    print("rubbish")
    print("stray line", file=sys.stderr)
    os.write(1, b'{"id": 1, "output": "forged"}\\n')
    subprocess.run(["echo", "from a child"], check=True)
    return sys.stdin.read()

def dies(input):
    os._exit(3)

def secret(input, context):
    return [context.secrets[name] for name in input]

def secret_names(input, context):
    return [list(context.secrets), len(context.secrets), repr(context.secrets)]
'''


def render(template, steps):
    """What the compiler's template engine does, as far as these templates need it."""

    def loop(match):
        return "".join(re.sub(r"\{\{ step\.(\w+) \}\}", lambda hit: str(step[hit[1]]), match[1]) for step in steps)

    text = re.sub(r"\{% for step in steps %\}\n(.*?)\{% endfor %\}\n", loop, template.read_text(), flags=re.DOTALL)
    assert "{%" not in text and "{{ " not in text
    return text


def step(function, output=None, secrets=(), module="handlers", name=None, timeout=60):
    return {
        "name": name or function.replace("_", "-"),
        "module": module,
        "function": function,
        "timeout": timeout,
        "output": repr(output),
        "secrets": repr(list(secrets)),
    }


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Folder(unittest.TestCase):
    """A package folder with the handlers above and a rendered core."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        (self.folder / "handlers.py").write_text(HANDLERS)
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        for name in ("handlers", "mlpipe_core"):
            sys.modules.pop(name, None)

    def write_core(self, *steps):
        (self.folder / "mlpipe_core.py").write_text(render(TARGETS / "adapter/core.py.j2", steps))

    def core(self, *steps):
        self.write_core(*steps)
        return load(self.folder / "mlpipe_core.py", "mlpipe_core")


def envelope(name, value=None, attempt=1):
    return {"run_id": "r1", "step": name, "attempt": attempt, "input": value}


class Core(Folder):
    def run_step(self, function, value=None, attempt=1, **options):
        core = self.core(step(function, **options))
        self.log = io.StringIO()
        with contextlib.redirect_stderr(self.log):
            answer = core.invoke(envelope(function.replace("_", "-"), value, attempt), {"api_key": "s3cret"}.__getitem__)
        json.dumps(answer).encode()
        return answer

    def succeeds(self, expected, function, value=None, **options):
        self.assertEqual(self.run_step(function, value, **options), {"output": expected})

    def fails(self, name, message, function, value=None, **options):
        self.assertEqual(self.run_step(function, value, **options), {"error": {"name": name, "message": message}})

    def test_the_table_is_readable(self):
        self.write_core(step("echo", ["object", {"rows": "integer"}], ["api_key"]))
        text = (self.folder / "mlpipe_core.py").read_text()
        self.assertIn(
            textwrap.dedent("""\
                STEPS = {
                    "echo": {
                        "module": "handlers",
                        "function": "echo",
                        "timeout": 60,
                        "output": ['object', {'rows': 'integer'}],
                        "secrets": ['api_key'],
                    },
                }
                """),
            text,
        )

    def test_any_json_value_passes(self):
        for value in (None, True, 0, 1.5, "ü\n", [], {}, [[None]], {"a b": {"": [1]}}):
            self.succeeds(value, "echo", value)

    def test_context(self):
        before = time.time()
        about = self.run_step("about", attempt=3, timeout=7)["output"]
        deadline = about.pop("deadline")
        self.assertEqual(about, {"run": "r1", "step": "about", "attempt": 3})
        self.assertTrue(before + 7 <= deadline <= time.time() + 7)

    def test_context_may_be_left_out_or_taken_in_other_ways(self):
        self.succeeds("keyword", "keyword")
        self.succeeds("default", "optional")
        self.succeeds(2, "any_arguments")

    def test_async_handler(self):
        self.succeeds(["x", 2], "waits", "x", attempt=2)

    def test_numbers_without_a_fraction_are_integers_on_both_sides(self):
        answer = self.run_step("echo", [3.0, -0.0, 2.5, 2**60])
        self.assertEqual(repr(answer["output"]), repr([3, 0, 2.5, float(2**60)]))

    def test_python_kinds_that_are_json(self):
        self.succeeds({"tuple": [1, 2], "point": [1, 2.5], "dict": {"a": True}, "none": None, "big": 1e300}, "kinds")

    def test_error_names_and_messages(self):
        self.fails("NoRows", "no rows", "raises", "no rows")
        self.assertIn('in raises\n    raise NoRows(input)', self.log.getvalue())
        self.assertNotIn("mlpipe_core", self.log.getvalue())
        self.fails("KeyError", "'gone'", "key_error")
        self.fails("SystemExit", "3", "exits", 3)
        self.fails("KeyboardInterrupt", "", "interrupted")
        self.fails("NoRows", "?!", "half_pair_message")
        self.fails("Broken", "", "broken_message")
        self.fails("NoRows", "é" * 2048, "raises", "é" * 5000)

    def test_import_errors_are_failures_of_the_step(self):
        self.fails("ModuleNotFoundError", "No module named 'not_there'", "echo", module="not_there")

    def test_output_that_is_not_json(self):
        self.fails("InvalidOutput", "output is not JSON: output.xs[1] is of type set", "a_set")
        self.fails("InvalidOutput", "output is not JSON: output is of type bytes", "some_bytes")
        self.fails("InvalidOutput", "output is not JSON: output[0] is NaN", "nan")
        self.fails("InvalidOutput", 'output is not JSON: output["a b"] is infinite', "infinite")
        self.fails("InvalidOutput", "output is not JSON: output.a has a key of type int", "integer_key")
        self.fails("InvalidOutput", "output is not JSON: output[0] holds half a surrogate pair", "half_pair")
        self.fails("InvalidOutput", "output is not JSON: it is nested deeper than 100 levels", "deep")

    def test_integers_that_a_double_cannot_hold(self):
        self.fails("NumberOutOfRange", "output.n[0]: the integer is beyond 2^53 - 1", "too_big")
        self.fails("NumberOutOfRange", "output: the integer is beyond 2^53 - 1", "huge")
        self.succeeds(2**53 - 1, "echo", 2**53 - 1)

    def test_sizes_are_bytes_of_compact_json(self):
        self.succeeds("x" * (258048 - 2), "long_text", 258048 - 2)
        self.fails("PayloadTooLarge", "output is larger than 256 KiB", "long_text", 258048 - 1)
        self.fails("PayloadTooLarge", "input is larger than 256 KiB", "raises", "é" * (258048 // 2))

    def test_declared_output(self):
        def shaped(value, output, message=None):
            if message is None:
                self.succeeds(value, "echo", value, output=output)
            else:
                self.fails("OutputMismatch", message, "echo", value, output=output)

        rows = ["object", {"rows": "integer"}]
        shaped({"rows": 3, "more": "x"}, rows)
        shaped({"rows": 3.0}, rows)
        shaped({"rows": "3"}, rows, "output.rows: expected integer, found string")
        shaped({"rows": 3.5}, rows, "output.rows: expected integer, found number")
        shaped({"rows": True}, rows, "output.rows: expected integer, found boolean")
        shaped({"rows": None}, rows, "output.rows: expected integer, found null")
        shaped({}, rows, "output.rows: expected integer, found nothing")
        shaped([], rows, "output: expected object, found list")
        shaped(None, rows, "output: expected object, found null")
        shaped(None, "any")
        shaped({}, ["object", {"x": ["list", "any"]}], "output.x: expected list, found nothing")
        shaped(["a", 1], ["list", "string"], "output[1]: expected string, found number")
        shaped([{"a b": [{}]}], ["list", ["object", {"a b": ["list", "boolean"]}]], 'output[0]["a b"][0]: expected boolean, found object')
        optional = ["object", {"x": ["optional", "number"]}]
        shaped({}, optional)
        shaped({"x": None}, optional)
        shaped({"x": 0.5}, optional)
        shaped({"x": "0"}, optional, "output.x: expected number, found string")

    def test_secrets_are_read_on_use_and_only_the_declared_ones(self):
        self.succeeds(["s3cret", "s3cret"], "secret", ["api_key", "api_key"], secrets=["api_key"])
        self.succeeds([["unset"], 1, "Secrets(['unset'])"], "secret_names", secrets=["unset"])
        self.fails("KeyError", "'api_key'", "secret", ["api_key"])


class EntryPoints(Folder):
    def setUp(self):
        super().setUp()
        self.write_core(step("echo"), step("raises"), step("secret", secrets=["api-key"]))

    def fake(self, **modules):
        for name, module in modules.items():
            name = name.replace("__", ".")
            sys.modules[name] = module
            self.addCleanup(sys.modules.pop, name, None)

    def test_aws(self):
        asked = []

        def get_secret_value(SecretId):
            asked.append(SecretId)
            return {"SecretString": "s3cret"}

        self.fake(boto3=types.SimpleNamespace(client=lambda service: types.SimpleNamespace(get_secret_value=get_secret_value)))
        os.environ["MLPIPE_SECRET_API_KEY"] = "arn:x"
        self.addCleanup(os.environ.pop, "MLPIPE_SECRET_API_KEY")
        adapter = load(TARGETS / "aws/adapter.py", "mlpipe_adapter")
        self.assertEqual(adapter.lambda_handler(envelope("echo", [1]), None), [1])
        self.assertEqual(adapter.lambda_handler(envelope("secret", ["api-key"] * 2), None), ["s3cret"] * 2)
        self.assertEqual(asked, ["arn:x"])
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(Exception) as caught:
            adapter.lambda_handler(envelope("raises", "no rows"), None)
        self.assertEqual((type(caught.exception).__name__, str(caught.exception)), ("NoRows", "no rows"))
        self.assertIsNone(caught.exception.__cause__)

    def test_gcp(self):
        self.fake(functions_framework=types.SimpleNamespace(http=lambda function: function))
        main = load(TARGETS / "gcp/main.py", "main")

        def post(*arguments):
            with contextlib.redirect_stderr(io.StringIO()):
                return main.handle(types.SimpleNamespace(get_json=lambda: envelope(*arguments)))

        header = {"Content-Type": "application/json"}
        self.assertEqual(post("echo", {"a": "ü"}), ('{"a": "ü"}', 200, header))
        self.assertEqual(post("echo", None), ("null", 200, header))
        self.assertEqual(post("raises", "no"), ('{"error": {"name": "NoRows", "message": "no"}}', 422, header))

    def test_azure_with_modules_of_one_name_in_two_sources(self):
        app = self.folder / "app"
        for source in ("one", "two"):
            (app / source).mkdir(parents=True)
            (app / source / "helper.py").write_text(f"NAME = '{source}'\n")
            (app / source / "work.py").write_text("import helper\ndef handler(input):\n    return helper.NAME\n")
            (app / source / "mlpipe_core.py").write_text(
                render(TARGETS / "adapter/core.py.j2", [step("handler", module="work", name=f"in-{source}")])
            )
        activity = app / "mlpipe_activity.py"
        activity.write_text((TARGETS / "azure/mlpipe_activity.py").read_text())
        path, modules = list(sys.path), set(sys.modules)
        try:
            run_step = load(activity, "mlpipe_activity").run_step
            for source in ("one", "two", "one"):
                self.assertEqual(run_step(source, envelope(f"in-{source}")), {"output": source})
        finally:
            sys.path[:] = path
            for name in set(sys.modules) - modules:
                del sys.modules[name]


class Worker(Folder):
    def setUp(self):
        super().setUp()
        self.write_core(*(step(name) for name in ("echo", "raises", "prints", "dies")), step("secret", secrets=["api-key"]))
        (self.folder / "worker.py").write_text((TARGETS / "local/worker.py").read_text())

    def talk(self, *envelopes):
        lines = "".join(json.dumps({"id": id, "envelope": item}) + "\n" for id, item in enumerate(envelopes))
        source = self.folder / "source"
        source.mkdir()
        (self.folder / "handlers.py").rename(source / "handlers.py")
        done = subprocess.run(
            [sys.executable, self.folder / "worker.py", source],
            input=lines.encode(),
            capture_output=True,
            env={**os.environ, "MLPIPE_SECRET_API_KEY": "s3cret"},
            timeout=60,
        )
        self.assertEqual([path.name for path in source.iterdir()], ["handlers.py"])
        ready, *answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(ready, {"ready": True})
        return answers, done.stderr.decode(), done.returncode

    def test_answers_line_by_line(self):
        answers, log, code = self.talk(envelope("echo", "ü\n"), envelope("raises", "no"), envelope("secret", ["api-key"]))
        self.assertEqual(
            answers,
            [
                {"id": 0, "output": "ü\n"},
                {"id": 1, "error": {"name": "NoRows", "message": "no"}},
                {"id": 2, "output": ["s3cret"]},
            ],
        )
        self.assertIn("NoRows: no", log)
        self.assertEqual(code, 0)

    def test_prints_never_reach_the_protocol(self):
        answers, log, _ = self.talk(envelope("prints"), envelope("echo", 1))
        self.assertEqual(answers, [{"id": 0, "output": ""}, {"id": 1, "output": 1}])
        for text in ("rubbish", "stray line", "forged", "from a child"):
            self.assertIn(text, log)

    def test_a_dead_worker_gives_no_answer(self):
        answers, _, code = self.talk(envelope("echo", 1), envelope("dies"), envelope("echo", 2))
        self.assertEqual(answers, [{"id": 0, "output": 1}])
        self.assertEqual(code, 3)


if __name__ == "__main__":
    unittest.main()
