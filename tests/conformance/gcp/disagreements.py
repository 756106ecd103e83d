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

| construct | documentation and our interpreter | emulator | page of the Workflows documentation |
|---|---|---|---|
"""


def text(cases: list[Case]) -> str:
    """The whole file."""
    rows = [
        f"| {_cell(case.shown)} | {_cell(str(case.expected))} | {_cell(str(case.emulator))} | {case.page} |\n"
        for case in cases
        if case.emulator is not None
    ]
    return _HEAD + "".join(rows)


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    FILE.write_text(text(read_cases()))
