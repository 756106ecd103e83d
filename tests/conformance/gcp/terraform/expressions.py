"""Terraform's expressions: string templates, references, calls and operators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class TerraformError(Exception):
    """The module cannot be read, or a reference cannot be resolved."""


@dataclass(frozen=True)
class Value:
    """A literal."""

    value: Any


@dataclass(frozen=True)
class Template:
    """A string of literal and interpolated parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Reference:
    """A traversal: a root name, then attribute names, indexes, or "*" for a splat."""

    path: tuple[str | int, ...]


@dataclass(frozen=True)
class Index:
    """An index or an attribute of something that is no plain reference."""

    value: Node
    key: Node


@dataclass(frozen=True)
class Call:
    """A function call."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class ObjectOf:
    """`{a = b}`."""

    items: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True)
class Operation:
    """A unary or binary operator, or `?:` with three operands."""

    operator: str
    operands: tuple[Node, ...]


Node = Value | Template | Reference | Index | Call | ListOf | ObjectOf | Operation

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<number>[0-9]+(\.[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)
    |(?P<operator>\|\||&&|==|!=|<=|>=|=>|\.\.\.|[-+*/%<>!?:=.,()\[\]{}])|(?P<quote>")""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))


def parse_template(text: str) -> Node:
    """A string of Terraform JSON: every string is a template."""
    reader = _Reader(text)
    parts = reader.template(None)
    if not parts:
        return Value("")
    if len(parts) == 1:
        return parts[0]
    return Template(tuple(parts))


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    match node:
        case Template(parts) | Call(_, parts) | ListOf(parts) | Operation(_, parts):
            children: tuple[Node, ...] = parts
        case Index(value, key):
            children = (value, key)
        case ObjectOf(items):
            children = tuple(child for pair in items for child in pair)
        case _:
            children = ()
    for child in children:
        yield from walk(child)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0

    def error(self, message: str) -> TerraformError:
        return TerraformError(f"{message} at {self.offset} in {self.text!r}")

    # Templates

    def template(self, closing: str | None) -> list[Node]:
        parts: list[Node] = []
        literal = ""
        while True:
            if self.offset >= len(self.text):
                if closing is not None:
                    raise self.error("unfinished string")
                break
            rest = self.text[self.offset :]
            if closing is not None and rest[0] == closing:
                self.offset += 1
                break
            if rest.startswith(("$${", "%%{")):
                literal += rest[1:3]
                self.offset += 3
            elif rest.startswith("%{"):
                raise self.error("template directives are not supported")
            elif rest.startswith("${"):
                self.offset += 2
                if literal:
                    parts.append(Value(literal))
                    literal = ""
                parts.append(self.expression())
                self.expect("}")
            elif closing is not None and rest[0] == "\\":
                literal += self.escape(rest)
            else:
                literal += rest[0]
                self.offset += 1
        if literal:
            parts.append(Value(literal))
        return parts

    def escape(self, rest: str) -> str:
        if len(rest) < 2 or rest[1] not in _ESCAPES:
            raise self.error("unknown escape")
        self.offset += 2
        return _ESCAPES[rest[1]]

    # Expressions

    def peek(self) -> tuple[str, str]:
        while True:
            match = _TOKEN.match(self.text, self.offset)
            if match is None:
                return "end", ""
            if match.lastgroup != "space":
                return str(match.lastgroup), match.group()
            self.offset = match.end()

    def take(self, *spellings: str) -> str | None:
        kind, spelling = self.peek()
        if kind in ("operator", "name") and spelling in spellings:
            self.offset += len(spelling)
            return spelling
        return None

    def expect(self, spelling: str) -> None:
        if self.take(spelling) is None:
            raise self.error(f"expected `{spelling}`")

    def expression(self) -> Node:
        condition = self.level(0)
        if self.take("?"):
            first = self.expression()
            self.expect(":")
            return Operation("?:", (condition, first, self.expression()))
        return condition

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self.unary()
        left = self.level(depth + 1)
        while operator := self.take(*_LEVELS[depth]):
            left = Operation(operator, (left, self.level(depth + 1)))
        return left

    def unary(self) -> Node:
        if operator := self.take("!", "-"):
            return Operation(operator, (self.unary(),))
        return self.postfix(self.primary())

    def postfix(self, node: Node) -> Node:
        while True:
            if self.take("."):
                kind, spelling = self.peek()
                if self.take("*"):
                    key: str | int = "*"
                elif kind in ("name", "number"):
                    self.offset += len(spelling)
                    key = int(spelling) if kind == "number" else spelling
                else:
                    raise self.error("expected a name")
                node = _extended(node, Value(key))
            elif self.take("["):
                if self.take("*"):
                    index: Node = Value("*")
                else:
                    index = self.expression()
                self.expect("]")
                node = _extended(node, index)
            else:
                return node

    def primary(self) -> Node:
        kind, spelling = self.peek()
        match kind:
            case "number":
                self.offset += len(spelling)
                return Value(float(spelling) if "." in spelling else int(spelling))
            case "quote":
                self.offset += 1
                parts = self.template('"')
                return Template(tuple(parts)) if parts else Value("")
            case "name":
                return self.named(spelling)
        if self.take("("):
            node = self.expression()
            self.expect(")")
            return node
        if self.take("["):
            return ListOf(tuple(self.items("]")))
        if self.take("{"):
            return ObjectOf(tuple(self.pairs()))
        raise self.error("expected a value")

    def named(self, name: str) -> Node:
        self.offset += len(name)
        if name in ("true", "false", "null"):
            return Value({"true": True, "false": False, "null": None}[name])
        if self.take("("):
            return Call(name, tuple(self.items(")")))
        return Reference((name,))

    def items(self, closing: str) -> Iterator[Node]:
        if self.peek()[1] == "for":
            raise self.error("for expressions are not supported")
        while not self.take(closing):
            yield self.expression()
            if not self.take(","):
                self.expect(closing)
                return

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        while not self.take("}"):
            kind, spelling = self.peek()
            if kind == "name":
                self.offset += len(spelling)
                key: Node = Value(spelling)
            else:
                key = self.expression()
            if not self.take("=", ":"):
                raise self.error("expected `=`")
            yield key, self.expression()
            self.take(",")


def _extended(node: Node, key: Node) -> Node:
    if isinstance(key, Template) and len(key.parts) == 1 and isinstance(key.parts[0], Value):
        key = key.parts[0]
    if isinstance(node, Reference) and isinstance(key, Value) and isinstance(key.value, (str, int)):
        return Reference((*node.path, key.value))
    return Index(node, key)
