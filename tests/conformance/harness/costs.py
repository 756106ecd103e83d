"""The command `costs`: what one use of each construct costs a run, counted on the clouds' engines, as a table in docs/costs.md.

`costs.d/*.yaml` has the pipelines and the rows: a row is one pipeline's counts less another's. Pipelines are known by name in all files.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from . import buckets, compile, discover, install
from .engines import Engine, command

DATA = install.CONFORMANCE / "costs.d"
PAGE = install.ROOT / "docs" / "costs.md"
CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
COLUMNS = [("aws", "transitions"), ("aws", "events"), ("gcp", "internal"), ("gcp", "external"), ("azure", "events"), ("azure", "activities"), ("azure", "replays")]
LIMIT = 60

Counts = dict[tuple[str, str], Fraction]


class CostError(Exception):
    """The data is wrong, or a pipeline did not run as it says."""


@dataclass
class Row:
    """One use of a construct: the counts of `run`, less those of `less`, over `per` uses."""

    what: str
    run: str
    less: str | None
    per: int
    why: dict[str, str]


@dataclass
class Section:
    title: str
    text: str
    rows: list[Row] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="costs", description="Counts what each construct costs a run on each cloud, and writes docs/costs.md.")
    parser.add_argument("--check", action="store_true", help="compare with docs/costs.md and write nothing")
    parser.add_argument("--mlpipe", metavar="BIN", help="default: cargo builds it")
    options = parser.parse_args(arguments)
    try:
        mlpipe = compile.binary(options.mlpipe)
        for name in CLOUDS:
            install.install(name)
        pipelines, sections, head = load(DATA)
        text = page(head, sections, count(mlpipe, pipelines))
    except (CostError, compile.BuildError, install.InstallError) as error:
        print(error)
        return 1
    if not options.check:
        PAGE.write_text(text)
        print(f"{sum(len(section.rows) for section in sections)} rows of {len(pipelines)} pipelines: {PAGE.relative_to(install.ROOT)}")
        return 0
    old = PAGE.read_text() if PAGE.is_file() else ""
    sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), "docs/costs.md", "as counted"))
    print("docs/costs.md is current" if old == text else "docs/costs.md is not current: tests/conformance/costs writes it")
    return 0 if old == text else 1


# The data


class Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, as mlpipe reads them: `on` is a key."""


