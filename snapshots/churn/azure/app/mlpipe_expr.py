"""The operators and functions of mlpipe's expressions, where Python's own mean something else.

Numbers are IEEE doubles, as in JSON; one without a fraction is held as an int, so that it reads `3`, not `3.0`.
Whatever has no meaning raises: a run fails with `ExpressionError`, it never goes on with a silent null.
"""

import base64
import datetime
import json
import math
import re
from decimal import Decimal

MAX_INTEGER = 2**53 - 1
MOST_IN_RANGE = 10_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
JSON_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|-?[0-9][0-9.eE+-]*')
TIME_TEXT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{1,9}))?(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])")
DURATION_TEXT = re.compile(r"[1-9][0-9]{0,8}[smhd]")
LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
INTEGER_TEXT = re.compile(r"-?[0-9]+")
NUMBER_TEXT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class ExpressionError(Exception):
    """An expression has no value."""


class Missing(ExpressionError):
    """An access found nothing: `default` and `has` forgive it."""


# Kinds of values. `True` is an int to Python, never to JSON.


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value):
    """The double as JSON writes it; an error where it is infinite or not a number."""
    value = float(value)
    if not math.isfinite(value):
        raise ExpressionError("the result is not a finite number")
    return int(value) if value.is_integer() and abs(value) <= MAX_INTEGER else value


def plain(value):
    """A JSON value with every number as `number` has it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return number(value) if is_number(value) else value


def numbers(*values):
    for value in values:
        if not is_number(value):
            raise ExpressionError(f"{kind(value)} where a number is needed")
    return values


def strings(*values):
    for value in values:
        if not isinstance(value, str):
            raise ExpressionError(f"{kind(value)} where a string is needed")
    return values


def boolean(value):
    if not isinstance(value, bool):
        raise ExpressionError(f"{kind(value)} where a boolean is needed")
    return value


def kind(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    return {str: "a string", list: "a list", dict: "an object"}.get(type(value), "a number")


# Operators.


def add(first, *others):
    """Numbers, strings or lists, from left to right."""
    for other in others:
        if is_number(first) and is_number(other):
            first = number(float(first) + float(other))
        elif isinstance(first, str) and isinstance(other, str) or isinstance(first, list) and isinstance(other, list):
            first = first + other
        else:
            raise ExpressionError(f"{kind(first)} + {kind(other)}")
    return first


def subtract(first, *others):
    for other in others:
        first = number(float(numbers(first)[0]) - float(numbers(other)[0]))
    return first


def multiply(first, *others):
    for other in others:
        first = number(float(numbers(first)[0]) * float(numbers(other)[0]))
    return first


def divide(first, *others):
    for other in others:
        first, other = numbers(first, other)
        if other == 0:
            raise ExpressionError("division by zero")
        first = number(float(first) / float(other))
    return first


def remainder(first, *others):
    """The sign is the dividend's."""
    for other in others:
        first, other = numbers(first, other)
        if other == 0:
            raise ExpressionError("division by zero")
        first = number(math.fmod(first, other))
    return first


def fold(first, *steps):
    """A long sum of mixed operators, from left to right: `fold(a, "+", b, "*", c)`."""
    operators = {"+": add, "-": subtract, "*": multiply, "/": divide, "%": remainder}
    for symbol, other in zip(steps[::2], steps[1::2]):
        first = operators[symbol](first, other)
    return first


def negate(value):
    return number(-numbers(value)[0])


