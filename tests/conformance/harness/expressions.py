"""The command `expressions`: random expressions, the same on every target as in the reference evaluator."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import install
from .expression_trees import Case, Trees, shown
from .progress import Progress

TARGETS = ("jsonata", "workflows", "python")
# What no other engine has: an answer of this kind is not compared.
LIMIT = "limit"
BATCH = 500
"""Expressions of one round: each starts the compiler and every engine anew."""
# Differences that are made smaller, and rounds that each may take: a round starts every engine anew.
MOST_SHRUNK, MOST_ROUNDS = 8, 25


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="expressions", description="Evaluates random expressions on every target and compares with the reference evaluator.")
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="how many expressions (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed: each expression has its own (default 0)")
    parser.add_argument("--targets", default=",".join(TARGETS), help="default: all")
    parser.add_argument("--gcp-api", metavar="URL", help="a server of the Workflows REST API, in place of our interpreter")
    parser.add_argument("--driver", type=Path, metavar="BIN", help="the tests' binary (default: cargo builds it)")
    parser.add_argument("--no-shrink", action="store_true", help="show differences as they were found")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="rounds at once (default: one a core)")
    options = parser.parse_args(arguments)
    for engine in ("aws", "gcp"):
        install.install(engine)
    engines = Engines(options.driver or built(), options.targets.split(","), options.gcp_api)
    found: list[int] = []
    counts = Counter[str]()
    seeds = range(options.seed, options.seed + options.count)
    progress = Progress(len(seeds))
    with ThreadPoolExecutor(options.jobs) as pool:
        for batch, results in pool.map(lambda start: round_of(seeds[start : start + BATCH], engines), range(0, len(seeds), BATCH)):
            for (seed, case), result in zip(batch, results):
                counts.update(result.counts())
                if result.differs():
                    found.append(seed)
                    case, result = (case, result) if options.no_shrink or len(found) > MOST_SHRUNK else shrunk(case, result, engines)
                    progress.clear()
                    print(f"seed {seed}: {shown(case)}\n{result.shown()}", flush=True)
            progress.step(len(batch), f"{len(found)} differ")
    progress.clear()
    if found:
        print("\nEach again:\n" + "\n".join(f"tests/conformance/expressions --count 1 --seed {seed}{options.gcp_api and f' --gcp-api {options.gcp_api}' or ''}" for seed in found))
    print(f"{counts['refused']} refused by the compiler, {counts['value']} with a value, {counts['error']} with an error, {counts[LIMIT]} times a quota of Workflows")
    print(f"{len(seeds)} expressions from seed {options.seed} on in {progress.seconds():.0f} s, {len(found)} differ")
    return 1 if found else 0


def round_of(seeds: range, engines: Engines) -> tuple[list[tuple[int, Case]], list[Result]]:
    batch = [(seed, Trees(seed).case()) for seed in seeds]
    return batch, engines.run([case for _, case in batch])


def built() -> Path:
    """The binary of the tests, whose ignored test is the compiler."""
    done = subprocess.run(["cargo", "test", "--locked", "--quiet", "--no-run", "--test", "it", "--message-format", "json"], cwd=install.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    artifacts = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Path(next(found["executable"] for found in artifacts if found.get("executable") and found["target"]["name"] == "it"))


class Result:
    """The reference's answer with those of the targets."""

    def __init__(self, compiled: dict[str, Any]) -> None:
        self.compiled = compiled
        self.answers: dict[str, dict[str, Any]] = {}

    @property
    def refused(self) -> bool:
        return "refused" in self.compiled

    def expected(self) -> dict[str, Any]:
        return {"error": "ExpressionError"} if "error" in self.compiled else {"value": self.compiled["value"]}

    def wrong(self) -> list[str]:
        return [] if self.refused else [name for name, answer in self.answers.items() if LIMIT not in answer and not agree(self.expected(), answer)]

    def differs(self) -> bool:
        return bool(self.wrong())

    def counts(self) -> list[str]:
        if self.refused:
            return ["refused"]
        return [*self.expected(), *(LIMIT for answer in self.answers.values() if LIMIT in answer)]

    def shown(self) -> str:
        reference = {key: self.compiled[key] for key in ("value", "error") if key in self.compiled}
        lines = [f"  reference: {json.dumps(reference, ensure_ascii=False)}"]
        for name in self.wrong():
            text = self.compiled[name]
            if name == "workflows":
                text = text[max(text.find("- outputs:"), 0) :][:1500]
            lines += [f"  {name}: {json.dumps(self.answers[name], ensure_ascii=False)}", f"    {text}"]
        return "\n".join(lines)


def agree(expected: dict[str, Any], answer: dict[str, Any]) -> bool:
    if "error" in expected:
        return answer.get("error") == "ExpressionError"
    return "value" in answer and same(expected["value"], answer["value"])


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: numbers by value, true is not one."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) in (int, float) and type(right) in (int, float) and float(left) == float(right) or (type(left) is type(right) and left == right)