Loader.yaml_implicit_resolvers = {key: [(tag, pattern) for tag, pattern in entries if tag != "tag:yaml.org,2002:bool"] for key, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def load(folder: Path) -> tuple[dict[str, dict[str, Any]], list[Section], str]:
    """Pipelines by name, the sections in the order of files, and the text before them."""
    pipelines: dict[str, dict[str, Any]] = {}
    sections = []
    for path in sorted(folder.glob("*.yaml")):
        data = yaml.load(path.read_text(), Loader)
        for name, parts in data["pipelines"].items():
            if name in pipelines:
                raise CostError(f"{path.name}: there is a pipeline `{name}` already")
            pipelines[name] = parts
        rows = [Row(row["what"], row["run"], row.get("less"), row.get("per", 1), row["why"]) for row in data["rows"]]
        sections.append(Section(data["title"], data.get("text", ""), rows))
    for row in [row for section in sections for row in section.rows]:
        for name in [row.run, *([row.less] if row.less else [])]:
            if name not in pipelines:
                raise CostError(f"`{row.what}`: there is no pipeline `{name}`")
        if set(row.why) != set(CLOUDS):
            raise CostError(f"`{row.what}`: `why` is for {', '.join(CLOUDS)}")
    return pipelines, sections, (folder / "head.md").read_text()


# The counting


def count(mlpipe: Path, pipelines: dict[str, dict[str, Any]]) -> dict[str, Counts]:
    """The counts of each pipeline's run on all clouds."""
    with tempfile.TemporaryDirectory(prefix="costs-") as scratch:
        folder = Path(scratch)
        paths = {name: write(folder, name, parts) for name, parts in pipelines.items()}
        jobs = [(path, folder / "build" / name) for name, path in paths.items()]
        for (path, _), complaint in zip(jobs, compile.compile_all(mlpipe, jobs, list(CLOUDS))):
            if complaint:
                raise CostError(f"{path.parent.name}: {complaint}")
        with ThreadPoolExecutor(len(CLOUDS)) as pool:
            answers = list(pool.map(lambda cloud: run_all(cloud, mlpipe, folder, paths, pipelines), CLOUDS))
    return {name: {key: value for answer in answers for key, value in answer[name].items()} for name in pipelines}


def write(folder: Path, name: str, parts: dict[str, Any]) -> Path:
    place = folder / name
    place.mkdir()
    source = os.path.relpath(install.ROOT / "tests" / "corpus" / "functions", place)
    document = {"mlpipe": "v1", "name": name, "defaults": {"function": {"source": source}}, **{key: value for key, value in parts.items() if key not in ("fails", "given", "files", "approvals")}}
    path = place / "pipeline.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    for file, child in parts.get("files", {}).items():
        (place / file).write_text(yaml.safe_dump({"mlpipe": "v1", "name": Path(file).stem, "defaults": {"function": {"source": source}}, **child}, sort_keys=False))
    (place / "cases.json").write_text(json.dumps([{"status": "failed" if parts.get("fails") else "succeeded"}]))
    return path


def run_all(cloud: str, mlpipe: Path, folder: Path, paths: dict[str, Path], pipelines: dict[str, dict[str, Any]]) -> dict[str, Counts]:
    engine = Engine(command(cloud, mlpipe, None), LIMIT)
    counts = {}
    try:
        for name, path in paths.items():
            pipeline = discover.load(path, name)
            request = {
                "pipeline": str(path),
                "pipeline_name": pipeline.name,
                "artifacts": str(folder / "build" / name / cloud),
                "params": pipelines[name].get("given", {}),
                "buckets": buckets.seed(pipeline, folder / "buckets" / cloud / name),
                "steps": pipeline.steps,
                "approvals": pipelines[name].get("approvals", {}),
                # Events that come together may wake an orchestrator once: how often is chance. One by one is the most it can come to.
                "one_by_one": True,
            }
            answer = engine.ask(request)
            if "engine_error" in answer or answer["status"] != pipeline.cases[0].expected["status"]:
                raise CostError(f"{name} on {cloud}: {json.dumps(answer)[:2000]}")
            counts[name] = {(cloud, unit): Fraction(value) for unit, value in answer["costs"].items()}
    finally:
        engine.stop()
    return counts


# The page


def page(head: str, sections: list[Section], counts: dict[str, Counts]) -> str:
    return head.rstrip() + "\n\n" + "\n".join(block for section in sections for block in section_text(section, counts))


def section_text(section: Section, counts: dict[str, Counts]) -> list[str]:
    lines = [f"## {section.title}\n"]
    if section.text:
        lines.append(section.text.rstrip() + "\n")
    lines.append("| what | AWS: transitions | events | Google: steps | Azure: events | activities | wakings |")
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for row in section.rows:
        lines.append(f"| {row.what} | {' | '.join(cells(difference(row, counts)))} |")
    lines.append("\nWhy no less:\n")
    for row in section.rows:
        lines.append(f"- **{row.what}.** " + " ".join(f"*{CLOUDS[cloud]}*: {row.why[cloud].strip()}" for cloud in CLOUDS))
    return [*lines, ""]


def difference(row: Row, counts: dict[str, Counts]) -> Counts:
    less = counts[row.less] if row.less else {}
    return {column: (counts[row.run][column] - less.get(column, 0)) / row.per for column in COLUMNS}


def cells(values: Counts) -> list[str]:
    """A cell a unit; external steps of Workflows stand beside the internal ones, where there are some."""
    steps = shown(values["gcp", "internal"])
    if values["gcp", "external"]:
        steps += f" + {shown(values['gcp', 'external'])} external"
    order = [("aws", "transitions"), ("aws", "events"), None, ("azure", "events"), ("azure", "activities"), ("azure", "replays")]
    return [steps if column is None else shown(values[column]) for column in order]


def shown(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.2f}"
