"""Random typed expressions with values for the params that they read.

A type is `number`, `string`, `boolean`, `any`, `object`, or `("list", type)`. What the static types promise mostly holds; some params of type `any` hold
values of other kinds, so that expressions fail when they run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# CEL's levels, from loose to tight.
TERNARY, OR, AND, RELATION, SUM, PRODUCT, UNARY, PRIMARY = range(8)

NUMBERS = [
    0, -0.0, 1, -1, 2, 3, 7, 10, -5, 0.1, 0.2, 0.5, 1.5, 2.5, -2.5, -0.5, 1e21, 1e20, 1e-6, 1e-7, 5e-324, 1.7976931348623157e308, -1e300, 2**53 - 1, 1 - 2**53,
    2.0**53, 2.0**63, 123456789012345680.0, 1 / 3, 100.0, 0.30000000000000004, 4503599627370496.5, 999999999999999.9, 1e15, 1e16, 123456.789, -1e-10,
]  # fmt: skip
STRINGS = [
    "", "a", "b", "abc", "Hello", "é", "ÄÖß", "😀", "a😀b", "𝒳", "\uffff", "\ue000", "\u2028", "\ufeff", "e\u0301", "it's", '"', "\\", "\\n", "\n", "\t", "\r\n", "\x01",
    "\x7f", "\x00", "${", "${{", "$${", "}}", "{% x %}", "$x", "`", "true", "false", "null", "42", "-7", "007", "-0", "1e3", "0.1", ".5", "+1", " 1", "1 ", "١", "9007199254740993",
    "9007199254740991", "1e400", '{"a":1}', "[1,[2],{}]", '"x"', "NaN", "-", "1.0", '{"a":1,"a":2}', '{"b":[],"a":{"é":null}}', "[1,]", " [] ", "1E5", "-0.0", "2030-01-31T08:00:00Z",
    "2024-02-29T23:59:59.123456+02:00", "2023-02-29T00:00:00Z", "1969-12-31T23:59:59.9Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2030-01-31 08:00:00Z", "30s", "10m",
    "2h", "90d", "0s", "1.5s", "s", "a,b,,c", ",", "a.b", "aXbxC", "İı", "ſK", "__proto__", "length", "item-1", "key=value", "A" * 300, "x,😀" * 700,
]  # fmt: skip
KEYS = ["a", "b", "c", "a.b", 'a"b', "a'b", "a`b", "", "é", "😀", "\ue000", "x y", "$k", "0", "10", "2", "length", "constructor", "sequence", "in", "not", "null", "${x}", "{%", "toString"]
FIELDS = ["a", "b", "c", "length", "constructor", "sequence", "type"]
PATTERNS = ["a", "^a", "b$", "^[a-z]+$", "[0-9]+", "^.$", "^a|b$", "é", "x{2,}", "(ab)?c", "\\\\d+", "\\\\.", "[^a]", "^$", "😀", "^\\\\s*$", "A{3}", "\\\\w\\\\W"]
SCALARS = ("number", "string", "boolean")
ITEMS = ("number", "string", "boolean", "any")


@dataclass
class Node:
    """Text with its level; children are nodes with the least level that they may have there."""

    level: int
    parts: list[str | tuple["Node", int]]
    kind: Any = "any"

    def text(self) -> str:
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
            else:
                node, least = part
                inner = node.text()
                out.append(f"({inner})" if node.level < least else inner)
        return "".join(out)

    def children(self) -> list["Node"]:
        return [part[0] for part in self.parts if not isinstance(part, str)]

    def smaller(self) -> Iterator["Node"]:
        """The same with one part less, the largest steps first."""
        for child in self.children():
            yield child
        for literal in ("0", "''", "[]", "true", "null", "1", "'a'"):
            if len(self.text()) > len(literal) + 1:
                yield Node(PRIMARY, [literal])
        for position, part in enumerate(self.parts):
            if isinstance(part, str):
                continue
            node, least = part
            for less in node.smaller():
                yield Node(self.level, [*self.parts[:position], (less, least), *self.parts[position + 1 :]])


@dataclass
class Case:
    """A template of one expression, or of text around some, with the params that it reads."""

    parts: list[str | Node]
    params: dict[str, dict[str, Any]]

    def template(self) -> str:
        return "".join(part if isinstance(part, str) else f"${{{{ {part.text()} }}}}" for part in self.parts)

    def request(self) -> dict[str, Any]:
        template = self.template()
        read = {name: param for name, param in self.params.items() if f"params.{name}" in template}
        return {"template": template, "params": read}

    def smaller(self) -> Iterator["Case"]:
        for position, part in enumerate(self.parts):
            if len(self.parts) > 1:
                yield Case([part], self.params)
            if isinstance(part, Node):
                for less in part.smaller():
                    yield Case([*self.parts[:position], less, *self.parts[position + 1 :]], self.params)
        for name, param in self.request()["params"].items():
            for value in smaller_values(param["value"], param["type"]):
                yield Case(self.parts, {**self.params, name: {**param, "value": value}})


def smaller_values(value: Any, declared: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from (value[:at] + value[at + 1 :] for at in range(len(value)))
    if isinstance(value, dict) and declared == "any":
        yield from ({key: item for key, item in value.items() if key != left_out} for left_out in value)
    if isinstance(value, str) and len(value) > 1:
        yield from (value[: len(value) // 2], value[len(value) // 2 :])


def quoted(text: str) -> str:
    """A CEL string."""
    mark = "'" if '"' in text or len(text) % 2 else '"'
    escapes = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", mark: "\\" + mark}
    return mark + "".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text) + mark


@dataclass
class Trees:
    """The cases of one seed."""

    seed: int
    random: random.Random = field(init=False)
    params: dict[str, dict[str, Any]] = field(init=False)
    variables: list[tuple[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def case(self) -> Case:
        self.params, self.variables = {}, []
        depth = self.random.choice([1, 2, 2, 3, 3, 4, 5])
        if self.random.random() < 0.1:
            parts: list[str | Node] = []
            for _ in range(self.random.randint(1, 3)):
                parts += [self.random.choice(["a ", "é: ", "😀", "$", "{", '"', "x\ny", "\\", " "]), self.node(self.random.choice(SCALARS), depth - 1)]
            return Case(parts, self.params)
        kind = self.random.choice([*SCALARS, *SCALARS, "object", "any", ("list", self.random.choice(ITEMS)), ("list", ("list", "number"))])
        return Case([self.node(kind, depth)], self.params)

    # Values

    def value(self, kind: Any, depth: int = 2) -> Any:
        if isinstance(kind, tuple):
            return [self.value(kind[1], depth - 1) for _ in range(self.random.choice([0, 1, 1, 2, 3, 4]))]
        match kind:
            case "number":
                return self.random.choice([*NUMBERS, self.random.randint(-3, 12), self.random.uniform(-1e3, 1e3), self.random.randint(-(10**12), 10**12) / 1000])
            case "integer":
                return self.random.choice([0, 1, 2, 3, -1, 5, 2**53 - 1, -(2**53) + 1, 10**15, self.random.randint(-20, 20), self.random.randint(-(10**16) // 2, 10**16 // 2)])
            case "string":
                return self.random.choice(STRINGS)
            case "boolean":
                return self.random.random() < 0.5
            case "object":
                return {self.random.choice(KEYS): self.value("any", depth - 1) for _ in range(self.random.choice([0, 1, 2, 3, 5]))}
        choices = [None, *SCALARS, *SCALARS] if depth <= 0 else [None, *SCALARS, "object", "object", ("list", "any"), ("list", "any"), ("list", "number"), ("list", "string")]
        chosen = self.random.choice(choices)
        return None if chosen is None else self.value(chosen, depth - 1)

    # Leaves

    def param(self, kind: Any) -> Node:
        roll = self.random.random()
        if roll < 0.1 or kind == "any":
            value, declared = self.value("any"), "any"
        elif roll < 0.4 or kind == "object":
            value, declared = self.value(kind), "any"
        else:
            declared = self.declared(kind)
            value = self.value_of(declared)
        name = f"p{len(self.params)}"
        self.params[name] = {"type": declared, "value": value}
        return Node(PRIMARY, [f"params.{name}"])

    def declared(self, kind: Any) -> Any:
        if isinstance(kind, tuple):
            return [self.declared(kind[1])]
        if kind == "number":
            return self.random.choice(["number", "integer"])
        return "any" if kind == "object" else kind

    def value_of(self, declared: Any) -> Any:
        if isinstance(declared, list):
            return [self.value_of(declared[0]) for _ in range(self.random.choice([0, 1, 1, 2, 3]))]
        if isinstance(declared, dict):
            return {name: self.value_of(of) for name, of in declared.items() if not (isinstance(of, str) and of.startswith("optional") and self.random.random() < 0.3)}
        if declared.startswith("optional "):
            return None if self.random.random() < 0.3 else self.value_of(declared.removeprefix("optional "))
        return self.value(declared)

    def shaped(self, kind: str) -> Node:
        """A field of a param with a declared shape."""
        declared = {"a": self.declared(kind), "b": self.random.choice(["string", ["number"], "any", "optional integer"])}
        name, least = "a", "params.p"
        if self.random.random() < 0.3:
            declared["a"] = f"optional {kind}"
        of: Any = declared
        if self.random.random() < 0.3:
            of = [declared]
        param = f"p{len(self.params)}"
        value = self.value_of(of)
        self.params[param] = {"type": of, "value": value}
        access = f"{least}{param[1:]}" + ("[0]" if isinstance(of, list) else "")
        return Node(PRIMARY, [f"{access}.{name}" if self.random.random() < 0.7 else f"{access}['{name}']"])

    def literal(self, kind: Any) -> Node:
        if isinstance(kind, tuple):
            return self.list_of(kind[1], 0)
        match kind:
            case "number":
                value = self.value("number")
                text = str(value) if isinstance(value, int) else repr(value)
                if text.startswith("-"):
                    return Node(UNARY, [text])
                return Node(PRIMARY, [text])
            case "string":
                return Node(PRIMARY, [quoted(self.value("string")[:20])])
            case "boolean":
                return Node(PRIMARY, [self.random.choice(["true", "false"])])
            case "object":
                return self.object(0)
        return self.random.choice([lambda: Node(PRIMARY, ["null"]), lambda: self.literal(self.random.choice(SCALARS)), lambda: self.literal(("list", "any"))])()

    def leaf(self, kind: Any) -> Node:
        fitting = [name for name, of in self.variables if of == kind or of == "any" or kind == "any"]
        if fitting and self.random.random() < 0.6:
            return Node(PRIMARY, [self.random.choice(fitting)])
        if self.params and self.random.random() < 0.15:
            # Any param: what it is declared as may not fit, which the compiler then says.
            name = self.random.choice(list(self.params))
            if self.params[name]["type"] in ("any", kind):
                return Node(PRIMARY, [f"params.{name}"])
        if kind in SCALARS and self.random.random() < 0.12:
            return self.shaped(kind)
        return self.param(kind) if self.random.random() < 0.65 else self.literal(kind)

    # Expressions

    def node(self, kind: Any, depth: int) -> Node:
        if depth <= 0:
            return self.leaf(kind)
        if self.random.random() < 0.06:
            kind_given = "any"
        else:
            kind_given = kind
        makers = self.makers(kind_given)
        return self.random.choice(makers)(depth - 1)

    def makers(self, kind: Any) -> list[Any]:
        common = [lambda d: self.ternary(kind, d), lambda d: self.default(kind, d), lambda d: self.indexed(kind, d), lambda d: self.leaf(kind)]
        if isinstance(kind, tuple):
            return [*common, *self.lists(kind[1])]
        return {
            "number": [*common, *self.number_makers()],
            "string": [*common, *self.string_makers()],
            "boolean": [*common[:3], *self.boolean_makers()],
            "object": [lambda d: self.ternary("object", d), lambda d: self.object(d), lambda d: self.object(d), lambda d: self.call("merge", "object", "object", depth=d)],
            "any": [
                *common,
                lambda d: self.node(self.random.choice([*SCALARS, "object", ("list", "any")]), d),
                lambda d: self.call("parse_json", "string", depth=d),
                lambda d: self.field(d),
                lambda d: self.field(d),
            ],
        }[kind]

    def number_makers(self) -> list[Any]:
        def operator(symbol: str, level: int) -> Any:
            return lambda d: self.infix("number", symbol, "number", level, d)

        arithmetic = [operator("+", SUM), operator("-", SUM), operator("*", PRODUCT), operator("/", PRODUCT), operator("%", PRODUCT)]
        scalars = [lambda d, f=f: self.call(f, "number", depth=d) for f in ("abs", "floor", "ceil", "round", "int", "double")]
        texts = [lambda d, f=f: self.call(f, "string", depth=d) for f in ("int", "double", "timestamp", "duration")]
        extremes = [lambda d, f=f: self.extreme(f, d) for f in ("min", "max")]
        return [
            *arithmetic, *arithmetic, *scalars, *texts, *extremes,
            lambda d: self.call("sum", ("list", "number"), depth=d),
            lambda d: self.call("size", self.random.choice(["string", "object", ("list", "any")]), depth=d),
            lambda d: Node(UNARY, ["-", (self.node("number", d), PRIMARY)]),
        ]  # fmt: skip

    def string_makers(self) -> list[Any]:
        return [
            lambda d: self.infix("string", "+", "string", SUM, d),
            lambda d: self.infix("string", "+", "string", SUM, d),
            lambda d: self.call("string", self.random.choice([*SCALARS, "number"]), depth=d),
            lambda d: self.call("string", "number", depth=d),
            lambda d: self.call("json", self.random.choice(["any", "object", "number", ("list", "any"), "string"]), depth=d),
            lambda d: self.call("join", ("list", "string"), "string", depth=d),
            *(lambda d, f=f: self.call(f, "string", depth=d) for f in ("lowerAscii", "upperAscii", "base64")),
        ]

    def boolean_makers(self) -> list[Any]:
        relations = [lambda d, s=s, k=k: self.infix(k, s, k, RELATION, d) for s in ("<", "<=", ">", ">=") for k in ("number", "string")]
        logic = [lambda d: self.infix("boolean", "&&", "boolean", AND, d), lambda d: self.infix("boolean", "||", "boolean", OR, d)]
        equalities = [lambda d, s=s: self.equality(s, d) for s in ("==", "!=")]
        affixes = [lambda d, f=f: self.call(f, "string", "string", depth=d) for f in ("startsWith", "endsWith", "contains")]
        macros = [lambda d, m=m: self.quantified(m, d) for m in ("exists", "exists_one", "all")]
        return [
            *relations, *logic, *logic, *equalities, *equalities, *affixes, *macros, *macros,
            lambda d: Node(UNARY, ["!", (self.node("boolean", d), PRIMARY)]),
            lambda d: self.member(d), lambda d: self.member(d),
            lambda d: Node(PRIMARY, ["has(", (self.path(d), TERNARY), ")"]),
            lambda d: self.call("bool", self.random.choice(["boolean", "string"]), depth=d),
            lambda d: Node(PRIMARY, ["matches(", (self.node("string", d), TERNARY), f", '{self.random.choice(PATTERNS)}')"]),
            lambda d: self.leaf("boolean"),
        ]  # fmt: skip

    def lists(self, item: Any) -> list[Any]:
        kind = ("list", item)
        makers = [lambda d: self.list_of(item, d), lambda d: self.infix(kind, "+", kind, SUM, d), lambda d: self.filter(item, d), lambda d: self.map(item, d), lambda d: self.map(item, d)]
        if item == "string":
            makers += [lambda d: self.call("split", "string", "string", depth=d), lambda d: self.call("keys", "object", depth=d)]
        if item == "any":
            makers += [lambda d: self.call("values", "object", depth=d)] * 2
        if item == "number":
            makers += [lambda d: self.range(d)] * 2
        return makers

    def list_of(self, item: Any, depth: int) -> Node:
        parts: list[Any] = ["["]
        for at in range(self.random.choice([0, 1, 1, 2, 3])):
            parts += [", "] if at else []
            parts.append((self.node(item, depth) if depth > 0 else self.leaf(item), TERNARY))
        return Node(PRIMARY, [*parts, "]"])

    def object(self, depth: int) -> Node:
        parts: list[Any] = ["{"]
        for at, key in enumerate(self.random.sample(KEYS, self.random.choice([0, 1, 2, 3]))):
            parts += [", "] if at else []
            kind = self.random.choice([*ITEMS, ("list", "any")])
            parts += [f"{quoted(key)}: ", (self.node(kind, depth) if depth > 0 else self.leaf(kind), TERNARY)]
        return Node(PRIMARY, [*parts, "}"])

    def ternary(self, kind: Any, depth: int) -> Node:
        return Node(TERNARY, [(self.node("boolean", depth), OR), " ? ", (self.node(kind, depth), OR), " : ", (self.node(kind, depth), TERNARY)])

    def infix(self, left: Any, symbol: str, right: Any, level: int, depth: int) -> Node:
        left_level = level + 1 if level == RELATION else level
        return Node(level, [(self.node(left, depth), left_level), f" {symbol} ", (self.node(right, depth), level + 1)])

    def equality(self, symbol: str, depth: int) -> Node:
        kind = self.random.choice([*SCALARS, "any", "object", ("list", "any"), ("list", "number")])
        other = kind if self.random.random() < 0.6 else "any"
        return self.infix(kind, symbol, other, RELATION, depth)

    def member(self, depth: int) -> Node:
        item = self.random.choice(ITEMS)
        if self.random.random() < 0.3:
            return self.infix("string", "in", "object", RELATION, depth)
        if self.random.random() < 0.4:
            return self.call("contains", ("list", item), item, depth=depth)
        return self.infix(item, "in", ("list", item), RELATION, depth)

    def call(self, name: str, *kinds: Any, depth: int) -> Node:
        arguments = [self.node(kind, depth) for kind in kinds]
        parts: list[Any] = []
        if self.random.random() < 0.15 and arguments[0].level == PRIMARY and not arguments[0].text()[0].isdigit():
            parts, arguments = [(arguments[0], PRIMARY), "."], arguments[1:]
        parts.append(f"{name}(")
        for at, argument in enumerate(arguments):
            parts += [", "] if at else []
            parts.append((argument, TERNARY))
        return Node(PRIMARY, [*parts, ")"])

    def extreme(self, name: str, depth: int) -> Node:
        if self.random.random() < 0.4:
            return self.call(name, ("list", "number"), depth=depth)
        return self.call(name, *["number"] * self.random.choice([2, 2, 3]), depth=depth)

    def range(self, depth: int) -> Node:
        def bound() -> Node:
            roll = self.random.random()
            if roll < 0.6:
                return Node(PRIMARY, [str(self.random.randint(0, 12))])
            if roll < 0.7:
                return Node(UNARY, [str(self.random.randint(-3, -1))])
            if roll < 0.8:
                return Node(PRIMARY, ["size(", (self.node(("list", "any"), depth), TERNARY), ")"])
            if roll < 0.9:
                return self.leaf("any")
            return self.leaf("number")

        bounds = [bound() for _ in range(self.random.choice([1, 2]))]
        parts: list[Any] = ["range(", (bounds[0], TERNARY)]
        for other in bounds[1:]:
            parts += [", ", (other, TERNARY)]
        return Node(PRIMARY, [*parts, ")"])

    def path(self, depth: int) -> Node:
        """What `has` and `default` take."""
        roots = [name for name, of in self.variables if of == "any"]
        if roots and self.random.random() < 0.3:
            text: list[Any] = [self.random.choice(roots)]
        else:
            text = [self.param(self.random.choice(["any", "object", ("list", "any")])).text()]
        for _ in range(self.random.choice([0, 1, 1, 2, 2, 3])):
            text += self.step(depth)
        return Node(PRIMARY, text)

    def step(self, depth: int) -> list[Any]:
        roll = self.random.random()
        if roll < 0.4:
            return [f".{self.random.choice(FIELDS)}"]
        if roll < 0.6:
            key = self.random.choice([*KEYS, "__proto__"])
            return [f"[{quoted(key)}]"]
        if roll < 0.75:
            return [f"[{self.random.choice([0, 0, 1, 2])}]"]
        return ["[", (self.node(self.random.choice(["number", "string", "any"]), min(depth, 1)), TERNARY), "]"]

    def default(self, kind: Any, depth: int) -> Node:
        if kind in SCALARS and self.random.random() < 0.3:
            path = self.shaped(kind)
        else:
            path = self.path(depth)
        return Node(PRIMARY, ["default(", (path, TERNARY), ", ", (self.node(kind, depth), TERNARY), ")"])

    def indexed(self, kind: Any, depth: int) -> Node:
        of = self.node(("list", kind), depth)
        index = str(self.random.choice([0, 0, 1])) if self.random.random() < 0.6 else None
        inner: Any = index or (self.node("number", min(depth, 1)), TERNARY)
        return Node(PRIMARY, [(of, PRIMARY), "[", inner, "]"])

    def field(self, depth: int) -> Node:
        base = self.node(self.random.choice(["any", "object"]), depth)
        return Node(PRIMARY, [(base, PRIMARY), *self.step(depth)])

    # Macros

    def receiver(self, item: Any, depth: int) -> Node:
        node = self.node("object" if item == "string" and self.random.random() < 0.2 else ("list", item), depth)
        return node

    def within(self, item: Any, kind: Any, depth: int) -> tuple[str, Node]:
        name = f"{self.random.choice(['x', 'y', 'item', 'class', 'part_1', 'e'])}"
        while name in [taken for taken, _ in self.variables]:
            name += "1"
        self.variables.append((name, item))
        body = self.node(kind, depth)
        self.variables.pop()
        return name, body

    def quantified(self, macro: str, depth: int) -> Node:
        item = self.random.choice(ITEMS)
        items = self.receiver(item, depth)
        name, body = self.within(item, "boolean", depth)
        return Node(PRIMARY, [(items, PRIMARY), f".{macro}({name}, ", (body, TERNARY), ")"])

    def filter(self, item: Any, depth: int) -> Node:
        items = self.receiver(item, depth)
        name, body = self.within(item, "boolean", depth)
        return Node(PRIMARY, [(items, PRIMARY), f".filter({name}, ", (body, TERNARY), ")"])

    def map(self, item: Any, depth: int) -> Node:
        of = self.random.choice(ITEMS)
        items = self.receiver(of, depth)
        name, body = self.within(of, item, depth)
        if self.random.random() < 0.3:
            self.variables.append((name, of))
            condition = self.node("boolean", depth)
            self.variables.pop()
            return Node(PRIMARY, [(items, PRIMARY), f".map({name}, ", (condition, TERNARY), ", ", (body, TERNARY), ")"])
        return Node(PRIMARY, [(items, PRIMARY), f".map({name}, ", (body, TERNARY), ")"])


def shown(case: Case) -> str:
    """For a person: the template and its params on lines of their own."""
    request = case.request()
    params = "".join(f"\n    {name}: {json.dumps(param, ensure_ascii=False)}" for name, param in request["params"].items())
    return json.dumps(request["template"], ensure_ascii=False) + params
