"""The cases on our interpreter, and, with GCW_EMULATOR=/path/to/server, on that server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from api import ApiRunner  # noqa: E402
from disagreements import FILE, text  # noqa: E402
from workflow_cases import Case, read_cases, run_on_ours, run_on_server  # noqa: E402

CASES = read_cases()
COMPARABLE = [case for case in CASES if case.expected.kind != "refused" and not case.timed]


def _name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_ours(case: Case) -> None:
    ending, waits = run_on_ours(case)
    assert ending.matches(case.expected), f"{ending}, not {case.expected}"
    if case.waits is not None:
        assert waits == case.waits


@pytest.mark.skipif("GCW_EMULATOR" not in os.environ, reason="GCW_EMULATOR is not set")
@pytest.mark.parametrize("case", COMPARABLE, ids=_name)
def test_emulator(case: Case) -> None:
    ending = run_on_server(case, ApiRunner(f"exec:{os.environ['GCW_EMULATOR']}"))
    expected = case.emulator or case.expected
    assert ending.matches(expected), f"{ending}, not {expected}"


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


def test_disagreements_are_current() -> None:
    assert FILE.read_text() == text(CASES)
