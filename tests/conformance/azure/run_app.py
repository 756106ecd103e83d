"""run_app.py APP_DIR ORCHESTRATOR [INPUT] [--event NAME=JSON@SECONDS]…: runs an orchestration here, with virtual sleeps; prints one JSON object.

For the host's own cases (`cases/*/case.json`), which test_host.py runs.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from host.app import Functions, load_app
from host.host import Host, failed_text
from host.protocol import HostError, NonDeterministic, Stuck
from host.workers import Virtual


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app", type=Path)
    parser.add_argument("orchestrator")
    parser.add_argument("input", nargs="?", default="null")
    parser.add_argument("--event", action="append", default=[])
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        result = run(options.app, options.orchestrator, options.input, [parse_event(text) for text in options.event])
    print(json.dumps(result))
    return 0 if result["status"] == "Completed" else 3


def parse_event(text: str) -> tuple[str, Any, float]:
    name, rest = text.split("=", 1)
    value, at = rest.rsplit("@", 1)
    return name, json.loads(value), float(at)


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


if __name__ == "__main__":
    sys.exit(main())
