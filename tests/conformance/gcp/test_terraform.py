"""The check of Terraform JSON: the sample passes, and each spoilt copy is reported."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from check_terraform import PACKAGE  # noqa: E402
from schema import Provider, check_folder  # noqa: E402

SAMPLE = HERE / "fixtures" / "sample"
FIRST = "resource google_cloudfunctions2_function first"
PIPELINE = "resource google_workflows_workflow pipeline"


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider(PACKAGE)


def _problems(folder: Path, provider: Provider, path: str, key: str, value: Any) -> list[str]:
    """The problems of a copy of the sample with one value set, or removed where it is None."""
    shutil.copytree(SAMPLE, folder, dirs_exist_ok=True)
    document = json.loads((folder / "main.tf.json").read_text())
    place = document
    for name in path.split():
        place = place[name]
    if value is None:
        del place[key]
    else:
        place[key] = value
    (folder / "main.tf.json").write_text(json.dumps(document))
    return check_folder(folder, provider)


def test_sample(provider: Provider) -> None:
    assert check_folder(SAMPLE, provider) == []


@pytest.mark.parametrize(
    ("path", "key", "value", "problem"),
    [
        ("", "outputs", {}, "outputs: unknown top-level name"),
        ("variable project", "defualt", "x", "variable.project.defualt: unknown"),
        ("variable project", "type", "strin", "no type: 'strin'"),
        ("variable region", "default", 5, "not a string: 5"),
        ("output workflow", "value", None, "output.workflow: missing: value"),
        ("terraform required_providers", "archive", None, "missing: archive"),
        ("resource", "google_workflow", {"x": {}}, "google_workflow.x: no such type"),
        ("resource google_storage_bucket raw", "lokation", "x", "raw.lokation: unknown"),
        ("resource google_storage_bucket raw", "location", None, "raw: missing: location"),
        ("resource google_storage_bucket raw", "force_destroy", "yes", "expected boolean"),
        ("resource google_storage_bucket raw", "versioning", {}, "versioning: missing: enabled"),
        (f"{FIRST} service_config", "timeout", 3, "service_config.timeout: unknown"),
        (f"{FIRST} service_config", "timeout_seconds", "abc", "expected number"),
        (FIRST, "lifecycle", {"ignore": []}, "lifecycle.ignore: unknown"),
        (FIRST, "depends_on", ["google_storage_bucket.nope"], "no google_storage_bucket.nope"),
        (FIRST, "description", "${google_storage_bucket.raw.nme}", "no attribute nme"),
        (FIRST, "description", "${var.nope}", "no variable nope"),
        (FIRST, "description", "${local.nope}", "no local nope"),
        (FIRST, "description", "${sise(local.prefix)}", "no function sise"),
        (FIRST, "description", "${upper(local.prefix}", "expected `)`"),
        (FIRST, "description", "${google_workflows_workflow.pipeline.id}", "cycle: "),
        (
            PIPELINE,
            "description",
            "${google_cloudfunctions2_function.first.service_config.uri}",
            "is a list, write service_config[0].uri",
        ),
        (PIPELINE, "source_contents", '${file("${path.module}/flow.yaml")}', "no file flow.yaml"),
        ("data archive_file functions", "source_dir", "${path.module}/src", "no folder"),
        ("data archive_file functions", "output", "x", "functions.output: unknown"),
        (FIRST, "description", "${each.value}", "first has no for_each"),
        ("provider google", "projekt", "x", "provider.google.projekt: unknown"),
    ],
)
def test_problem(
    tmp_path: Path, provider: Provider, path: str, key: str, value: Any, problem: str
) -> None:
    problems = _problems(tmp_path, provider, path, key, value)
    assert any(problem in text for text in problems), problems
