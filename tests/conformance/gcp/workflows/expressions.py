"""The syntax tree of expressions and their parser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import DeployError
from .lexer import Token, tokens
from .limits import EXPRESSION_CHARACTERS


@dataclass(frozen=True)
class Constant:
    """A literal."""

    value: Any


@dataclass(frozen=True)
class Variable:
    """The name of a variable."""

    name: str


@dataclass(frozen=True)
class ListLiteral:
    """`[a, b]`. There are no map literals in expressions."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Access:
    """`container.field` or `container[key]`."""

    container: Node
    key: Node


@dataclass(frozen=True)
class Invocation:
    """A function of the library or a subworkflow, arguments by position."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Unary:
    """`-x` or `not x`."""

    operator: str
    operand: Node


@dataclass(frozen=True)
class Binary:
    """Any operator of two operands; `not in` is spelled so."""

    operator: str
    left: Node
    right: Node


Node = Constant | Variable | ListLiteral | Access | Invocation | Unary | Binary

# Workflows docs, Data types: order of operations, from the loosest. The comparisons, the
# equalities and `in` share one level.
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("or",),
    ("and",),
    ("<", "<=", ">", ">=", "==", "!=", "in", "not in"),
    ("+", "-"),
    ("*", "/", "//", "%"),
)


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The tree of the text between `${` and `}`."""
    if len(text) + len("${}") > EXPRESSION_CHARACTERS:
        raise DeployError(f"expression of more than {EXPRESSION_CHARACTERS} characters: {text}")
    parser = _Parser(text)
    node = parser.level(0)
    parser.expect_end()
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.position = 0

    def peek(self) -> Token:
        return self.tokens[self.position]

    def next(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def at(self, *operators: str) -> bool:
        token = self.peek()
        return token.kind == "operator" and token.value in operators

    def take(self, operator: str) -> bool:
        if self.at(operator):
            self.position += 1
            return True
        return False

    def expect(self, operator: str) -> None:
        if not self.take(operator):
            raise self.error(f"expected `{operator}`")

    def expect_end(self) -> None:
        if self.peek().kind != "end":
            raise self.error("unexpected text")

    def error(self, message: str) -> DeployError:
        return DeployError(f"{message} at {self.peek().offset} in ${{{self.text}}}")

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self.negation()
        left = self.level(depth + 1)
        while operator := self.binary(depth):
            left = Binary(operator, left, self.level(depth + 1))
        return left

    def binary(self, depth: int) -> str | None:
        operators = _LEVELS[depth]
        if self.at(*operators):
            return str(self.next().value)
        if "not in" in operators and self.at("not"):
            following = self.tokens[self.position + 1]
            if following.kind == "operator" and following.value == "in":
                self.position += 2
                return "not in"
        return None

    def negation(self) -> Node:
        if self.take("-"):
            return Unary("-", self.negation())
        return self.logical_not()

    def logical_not(self) -> Node:
        # Workflows docs, Data types: `not` binds more tightly than unary minus.
        if self.take("not"):
            return Unary("not", self.logical_not())
        return self.postfix()

    def postfix(self) -> Node:
        node = self.primary()
        while True:
            if self.take("."):
                token = self.next()
                if token.kind != "name":
                    raise self.error("expected a name after `.`")
                node = Access(node, Constant(token.value))
            elif self.take("["):
                node = Access(node, self.level(0))
                self.expect("]")
            elif self.at("("):
                node = Invocation(self.dotted(node), self.arguments())
            else:
                return node

    def dotted(self, node: Node) -> str:
        match node:
            case Variable(name):
                return name
            case Access(container, Constant(str() as field)):
                return f"{self.dotted(container)}.{field}"
        raise self.error("only a name can be called")

    def arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        return self.items(")")

    def items(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        if self.take(closing):
            return ()
        while True:
            items.append(self.level(0))
            if self.take(closing):
                return tuple(items)
            self.expect(",")

    def primary(self) -> Node:
        token = self.next()
        if token.kind == "value":
            return Constant(token.value)
        if token.kind == "name":
            return Variable(str(token.value))
        if token.value == "(":
            node = self.level(0)
            self.expect(")")
            return node
        if token.value == "[":
            return ListLiteral(self.items("]"))
        self.position -= 1
        raise self.error("expected a value")


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    match node:
        case ListLiteral(children) | Invocation(_, children):
            parts = children
        case Access(left, right) | Binary(_, left, right):
            parts = (left, right)
        case Unary(_, operand):
            parts = (operand,)
        case _:
            parts = ()
    for part in parts:
        yield from walk(part)
