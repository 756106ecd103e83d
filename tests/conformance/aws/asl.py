"""Checks of a state machine in JSONata, for what AWS refuses at creation and validators do not know.

Each problem is a text that begins with its place. Sources: the Amazon States Language specification and the Step Functions Developer Guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from query import Jsonata, QueryError

MAX_DEFINITION = 1_048_576
MAX_NAME = 80
MAX_LABEL = 40
JSONPATH_FIELDS = ("InputPath", "OutputPath", "ResultPath", "Parameters", "ResultSelector", "Variable", "Iterator")
STATES_FIELDS = ("input", "result", "errorOutput", "context")
WITH_RESULT = ("Task", "Parallel", "Map")
STATES_ERRORS = {
    "States." + name
    for name in (
        "ALL BranchFailed DataLimitExceeded ExceedToleratedFailureThreshold HeartbeatTimeout Http.Socket IntrinsicFailure ItemReaderFailed"
        " NoChoiceMatched ParameterPathFailure Permissions QueryEvaluationError ResultPathMatchFailure ResultWriterFailed Runtime TaskFailed"
        " Timeout"
    ).split()
}
# The functions of jsonata 2.0.6, and those that Step Functions adds; $eval is refused.
FUNCTIONS = set(
    "sum count max min average string substring substringBefore substringAfter lowercase uppercase length trim pad match contains replace"
    " split join formatNumber formatBase formatInteger parseInteger number floor ceil round abs sqrt power random boolean not map zip"
    " filter single reduce sift keys lookup append exists spread merge reverse each error assert type sort shuffle distinct base64encode"
    " base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl now millis fromMillis toMillis clone"
    " partition range hash uuid parse".split()
)
FIELDS = {
    "Task": "Resource Arguments Output Assign Retry Catch TimeoutSeconds HeartbeatSeconds Credentials Next End",
    "Parallel": "Branches Arguments Output Assign Retry Catch Next End",
    "Map": "Items ItemSelector ItemProcessor MaxConcurrency ItemReader ItemBatcher ResultWriter Label ToleratedFailureCount"
    " ToleratedFailurePercentage Output Assign Retry Catch Next End",
    "Choice": "Choices Default Output Assign",
    "Wait": "Seconds Timestamp Output Assign Next End",
    "Pass": "Output Assign Next End",
    "Succeed": "Output",
    "Fail": "Error Cause",
}
COMMON = ("Type", "Comment", "QueryLanguage")
TARGETS = ("Next", "Default")


@dataclass
class Scope:
    """One `States` object and the variables that its states assign."""

    place: str
    states: dict[str, Any]
    start: Any
    outer: Scope | None = None
    blind: bool = False
    """True where it does not see the variables round it."""
    assigned: dict[str, str] = field(default_factory=dict)

    def visible(self, name: str) -> bool:
        return name in self.assigned or (self.outer is not None and not self.blind and self.outer.visible(name))

    def taken(self, name: str) -> bool:
        return name in self.assigned or (self.outer is not None and self.outer.taken(name))


class Checker:
    """Collects the problems of one definition."""

    def __init__(self, jsonata: Jsonata) -> None:
        self.jsonata = jsonata
        self.problems: list[str] = []
        self.names: dict[str, str] = {}
        self.labels: set[str] = set()

    def say(self, place: str, text: str) -> None:
        self.problems.append(f"{place}: {text}")

    def check(self, text: str) -> list[str]:
        """All problems of a definition's text."""
        if len(text) > MAX_DEFINITION:
            self.say("definition", f"is longer than {MAX_DEFINITION} characters: {len(text)}")
        try:
            document = json.loads(text, object_pairs_hook=self.pairs)
        except ValueError as error:
            return [f"definition: is not JSON: {error}"]
        if not isinstance(document, dict) or document.get("QueryLanguage") != "JSONata":
            return [*self.problems, "definition: `QueryLanguage` is not `JSONata`"]
        self.unknown_fields("definition", document, ("Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"))
        self.scope("", document, None)
        return self.problems

    def pairs(self, items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                self.say("definition", f"the key `{key}` is there twice")
            found[key] = value
        return found

    def scope(self, place: str, body: Any, outer: Scope | None, blind: bool = False) -> None:
        if not isinstance(body, dict) or not isinstance(body.get("States"), dict) or not body["States"]:
            self.say(place or "definition", "has no `States`")
            return
        states = {name: state for name, state in body["States"].items() if isinstance(state, dict)}
        scope = Scope(place, states, body.get("StartAt"), outer, blind)
        for name, state in states.items():
            for variable, where in assignments(name, state):
                scope.assigned.setdefault(variable, where)
        for variable, where in scope.assigned.items():
            self.variable(place + where, variable, scope)
        for name, state in states.items():
            self.name(place + name, name)
            self.state(place + name, name, state, scope)
        self.graph(scope)

    def name(self, place: str, name: str) -> None:
        if len(name) > MAX_NAME:
            self.say(place, f"the name is longer than {MAX_NAME} characters: {len(name)}")
        if name in self.names:
            self.say(place, f"the name is used before, at {self.names[name]}")
        self.names.setdefault(name, place)

    def variable(self, place: str, name: str, scope: Scope) -> None:
        if not name.isidentifier() or len(name) > MAX_NAME:
            self.say(place, f"`{name}` is no name of a variable")
        if name == "states":
            self.say(place, "`states` is reserved")
        if name in FUNCTIONS or name == "eval":
            self.say(place, f"the variable `{name}` hides the function `${name}`")
        if scope.outer is not None and scope.outer.taken(name):
            self.say(place, f"the variable `{name}` is assigned in an outer scope too")

    def graph(self, scope: Scope) -> None:
        """Transitions stay in their scope, every state is reached, and some state ends."""
        place = scope.place or "definition"
        if scope.start not in scope.states:
            self.say(place, f"`StartAt` is no state: {scope.start}")
            return
        reached, todo = set(), [scope.start]
        ends = False
        while todo:
            name = todo.pop()
            if name in reached or name not in scope.states:
                continue
            reached.add(name)
            state = scope.states[name]
            ends = ends or state.get("End") is True or state.get("Type") in ("Succeed", "Fail")
            todo += [target for target, _ in transitions(state)]
        for name, state in scope.states.items():
            for target, where in transitions(state):
                if target not in scope.states:
                    self.say(f"{scope.place}{name}.{where}", f"leads to no state: {target}")
            if name not in reached:
                self.say(scope.place + name, "is never reached")
        if not ends:
            self.say(place, "no state ends it")

    def state(self, place: str, name: str, state: dict[str, Any], scope: Scope) -> None:
        kind = state.get("Type")
        if kind not in FIELDS:
            self.say(place, f"unknown `Type`: {kind}")
            return
        if state.get("QueryLanguage", "JSONata") != "JSONata":
            self.say(place, "`QueryLanguage` is not `JSONata`")
        for key in JSONPATH_FIELDS:
            if key in state:
                self.say(place, f"`{key}` is a field of JSONPath")
        self.unknown_fields(place, state, (*COMMON, *JSONPATH_FIELDS, *FIELDS[kind].split()))
        if "Next" in FIELDS[kind] and ("Next" in state) == (state.get("End") is True):
            self.say(place, "needs either `Next` or `End`")
        result = {"result"} if kind in WITH_RESULT else set()
        for key in ("Output", "Assign"):
            self.expressions(f"{place}.{key}", state.get(key), scope, result)
        for key in ("Arguments", "Seconds", "Timestamp", "Error", "Cause", "TimeoutSeconds", "HeartbeatSeconds", "Items", "ItemSelector", "MaxConcurrency"):
            self.expressions(f"{place}.{key}", state.get(key), scope, set())
        self.handlers(place, state, scope)
        getattr(self, f"check_{kind.lower()}", lambda *_: None)(place, state, scope)

    def unknown_fields(self, place: str, body: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in body:
            if key not in known:
                self.say(place, f"unknown field `{key}`")

    def check_task(self, place: str, state: dict[str, Any], scope: Scope) -> None:
        if not str(state.get("Resource", "")).startswith("arn:"):
            self.say(place, "`Resource` is no ARN")
        elif state["Resource"].endswith(":states:::lambda:invoke"):
            arguments = state.get("Arguments")
            if not isinstance(arguments, dict) or "FunctionName" not in arguments:
                self.say(f"{place}.Arguments", "has no `FunctionName`")
            else:
                self.unknown_fields(f"{place}.Arguments", arguments, ("FunctionName", "Payload", "Qualifier", "InvocationType", "ClientContext", "LogType"))

        elif state["Resource"].endswith(":states:startExecution.sync:2"):
            arguments = state.get("Arguments")
            if not isinstance(arguments, dict) or "StateMachineArn" not in arguments:
                self.say(f"{place}.Arguments", "has no `StateMachineArn`")
            else:
                self.unknown_fields(f"{place}.Arguments", arguments, ("StateMachineArn", "Input", "Name", "TraceHeader"))

        elif state["Resource"].endswith(".waitForTaskToken") and "Task.Token" not in json.dumps(state.get("Arguments")):
            self.say(f"{place}.Arguments", "gives the task token to nobody")

    def check_parallel(self, place: str, state: dict[str, Any], scope: Scope) -> None:
        branches = state.get("Branches")
        if not isinstance(branches, list) or not branches:
            self.say(place, "has no `Branches`")
            return
        for index, branch in enumerate(branches):
            self.scope(f"{place}[{index}].", branch, scope)

    def check_map(self, place: str, state: dict[str, Any], scope: Scope) -> None:
        processor = state.get("ItemProcessor")
        config = (processor or {}).get("ProcessorConfig") or {}
        distributed = config.get("Mode") == "DISTRIBUTED"
        if distributed and config.get("ExecutionType") not in ("STANDARD", "EXPRESS"):
            self.say(place, "a Distributed Map needs `ExecutionType`")
        label = state.get("Label")
        if label is not None:
            if not distributed or len(label) > MAX_LABEL or not re.fullmatch(r"[\w.+!@()='/-]+", label):
                self.say(place, f"`{label}` is no label, or this is no Distributed Map")
            if label in self.labels:
                self.say(place, f"the label `{label}` is used before")
            self.labels.add(label)
        # "Distributed Map states … do not currently support referencing variables in outer scopes". Names are kept apart all the same.
        self.scope(f"{place}.ItemProcessor.", processor, scope, blind=distributed)

    def check_choice(self, place: str, state: dict[str, Any], scope: Scope) -> None:
        rules = state.get("Choices")
        if not isinstance(rules, list) or not rules:
            self.say(place, "has no `Choices`")
            return
        for index, rule in enumerate(rules):
            where = f"{place}.Choices[{index}]"
            self.unknown_fields(where, rule, ("Condition", "Next", "Output", "Assign", "Comment"))
            if "Condition" not in rule or "Next" not in rule:
                self.say(where, "needs `Condition` and `Next`")
            for key in ("Condition", "Output", "Assign"):
                self.expressions(f"{where}.{key}", rule.get(key), scope, set())

    def handlers(self, place: str, state: dict[str, Any], scope: Scope) -> None:
        for key, known in (
            ("Retry", ("ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment")),
            ("Catch", ("ErrorEquals", "Next", "Output", "Assign", "Comment")),
        ):
            entries = state.get(key, [])
            for index, entry in enumerate(entries):
                where = f"{place}.{key}[{index}]"
                self.unknown_fields(where, entry, known)
                self.error_names(where, entry.get("ErrorEquals"), index == len(entries) - 1)
                for name, least in (("IntervalSeconds", 1), ("MaxAttempts", 0), ("MaxDelaySeconds", 1)):
                    value = entry.get(name, least)
                    if not isinstance(value, int) or isinstance(value, bool) or value < least:
                        self.say(where, f"`{name}` must be an integer from {least}: {value}")
                if not isinstance(entry.get("BackoffRate", 1), (int, float)) or entry.get("BackoffRate", 1) < 1:
                    self.say(where, f"`BackoffRate` must be a number from 1: {entry['BackoffRate']}")
                for name in ("Output", "Assign"):
                    self.expressions(f"{where}.{name}", entry.get(name), scope, {"errorOutput"})

    def error_names(self, place: str, names: Any, last: bool) -> None:
        if not isinstance(names, list) or not names:
            self.say(place, "has no `ErrorEquals`")
            return
        if "States.ALL" in names and (len(names) > 1 or not last):
            self.say(place, "`States.ALL` must stand alone and last")
        for name in names:
            if name.startswith("States.") and name not in STATES_ERRORS:
                self.say(place, f"there is no error `{name}`")
        if "States.Runtime" in names:
            self.say(place, "`States.Runtime` can be neither retried nor caught")

    def expressions(self, place: str, value: Any, scope: Scope, allowed: set[str]) -> None:
        """Checks every expression in a value; `allowed` are the fields of `$states` that exist beside input and context."""
        for where, text in strings(place, value):
            if not text.startswith("{%"):
                if "{%" in text or text.endswith("%}"):
                    self.say(where, "`{%` and `%}` must enclose the whole string")
                continue
            if not text.endswith("%}") or len(text) < 4:
                self.say(where, "`{%` has no `%}` at the end")
                continue
            try:
                variables = self.jsonata.variables(text[2:-2].strip())
            except QueryError as error:
                self.say(where, f"is not JSONata: {error}")
                continue
            for name, path in variables:
                self.reference(where, name, path, scope, allowed)

    def reference(self, place: str, name: str, path: list[str], scope: Scope, allowed: set[str]) -> None:
        if name == "states":
            first = path[0] if path else None
            if first is not None and first not in STATES_FIELDS:
                self.say(place, f"`$states` has no `{first}`")
            if first in ("result", "errorOutput") and first not in allowed:
                self.say(place, f"`$states.{first}` is not there")
        elif name == "eval":
            self.say(place, "`$eval` is refused")
        elif name in ("", "$"):
            self.say(place, "reads the input document, which is not there: " + ("`$$`" if name else f"`{'.'.join(path) or '$'}`"))
        elif name not in FUNCTIONS and not scope.visible(name):
            self.say(place, f"the variable `${name}` is never assigned")


def assignments(name: str, state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(variable, place) of everything that a state assigns in its own scope."""
    bodies = [("Assign", state)]
    for key in ("Choices", "Catch"):
        bodies += [(f"{key}[{index}].Assign", entry) for index, entry in enumerate(state.get(key) or []) if isinstance(entry, dict)]
    for where, body in bodies:
        for variable in body.get("Assign") or {}:
            yield variable, f"{name}.{where}"


def transitions(state: dict[str, Any]) -> list[tuple[Any, str]]:
    """(target, place) of every way out of a state."""
    found = [(state[key], key) for key in TARGETS if key in state]
    for key in ("Choices", "Catch"):
        for index, entry in enumerate(state.get(key) or []):
            if isinstance(entry, dict) and "Next" in entry:
                found.append((entry["Next"], f"{key}[{index}]"))
    return found


def strings(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """(place, text) of every string in a value, without keys."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(f"{place}[{index}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(f"{place}.{key}", item)


def check(text: str, jsonata: Jsonata) -> list[str]:
    """The problems of a definition, substitutions done."""
    return Checker(jsonata).check(text)
