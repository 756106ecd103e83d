"""validate.py DIR…: checks artifacts for Azure (main.json and app/). Prints the problems, one a line; exit code 1 if there are any."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import azure.durable_functions  # noqa: F401  (before the forks of app_index)
import azure.functions  # noqa: F401

from app_index import check_app
from arm import ArmError, Template
from arm_rules import check_template
from settings import environment

SUBSCRIPTIONS = tuple(f"Microsoft.EventGrid/{kind}eventSubscriptions" for kind in ("", "systemTopics/", "topics/"))
FUNCTION_ID = re.compile(r"/providers/Microsoft\.Web/sites/[^/]+/functions/([^/]+)$", re.IGNORECASE)


def validate(folder: Path) -> list[str]:
    try:
        document = json.loads((folder / "main.json").read_text())
    except (OSError, ValueError) as error:
        return [f"main.json: {error}"]
    problems = [f"main.json: {text}" for text in check_template(document)]
    template = Template(document)
    try:
        settings = environment(template)
    except (ArmError, KeyError, TypeError):
        settings = {}  # told above
    found, functions = check_app((folder / "app").resolve(), settings)
    problems += found
    if not found and len(problems) == 0:
        problems += check_destinations(template, functions)
    return problems


def check_destinations(template: Template, functions: list[str]) -> list[str]:
    """Event Grid delivers to functions that the app has."""
    problems = []
    for kind in SUBSCRIPTIONS:
        for subscription in template.of_type(kind):
            destination = template.evaluate(subscription["properties"]).get("destination", {})
            match = FUNCTION_ID.search(str(destination.get("properties", {}).get("resourceId", "")))
            if destination.get("endpointType") == "AzureFunction" and (match is None or match.group(1) not in functions):
                problems.append(f"main.json: {kind} {template.name(subscription)}: the app has no such function as its destination")
    return problems


def main(folders: list[str]) -> int:
    bad = False
    for folder in folders:
        for problem in validate(Path(folder)):
            bad = True
            print(f"{folder}: {problem}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
