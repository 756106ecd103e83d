"""Runs checkov once over the artifacts of every example and of a pipeline a kind of step. Each finding has an answer, and each answer a finding."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import compile
from .install import CONFORMANCE, ROOT, folder, install

CHECKOV = "checkov"
ANSWERS = CONFORMANCE / CHECKOV / "answered.yaml"
FILES = {"aws": "template.yaml", "gcp": "main.tf.json", "azure": "main.json"}
FRAMEWORKS = {"cloudformation": "aws", "terraform_json": "gcp", "arm": "azure"}
KIND = re.compile(r"(AWS::[\w:]+|Microsoft\.[\w/]+|google_\w+)\.")

TERRAFORM_KIND = re.compile(r' {4}"(\w+)": \{$')


@dataclass(frozen=True, order=True)
class Finding:
    """What checkov finds on a kind of resource."""

    target: str
    check: str
    resource: str


@dataclass
class Scan:
    """What one run of checkov says."""

    found: dict[Finding, tuple[str, set[str]]]
    """The check's name, and the resources with their files."""
    seen: set[str]
    """Files that something was checked in."""
    faults: list[str]


def pipelines() -> list[tuple[str, Path]]:
    examples = [(path.parent.name, path) for path in sorted(ROOT.glob("examples/*/pipeline.yaml"))]
    kinds = [(f"permissions-{path.stem}", path) for path in sorted((ROOT / "tests" / "permissions").glob("*.yaml"))]
    return examples + kinds


def for_checkov(path: Path) -> None:
    """checkov's reader of Terraform JSON takes objects only where the `terraform` block has a text; the block has no resources."""
    document = json.loads(path.read_text(encoding="utf-8"))
    document.pop("terraform", None)
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def run_checkov(artifacts: Path) -> list[dict[str, Any]]:
    command = [str(folder(CHECKOV) / "bin" / "python"), "-m", "checkov.main", "--directory", ".", "--framework", *FRAMEWORKS]
    command += ["--output", "json", "--compact", "--skip-download", "--soft-fail"]
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, cwd=artifacts, env=environment, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"checkov: exit code {done.returncode}\n{done.stderr.strip()[-2000:]}")
    reports = json.loads(done.stdout)
    return reports if isinstance(reports, list) else [reports]


def name_kinds(reports: list[dict[str, Any]], artifacts: Path) -> None:
    """checkov names resources of Terraform JSON without their kind: it is the last key on its level above the resource's line."""
    for report in reports:
        if report.get("check_type") != "terraform_json":
            continue
        for record in report["results"]["failed_checks"]:
            lines = (artifacts / record["file_path"].lstrip("/")).read_text(encoding="utf-8").splitlines()
            kinds = [found[1] for line in lines[: record["file_line_range"][0] - 1] if (found := TERRAFORM_KIND.match(line))]
            record["resource"] = f"{kinds[-1]}.{record['resource'].removeprefix('resource.')}"


def read(reports: list[dict[str, Any]]) -> Scan:
    scan = Scan({}, set(), [])
    for report in reports:
        target = FRAMEWORKS.get(report.get("check_type", ""))
        if target is None:
            scan.faults.append("checkov scanned nothing")
            continue
        results = report["results"]
        scan.faults += [f"{target}: checkov cannot read {file}" for file in results.get("parsing_errors", [])]
        for record in results["passed_checks"] + results["failed_checks"]:
            scan.seen.add(record["file_path"].lstrip("/"))
        for record in results["failed_checks"]:
            kind = KIND.match(record["resource"])
            finding = Finding(target, record["check_id"], kind[1] if kind else record["resource"])
            _, places = scan.found.setdefault(finding, (record["check_name"], set()))
            places.add(f"{record['file_path'].lstrip('/')}: {record['resource']}")
    return scan


def answers(text: str) -> tuple[dict[Finding, str], list[str]]:
    """The reasons by finding, and what is wrong with the file."""
    found: dict[Finding, str] = {}
    faults = []
    for entry in yaml.safe_load(text):
        finding = Finding(entry["target"], entry["check"], entry["resource"])
        if finding in found:
            faults.append(f"{finding.check} on {finding.resource} is answered twice")
        found[finding] = entry["reason"].strip()
        if not found[finding]:
            faults.append(f"{finding.check} on {finding.resource} has no reason")
    return found, faults


def compare(scan: Scan, answered: dict[Finding, str], files: set[str]) -> list[str]:
    """What is wrong: a file that was not checked, a finding without an answer, an answer without a finding."""
    faults = list(scan.faults)
    faults += [f"{file}: nothing was checked in it" for file in sorted(files - scan.seen)]
    for finding in sorted(set(scan.found) - set(answered)):
        name, places = scan.found[finding]
        shown = sorted(places)[:3]
        faults.append(f"{finding.target}: {finding.check} on {finding.resource} is not answered: {name}\n    " + "\n    ".join(shown))
    for finding in sorted(set(answered) - set(scan.found)):
        faults.append(f"{finding.target}: {finding.check} on {finding.resource} is answered, and not found")
    return faults


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="security", description=__doc__)
    parser.add_argument("--mlpipe", metavar="BIN", help="the compiler, instead of the one that cargo builds")
    options = parser.parse_args(arguments)
    install(CHECKOV)
    mlpipe = compile.binary(options.mlpipe)
    with tempfile.TemporaryDirectory() as work:
        artifacts = Path(work)
        jobs = [(path, artifacts / name) for name, path in pipelines()]
        complaints = compile.compile_all(mlpipe, jobs, list(FILES))
        faults = [f"{path}: {text}" for (path, _), text in zip(jobs, complaints, strict=True) if text]
        paths = [path for target, file in FILES.items() for path in artifacts.glob(f"*/{target}/{file}")]
        for path in artifacts.glob("*/gcp/main.tf.json"):
            for_checkov(path)
        reports = run_checkov(artifacts)
        name_kinds(reports, artifacts)
        scan = read(reports)
        answered, wrong = answers(ANSWERS.read_text(encoding="utf-8"))
        faults += wrong + compare(scan, answered, {str(path.relative_to(artifacts)) for path in paths})
    for fault in faults:
        print(fault)
    print(f"{len(paths)} files, {len(scan.found)} findings, {len(answered)} answers, {len(faults)} faults")
    return 1 if faults else 0
