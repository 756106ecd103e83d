"""Reads cases/*.yaml and runs a case on our interpreter or on a server of the Workflows API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from api import ApiError, ApiRunner
from workflows import DeployError, Execution, Fault, load

CASES = Path(__file__).resolve().parent / "cases"
_OUTCOMES = ("result", "tags", "error", "refused")


@dataclass(frozen=True)
class Ending:
    """What came of a workflow: a result, the tags of an error, the error, or a refusal's text."""

    kind: str
    value: Any

    def matches(self, expected: Ending) -> bool:
        """Whether this is what was expected; a refusal by a part of its text."""
        if expected.kind == "refused":
            return self.kind == "refused" and expected.value in self.value
        if expected.kind == "tags" and self.kind == "error":
            tags = self.value.get("tags", []) if isinstance(self.value, dict) else []
            return set(expected.value) <= set(tags)
        return self.kind == expected.kind and same(self.value, expected.value)

    def __str__(self) -> str:
        if self.kind == "tags":
            return " ".join(self.value)
        return f"{self.kind} {json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True)
class Case:
    """One small workflow with what the documentation says of it."""

    name: str
    page: str
    source: str
    argument: Any
    expected: Ending
    waits: list[float] | None
    emulator: Ending | None
    timed: bool
    shown: str


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: numbers by value, true is not one."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def read_cases() -> list[Case]:
    """All cases, in the order of the files."""
    return [
        _case(raw)
        for path in sorted(CASES.glob("*.yaml"))
        for raw in yaml.safe_load(path.read_text())
    ]


def _ending(raw: dict[str, Any]) -> Ending:
    (kind,) = [key for key in _OUTCOMES if key in raw]
    return Ending(kind, raw[kind])


def _case(raw: dict[str, Any]) -> Case:
    source = raw.get("source") or _expression_source(raw["expr"], raw.get("let", {}))
    emulator = _ending(raw["emulator"]) if "emulator" in raw else None
    return Case(
        raw["name"],
        raw["page"],
        source,
        raw.get("argument"),
        _ending(raw),
        raw.get("waits"),
        emulator,
        raw.get("timed", False),
        f"`{' '.join(raw['expr'].split())}`" if "expr" in raw else raw["name"],
    )


def _expression_source(expression: str, variables: dict[str, Any]) -> str:
    steps: list[Any] = []
    if variables:
        steps.append({"let": {"assign": [{name: value} for name, value in variables.items()]}})
    steps.append({"give": {"return": f"${{{expression}}}"}})
    # JSON is YAML, and needs no decision about quotes.
    return json.dumps({"main": {"steps": steps}}, ensure_ascii=False)


def run_on_ours(case: Case) -> tuple[Ending, list[float]]:
    """The ending and the waits in our interpreter."""
    try:
        outcome = Execution(load(case.source)).run(case.argument)
    except (DeployError, Fault) as error:
        return Ending("refused", str(error)), []
    if outcome.failed:
        return Ending("error", outcome.error), outcome.waits
    return Ending("result", outcome.result), outcome.waits


def run_on_server(case: Case, runner: ApiRunner) -> Ending:
    """The ending on a server."""
    try:
        result, error = runner.execute(case.source, {}, {}, case.argument, "us-central1")
    except ApiError as refusal:
        return Ending("refused", str(refusal))
    return Ending("result", result) if error is None else Ending("error", error)
