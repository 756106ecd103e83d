"""Tokens of an expression."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import DeployError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<double>[0-9]+\.[0-9]+(?![0-9A-Za-z_.]))
    |(?P<int>[0-9]+(?![0-9A-Za-z_.]))
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator>//|==|!=|<=|>=|[-+*/%<>()\[\].,])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}
# Workflows docs, Data types: logical operators are lower-case or upper-case, not mixed-case.
_WORDS = {"and", "or", "not", "in"}
_CONSTANTS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    "null": None,
}
_RESERVED = {word.lower() for word in _WORDS | _CONSTANTS.keys()}


@dataclass(frozen=True)
class Token:
    """`kind` is value, name, operator or end; an operator's `value` is its spelling."""

    kind: str
    value: object
    offset: int


def tokens(text: str) -> list[Token]:
    """All tokens of the text between `${` and `}`."""
    result: list[Token] = []
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise DeployError(f"unexpected `{text[offset]}` at {offset} in ${{{text}}}")
        token = _token(match, text)
        if token is not None:
            result.append(token)
        offset = match.end()
    result.append(Token("end", None, offset))
    return result


def _token(match: re.Match[str], text: str) -> Token | None:
    spelling, offset = match.group(), match.start()
    match match.lastgroup:
        case "space":
            return None
        case "double":
            return Token("value", float(spelling), offset)
        case "int":
            if int(spelling) >= 2**63:
                raise DeployError(f"integer literal beyond 64 bits in ${{{text}}}")
            return Token("value", int(spelling), offset)
        case "string":
            return Token("value", _ESCAPE.sub(_unescape, spelling[1:-1]), offset)
        case "operator":
            return Token("operator", spelling, offset)
    if spelling in _CONSTANTS:
        return Token("value", _CONSTANTS[spelling], offset)
    if spelling.lower() in _WORDS and spelling in (spelling.lower(), spelling.upper()):
        return Token("operator", spelling.lower(), offset)
    if spelling.lower() in _RESERVED:
        raise DeployError(f"`{spelling}` is neither a keyword nor a name in ${{{text}}}")
    return Token("name", spelling, offset)


def _unescape(match: re.Match[str]) -> str:
    try:
        return _ESCAPES[match.group(1)]
    except KeyError:
        raise DeployError(f"escape {match.group()} in a string is not documented") from None
