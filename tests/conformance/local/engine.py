"""The local engine: runs each case with `mlpipe run`. Usage: engine.py --mlpipe BIN."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIMIT = 110


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mlpipe", required=True)
    mlpipe = parser.parse_args().mlpipe
    for line in sys.stdin:
        try:
            answer = run(mlpipe, json.loads(line))
        except Exception as error:
            answer = {"engine_error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def run(mlpipe: str, request: dict[str, Any]) -> dict[str, Any]:
    """One run. Exit codes: 0 succeeded, 3 failed, 1 with a record: the params were refused."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as params:
        json.dump(request["params"], params)
        params.flush()
        done = subprocess.run(
            [mlpipe, "run", request["pipeline"], "--params", params.name, "--no-wait", "--format", "json", *answers(request)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=environment(request["buckets"]),
        )
    sys.stderr.write(done.stderr)
    sys.stderr.flush()
    try:
        record = json.loads(done.stdout)
        status = record["status"]
    except (ValueError, KeyError, TypeError):
        return {"engine_error": f"exit code {done.returncode}, no record on stdout: {done.stdout[:500]!r}"}
    if done.returncode not in ((0,) if status == "succeeded" else (1, 3)):
        return {"engine_error": f"exit code {done.returncode} with status {status}"}
    record.setdefault("run_id", None)
    record["buckets"] = {name: {"uri": Path(folder).as_uri(), "name": name} for name, folder in request["buckets"].items()}
    return record


def answers(request: dict[str, Any]) -> list[str]:
    given = request.get("approvals") or {}
    return [part for step, answer in given.items() for part in ("--answer", f"{step}={json.dumps(answer)}")]


def environment(buckets: dict[str, str]) -> dict[str, str]:
    """The workers' Python is this one, so that handlers find fsspec."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": sys.prefix,
        "MLPIPE_LOCAL_BUCKETS": json.dumps(buckets),
        "NO_COLOR": "1",
    }


if __name__ == "__main__":
    main()
