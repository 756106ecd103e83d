"""ARM templates: the expression language, enough of its functions, and the template as a whole."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

TOKEN = re.compile(r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[().,\[\]]))")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/conformance"


class ArmError(Exception):
    """An expression that does not parse or does not evaluate."""


@dataclass(frozen=True)
class Call:
    """name(arguments…)."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Access:
    """value.name or value[index]."""

    value: Any
    key: Any


class Unknown(dict):
    """A value that only the deployed resource has; any property of it is unknown too."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text


class Identity(Unknown):
    """A managed identity: only what tells that the app uses the right one is known of it."""


def is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")


def parse(text: str) -> Any:
    """The tree of an expression, given without its brackets."""
    tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ArmError(f"unexpected `{text[at:at + 10]}`")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    tree, rest = parse_value(tokens, 0)
    if rest != len(tokens):
        raise ArmError(f"unexpected `{tokens[rest][1]}`")
    return tree


def parse_value(tokens: list[tuple[str, str]], at: int) -> tuple[Any, int]:
    if at >= len(tokens):
        raise ArmError("unexpected end")
    kind, text = tokens[at]
    at += 1
    if kind == "string":
        value: Any = text[1:-1].replace("''", "'")
    elif kind == "number":
        value = int(text)
    elif kind == "name":
        expect(tokens, at, "(")
        arguments, at = parse_arguments(tokens, at + 1)
        value = Call(text, tuple(arguments))
    else:
        raise ArmError(f"unexpected `{text}`")
    while at < len(tokens) and tokens[at][1] in ".[" and tokens[at][0] == "mark":
        if tokens[at][1] == ".":
            if at + 1 >= len(tokens) or tokens[at + 1][0] != "name":
                raise ArmError("a name must follow `.`")
            value, at = Access(value, tokens[at + 1][1]), at + 2
        else:
            key, at = parse_value(tokens, at + 1)
            expect(tokens, at, "]")
            value, at = Access(value, key), at + 1
    return value, at


def parse_arguments(tokens: list[tuple[str, str]], at: int) -> tuple[list[Any], int]:
    arguments: list[Any] = []
    if at < len(tokens) and tokens[at] == ("mark", ")"):
        return arguments, at + 1
    while True:
        value, at = parse_value(tokens, at)
        arguments.append(value)
        if at < len(tokens) and tokens[at] == ("mark", ","):
            at += 1
            continue
        expect(tokens, at, ")")
        return arguments, at + 1


def expect(tokens: list[tuple[str, str]], at: int, mark: str) -> None:
    if at >= len(tokens) or tokens[at] != ("mark", mark):
        raise ArmError(f"`{mark}` expected")


def calls(tree: Any) -> list[Call]:
    """All calls in an expression, the outer first."""
    if isinstance(tree, Access):
        return calls(tree.value) + calls(tree.key)
    if isinstance(tree, Call):
        return [tree] + [inner for argument in tree.arguments for inner in calls(argument)]
    return []


class Template:
    """A template with its parameters at their defaults (or a stand-in) and its expressions evaluated."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.parameters = document.get("parameters", {})
        self.variables = document.get("variables", {})
        self.resources = list(flatten(document.get("resources", [])))
        self.busy: set[str] = set()

    @classmethod
    def load(cls, path: Path) -> Template:
        return cls(json.loads(path.read_text()))

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [resource for resource in self.resources if resource.get("type", "").lower() == kind.lower()]

    def name(self, resource: dict[str, Any]) -> str:
        return str(self.evaluate(resource["name"]))

    def id(self, resource: dict[str, Any]) -> str:
        return resource_id(resource["type"], *self.name(resource).split("/"))

    def evaluate(self, value: Any) -> Any:
        """The value with every expression in it evaluated; raises ArmError."""
        if isinstance(value, dict):
            return {self.evaluate(key): self.evaluate(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.evaluate(item) for item in value]
        if is_expression(value):
            return self.compute(parse(value[1:-1]))
        return value[1:] if isinstance(value, str) and value.startswith("[[") else value

    def compute(self, tree: Any) -> Any:
        if isinstance(tree, Access):
            return access(self.compute(tree.value), self.compute(tree.key))
        if not isinstance(tree, Call):
            return tree
        name = tree.name.lower()
        if name in ("parameters", "variables"):
            return self.named(name, *(self.compute(argument) for argument in tree.arguments))
        if name == "if":
            condition, yes, no = tree.arguments
            return self.compute(yes if self.compute(condition) else no)
        if name not in FUNCTIONS:
            raise ArmError(f"there is no function `{tree.name}`")
        arguments = [self.compute(argument) for argument in tree.arguments]
        if any(isinstance(argument, Unknown) for argument in arguments) and name not in ("guid", "uniquestring"):
            return Unknown(f"<{tree.name}>")
        try:
            return FUNCTIONS[name](*arguments)
        except ArmError:
            raise
        except Exception as error:
            raise ArmError(f"{tree.name}: {error}") from None

    def named(self, kind: str, name: Any) -> Any:
        table = self.parameters if kind == "parameters" else self.variables
        found = next((key for key in table if key.lower() == str(name).lower()), None)
        if found is None:
            raise ArmError(f"there is no {kind[:-1]} `{name}`")
        if f"{kind} {found}" in self.busy:
            raise ArmError(f"the {kind[:-1]} `{found}` needs itself")
        self.busy.add(f"{kind} {found}")
        try:
            if kind == "variables":
                return self.evaluate(table[found])
            return self.evaluate(table[found]["defaultValue"]) if "defaultValue" in table[found] else stand_in(found, table[found])
        finally:
            self.busy.discard(f"{kind} {found}")


def flatten(resources: list[dict[str, Any]], kind: str = "", name: str = "") -> Any:
    """All resources; those written inside another get their whole type and name."""
    for resource in resources:
        whole = dict(resource)
        if kind:
            whole["type"] = f"{kind}/{resource.get('type', '')}"
            whole["name"] = joined(name, resource.get("name", ""))
        yield whole
        yield from flatten(resource.get("resources", []), whole.get("type", ""), whole.get("name", ""))


def joined(parent: str, child: str) -> str:
    """The name `parent/child`, where either may be an expression."""
    if not is_expression(parent) and not is_expression(child):
        return f"{parent}/{child}"
    parts = [text[1:-1] if is_expression(text) else "'" + text.replace("'", "''") + "'" for text in (parent, child)]
    return f"[concat({parts[0]}, '/', {parts[1]})]"


def stand_in(name: str, parameter: dict[str, Any]) -> Any:
    """A value for a parameter that has no default."""
    if parameter.get("allowedValues"):
        return parameter["allowedValues"][0]
    kind = parameter.get("type", "string").lower()
    return {"int": parameter.get("minValue", 1), "bool": False, "array": [], "object": {}}.get(kind, f"{name.lower()}-value")


def access(value: Any, key: Any) -> Any:
    if isinstance(value, Identity) and str(key).lower() == "clientid":
        return str(uuid.uuid5(uuid.NAMESPACE_URL, value.text))
    if isinstance(value, Unknown):
        return Unknown(f"{value.text[:-1]}.{key}>")
    if isinstance(value, dict):
        found = next((k for k in value if k.lower() == str(key).lower()), None)
        if found is None:
            raise ArmError(f"there is no property `{key}`")
        return value[found]
    if isinstance(value, (list, str)) and isinstance(key, int) and -1 < key < len(value):
        return value[key]
    raise ArmError(f"there is no `{key}` in {json.dumps(value)[:60]}")


def resource_id(*arguments: Any) -> str:
    """[subscriptionId,] [resourceGroupName,] type, names…"""
    parts = [str(argument) for argument in arguments]
    at = next((i for i, part in enumerate(parts) if "/" in part and "." in part.split("/")[0]), None)
    if at is None:
        raise ArmError(f"resourceId: no resource type among {', '.join(parts)}")
    group = GROUP if at == 0 else f"/subscriptions/{parts[0] if at == 2 else SUBSCRIPTION}/resourceGroups/{parts[at - 1]}"
    return f"{group}/{type_and_names(parts[at], parts[at + 1:])}"


def type_and_names(kind: str, names: list[str]) -> str:
    provider, *types = kind.split("/")
    names = [part for name in names for part in name.split("/")]
    if len(types) != len(names):
        raise ArmError(f"resourceId: `{kind}` needs {len(types)} names, {len(names)} are given")
    return f"providers/{provider}/" + "/".join(part for pair in zip(types, names) for part in pair)


def reference(target: Any, *_: Any) -> Any:
    """What a deployed resource tells of itself, where that follows from its name."""
    kind, name = kind_and_name(str(target))
    if kind == "microsoft.storage/storageaccounts":
        services = ("blob", "dfs", "file", "queue", "table", "web")
        return {"primaryEndpoints": {service: f"https://{name}.{service}.core.windows.net/" for service in services}}
    if kind == "microsoft.keyvault/vaults":
        return {"vaultUri": f"https://{name}.vault.azure.net/"}
    if kind == "microsoft.eventgrid/topics":
        return {"endpoint": f"https://{name}.westeurope-1.eventgrid.azure.net/api/events"}
    if kind == "microsoft.managedidentity/userassignedidentities":
        return Identity(f"<reference({name})>")
    if kind == "microsoft.web/sites":
        return Unknown("<reference>")
    return Unknown("<reference>")


def kind_and_name(text: str) -> tuple[str, str]:
    _, _, tail = text.rpartition("/providers/")
    parts = tail.split("/")
    if len(parts) < 3:
        return "", text
    return "/".join([parts[0], *parts[1::2]]).lower(), "/".join(parts[2::2])


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def unique(*parts: Any) -> str:
    """13 characters that depend on the parts only. Azure's own are others."""
    digest = int.from_bytes(hashlib.sha256("|".join(map(text_of, parts)).encode()).digest()[:9], "big")
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(letters[digest >> (5 * i) & 31] for i in range(13))


def concat(*parts: Any) -> Any:
    if parts and all(isinstance(part, list) for part in parts):
        return [item for part in parts for item in part]
    return "".join(map(text_of, parts))


def formatted(text: str, *values: Any) -> str:
    return re.sub(r"\{(\d+)(?::[^}]*)?\}", lambda match: text_of(values[int(match.group(1))]), text)


def substring(text: str, start: int, length: int | None = None) -> str:
    end = len(text) if length is None else start + length
    if start < 0 or end > len(text):
        raise ArmError(f"substring: {start}, {length} is outside `{text}`")
    return text[start:end]


def union(*values: Any) -> Any:
    if all(isinstance(value, dict) for value in values):
        return {key: item for value in values for key, item in value.items()}
    return list(dict.fromkeys(item for value in values for item in value))


def environment() -> dict[str, Any]:
    return {"name": "AzureCloud", "suffixes": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"}}


def group() -> dict[str, Any]:
    return {"id": GROUP, "name": "conformance", "location": "westeurope", "tags": {}}


def subscription() -> dict[str, Any]:
    return {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "tenantId": SUBSCRIPTION, "displayName": "conformance"}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "and": lambda *values: all(values),
    "array": lambda value: value if isinstance(value, list) else [value],
    "bool": lambda value: value in (True, 1, "true", "True"),
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "concat": concat,
    "contains": lambda where, what: what in where,
    "createarray": lambda *values: list(values),
    "createobject": lambda *values: dict(zip(values[::2], values[1::2])),
    "deployment": lambda: {"name": "conformance", "properties": {}},
    "div": lambda a, b: a // b,
    "empty": lambda value: not value,
    "endswith": lambda text, end: text.lower().endswith(end.lower()),
    "environment": environment,
    "equals": lambda a, b: a == b,
    "extensionresourceid": lambda base, kind, *names: f"{base}/{type_and_names(kind, [str(n) for n in names])}",
    "false": lambda: False,
    "first": lambda value: value[0],
    "format": formatted,
    "greater": lambda a, b: a > b,
    "guid": lambda *parts: str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(map(text_of, parts)))),
    "int": int,
    "join": lambda values, separator: separator.join(values),
    "json": json.loads,
    "last": lambda value: value[-1],
    "length": len,
    "listkeys": lambda *_: Unknown("<listKeys>"),
    "less": lambda a, b: a < b,
    "max": max,
    "min": min,
    "mod": lambda a, b: a % b,
    "mul": lambda a, b: a * b,
    "not": lambda value: not value,
    "null": lambda: None,
    "or": lambda *values: any(values),
    "padleft": lambda text, width, fill=" ": text.rjust(width, fill),
    "reference": reference,
    "replace": lambda text, old, new: text.replace(old, new),
    "resourcegroup": group,
    "resourceid": resource_id,
    "skip": lambda value, count: value[count:],
    "split": lambda text, separator: text.split(separator),
    "startswith": lambda text, start: text.lower().startswith(start.lower()),
    "string": text_of,
    "sub": lambda a, b: a - b,
    "subscription": subscription,
    "subscriptionresourceid": lambda kind, *names: f"/subscriptions/{SUBSCRIPTION}/{type_and_names(kind, [str(n) for n in names])}",
    "substring": substring,
    "take": lambda value, count: value[:count],
    "tenant": lambda: {"tenantId": SUBSCRIPTION},
    "tolower": lambda text: text.lower(),
    "toupper": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "true": lambda: True,
    "union": union,
    "uniquestring": unique,
    "uri": lambda base, relative: base.rstrip("/") + "/" + relative.lstrip("/"),
}
