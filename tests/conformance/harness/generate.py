"""Random pipelines: any DAG, any modifier, typed expressions, handlers that fail, crash and run late on a plan, pipelines that run others, approvals
that are answered or not.

What a run of them gives is one thing and no race: at most one step of a pipeline can fail it; where a failure is caught or tried
again, what stands beside it runs one after the other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
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
ROOT = "pipeline.yaml"
TOPIC = "people"
ANSWERS = [
    {"approved": True, "by": "ann", "comment": "fine"},
    {"approved": False, "by": None},
    {"approved": True, "more": [1]},
]
NOT_ANSWERS = [None, {}, {"approved": "yes"}, {"approved": True, "by": 7}]
"""Nobody answers, or what comes is no answer: the step fails."""


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
    """A failure here is somebody's to catch, or the one that fails the pipeline."""
    chain: bool = False
    """Each step follows the one before: what is caught, tried again or cut short has no race in it."""
    in_list: bool = False
    file: str = ROOT
    prefix: str = ""
    """Of the paths of its steps, within the file."""


@dataclass
class Asked:
    """An approval, by its file and the path there."""

    file: str
    path: str
    step: Json
    answer: Json


@dataclass
class Child:
    """A pipeline that others run."""

    file: str
    params: dict[str, str]
    """Their types."""
    caught: bool
    """It was written for a caller that catches what fails in it."""
    once: bool
    """It holds the one step that may fail the pipeline, so nobody else runs it."""


