"""Writes DISAGREEMENTS.md: where gcw-emulator and the documentation differ, from cases/*.yaml."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from workflow_cases import Case, read_cases  # noqa: E402

FILE = Path(__file__).resolve().parent / "DISAGREEMENTS.md"
_HEAD = """# Where gcw-emulator differs from Google's documentation

Written by `disagreements.py` from `cases/*.yaml`; the tests hold it current, and with
`GCW_EMULATOR=/path/to/gcw-emulator` they check that the emulator does what stands here. Where the two
differ the documentation decides. Seen with gcw-emulator 0.3.0.

Beyond the cases: the emulator answers a workflow's creation with the workflow in place of an operation,
takes `sys.get_env` from its own process, has the undocumented helpers `type` and `bool`, shortens every
`sys.sleep`, and its process ends when a text function gets a value that is no string.

| construct | documentation and our interpreter | emulator | page of the Workflows documentation |
|---|---|---|---|
"""


def text(cases: list[Case]) -> str:
    """The whole file."""
    rows = [
        f"| {_cell(case.shown)} | {_cell(str(case.expected))} | {_emulator(case)} | {case.page} |\n"
        for case in cases
        if case.emulator is not None
    ]
    return _HEAD + "".join(rows)


def _emulator(case: Case) -> str:
    assert case.emulator is not None
    if case.emulator.kind == "refused":
        return f"refuses it: {case.emulator.value}" if case.emulator.value else "the process ends"
    return _cell(str(case.emulator))


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    FILE.write_text(text(read_cases()))
