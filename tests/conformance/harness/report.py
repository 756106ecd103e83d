"""Prints what happened: a line a case, then every difference, then the count."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Report:
    """Counts cases and collects what the end of the report says."""

    engines: list[str]
    width: int
    out: TextIO = field(default_factory=lambda: sys.stdout)
    quiet: bool = False
    passed: int = 0
    failed: int = 0
    notes: list[str] = field(default_factory=list)

    def header(self) -> None:
        if self.engines:
            self.say(f"{'case'.ljust(self.width)}  {'  '.join(self.engines)}")

    def case(self, label: str, marks: dict[str, bool], notes: list[str]) -> None:
        """One case: for each engine whether it did as it should, and each thing that differs."""
        cells = "  ".join(("–" if e not in marks else "✓" if marks[e] else "✗").center(len(e)) for e in self.engines)
        if notes or not self.quiet:
            self.say(f"{label.ljust(self.width)}  {cells}")
        self.count(not notes, [f"{label}, {note}" for note in notes])

    def fault(self, label: str, text: str) -> None:
        """Something other than a case that failed."""
        self.say(f"{label.ljust(self.width)}  ✗")
        self.count(False, [f"{label}: {text}"])

    def ok(self, label: str) -> None:
        self.say(f"{label.ljust(self.width)}  ✓")
        self.count(True, [])

    def count(self, good: bool, notes: list[str]) -> None:
        self.passed += good
        self.failed += not good
        self.notes += notes

    def end(self) -> int:
        if self.notes:
            self.say("")
            for note in self.notes:
                self.say(note.replace("\n", "\n    "))
        self.say("")
        self.say(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0

    def say(self, text: str) -> None:
        print(text.rstrip(), file=self.out, flush=True)
