"""Counts the steps that Workflows would bill.

Workflows pricing, Internal and external steps: a call of a Cloud Run function is internal, a wait for a callback is external. A step is what has
a name in the source: what stands in place in a condition or a `try` is part of its step.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from workflows.interpreter import Execution

EXTERNAL = ("events.await_callback",)
_counts: Counter[str] = Counter()


def install() -> None:
    """Counts from now on, in all executions of this process."""
    enter, call = Execution._enter, Execution._call

    def counting_enter(self: Execution, step: Any, *more: Any) -> None:
        enter(self, step, *more)
        _counts["steps"] += bool(step.name)

    def counting_call(self: Execution, action: Any, *more: Any) -> Any:
        _counts["external"] += action.function in EXTERNAL
        return call(self, action, *more)

    Execution._enter, Execution._call = counting_enter, counting_call


def begin() -> None:
    """Forgets what was counted before."""
    _counts.clear()


def counted() -> dict[str, int]:
    """What was executed since then."""
    external = _counts["external"]
    return {"internal": _counts["steps"] - external, "external": external}
