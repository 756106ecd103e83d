"""Values, their types and the operators over them.

int64 is a Python int, double a float; the rest are str, bool, None, list, dict and bytes.
"""

from __future__ import annotations

import decimal
import json
import math
from typing import Any

from .errors import Fault, index_error, key_error, type_error, undocumented, zero_division

INT_MIN, INT_MAX = -(2**63), 2**63 - 1


def type_name(value: Any) -> str:
    """Workflows docs, Expression helpers: the strings that get_type returns."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "double"
        case str():
            return "string"
        case list():
            return "list"
        case dict():
            return "map"
        case bytes():
            return "bytes"
    raise Fault(f"no value of the language: {value!r}")


def is_number(value: Any) -> bool:
    """Whether the value is an integer or a double."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def to_string(value: Any) -> str:
    """Workflows docs, Expression helpers: string() takes an integer, a double or a boolean.

    The form of a double is documented by examples only (1.7; 1635892223.4459958). A whole double
    keeps its `.0` here, so that nobody can rely on its absence.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _double_text(value)
    raise type_error(f"string() cannot convert a {type_name(value)}")


def _double_text(value: float) -> str:
    if not math.isfinite(value):
        raise undocumented("the text of a double that is not finite")
    if 1e-6 <= abs(value) < 1e21 or value == 0:
        # The shortest digits that read back as the same double, without an exponent.
        digits = f"{decimal.Decimal(repr(value)):f}"
        return digits if "." in digits else f"{digits}.0"
    mantissa, _, exponent = repr(value).partition("e")
    power = int(exponent)
    return f"{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"


def _int64(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise undocumented(f"integer overflow ({value})")
    return value


def add(left: Any, right: Any) -> Any:
    """Workflows docs, Data types: the table of implicit conversions for `+`.

    A string with an integer, a double or a boolean gives a string; a boolean with a number is an
    error.
    """
    if is_number(left) and is_number(right):
        total = left + right
        return total if isinstance(total, float) else _int64(total)
    scalars = (str, bool, int, float)
    if (isinstance(left, str) and isinstance(right, scalars)) or (
        isinstance(right, str) and isinstance(left, scalars)
    ):
        return to_string(left) + to_string(right)
    raise type_error(f"cannot add {type_name(left)} and {type_name(right)}")


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """Workflows docs, Expressions: `-`, `*`, `/` (float), `//` (floor) and `%` (remainder)."""
    if operator == "+":
        return add(left, right)
    if not is_number(left) or not is_number(right):
        raise type_error(f"cannot apply {operator} to {type_name(left)} and {type_name(right)}")
    if operator in ("/", "//", "%") and right == 0:
        raise zero_division(f"{operator} by zero")
    match operator:
        case "-":
            result = left - right
        case "*":
            result = left * right
        case "/":
            result = left / right
        case "//":
            result = left // right
        case _:
            if left < 0 or right < 0:
                raise undocumented("% with a negative operand")
            result = left % right
    return result if isinstance(result, float) else _int64(result)


def negate(value: Any) -> Any:
    """Workflows docs, Expressions: `-` as negation."""
    if not is_number(value):
        raise type_error(f"cannot negate a {type_name(value)}")
    return -value if isinstance(value, float) else _int64(-value)


def equal(left: Any, right: Any) -> bool:
    """`==`: numbers by value, other types only with themselves, lists and maps deeply."""
    if is_number(left) and is_number(right):
        return left == right
    if type_name(left) != type_name(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return left == right


def compare(operator: str, left: Any, right: Any) -> bool:
    """`<`, `<=`, `>`, `>=` over two numbers or two strings; other operands are a TypeError."""
    numbers = is_number(left) and is_number(right)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        raise type_error(f"cannot compare {type_name(left)} {operator} {type_name(right)}")
    match operator:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
    return left >= right


def contains(item: Any, container: Any) -> bool:
    """Workflows docs, Access execution results: "The argument of 'in' must be a dict or an array"."""
    if isinstance(container, list):
        return any(equal(item, other) for other in container)
    if isinstance(container, dict):
        if not isinstance(item, str):
            raise type_error(f"a key is a string, not a {type_name(item)}")
        return item in container
    raise type_error(
        f"The argument of 'in' must be a dict or an array; got: {type_name(container)}"
    )


def boolean(value: Any, where: str) -> bool:
    """Workflows docs, Data types: logical operators can be used only on boolean values."""
    if not isinstance(value, bool):
        raise type_error(f"{where} needs a boolean, not a {type_name(value)}")
    return value


def access(container: Any, key: Any) -> Any:
    """Workflows docs, Maps and Lists: `map.key`, `map["key"]`, `list[0]`."""
    if isinstance(container, dict):
        if not isinstance(key, str):
            raise type_error(f"a key is a string, not a {type_name(key)}")
        if key not in container:
            raise key_error(f"key not found: {key}")
        return container[key]
    if isinstance(container, list):
        if isinstance(key, bool) or not isinstance(key, int):
            raise type_error(f"an index is an integer, not a {type_name(key)}")
        if not 0 <= key < len(container):
            raise index_error(f"index out of range: {key}")
        return container[key]
    raise type_error(f"a {type_name(container)} has no elements")


def replaced(container: Any, path: list[Any], value: Any) -> Any:
    """A copy of the container with one place changed; missing maps on the way are made.

    Workflows docs, Maps: an assignment to a nested key creates it. Values are never shared between
    variables here: the documentation does not say what an alias sees.
    """
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(container, list):
        current = access(container, key)
        changed = list(container)
        changed[key] = replaced(current, rest, value)
        return changed
    if isinstance(container, dict):
        if not isinstance(key, str):
            raise type_error(f"a key is a string, not a {type_name(key)}")
        return {**container, key: replaced(container.get(key, {}), rest, value)}
    raise type_error(f"cannot assign into a {type_name(container)}")


def size(value: Any) -> int:
    """Bytes that a value takes, as compact JSON in UTF-8: the measure of the memory limit."""
    if isinstance(value, bytes):
        return len(value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_bytes_text)
    return len(text.encode("utf-8", "surrogatepass"))


def _bytes_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise Fault(f"no value of the language: {value!r}")
