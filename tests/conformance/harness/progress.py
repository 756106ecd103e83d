"""How far a long command is: a line that is written over on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time


class Progress:
    """Counts what is done of `total`."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.began = self.told = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.every = 0.2 if self.terminal else 30.0

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def step(self, count: int, found: str) -> None:
        """So many more are done; `found` tells what came of all."""
        self.done += count
        if time.monotonic() - self.told >= self.every:
            self.told = time.monotonic()
            line = f"{self.done} of {self.total}, {self.done / self.seconds():.1f} a second, {found}"
            print(f"\r\x1b[K{line}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Before something else is printed."""
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
