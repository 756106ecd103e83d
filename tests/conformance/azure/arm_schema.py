"""Checks resources against the ARM schemas in schemas/, one file a provider: PROVIDER@VERSION.json.

The files are cut from Azure's published resource schemas (github.com/Azure/azure-resource-manager-schemas, MIT): the resource types that
mlpipe may use, without descriptions. `requests` are bodies of calls that the app makes, which are no resources: written down from the models of
Azure's Python libraries. A container's `cpu` is a number, as those have it and the service takes it, as is the threshold of a monitor; the published
schema says integer.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from arm import Unknown

SCHEMAS = Path(__file__).resolve().parent / "schemas"
ANY_RESOURCE = {"condition", "copy", "comments", "dependsOn", "metadata", "resources", "scope"}
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}

Schema = dict[str, Any]


@cache
def files() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(SCHEMAS.glob("*.json"))}


def versions(kind: str) -> dict[str, tuple[Schema, dict[str, Schema]]]:
    """API version to (schema, definitions), for a resource type."""
    found = {}
    for stem, content in files().items():
        if kind in content["resources"]:
            found[stem.rpartition("@")[2]] = (content["resources"][kind], content["definitions"])
    return found


def check_resource(resource: dict[str, Any]) -> list[str]:
    """Problems of a resource whose expressions are evaluated; unknown values fit everything."""
    kind, version = resource.get("type"), resource.get("apiVersion")
    known = versions(kind)
    if not known:
        return [f"`{kind}` is no resource type that is known here"]
    if version not in known:
        return [f"apiVersion: `{version}` is not known for `{kind}`, there is {', '.join(known)}"]
    schema, definitions = known[version]
    required = [name for name in schema.get("required", []) if name != "properties"]
    body = {key: value for key, value in resource.items() if key not in ANY_RESOURCE}
    if "properties" in schema.get("properties", {}):
        body.setdefault("properties", {})
    return Checker(definitions).check({**schema, "required": required}, body, "")


class Checker:
    """JSON Schema as far as these files use it, where a property that no schema names is a problem."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self.definitions = definitions

    def check(self, schema: Schema, value: Any, path: str) -> list[str]:
        if isinstance(value, Unknown):
            return []
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].removeprefix("#/definitions/")]
        if "allOf" in schema:
            return min((self.check_one(one, value, path) for one in self.flat(schema)), key=self.distance)
        alternatives = schema.get("oneOf")
        if alternatives is None:
            return self.check_one(schema, value, path)
        base = {key: item for key, item in schema.items() if key != "oneOf"}
        results = [self.check_one(self.merged(base, alternative), value, path) for alternative in alternatives]
        return min(results, key=self.distance)

    def flat(self, schema: Schema) -> list[Schema]:
        """The alternatives of a schema without `allOf`."""
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].removeprefix("#/definitions/")]
        found: list[Schema] = [{key: item for key, item in schema.items() if key not in ("allOf", "oneOf")}]
        for part in schema.get("allOf", []):
            found = [self.merged(one, other) for one in found for other in self.flat(part)]
        if "oneOf" in schema:
            found = [self.merged(one, other) for one in found for part in schema["oneOf"] for other in self.flat(part)]
        return found

    def merged(self, base: Schema, alternative: Schema) -> Schema:
        while "$ref" in alternative:
            alternative = self.definitions[alternative["$ref"].removeprefix("#/definitions/")]
        if "oneOf" in alternative and not base:
            return alternative
        whole = {**base, **alternative}
        for key, empty in (("properties", {}), ("required", [])):
            if key in base or key in alternative:
                mine, other = base.get(key, empty), alternative.get(key, empty)
                whole[key] = {**mine, **other} if isinstance(empty, dict) else [*mine, *other]
        return whole

    @staticmethod
    def distance(problems: list[str]) -> tuple[int, int]:
        """How far off an alternative is: a wrong discriminator weighs more than all else."""
        return sum("is not one of" in problem or "does not match" in problem for problem in problems), len(problems)

    def check_one(self, schema: Schema, value: Any, path: str) -> list[str]:
        if "oneOf" in schema or "allOf" in schema:
            return self.check(schema, value, path)
        where = path or "the resource"
        kind = schema.get("type")
        if kind and not is_type(value, kind):
            return [f"{where}: {kind} expected, found {json.dumps(value)[:60]}"]
        if "const" in schema and value != schema["const"]:
            return [f"{where}: {json.dumps(value)[:60]} is not one of {schema['const']}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{where}: {json.dumps(value)[:60]} is not one of {', '.join(map(str, schema['enum']))}"]
        if isinstance(value, str):
            return check_text(schema, value, where)
        if isinstance(value, list):
            items = schema.get("items")
            return [p for index, item in enumerate(value) for p in self.check(items, item, f"{path}[{index}]")] if items else []
        if isinstance(value, dict):
            return self.check_object(schema, value, path)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low, high = schema.get("minimum", value), schema.get("maximum", value)
            return [] if low <= value <= high else [f"{where}: {value} is not within {low} and {high}"]
        return []

    def check_object(self, schema: Schema, value: dict[str, Any], path: str) -> list[str]:
        where = path or "the resource"
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", not properties)
        problems = [f"{where}: `{name}` is missing" for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            inner = f"{path}.{name}" if path else name
            if name in properties:
                problems += self.check(properties[name], item, inner)
            elif isinstance(others, dict):
                problems += self.check(others, item, inner)
            elif not others:
                problems.append(f"{where}: there is no property `{name}`")
        return problems


def is_type(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def check_text(schema: Schema, value: str, where: str) -> list[str]:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{where}: `{value}` does not match {schema['pattern']}"]
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return [f"{where}: `{value}` has {len(value)} characters"]
    return []