class Generator:
    """One pipeline from one seed, with those that it runs. `approvals` has the answer for each approval of a run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.left = self.random.randint(2, 12)
        # One step in the whole pipeline may fail it.
        self.may_fail = self.random.random() < 0.4
        self.count = 0
        self.files: dict[str, Json] = {}
        """The documents of the other pipelines."""
        self.approvals: dict[str, Json] = {}
        self.children: list[Child] = []
        self.asked: list[Asked] = []
        self.calls: list[tuple[str, str, str]] = []
        """Of each call the file, the path there, and the file that it runs."""

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
        document |= self.surroundings(ROOT)
        document["outputs"] = {f"o{i}": self.written(self.read(item)) for i, item in enumerate(inner)}
        for file, child in self.files.items():
            child["name"] = f"{name}-{child['name']}"
            child["defaults"] = {"function": {"source": f"../{source}" if "/" in file else source}}
        self.answer(ROOT, "")
        return document, {}

    def surroundings(self, file: str) -> Json:
        """What else a pipeline has at its top."""
        found: Json = {}
        if any(asked.file == file for asked in self.asked):
            found["topics"] = {TOPIC: {}}
        if self.chance(0.3):
            found["on_failure"] = {"function": {"handler": HANDLER}, "input": {"plan": ["ok"], "value": "${{ error.step + error.name }}"}}
        return found

    def answer(self, file: str, prefix: str) -> None:
        """Answers the approvals of a file that runs below a path."""
        for asked in self.asked:
            if asked.file == file:
                self.approvals[prefix + asked.path] = asked.answer
        for caller, path, child in self.calls:
            if caller == file:
                self.answer(child, f"{prefix}{path}.")

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
            needs = [ends[-1][0]] if place.chain and ends else [step for step, _ in ends if self.chance(0.35)]
            inner = replace(place, names=place.names + own)
            step, name = self.step(identifier, needs, {step for step, skips in ends if skips}, inner)
            steps[identifier] = step
            own.append(name)
            if name.type == "group":
                own.append(Name(name.text + ".t", "integer", name.may_be_null or "catch" in step))
            if name.type == "approval":
                own.append(Name(name.text + ".approved", "boolean", name.may_be_null or "catch" in step))
            ends.append((identifier, name.may_be_null))
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
        if self.chance(0.2) and not place.chain:
            step["when"] = self.written(self.expression("boolean", place.names, 2))
            skips = True
        each = self.chance(0.2) and place.depth < 2
        many = each and not place.in_list and self.chance(0.08)
        if each:
            step["for_each"] = self.written(self.expression("integers", place.names, 2)) if self.chance(0.5) and not many else self.items(many)
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
        elif each and self.chance(0.7 if many else 0.4):
            step["max_concurrency"] = self.random.randint(41, 100) if self.chance(0.6 if many else 0.1) else self.random.randint(1, 5)
        group = self.chance(0.25) and place.depth < 2 and not many
        child = not group and self.chance(0.12) and place.depth < 2 and not many
        bounded = (group or child) and self.chance(0.25)
        repeats = self.chance(0.15)
        # `until` may stay false, which is a failure too.
        catches = catches or (repeats and not fails)
        body = replace(place, caught=place.caught or catches, chain=place.chain or catches or tries or bounded)
        if repeats and not group and not child:
            body = replace(body, names=body.names + [Name("previous", "integer", True)])
        path = place.prefix + identifier
        if group:
            kind = self.group(step, replace(body, prefix=f"{path}."), fails, tries)
        elif child:
            kind = self.child(step, body, path, fails)
        else:
            kind = self.leaf(step, body, path, fails, repeats)
        if tries:
            step["retry"] = {"attempts": self.random.randint(1, 3), "delay": f"{self.random.randint(1, 9)}s", "backoff": self.random.choice([1, 1.5, 2]), "on": self.errors()}
        if bounded:
            step["timeout"] = "5h"
        if repeats:
            until = f"output.t >= {self.random.randint(-2, 3)}" if group or child else f"output >= {self.random.randint(-2, 3)}"
            if kind != "integer" and not group and not child:
                until = f"{self.expression('integer', place.names, 1)} < {self.expression('integer', place.names, 1)}"
            step["repeat"] = {"until": self.written(until), "max": 3}
            if self.chance(0.5):
                step["repeat"]["delay"] = f"{self.random.randint(1, 5)}s"
        if catches:
            step["catch"] = self.catches(kind, replace(place, caught=True), path)
        if each:
            # Of a null among them no expression takes account.
            kind = "integers" if kind == "integer" else "list of " + kind
        return step, Name(f"steps['{identifier}'].output", kind, skips)

    def items(self, many: bool) -> list[int]:
        """A constant list, short or long."""
        count = self.random.randint(30, 60) if many else self.random.randint(0, 4)
        return [self.random.randint(-3, 9) for _ in range(count)]

    def leaf(self, step: dict[str, Json], place: Place, path: str, fails: bool, repeats: bool) -> str:
        """Writes the kind; gives the type of its output."""
        if self.chance(0.07):
            return self.approval(step, place, path, fails)
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

    def approval(self, step: dict[str, Json], place: Place, path: str, fails: bool) -> str:
        names = [name for name in place.names if name.text != "previous"]
        step["approval"] = {"topic": TOPIC, "message": self.written(self.expression("string", names, 1)), "timeout": f"{self.random.randint(1, 9)}h"}
        if self.chance(0.2):
            step["timeout"] = "90m"
        answer = self.random.choice(NOT_ANSWERS) if fails and self.chance(0.5) else self.random.choice(ANSWERS)
        self.asked.append(Asked(place.file, path, step, answer))
        return "approval"

    def child(self, step: dict[str, Json], place: Place, path: str, fails: bool) -> str:
        """Runs another pipeline, a new one or one that there is."""
        known = [child for child in self.children if child.caught <= fails and not child.once]
        child = self.random.choice(known) if known and self.chance(0.4) else self.new_child(place, fails)
        names = [name for name in place.names if name.text != "previous"]
        given = {param: self.written(self.expression(kind, names, 2)) for param, kind in child.params.items()}
        step["pipeline"] = {"file": child.file if "/" not in place.file else f"../{child.file}", "params": given}
        self.calls.append((place.file, path, child.file))
        return "group"

    def new_child(self, place: Place, fails: bool) -> Child:
        self.count += 1
        own = f"c{self.count}"
        file = self.random.choice([f"{own}.yaml", f"parts/{own}.yaml"])
        params = {f"q{i}": self.random.choice(TYPES) for i in range(self.random.randint(0, 2))}
        declared: Json = {param: WRITTEN[kind] for param, kind in params.items()}
        left_out = self.random.choice(TYPES)
        if self.chance(0.4):
            declared["r"] = {"type": WRITTEN[left_out], "default": self.value(left_out)}
        names = [Name(f"params.{param}", kind) for param, kind in params.items()]
        names += [Name("params.r", left_out)] if "r" in declared else []
        inner = Place(names, place.depth + 1, caught=place.caught or fails, chain=place.chain or fails, in_list=place.in_list, file=file)
        may_fail = self.may_fail
        steps, own_names = self.block(inner)
        if not inner.caught:
            self.disarm(steps)
        document: Json = {"mlpipe": "v1", "name": own}
        if declared:
            document["params"] = declared
        document["steps"] = steps
        document |= self.surroundings(file)
        document["outputs"] = {"t": self.random.randint(-2, 3), **{f"x{i}": self.written(self.read(name)) for i, name in enumerate(own_names)}}
        self.files[file] = document
        self.children.append(Child(file, params, inner.caught, once=may_fail != self.may_fail))
        return self.children[-1]

    def plan(self, fails: bool) -> list[str]:
        if not fails:
            return ["ok"]
        words = ["ok", "Flaky", "Flaky", "Fatal"] + (["crash"] if self.chance(0.2) else [])
        plan = [self.random.choice(words) for _ in range(self.random.randint(1, 3))]
        return plan

    def group(self, step: dict[str, Json], place: Place, fails: bool, tries: bool) -> str:
        inner = replace(place, depth=place.depth + 1, caught=place.caught or fails, chain=place.chain or fails)
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
            if "approval" in step and "catch" not in step:
                next(asked for asked in self.asked if asked.step is step).answer = self.random.choice(ANSWERS)
            if "steps" in step:
                self.disarm(step["steps"])

    def errors(self) -> list[str]:
        return self.random.choice([["all"], ["Flaky"], ["transient"], ["Flaky", "timeout"], ["Fatal", "transient"]])

    def catches(self, kind: str, place: Place, path: str) -> list[Json]:
        entries = []
        if self.chance(0.5):
            entry: dict[str, Json] = {"on": self.random.choice([["Flaky"], ["Fatal", "Stop"], ["transient"], ["timeout", "RepeatLimit"], ["ExpressionError"]])}
            entry |= self.fallback(kind, place, f"{path}.do")
            entries.append(entry)
        entries.append(self.fallback(kind, place, f"{path}.do2" if entries and "do" in entries[0] else f"{path}.do"))
        return entries

    def fallback(self, kind: str, place: Place, path: str) -> Json:
        """What stands in for a step of a type; it does not fail itself."""
        step: Json = {}
        if kind == "approval" and self.chance(0.3):
            self.approval(step, place, path, False)
            step.pop("timeout", None)
            return {"do": step}
        if kind == "group" and self.chance(0.3) and place.depth < 2:
            self.child(step, replace(place, caught=False), path, False)
            return {"do": step}
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