def equal(left, right):
    """Deep; values of different kinds are unequal: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return left == right


def comparable(left, right):
    if not (is_number(left) and is_number(right) or isinstance(left, str) and isinstance(right, str)):
        raise ExpressionError(f"{kind(left)} compared with {kind(right)}")


def less(left, right):
    comparable(left, right)
    return left < right


def less_equal(left, right):
    comparable(left, right)
    return left <= right


def greater(left, right):
    comparable(left, right)
    return left > right


def greater_equal(left, right):
    comparable(left, right)
    return left >= right


def within(value, container):
    """`value in container`: an item of a list, a key of an object."""
    if isinstance(container, list):
        return any(equal(value, item) for item in container)
    if isinstance(container, dict):
        return strings(value)[0] in container
    raise ExpressionError(f"in {kind(container)}")


def item(container, index):
    """`container[index]`: a list's item, counted from 0, or an object's field."""
    if isinstance(container, list) and is_number(index) and index == int(index) and 0 <= index < len(container):
        return container[int(index)]
    if isinstance(container, dict) and isinstance(index, str) and index in container:
        return container[index]
    raise Missing(f"{kind(container)} has no such item")


# Functions.


def size(value):
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise ExpressionError(f"size of {kind(value)}")


def contains(container, part):
    if isinstance(container, list):
        return any(equal(part, item) for item in container)
    container, part = strings(container, part)
    return part in container


def starts_with(text, prefix):
    text, prefix = strings(text, prefix)
    return text.startswith(prefix)


def ends_with(text, suffix):
    text, suffix = strings(text, suffix)
    return text.endswith(suffix)


def string(value):
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(numbers(value)[0])


def number_text(value):
    """The shortest decimal that reads back as the same double, as JavaScript writes it."""
    value = number(value)
    if isinstance(value, int):
        return str(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, digits))
    point = len(digits) + exponent  # of 0.DIGITS * 10^point
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return "-" + text if sign else text


def integer(value):
    if isinstance(value, str) and INTEGER_TEXT.fullmatch(value):
        value = int(value) if len(value.lstrip("-0")) <= 16 else math.inf
    value, = numbers(value)
    if not abs(value) < MAX_INTEGER + 1:
        raise ExpressionError("the integer is beyond 2^53 - 1")
    return int(value)


def double(value):
    if isinstance(value, str):
        if not NUMBER_TEXT.fullmatch(value):
            raise ExpressionError("the text is not a number")
        return number(float(value))
    return numbers(value)[0]


def minimum(*values):
    return min(numbers(*one_or_many(values)))


def maximum(*values):
    return max(numbers(*one_or_many(values)))


def one_or_many(values):
    if len(values) == 1:
        values = values[0]
        if not isinstance(values, list) or not values:
            raise ExpressionError("min and max need numbers, or a list of at least one")
    return values


def absolute(value):
    return abs(numbers(value)[0])


def floor(value):
    return number(math.floor(numbers(value)[0]))


def ceil(value):
    return number(math.ceil(numbers(value)[0]))


def join(items, separator):
    if not isinstance(items, list):
        raise ExpressionError(f"join of {kind(items)}")
    return strings(separator)[0].join(strings(*items))


def split(text, separator):
    text, separator = strings(text, separator)
    if not separator:
        raise ExpressionError("split needs a separator")
    return text.split(separator)


def keys(value):
    if not isinstance(value, dict):
        raise ExpressionError(f"keys of {kind(value)}")
    return sorted(value)


def matches(text, pattern):
    return re.search(pattern, strings(text)[0]) is not None


def lower_ascii(text):
    return strings(text)[0].translate(LOWER)


def upper_ascii(text):
    return strings(text)[0].translate(UPPER)


def boolean_of(value):
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    return boolean(value)


def total(values):
    """From left to right: Python's own sum rounds otherwise."""
    if not isinstance(values, list):
        raise ExpressionError(f"sum of {kind(values)}")
    result = 0.0
    for value in numbers(*values):
        result += value
    return number(result)


def rounded(value):
    """Half to even, as Python does."""
    return number(round(numbers(value)[0]))


def integers(*bounds):
    start, end = numbers(*bounds) if len(bounds) == 2 else (0, numbers(*bounds)[0])
    if start != math.floor(start) or end != math.floor(end) or max(abs(start), abs(end)) > MAX_INTEGER:
        raise ExpressionError("range needs integers, to 2^53 - 1")
    if end - start > MOST_IN_RANGE:
        raise ExpressionError("range gives at most 10,000 items")
    return list(range(int(start), int(end)))


def values(value):
    return [value[key] for key in keys(value)]


def merge(first, second):
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise ExpressionError(f"merge of {kind(first)} and {kind(second)}")
    return {**first, **second}


def json_text(value):
    """Compact, with the keys of objects by code point."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_text(key)}:{json_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "null" if value is None else string(value)


def parse_json(text):
    text, = strings(text)
    for token in JSON_TOKEN.findall(text):
        digits = token.lstrip("-")
        if digits.isdecimal() and (len(digits) > 16 or int(digits) > MAX_INTEGER):
            raise ExpressionError("the integer is beyond 2^53 - 1")
    try:
        value = plain(json.loads(text, parse_constant=not_json))
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no character
        return value
    except (ValueError, RecursionError) as error:
        raise ExpressionError(f"not JSON: {error}") from None


def not_json(text):
    raise ExpressionError(f"{text} is not JSON")


def base64_text(text):
    return base64.b64encode(strings(text)[0].encode()).decode()


def timestamp(text):
    """Unix seconds, to the millisecond."""
    found = TIME_TEXT.fullmatch(strings(text)[0])
    if not found:
        raise ExpressionError("the text is not a time like 2030-01-31T08:00:00Z")
    whole, fraction, zone = found.groups()
    try:
        seconds = datetime.datetime.fromisoformat(whole + zone.replace("Z", "+00:00")).timestamp()
    except ValueError as error:
        raise ExpressionError(f"the text is not a time: {error}") from None
    return number((int(seconds) * 1000 + int((fraction or "").ljust(3, "0")[:3])) / 1000)


def duration(text):
    text, = strings(text)
    if not DURATION_TEXT.fullmatch(text):
        raise ExpressionError("the text is not a duration like 30s, 10m, 2h or 90d")
    return int(text[:-1]) * UNITS[text[-1]]


def items(value):
    """What a macro goes through: a list, or an object's keys."""
    return value if isinstance(value, list) else keys(value)


def default(path, other):
    """What `path()` gives; `other` (or what `other()` gives) where that is null or not there."""
    found = look(path)
    if found is not None:
        return found
    return other() if callable(other) else other


def has(path):
    return look(path) is not None


def walk(value, *keys):
    """`value[key]`, key after key."""
    for key in keys:
        value = item(value, key)
    return value


def look(path):
    try:
        return path()
    except (Missing, LookupError, TypeError):  # no such field, no such item, or a value that has none
        return None


def strict(value):
    """What `value()` gives: inside `default` and `has`, what is not there is an error here."""
    try:
        return value()
    except (Missing, LookupError, TypeError) as error:
        raise ExpressionError(str(error)) from error
