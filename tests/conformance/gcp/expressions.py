"""Runs workflows that compute one value: a JSON line `{"source", "argument"}` in, `{"value"}`, `{"error"}` or `{"limit"}` out.

A limit is one of Workflows' quotas, which no other engine has. With `--gcp-api URL` a server of the Workflows API runs them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from api import ApiError, ApiRunner
from workflows import DeployError, Execution, Fault, Workflow, definition, interpreter, load, scopes
from workflows.check import check
from workflows.yamlsource import load_yaml

REGION = "us-central1"


# The workflow turns every error into ExpressionError, those of quotas too: they are noted where they arise.
QUOTAS = ("ResourceLimitError", "RecursionError")
quotas_met: list[str] = []


def watch(module: Any) -> None:
    """Notes each error of a quota that the module makes."""
    original = module.runtime_error

    def noting(tag: str, message: str, **fields: Any) -> Any:
        if tag in QUOTAS:
            quotas_met.append(message)
        return original(tag, message, **fields)

    module.runtime_error = noting


class Sources:
    """Loads definitions; the text of a helper, which many have in common, is parsed once."""

    def __init__(self) -> None:
        self._routines: dict[str, list[tuple[str, definition.Routine]]] = {}

    def load(self, source: str) -> Workflow:
        first, *helpers = re.split(r"\n\n(?=# )", source)
        try:
            routines = dict(self._read(first))
            for text in helpers:
                if text not in self._routines:
                    self._routines[text] = self._read(text)
                routines.update(self._routines[text])
        except (DeployError, AttributeError):
            # A text of the pipeline's own that looks like the start of a routine.
            return load(source)
        if "main" not in routines:
            raise DeployError("no `main`")
        workflow = Workflow(routines)
        check(workflow)
        return workflow

    @staticmethod
    def _read(text: str) -> list[tuple[str, definition.Routine]]:
        return [(name, definition._routine(name, body)) for name, body in load_yaml(text).items()]


def on_ours(sources: Sources, source: str, argument: Any) -> dict[str, Any]:
    """The value, or the error, in our interpreter."""
    quotas_met.clear()
    try:
        outcome = Execution(sources.load(source)).run(argument)
    except DeployError as error:
        return {"refused": str(error)}
    except Fault as error:
        return {"fault": str(error)}
    except Exception as error:
        return {"fault": repr(error)}
    if outcome.failed and quotas_met:
        return {"limit": quotas_met[0]}
    if outcome.failed:
        return failed(outcome.error)
    return {"value": outcome.result["value"]}


def on_server(runner: ApiRunner, source: str, argument: Any) -> dict[str, Any]:
    """The same on a server."""
    try:
        result, error = runner.execute(source, {}, {}, argument, REGION)
    except ApiError as refused:
        return {"refused": str(refused)}
    return failed(error) if error is not None else {"value": result["value"]}


def failed(error: Any) -> dict[str, Any]:
    """The error by its name."""
    name = error.get("name") if isinstance(error, dict) else None
    return {"error": name or json.dumps(error)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gcp-api", metavar="URL", help="a Workflows API, or exec:/path/to/server")
    options = parser.parse_args()
    runner = ApiRunner(options.gcp_api) if options.gcp_api else None
    watch(interpreter)
    watch(scopes)
    sources = Sources()
    for line in sys.stdin:
        request = json.loads(line)
        if runner:
            answer = on_server(runner, request["source"], request["argument"])
        else:
            answer = on_ours(sources, request["source"], request["argument"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