def shrunk(case: Case, result: Result, engines: Engines) -> tuple[Case, Result]:
    """The smallest case that was found on the way to one that differs in the same targets."""
    wrong = result.wrong()
    for _ in range(MOST_ROUNDS):
        size = weight(case)
        smaller = sorted((less for less in case.smaller() if weight(less) < size), key=weight)[:150]
        kept = next(((less, found) for less, found in zip(smaller, engines.run(smaller)) if found.wrong() == wrong), None)
        if kept is None:
            return case, result
        case, result = kept
    return case, result


def weight(case: Case) -> int:
    return len(json.dumps(case.request()))


class Engines:
    """Compiles and evaluates batches of cases."""

    def __init__(self, driver: Path, targets: list[str], gcp_api: str | None) -> None:
        self.driver = driver
        self.targets = targets
        self.gcp_api = gcp_api

    def run(self, cases: list[Case]) -> list[Result]:
        requests = [case.request() for case in cases]
        results = [Result(compiled) for compiled in self.compile(requests)]
        runs = [(result, {name: param["value"] for name, param in request["params"].items()}) for result, request in zip(results, requests) if not result.refused]
        evaluators = {"jsonata": jsonata, "workflows": self.workflows, "python": python}
        with ThreadPoolExecutor(len(self.targets)) as pool:
            answers = {name: pool.submit(evaluators[name], [(result.compiled[name], params) for result, params in runs]) for name in self.targets}
        for name, future in answers.items():
            for (result, _), answer in zip(runs, future.result(), strict=True):
                result.answers[name] = answer
        return results

    def compile(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="expressions-") as scratch:
            given, answered = Path(scratch, "in"), Path(scratch, "out")
            given.write_text("".join(json.dumps(request) + "\n" for request in requests))
            subprocess.run(
                [self.driver, "--ignored", "--exact", "expressions::driver", "--quiet"],
                env={**os.environ, "EXPRESSIONS_IN": str(given), "EXPRESSIONS_OUT": str(answered)},
                stdout=subprocess.DEVNULL,
                cwd=install.ROOT,
                check=True,
            )
            return [json.loads(line) for line in answered.read_text().split("\n") if line]

    def workflows(self, runs: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        command = [install.python("gcp"), install.CONFORMANCE / "gcp" / "expressions.py"]
        if self.gcp_api:
            command += ["--gcp-api", self.gcp_api]
        return answers(command, ({"source": source, "argument": params} for source, params in runs))


def answers(command: list[Any], requests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a process answers to JSON lines."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True)
    return [json.loads(line) for line in done.stdout.split("\n") if line]


# JSONata: each expression within the template by itself.


def jsonata(runs: list[tuple[Any, dict[str, Any]]]) -> list[dict[str, Any]]:
    requests = [{"evaluate": text, "bindings": {"params": params}} for template, params in runs for text in braced(template)]
    command = ["node", install.CONFORMANCE / "aws" / "jsonata_server.cjs", install.folder("aws") / "node_modules"]
    given = iter(answers(command, requests))
    return [filled(template, [next(given) for _ in braced(template)]) for template, _ in runs]


def braced(template: Any) -> list[str]:
    """The texts within `{% %}`, in order."""
    if isinstance(template, str) and template.startswith("{%") and template.endswith("%}"):
        return [template[2:-2].strip()]
    parts = template if isinstance(template, list) else template.values() if isinstance(template, dict) else ()
    return [text for part in parts for text in braced(part)]


def filled(template: Any, given: list[dict[str, Any]]) -> dict[str, Any]:
    """The template with values in place of its expressions; an error where one has none."""
    if any("value" not in answer for answer in given):
        return {"error": "ExpressionError", "because": [answer for answer in given if "value" not in answer]}
    values = iter(answer["value"] for answer in given)

    def fill(part: Any) -> Any:
        if isinstance(part, str):
            return next(values) if braced(part) else part
        if isinstance(part, list):
            return [fill(item) for item in part]
        return {key: fill(item) for key, item in part.items()} if isinstance(part, dict) else part

    return {"value": fill(template)}


# Python: the printed text with the helpers that the Function App has. What becomes of warnings is one setting for all threads.

ONE_AT_A_TIME = threading.Lock()


def python(runs: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    helpers = str(install.ROOT / "targets" / "azure")
    if helpers not in sys.path:
        sys.path.insert(0, helpers)
    import mlpipe_expr

    with ONE_AT_A_TIME:
        return [evaluated(text, mlpipe_expr.plain(params), mlpipe_expr) for text, params in runs]


def evaluated(text: str, params: dict[str, Any], helpers: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        # A warning of Python's compiler would stand in the user's logs.
        warnings.simplefilter("error", SyntaxWarning)
        try:
            code = compile(text, "<expression>", "eval")
        except SyntaxError as error:
            return {"refused": str(error)}
    try:
        value = eval(code, {"params": params, "expr": helpers})  # noqa: S307
        return {"value": json.loads(json.dumps(value, allow_nan=False))}
    except Exception as error:
        return {"error": "ExpressionError", "because": repr(error)}
