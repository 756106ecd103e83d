"""Checks an app folder as the Functions host and the Python worker would when they index it."""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

FUNCTION_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,127}$")
LIBRARIES = ("azure-functions", "azure-functions-durable")
MONTHS_AND_DAYS = {n: i for names in ("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", "SUN MON TUE WED THU FRI SAT") for i, n in enumerate(names.split())}
NCRONTAB = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
"""Seconds, minutes, hours, day of month, month, day of week: https://github.com/atifaziz/NCrontab"""


def check_app(app: Path, settings: dict[str, str]) -> tuple[list[str], list[str]]:
    """(problems, names of the functions). Imports the app in a process of its own."""
    if not (app / "function_app.py").is_file():
        return ["app/function_app.py is missing"], []
    found = in_child(lambda: index(app, settings))
    return check_host(app) + check_requirements(app) + check_sources(app) + found["problems"], found["functions"]


def in_child(work: Any) -> dict[str, list[str]]:
    """Forks: what the app does to its process stays there."""
    out, inward = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        os.dup2(2, 1)
        try:
            result = work()
        except BaseException:
            result = {"problems": [f"app/function_app.py cannot be imported: {traceback.format_exc(limit=-2).strip()}"], "functions": []}
        with os.fdopen(inward, "w") as pipe:
            json.dump(result, pipe)
        os._exit(0)
    os.close(inward)
    with os.fdopen(out) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else {"problems": ["app/function_app.py ended the process that imported it"], "functions": []}


def index(app: Path, settings: dict[str, str]) -> dict[str, list[str]]:
    from host.app import load_app

    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True
    os.environ.update(settings)
    os.chdir(app)
    functions = load_app(app).get_functions()
    problems: list[str] = []
    names = [function.get_function_name() for function in functions]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"two functions are named `{name}`")
    if not functions:
        problems.append("app/function_app.py registers no function")
    for function in functions:
        problems += [f"function {function.get_function_name()}: {text}" for text in check_function(function)]
    return {"problems": problems, "functions": names}


def check_function(function: Any) -> list[str]:
    """The rules of the worker's own function registry: each binding is a parameter, each parameter a binding."""
    problems = []
    name = function.get_function_name()
    if not FUNCTION_NAME.match(name):
        problems.append(f"`{name}` is no name for a function")
    bindings = {b["name"]: b for b in (json.loads(text) if isinstance(text, str) else text for text in function.get_raw_bindings())}
    parameters = set(inspect.signature(function.get_user_function()).parameters)
    inputs = {key for key, binding in bindings.items() if binding.get("direction", "IN").upper() in ("IN", "INOUT") or key != "$return"}
    problems += [f"binding `{key}` is no parameter of the function" for key in sorted(inputs - parameters - {"$return"})]
    problems += [f"parameter `{key}` has no binding" for key in sorted(parameters - set(bindings) - {"context"})]
    triggers = [binding for binding in bindings.values() if binding["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        problems.append(f"has {len(triggers)} triggers")
    for trigger in triggers:
        if trigger["type"] == "timerTrigger" and (problem := check_schedule(str(trigger.get("schedule")))):
            problems.append(problem)
    if any(binding["type"] == "durableClient" for binding in bindings.values()) and not inspect.iscoroutinefunction(function.get_user_function()):
        problems.append("has a durable client and is not `async def`")
    return problems


def check_schedule(schedule: str) -> str | None:
    """NCRONTAB with seconds. A `%setting%` is taken as it is."""
    if re.fullmatch(r"%[^%]+%", schedule):
        return None
    fields = schedule.split()
    if len(fields) != 6:
        return f"schedule `{schedule}` has {len(fields)} fields, NCRONTAB with seconds has 6"
    for text, (low, high) in zip(fields, NCRONTAB):
        for part in text.split(","):
            match = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
            values = [] if match is None else [number(value, low) for value in match.groups()[:2] if value and value != "*"]
            if match is None or any(value is None or not low <= value <= high for value in values) or match.group(3) == "0":
                return f"schedule `{schedule}`: `{part}` is not within {low}-{high}"
    return None


def number(text: str, low: int) -> int | None:
    if text.isdigit():
        return int(text)
    value = MONTHS_AND_DAYS.get(text[:3].upper())
    return None if value is None else value + (1 if low == 1 else 0)


def check_host(app: Path) -> list[str]:
    try:
        host = json.loads((app / "host.json").read_text())
    except (OSError, ValueError) as error:
        return [f"app/host.json: {error}"]
    problems = []
    if host.get("version") != "2.0":
        problems.append('app/host.json: `version` must be "2.0"')
    bundle = host.get("extensionBundle", {})
    if bundle.get("id") != "Microsoft.Azure.Functions.ExtensionBundle" or not str(bundle.get("version", "")).startswith("[4."):
        problems.append("app/host.json: Durable Functions needs the extension bundle, version [4.*, 5.0.0)")
    hub = host.get("extensions", {}).get("durableTask", {}).get("hubName")
    if hub is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", hub):
        problems.append(f"app/host.json: `{hub}` is no name for a task hub: 3 to 45 letters and digits")
    known = {"version", "extensionBundle", "extensions", "functionTimeout", "logging", "concurrency", "healthMonitor", "retry", "telemetryMode"}
    return problems + [f"app/host.json: there is no property `{key}`" for key in host if key not in known]


def check_requirements(app: Path) -> list[str]:
    path = app / "requirements.txt"
    if not path.is_file():
        return ["app/requirements.txt is missing"]
    named = {re.split(r"[\s\[<>=!~;#]", line.strip(), maxsplit=1)[0].lower() for line in path.read_text().splitlines()}
    return [f"app/requirements.txt: `{library}` is missing" for library in LIBRARIES if library not in named]


def check_sources(app: Path) -> list[str]:
    problems = []
    for path in sorted(app.rglob("*.py")):
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            problems.append(f"app/{path.relative_to(app)}: {error}")
    return problems
