"""Finds pipelines and their cases."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

import yaml

REFERENCE = re.compile(r"""\bsteps\s*(?:\.\s*([A-Za-z_][A-Za-z0-9_]*)|\[\s*(?:'([^']*)'|"([^"]*)")\s*\])""")
FAULTS = {"capacity", "throttled", "vanished", "rolled_back"}
FIELDS = {"name", "params", "approvals", "service_faults", "status", "outputs", "error", "attempts", "waits", "skipped", "published"}


class CaseError(Exception):
    """A pipeline or a cases.json that the harness cannot use."""


@dataclass
class Case:
    """One run of a pipeline and what it must come to. Keys that `expected` lacks are compared between engines only."""

    name: str
    params: dict[str, Any]
    expected: dict[str, Any]
    approvals: dict[str, Any] = field(default_factory=dict)
    """What a person answers, by the approval's path; null or missing: nobody does."""
    service_faults: dict[str, list[str]] = field(default_factory=dict)
    """How a managed service fails, by the step's path, one word a creation: `capacity`, the machines are not to be had; `throttled`, it refuses
    the call; `vanished`, what runs ends without a result; `rolled_back`, an endpoint goes back to what it served before. The local engine has no service that could."""


@dataclass
class Pipeline:
    """What the harness needs to know of a pipeline file."""

    path: Path
    label: str
    name: str
    steps: list[str]
    """Paths of all steps but groups and those written in a `catch`."""
    functions: dict[str, str]
    """Paths of what runs a function, `do` steps and `on_failure` among them: only these have attempts. Those of another
    pipeline stand behind the step that runs it, and have the name that engines know them by: `prepare/load` of `first.load`."""
    needs: dict[str, set[str]]
    """For each step at the top all that it waits for, directly or not."""
    buckets: list[str]
    seeds: dict[str, Path]
    bounded: bool = False
    """A group has a timeout, or a step waits until a time: how long that takes each engine tells otherwise."""
    concurrent: set[str] = field(default_factory=set)
    """Steps at the top that run parts of themselves side by side: groups and `for_each`."""
    cases: list[Case] = field(default_factory=list)

    def below(self, tops: set[str]) -> set[str]:
        """Paths of these steps at the top and of all in them."""
        return {path for path in {*self.steps, *self.functions} if path.split(".")[0] in tops}

    def descendants(self, step: str) -> set[str]:
        """Paths of all that waits for a step at the top."""
        return self.below({top for top, needs in self.needs.items() if step in needs})


def pipelines(roots: list[Path]) -> Iterator[Path | tuple[Path, str]]:
    """Every (pipeline.yaml, label) under the folders, each once, in the order of paths."""
    seen: set[Path] = set()
    for root in roots:
        for path in sorted(root.resolve().rglob("pipeline.yaml")):
            if path not in seen and not any(part in ("build", "target", "node_modules") for part in path.relative_to(root.resolve()).parts):
                seen.add(path)
                folder = path.parent.relative_to(root.resolve())
                yield path, str(folder) if folder.parts else root.resolve().name


def load(path: Path, label: str) -> Pipeline:
    """Reads a pipeline and its cases; raises CaseError."""
    try:
        document = yaml.load(path.read_text(), yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)
        steps = document.get("steps") or {}
        functions, bodies = everything(path, document)
        local = ((document.get("targets") or {}).get("local") or {}).get("buckets") or {}
        pipeline = Pipeline(
            path=path,
            label=label,
            name=document["name"],
            steps=[path for path, body, fallback in nested(steps) if "steps" not in body and not fallback],
            functions=functions,
            needs=closure({step: depends_on(body, steps) for step, body in steps.items()}),
            buckets=list(document.get("buckets") or {}),
            bounded=any(
                (("steps" in body or "pipeline" in body) and "timeout" in body) or "until" in (body.get("wait") or {}) for body in bodies
            ),
            concurrent={step for step, body in steps.items() if {"steps", "pipeline", "for_each"} & set(body)},
            seeds={bucket: path.parent / folder for bucket, folder in local.items() if isinstance(folder, str)},
        )
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, OSError) as error:
        raise CaseError(f"cannot read the pipeline: {type(error).__name__}: {error}") from None
    pipeline.cases = load_cases(path.parent / "cases.json")
    return pipeline


def everything(path: Path, document: dict[str, Any]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The functions of a pipeline and of those that it runs, as `Pipeline.functions` has them, and all their steps."""
    steps = document.get("steps") or {}
    functions: dict[str, str] = {}
    bodies = []
    for step, body, _ in nested({**steps, "on_failure": document.get("on_failure") or {}}):
        bodies.append(body)
        if {"function", "train", "batch_predict", "job"} & set(body):
            functions[step] = step
        if "pipeline" in body:
            file = path.parent / body["pipeline"]["file"]
            child = yaml.safe_load(file.read_text())
            below, more = everything(file, child)
            bodies += more
            for inner, name in below.items():
                functions[f"{step}.{inner}"] = name if "/" in name else f"{child['name']}/{name}"
    return functions, bodies


def nested(steps: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every step with its path, and whether it is written in a `catch`."""
    for step, body in steps.items():
        path = prefix + step
        yield path, body, False
        yield from nested(body.get("steps") or {}, path + ".")
        fallbacks = [entry["do"] for entry in body.get("catch") or [] if "do" in entry]
        for number, fallback in enumerate(fallbacks, 1):
            yield f"{path}.do{number if number > 1 else ''}", fallback, True


def load_cases(path: Path) -> list[Case]:
    if not path.is_file():
        raise CaseError("has no cases.json")
    try:
        entries = json.loads(path.read_text())
    except ValueError as error:
        raise CaseError(f"cases.json is not JSON: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise CaseError("cases.json has no cases")
    return [as_case(index, entry) for index, entry in enumerate(entries, 1)]


def as_case(index: int, entry: Any) -> Case:
    if not isinstance(entry, dict):
        raise CaseError(f"cases.json: case {index} is not an object")
    unknown = sorted(set(entry) - FIELDS)
    if unknown:
        raise CaseError(f"cases.json: case {index} has an unknown key `{unknown[0]}`")
    if entry.get("status") not in ("succeeded", "failed"):
        raise CaseError(f"cases.json: case {index} needs a status, succeeded or failed")
    faults = entry.get("service_faults") or {}
    strange = sorted({word for words in faults.values() for word in words} - FAULTS)
    if strange:
        raise CaseError(f"cases.json: case {index} has an unknown fault `{strange[0]}`")
    expected = {key: value for key, value in entry.items() if key not in ("name", "params", "approvals", "service_faults")}
    return Case(str(entry.get("name") or index), entry.get("params") or {}, expected, entry.get("approvals") or {}, faults)


def depends_on(body: Any, steps: dict[str, Any]) -> set[str]:
    named = set(body.get("needs") or [])
    for text in strings(body):
        for start in text.split("${{")[1:]:
            named.update(next(filter(None, groups)) for groups in REFERENCE.findall(start.split("}}")[0]) if any(groups))
    return named & set(steps)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def closure(direct: dict[str, set[str]]) -> dict[str, set[str]]:
    """All that each step waits for; a cycle, which the compiler refuses, does no harm here."""
    whole: dict[str, set[str]] = {}
    for step in direct:
        reached: set[str] = set()
        todo = list(direct[step])
        while todo:
            other = todo.pop()
            if other not in reached:
                reached.add(other)
                todo += direct[other]
        whole[step] = reached
    return whole
