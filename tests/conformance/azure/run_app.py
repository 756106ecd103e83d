"""Runs an orchestration in this process, with virtual sleeps: for the host's own cases (`cases/*/case.json`), which test_host.py runs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from host.app import Functions, load_app
from host.host import Host, failed_text
from host.protocol import HostError, NonDeterministic, Stuck
from host.workers import Virtual


def run(app: Path, orchestrator: str, raw_input: str, events: list[tuple[str, Any, float]]) -> dict[str, Any]:
    functions = Functions(load_app(app))
    host = Host(functions, Virtual(functions))
    root = None
    try:
        root = host.create(orchestrator, raw_input, "run-0001")
        for name, value, at in events:
            host.raise_event(root.id, name, value, host.began + dt.timedelta(seconds=at))
        host.run(root)
        result = {"status": root.status, "output": root.output, "error": failed_text(root) if root.error else None}
    except (NonDeterministic, Stuck, HostError) as error:
        result = {"status": "Failed", "output": None, "error": f"{type(error).__name__}: {error}"}
    return {
        **result,
        "customStatus": root.custom if root else None,
        "attempts": dict(sorted(host.attempts.items())),
        "timers": [timer.seconds for timer in host.timers.values() if not timer.retry],
        "retryTimers": [timer.seconds for timer in host.timers.values() if timer.retry],
        "replays": host.replays,
        "seconds": round((host.now - host.began).total_seconds(), 6),
    }
