"""Random pipelines: any DAG, any modifier, typed expressions, handlers that fail, crash and run late on a plan.

What a run of them gives is one thing and no race: at most one step of a pipeline can fail it; where a failure is caught or tried
again, what stands beside it runs one after the other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

Json = Any
TYPES = ("integer", "number", "boolean", "string", "integers", "object")
WRITTEN = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "string": "string",
    "integers": ["integer"],
    "object": {"n": "integer", "s": "string"},
}
TEXTS = ["", "a", "ä", "𝄞x", "a.b", "it's", 'say "hi"', "line\nbreak", "${x}", "long " * 20]
HANDLER = "planned.run"


@dataclass
class Name:
    """Something that an expression can read."""

    text: str
    type: str
    may_be_null: bool = False


@dataclass
class Place:
    """What surrounds a step."""

    names: list[Name]
    depth: int
    caught: bool = False
    """A failure here is somebody's to catch, and the block is a chain."""
    in_list: bool = False
    ids: set[str] = field(default_factory=set)


class Generator:
    """One pipeline from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.left = self.random.randint(2, 12)
        # One step in the whole pipeline may fail it.
        self.may_fail = self.random.random() < 0.4
        self.count = 0

    def pipeline(self, name: str, source: str) -> tuple[Json, Json]:
        """The document, and the params of a run."""
        params = {f"p{i}": (kind := self.random.choice(TYPES), self.value(kind)) for i in range(3)}
        names = [Name(f"params.{name}", kind) for name, (kind, _) in params.items()]
        steps, inner = self.block(Place(names, 0))
        document = {
            "mlpipe": "v1",
            "name": name,
            "params": {name: {"type": WRITTEN[kind], "default": value} for name, (kind, value) in params.items()},
            "defaults": {"function": {"source": source}},
            "steps": steps,
        }
        if self.chance(0.3):
            document["on_failure"] = {"function": {"handler": HANDLER}, "input": {"plan": ["ok"], "value": "${{ error.step + error.name }}"}}
        document["outputs"] = {f"o{i}": self.written(self.read(item)) for i, item in enumerate(inner)}
        return document, {}

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    # Blocks and steps

    def block(self, place: Place) -> tuple[Json, list[Name]]:
        """The steps of a block, and what can be read of them."""
        steps: dict[str, Json] = {}
        own: list[Name] = []
        ends: list[tuple[str, bool]] = []
        for _ in range(self.random.randint(1, 3 if place.depth else 5)):
            if self.left <= 0 and steps:
                break
            self.left -= 1
            self.count += 1
            identifier = f"s{self.count}" if self.chance(0.8) else f"s-{self.count}"
            # A chain where somebody catches what fails here; else any DAG.
            needs = [ends[-1][0]] if place.caught and ends else [step for step, _ in ends if self.chance(0.35)]
            inner = replace(place, names=place.names + own)
            step, name = self.step(identifier, needs, {step for step, skips in ends if skips}, inner)
            steps[identifier] = step
            own.append(name)
            if name.type == "group":
                own.append(Name(name.text + ".t", "integer", name.may_be_null or "catch" in step))
            ends.append((identifier, name.may_be_null))
            if place.caught and name.may_be_null:
                # What follows is to run all the same.
                break
        return steps, own

    def step(self, identifier: str, needs: list[str], skippable: set[str], place: Place) -> tuple[Json, Name]:
        step: dict[str, Json] = {}
        skips = False
        if needs:
            step["needs"] = needs
            if self.chance(0.3):
                step["join"] = "any"
                skips = all(need in skippable for need in needs)
            else:
                skips = any(need in skippable for need in needs)
        if self.chance(0.2) and not place.caught:
            step["when"] = self.written(self.expression("boolean", place.names, 2))
            skips = True
        outer = place
        each = self.chance(0.2) and place.depth < 2
        if each:
            step["for_each"] = self.written(self.expression("integers", place.names, 2)) if self.chance(0.5) else [self.random.randint(-3, 9) for _ in range(self.random.randint(0, 4))]
            item, index = f"i{self.count}", f"n{self.count}"
            step["as"], step["index"] = item, index
            place = replace(place, names=place.names + [Name(item, "integer"), Name(index, "integer")], in_list=True)
        catches = self.chance(0.3)
        tries = self.chance(0.3)
        safe = catches or place.caught
        # A failure that nobody catches is allowed once, and not where other items race with it.
        fails = safe or (self.may_fail and not place.in_list and self.chance(0.4))
        if fails and not safe:
            self.may_fail = False
        if each and (fails or tries):
            step["max_concurrency"] = 1
        elif each and self.chance(0.4):
            step["max_concurrency"] = self.random.randint(1, 5)
        group = self.chance(0.25) and place.depth < 2
        bounded = group and self.chance(0.25)
        body = replace(place, caught=place.caught or catches or tries or bounded)
        repeats = self.chance(0.15)
        if repeats and not group:
            body = replace(body, names=body.names + [Name("previous", "integer", True)])
        kind = self.group(step, body, fails, tries) if group else self.leaf(step, body, fails, repeats)
        if tries:
            step["retry"] = {"attempts": self.random.randint(1, 3), "delay": f"{self.random.randint(1, 9)}s", "backoff": self.random.choice([1, 1.5, 2]), "on": self.errors()}
        if bounded:
            step["timeout"] = "5h"
        if repeats:
            until = f"output.t >= {self.random.randint(-2, 3)}" if group else f"output >= {self.random.randint(-2, 3)}"
            if kind != "integer" and not group:
                until = f"{self.expression('integer', place.names, 1)} < {self.expression('integer', place.names, 1)}"
            step["repeat"] = {"until": self.written(until), "max": 3}
            if self.chance(0.5):
                step["repeat"]["delay"] = f"{self.random.randint(1, 5)}s"
            if not fails:
                # `until` may stay false, which is a failure too.
                catches = True
        if catches:
            step["catch"] = self.catches(kind, replace(place, caught=True))
        if each:
            # Of a null among them no expression takes account.
            kind = "integers" if kind == "integer" else "list of " + kind
        return step, Name(f"steps['{identifier}'].output", kind, skips or outer.caught)

    def leaf(self, step: dict[str, Json], place: Place, fails: bool, repeats: bool) -> str:
        """Writes the kind; gives the type of its output."""
        draw = self.random.random()
        if draw < 0.12:
            step["wait"] = {"duration": f"{self.random.randint(1, 9)}s"}
            if fails and self.chance(0.3):
                step["wait"], step["timeout"] = {"duration": "30s"}, "7s"
            return "null"
        if draw < 0.2 and fails:
            step["fail"] = {"error": self.random.choice(["Flaky", "Stop"]), "message": self.written(self.expression("string", place.names, 1))}
            return "null"
        kind = "integer" if repeats else self.random.choice(TYPES)
        names = place.names
        value = self.expression(kind, [name for name in names if name.text != "previous"], 2)
        if repeats:
            value = f"default(previous, -1) + 1 + (({value}) - ({value}))"
        if fails and self.chance(0.15):
            # An index out of range, but no type tells.
            value = f"[1, 2][size({self.expression('string', names[:3], 1)}) + {self.random.randint(0, 2)}] == 1 ? ({value}) : ({value})"
        step["function"] = {"handler": HANDLER}
        step["input"] = {"plan": self.plan(fails), "value": self.written(value)}
        if self.chance(0.85) or repeats:
            step["output"] = WRITTEN[kind]
        else:
            kind = "any"
        return kind

    def plan(self, fails: bool) -> list[str]:
        if not fails:
            return ["ok"]
        words = ["ok", "Flaky", "Flaky", "Fatal"] + (["crash"] if self.chance(0.2) else [])
        plan = [self.random.choice(words) for _ in range(self.random.randint(1, 3))]
        return plan

    def group(self, step: dict[str, Json], place: Place, fails: bool, tries: bool) -> str:
        inner = replace(place, depth=place.depth + 1, caught=place.caught or fails)
        step["steps"], own = self.block(inner)
        outputs = {"t": self.random.randint(-2, 3)}
        outputs |= {f"x{i}": self.written(self.read(name)) for i, name in enumerate(own)}
        step["outputs"] = outputs
        if not fails and not place.caught:
            self.disarm(step["steps"])
        return "group"

    def disarm(self, steps: Json) -> None:
        """Nothing in these steps may fail."""
        for step in steps.values():
            if "function" in step and "catch" not in step:
                step["input"]["plan"] = ["ok"]
            if "steps" in step:
                self.disarm(step["steps"])

    def errors(self) -> list[str]:
        return self.random.choice([["all"], ["Flaky"], ["transient"], ["Flaky", "timeout"], ["Fatal", "transient"]])

    def catches(self, kind: str, place: Place) -> list[Json]:
        entries = []
        if self.chance(0.5):
            entry: dict[str, Json] = {"on": self.random.choice([["Flaky"], ["Fatal", "Stop"], ["transient"], ["timeout", "RepeatLimit"], ["ExpressionError"]])}
            entry |= self.fallback(kind, place)
            entries.append(entry)
        entries.append(self.fallback(kind, place))
        return entries

    def fallback(self, kind: str, place: Place) -> Json:
        if kind not in TYPES:
            return {} if self.chance(0.5) else {"output": None}
        value = self.written(self.expression(kind, place.names, 1))
        if self.chance(0.4):
            return {"do": {"function": {"handler": HANDLER}, "input": {"plan": ["ok"], "value": value}, "output": WRITTEN[kind]}}
        return {"output": value}

    # Expressions

    def value(self, kind: str) -> Json:
        match kind:
            case "integer":
                return self.random.choice([0, 1, -1, 7, 2**31, self.random.randint(-100, 100)])
            case "number":
                return self.random.choice([0.5, -2.25, 1e6, 3, self.random.randint(-1000, 1000) / 8])
            case "boolean":
                return self.chance(0.5)
            case "string":
                return self.random.choice(TEXTS)
            case "integers":
                return [self.random.randint(-9, 9) for _ in range(self.random.randint(0, 4))]
        return {"n": self.random.randint(-9, 9), "s": self.random.choice(TEXTS)}

    def literal(self, kind: str) -> str:
        value = self.value(kind)
        match kind:
            case "boolean":
                return "true" if value else "false"
            case "string":
                return quoted(value)
            case "object":
                return f"{{'n': {value['n']}, 's': {quoted(value['s'])}}}"
        return str(value)

    def read(self, name: Name) -> str:
        """A read that cannot fail."""
        return f"default({name.text}, null)" if name.may_be_null else name.text

    def expression(self, kind: str, names: list[Name], depth: int) -> str:
        """An expression of a type that cannot fail."""
        fitting = [name for name in names if name.type == kind]
        if depth == 0 or self.chance(0.25):
            if fitting and self.chance(0.8):
                name = self.random.choice(fitting)
                return f"default({name.text}, {self.literal(kind)})" if name.may_be_null else name.text
            return self.literal(kind)
        lists = [name.text for name in names if name.type == "integers"]
        if kind == "integer" and lists and self.chance(0.1):
            return f"default({self.random.choice(lists)}[{self.random.randint(0, 3)}], {self.literal(kind)})"
        sub = lambda of: self.expression(of, names, depth - 1)  # noqa: E731
        options = {
            "integer": lambda: [f"({sub('integer')} + {sub('integer')})", f"({sub('integer')} % 7)", f"size({sub('string')})", f"size({sub('integers')})", f"({sub('boolean')} ? {sub('integer')} : {sub('integer')})", f"min({sub('integer')}, {sub('integer')})", f"floor({sub('number')})", f"({sub('object')}).n"],
            "number": lambda: [f"({sub('number')} / 4)", f"({sub('number')} - {sub('number')})", f"abs({sub('number')})", f"({sub('boolean')} ? {sub('number')} : {sub('number')})", f"max({sub('number')}, {sub('number')})", f"double({sub('integer')})"],
            "boolean": lambda: [f"({sub('integer')} < {sub('integer')})", f"({sub('string')} == {sub('string')})", f"!{sub('boolean')}", f"({sub('boolean')} && {sub('boolean')})", f"({sub('boolean')} || {sub('boolean')})", f"({sub('integer')} in {sub('integers')})", f"contains({sub('string')}, {sub('string')})", f"({sub('integers')} == {sub('integers')})"],
            "string": lambda: [f"({sub('string')} + {sub('string')})", f"string({sub('integer')})", f"string({sub('boolean')})", f"({sub('boolean')} ? {sub('string')} : {sub('string')})", f"({sub('object')}).s", f"join(split({sub('string')}, 'a'), '-')"],
            "integers": lambda: [f"({sub('integers')} + {sub('integers')})", f"[{sub('integer')}]", f"({sub('boolean')} ? {sub('integers')} : {sub('integers')})", f"[{sub('integer')}, {sub('integer')}]"],
            "object": lambda: [f"{{'n': {sub('integer')}, 's': {sub('string')}}}", f"({sub('boolean')} ? {sub('object')} : {sub('object')})"],
        }
        return self.random.choice(options[kind]())

    def written(self, expression: str) -> str:
        return f"${{{{ {expression} }}}}"


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
