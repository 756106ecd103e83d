"""The provider's schema, read from the type declarations of @cdktf/provider-google."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_INTERFACE = re.compile(r"^export interface (\w+)(?: extends ([\w.]+))? \{\n(.*?)^\}", re.M | re.S)
_CLASS = re.compile(r"^export declare class (\w+) extends cdktf\.(\w+) \{\n(.*?)^\}", re.M | re.S)
_PROPERTY = re.compile(
    r"(?P<comment>/\*\*(?:(?!\*/).)*\*/\s*)?readonly (?P<name>\w+)(?P<optional>\??): "
    r"(?P<type>(?:\{[^}]*\}(?:\[\])?(?: \| [\w.]+)*|[^;{]+));",
    re.S,
)
_GETTER = re.compile(r"^    get (\w+)\(\): ([\w.]+)", re.M)
_DOCUMENTED = re.compile(r"#(\w+) \w+#\w+\}")


@dataclass(frozen=True)
class Field:
    """An attribute or a block: `block` names the interface of its body."""

    name: str
    required: bool
    kind: str
    block: str | None


@dataclass
class Shape:
    """A resource, a data source or a provider: bodies by interface, attributes by class."""

    root: str
    fields: dict[str, dict[str, Field]]
    getters: dict[str, dict[str, str]] = field(default_factory=dict)
    main_class: str | None = None


class Provider:
    """All types of one provider package."""

    def __init__(self, package: Path) -> None:
        self.folder = package / "lib"
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no types in {package}; run tests/conformance/setup gcp")

    def resource(self, kind: str) -> Shape | None:
        """The shape of a resource type such as google_storage_bucket."""
        return self._shape(kind.removeprefix("google_"))

    def data(self, kind: str) -> Shape | None:
        """The shape of a data source's type."""
        return self._shape(f"data_{kind}")

    def provider(self) -> Shape | None:
        """The provider's own configuration."""
        return self._shape("provider")

    @cache  # noqa: B019 - one provider lives as long as the process
    def _shape(self, name: str) -> Shape | None:
        folder = self.folder / name.replace("_", "-")
        sources = [path.read_text() for path in sorted(folder.glob("*.d.ts"))]
        return _read("\n".join(sources)) if sources else None


def _read(text: str) -> Shape | None:
    fields: dict[str, dict[str, Field]] = {}
    root = None
    for name, _, body in _INTERFACE.findall(text):
        fields[name] = {item.name: item for item in _properties(body)}
        if name.endswith("Config") and root is None:
            root = name
    if root is None:
        return None
    shape = Shape(root, fields)
    for name, base, body in _CLASS.findall(text):
        shape.getters[name] = dict(_GETTER.findall(body))
        if base in ("TerraformResource", "TerraformDataSource"):
            shape.main_class = name
    return shape


def _properties(body: str) -> list[Field]:
    result = []
    for match in _PROPERTY.finditer(body):
        documented = _DOCUMENTED.search(match["comment"] or "")
        name = documented.group(1) if documented else _snake(match["name"])
        kind = " ".join(match["type"].split())
        block = re.match(r"([A-Z]\w+)(\[\])?( \||$)", kind)
        result.append(Field(name, not match["optional"], kind, block.group(1) if block else None))
    return result


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower()


def camel(name: str) -> str:
    """An attribute's name as the types spell it."""
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)
