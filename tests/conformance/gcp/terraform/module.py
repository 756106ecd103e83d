"""A module in Terraform JSON, and the values of its expressions."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .expressions import (
    Call,
    Index,
    ListOf,
    Node,
    ObjectOf,
    Operation,
    Reference,
    Template,
    TerraformError,
    Value,
    parse_template,
)

Computed = Callable[[str, str, tuple[str | int, ...]], Any]


class Unknown(TerraformError):
    """An attribute that only the provider knows."""


class Module:
    """One main.tf.json. `computed` gives the attributes that a provider would (or raises Unknown)."""

    def __init__(self, path: Path, computed: Computed, variables: dict[str, Any]) -> None:
        self.folder = path.parent
        self.computed = computed
        try:
            self.document = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise TerraformError(f"{path}: {error}") from error
        self.variables = variables

    def section(self, name: str) -> dict[str, Any]:
        """A top-level section; the JSON syntax allows an object or a list of objects."""
        return merged(self.document.get(name, {}), name)

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """All resources of a type, unevaluated, by name."""
        return {
            name: merged(body, f"{kind}.{name}")
            for name, body in merged(self.section("resource").get(kind, {}), kind).items()
        }

    def data(self, kind: str) -> dict[str, dict[str, Any]]:
        """All data sources of a type, unevaluated, by name."""
        return {
            name: merged(body, f"data.{kind}.{name}")
            for name, body in merged(self.section("data").get(kind, {}), kind).items()
        }

    def value(self, raw: Any) -> Any:
        """An attribute's value, its templates evaluated."""
        if isinstance(raw, str):
            return self._evaluate(parse_template(raw))
        if isinstance(raw, list):
            return [self.value(item) for item in raw]
        if isinstance(raw, dict):
            return {key: self.value(item) for key, item in raw.items()}
        return raw

    def _evaluate(self, node: Node) -> Any:
        match node:
            case Value(value):
                return value
            case Template(parts):
                return "".join(_text(self._evaluate(part)) for part in parts)
            case Reference(path):
                return self._reference(path)
            case Index(value, key):
                return _element(self._evaluate(value), self._evaluate(key))
            case Call(name, arguments):
                return self._call(name, [self._evaluate(argument) for argument in arguments])
            case ListOf(items):
                return [self._evaluate(item) for item in items]
            case ObjectOf(items):
                return {_text(self._evaluate(key)): self._evaluate(value) for key, value in items}
            case Operation(operator, operands):
                return self._operation(operator, operands)

    def _reference(self, path: tuple[str | int, ...]) -> Any:
        match path:
            case ("var", str(name), *rest):
                return _descend(self._variable(name), rest)
            case ("local", str(name), *rest):
                return _descend(self.value(self._local(name)), rest)
            case ("path", "module" | "root" | "cwd"):
                return str(self.folder)
            case ("data", str(kind), str(name), *rest):
                return self._attribute(f"data.{kind}", self.data(kind), name, rest)
            case (str(kind), str(name), *rest):
                return self._attribute(kind, self.resources(kind), name, rest)
        raise TerraformError(f"no such reference: {'.'.join(map(str, path))}")

    def _variable(self, name: str) -> Any:
        declared = self.section("variable")
        if name not in declared:
            raise TerraformError(f"variable {name} is not declared")
        if name in self.variables:
            return self.variables[name]
        body = merged(declared[name], f"variable.{name}")
        return body["default"] if body.get("default") is not None else "test"

    def _local(self, name: str) -> Any:
        values = self.section("locals")
        if name not in values:
            raise TerraformError(f"local {name} is not declared")
        return values[name]

    def _attribute(
        self, kind: str, resources: dict[str, dict[str, Any]], name: str, rest: list[str | int]
    ) -> Any:
        if name not in resources:
            raise TerraformError(f"no {kind}.{name}")
        try:
            return self.computed(kind, name, tuple(rest))
        except Unknown:
            value: Any = resources[name]
            for key in rest:
                if isinstance(value, dict) and key == 0:
                    continue
                value = _element(value, key)
            return self.value(value)

    def _operation(self, operator: str, operands: tuple[Node, ...]) -> Any:
        if operator == "?:":
            return self._evaluate(operands[1 if self._evaluate(operands[0]) else 2])
        if operator in ("&&", "||"):
            left = self._evaluate(operands[0])
            return left if bool(left) is (operator == "||") else self._evaluate(operands[1])
        values = [self._evaluate(operand) for operand in operands]
        match operator, values:
            case "!", [value]:
                return not value
            case "-", [value]:
                return -value
            case "==", [left, right]:
                return left == right
            case "!=", [left, right]:
                return left != right
            case "+", [left, right]:
                return left + right
            case "-", [left, right]:
                return left - right
            case "*", [left, right]:
                return left * right
        raise TerraformError(f"operator {operator} is not supported")

    def _call(self, name: str, arguments: list[Any]) -> Any:
        if name in _FILE_FUNCTIONS:
            return _FILE_FUNCTIONS[name]((self.folder / arguments[0]).read_bytes())
        if name not in _FUNCTIONS:
            raise TerraformError(f"function {name} is not supported")
        return _FUNCTIONS[name](*arguments)


def merged(value: Any, where: str) -> dict[str, Any]:
    """An object, or a list of objects as one."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        result: dict[str, Any] = {}
        for item in value:
            if repeated := result.keys() & item.keys():
                raise TerraformError(f"{where}: repeated: {', '.join(sorted(repeated))}")
            result.update(item)
        return result
    raise TerraformError(f"{where}: expected an object")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TerraformError(f"not a string: {value!r}")


def _descend(value: Any, path: list[str | int]) -> Any:
    for key in path:
        value = _element(value, key)
    return value


def _element(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        raise TerraformError(f"no element {key!r}") from None


_FILE_FUNCTIONS: dict[str, Callable[[bytes], str]] = {
    "file": lambda content: content.decode(),
    "filebase64": lambda content: base64.b64encode(content).decode(),
    "filemd5": lambda content: hashlib.md5(content).hexdigest(),
    "filesha256": lambda content: hashlib.sha256(content).hexdigest(),
    "filebase64sha256": lambda content: base64.b64encode(hashlib.sha256(content).digest()).decode(),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "jsonencode": lambda value: json.dumps(value, separators=(",", ":"), sort_keys=True),
    "jsondecode": json.loads,
    "format": lambda text, *values: text % values,
    "join": lambda separator, items: separator.join(items),
    "replace": lambda text, old, new: text.replace(old, new),
    "lower": str.lower,
    "upper": str.upper,
    "trimspace": str.strip,
    "trimprefix": str.removeprefix,
    "trimsuffix": str.removesuffix,
    "substr": lambda text, start, length: text[start:] if length < 0 else text[start:][:length],
    "md5": lambda text: hashlib.md5(text.encode()).hexdigest(),
    "sha256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "tostring": _text,
    "tonumber": lambda value: json.loads(value) if isinstance(value, str) else value,
    "coalesce": lambda *values: next(value for value in values if value not in (None, "")),
    "merge": lambda *maps: {key: value for item in maps for key, value in item.items()},
    "concat": lambda *lists: [item for one in lists for item in one],
    "length": len,
    "toset": lambda items: sorted(set(items)),
    "basename": lambda path: Path(path).name,
    "one": lambda items: items[0] if items else None,
}
