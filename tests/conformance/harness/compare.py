"""Compares what the engines answered with the case and with one another."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .discover import Case, Pipeline

Answer = dict[str, Any]
Answers = dict[str, Answer]
PLACEHOLDER = re.compile(r"\{\{\s*(run\.id|buckets\.[a-z0-9_-]+\.(?:uri|name))\s*\}\}")
UNSEEN = object()
"""A value that an engine cannot observe: it agrees with every other."""


@dataclass
class Difference:
    """One field on which engines disagree with the case or with one another."""

    field: str
    values: dict[str, Any]
    expected: Any
    wrong: set[str]

    def line(self) -> str:
        parts = [f"{engine}={show(value)}" for engine, value in self.values.items()]
        if self.expected is not UNSEEN:
            parts.append(f"expected={show(self.expected)}")
        return f"{self.field}: {', '.join(parts)}"


def show(value: Any) -> str:
    if value is UNSEEN:
        return "?"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else text[:400] + "…"


def compare(pipeline: Pipeline, case: Case, answers: Answers) -> list[Difference]:
    """All differences. Engines that gave no answer (`engine_error`) are left out."""
    answers = {engine: answer for engine, answer in answers.items() if "engine_error" not in answer}
    found: list[Difference | None] = [field("status", {e: a["status"] for e, a in answers.items()}, case.expected["status"])]
    same_status = {e: a for e, a in answers.items() if a["status"] == case.expected["status"]}
    if case.expected["status"] == "succeeded":
        found += succeeded(pipeline, case, same_status)
    else:
        found += failed(pipeline, case, same_status)
    return [difference for difference in found if difference]


def succeeded(pipeline: Pipeline, case: Case, answers: Answers) -> list[Difference | None]:
    expected = case.expected
    found = [
        outputs(case, answers),
        field("error", {e: a.get("error") for e, a in answers.items()}, None),
        None if pipeline.bounded else field("waits", {e: waits(a) for e, a in answers.items()}, waits(expected)),
        field("skipped", {e: skipped(a) for e, a in answers.items()}, skipped(expected)),
    ]
    for name, paths in counted(pipeline, case, answers).items():
        found.append(attempts(name, paths, answers, awaited(paths, expected)))
    return found


def failed(pipeline: Pipeline, case: Case, answers: Answers) -> list[Difference | None]:
    """What siblings of the failed step did is a race, so it is not compared: see `racing`."""
    expected = case.expected
    error = expected.get("error") or {}
    found = []
    for key in ("name", "message", "step"):
        values = {e: known((a.get("error") or {}).get(key), e, a) for e, a in answers.items()}
        found.append(field(f"error.{key}", values, error.get(key, UNSEEN), answers))
    step = error.get("step") or next(((a.get("error") or {}).get("step") for a in answers.values() if (a.get("error") or {}).get("step")), None)
    top = (step or "").split(".")[0]
    racing = siblings(pipeline, top)
    values = {e: waits(a) for e, a in answers.items()}
    if pipeline.bounded or ((racing or top in pipeline.concurrent) and waits(expected) is UNSEEN):
        values = {}
    found.append(field("waits", values, UNSEEN if pipeline.bounded else waits(expected)))
    never = pipeline.below(set(pipeline.needs)) if top == "params" else pipeline.descendants(top)
    if top in pipeline.concurrent:
        # What else runs in a group or for other items is a race too, unless the case knows better.
        racing = racing | (pipeline.below({top}) - set(expected.get("attempts") or {}))
    if any((a.get("error") or {}).get("name") == "PayloadTooLarge" for a in answers.values()):
        # Who finds an input too large, the engine or the function's adapter, depends on the cloud's own limit.
        racing = racing | {top}
    for name, paths in counted(pipeline, case, answers).items():
        if never.issuperset(paths):
            found.append(attempts(name, paths, answers, 0))
        elif racing.isdisjoint(paths):
            found.append(attempts(name, paths, answers, awaited(paths, expected)))
    return found


def siblings(pipeline: Pipeline, failed_step: str) -> set[str]:
    """Steps that neither precede nor follow the failed one: whether they ran is a race."""
    if failed_step not in pipeline.needs:
        return set()
    before = pipeline.below({failed_step} | pipeline.needs[failed_step])
    return pipeline.below(set(pipeline.needs)) - before - pipeline.descendants(failed_step)


def counted(pipeline: Pipeline, case: Case, answers: Answers) -> dict[str, list[str]]:
    """What attempts are compared of: the functions, each with its paths, and any that an engine or the case names by mistake.
    A pipeline that several steps run has its functions once."""
    counted: dict[str, list[str]] = {}
    for path in sorted(pipeline.functions):
        counted.setdefault(pipeline.functions[path], []).append(path)
    named = set(case.expected.get("attempts") or {})
    for answer in answers.values():
        named.update(answer.get("attempts") or {})
    strange = named - set(pipeline.steps) - set(pipeline.functions) - set(counted)
    return counted | {name: [name] for name in sorted(strange)}


def awaited(paths: list[str], expected: dict[str, Any]) -> Any:
    given = expected.get("attempts") or {}
    known = [given[path] for path in paths if path in given]
    return sum(known) if known else UNSEEN


def attempts(name: str, paths: list[str], answers: Answers, expected: Any) -> Difference | None:
    """An engine counts by its own name of a function, or by paths."""
    keys = {name, *paths}
    values = {e: UNSEEN if a.get("attempts") is None else sum(a["attempts"].get(key, 0) for key in keys) for e, a in answers.items()}
    return field(f"attempts.{name}", values, expected)


def waits(answer: dict[str, Any]) -> Any:
    """Sorted seconds; a wait of nothing is none."""
    given = answer.get("waits")
    return UNSEEN if given is None else sorted(seconds for seconds in (round(float(s), 3) for s in given) if seconds > 0)


def skipped(answer: dict[str, Any]) -> Any:
    given = answer.get("skipped")
    return UNSEEN if given is None else sorted(given)


def outputs(case: Case, answers: Answers) -> Difference | None:
    if "outputs" in case.expected:
        return field("outputs", {e: a.get("outputs") for e, a in answers.items()}, case.expected["outputs"], answers)
    return field("outputs", {e: neutral(a.get("outputs"), a) for e, a in answers.items()}, UNSEEN)


def known(value: Any, engine: str, answer: Answer) -> Any:
    return UNSEEN if value is None and answer.get("error") is not None else value


def field(name: str, values: dict[str, Any], expected: Any, answers: Answers | None = None) -> Difference | None:
    """The difference in one field, if there is one. `answers` gives the placeholders in `expected` their values."""
    if expected is not UNSEEN:
        wrong = {e for e, value in values.items() if not matches(value, expected, (answers or {}).get(e, {}))}
    else:
        reference = most_common([value for value in values.values() if value is not UNSEEN])
        wrong = {e for e, value in values.items() if not equal(value, reference)}
    return Difference(name, values, expected, wrong) if wrong else None


def most_common(values: list[Any]) -> Any:
    """The value that most engines gave, the first of them where that is a tie."""
    return max(values, key=lambda value: sum(equal(value, other) for other in values), default=UNSEEN)


def equal(left: Any, right: Any) -> bool:
    """Deep equality of JSON values, where 1 is 1.0 and true is not 1."""
    if left is UNSEEN or right is UNSEEN:
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left == right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return type(left) is type(right) and left == right


def matches(value: Any, expected: Any, answer: Answer) -> bool:
    """Equality where `expected` may hold placeholders: `{{buckets.raw.uri}}`, `{{buckets.raw.name}}`, `{{run.id}}`."""
    if isinstance(expected, str) and isinstance(value, str) and PLACEHOLDER.search(expected):
        return re.fullmatch(pattern(expected, answer), value, re.DOTALL) is not None
    if isinstance(expected, dict) and isinstance(value, dict):
        return value.keys() == expected.keys() and all(matches(value[key], expected[key], answer) for key in value)
    if isinstance(expected, list) and isinstance(value, list):
        return len(value) == len(expected) and all(matches(v, e, answer) for v, e in zip(value, expected))
    return equal(value, expected)


def pattern(expected: str, answer: Answer) -> str:
    """A regular expression for a text with placeholders; one that the engine does not tell stands for any text."""
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(expected):
        parts.append(re.escape(expected[end : match.start()]))
        own = own_value(match.group(1), answer)
        parts.append(".+" if own is None else re.escape(own))
        end = match.end()
    return "".join(parts) + re.escape(expected[end:])


def own_value(name: str, answer: Answer) -> str | None:
    if name == "run.id":
        return answer.get("run_id")
    _, bucket, attribute = name.split(".")
    return ((answer.get("buckets") or {}).get(bucket) or {}).get(attribute)


def neutral(value: Any, answer: Answer) -> Any:
    """The value with what is the engine's own (its run id, its buckets' URIs) put back as placeholders."""
    if isinstance(value, str):
        own = {"{{run.id}}": answer.get("run_id")}
        for bucket, attributes in (answer.get("buckets") or {}).items():
            own[f"{{{{buckets.{bucket}.uri}}}}"] = attributes.get("uri")
            if value == attributes.get("name"):
                return f"{{{{buckets.{bucket}.name}}}}"
        for placeholder, text in own.items():
            if text:
                value = value.replace(text, placeholder)
        return value
    if isinstance(value, dict):
        return {key: neutral(item, answer) for key, item in value.items()}
    if isinstance(value, list):
        return [neutral(item, answer) for item in value]
    return value
