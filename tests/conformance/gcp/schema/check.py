"""The rules for a main.tf.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from terraform.expressions import Call, Node, Reference, TerraformError, parse_template, walk

from .provider import Field, Provider, Shape, camel

# Terraform docs, JSON configuration syntax and Meta-arguments.
_TOP = {"terraform", "provider", "variable", "locals", "data", "resource", "output", "//"}
_META = {"depends_on", "provider", "lifecycle", "count", "for_each", "//"}
_LIFECYCLE = {
    "create_before_destroy",
    "prevent_destroy",
    "ignore_changes",
    "replace_triggered_by",
    "precondition",
    "postcondition",
}
_VARIABLE = {"type", "default", "description", "validation", "sensitive", "nullable", "ephemeral"}
_OUTPUT = {"value", "description", "sensitive", "depends_on", "precondition", "ephemeral"}
_TERRAFORM = {"required_version", "required_providers", "backend", "cloud"}
_TYPE = re.compile(
    r"^(string|number|bool|any|(list|set|map|object|tuple|optional)\(.*\)|\{.*\}|\[.*\])$", re.S
)
_LITERALS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "bool": (bool,),
}
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")
_FUNCTIONS = frozenset(
    [
        "abs",
        "basename",
        "base64decode",
        "base64encode",
        "base64sha256",
        "can",
        "ceil",
        "chomp",
        "coalesce",
        "coalescelist",
        "compact",
        "concat",
        "contains",
        "dirname",
        "distinct",
        "element",
        "endswith",
        "file",
        "filebase64",
        "filebase64sha256",
        "fileexists",
        "filemd5",
        "fileset",
        "filesha1",
        "filesha256",
        "flatten",
        "floor",
        "format",
        "formatlist",
        "indent",
        "join",
        "jsondecode",
        "jsonencode",
        "keys",
        "length",
        "lookup",
        "lower",
        "max",
        "md5",
        "merge",
        "min",
        "nonsensitive",
        "one",
        "pathexpand",
        "range",
        "regex",
        "regexall",
        "replace",
        "reverse",
        "sensitive",
        "setunion",
        "sha1",
        "sha256",
        "slice",
        "sort",
        "split",
        "startswith",
        "strrev",
        "substr",
        "sum",
        "templatefile",
        "title",
        "tobool",
        "tolist",
        "tomap",
        "tonumber",
        "toset",
        "tostring",
        "trim",
        "trimprefix",
        "trimspace",
        "trimsuffix",
        "try",
        "upper",
        "urlencode",
        "values",
        "yamldecode",
        "yamlencode",
        "zipmap",
    ]
)
# Terraform docs, archive provider: the data source archive_file.
_ARCHIVE = {
    "type": True,
    "output_path": True,
    "source_dir": False,
    "source_file": False,
    "source_content": False,
    "source_content_filename": False,
    "source": False,
    "excludes": False,
    "exclude_symlink_directories": False,
    "output_file_mode": False,
}
_ARCHIVE_COMPUTED = {
    "id",
    "output_md5",
    "output_sha",
    "output_sha256",
    "output_sha512",
    "output_base64sha256",
    "output_base64sha512",
    "output_size",
}


def check_folder(folder: Path, provider: Provider) -> list[str]:
    """Every problem of a folder's main.tf.json, each with its place."""
    path = folder / "main.tf.json"
    try:
        document = json.loads(path.read_text(), object_pairs_hook=_unique)
    except (OSError, ValueError) as error:
        return [f"{path}: {error}"]
    if not isinstance(document, dict):
        return [f"{path}: not an object"]
    return [f"{path}: {problem}" for problem in _Checker(folder, document, provider).problems()]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"repeated: {', '.join(repeated)}")
    return result


class _Checker:
    def __init__(self, folder: Path, document: dict[str, Any], provider: Provider) -> None:
        self.folder = folder
        self.document = document
        self.provider = provider
        self.edges: dict[str, set[str]] = {}

    def problems(self) -> Iterator[str]:
        for name in self.document.keys() - _TOP:
            yield f"{name}: unknown top-level name"
        yield from self.terraform()
        yield from self.providers()
        yield from self.keys("variable", _VARIABLE)
        yield from self.keys("output", _OUTPUT)
        yield from self.variables()
        for name, body in self.section("output").items():
            if isinstance(body, dict) and "value" not in body:
                yield f"output.{name}: missing: value"
            yield from self.values(body, f"output.{name}", f"output.{name}")
        for name, value in self.section("locals").items():
            yield from self.values(value, f"locals.{name}", f"local.{name}")
        for place, section in (("", "resource"), ("data.", "data")):
            for kind, items in self.section(section).items():
                for name, body in items.items() if isinstance(items, dict) else ():
                    yield from self.body(f"{place}{kind}", name, body)
        yield from self.cycles()

    def section(self, name: str) -> dict[str, Any]:
        value = self.document.get(name, {})
        return value if isinstance(value, dict) else {}

    # Blocks that are Terraform's own

    def terraform(self) -> Iterator[str]:
        block = self.section("terraform")
        for name in block.keys() - _TERRAFORM:
            yield f"terraform.{name}: unknown"
        required = block.get("required_providers", {})
        used = {
            kind.partition("_")[0]
            for section in ("resource", "data")
            for kind in self.section(section)
        }
        for name in sorted(used - set(required)):
            yield f"terraform.required_providers: missing: {name}"
        for name, body in required.items():
            where = f"terraform.required_providers.{name}"
            if not isinstance(body, dict) or not {"source", "version"} <= body.keys():
                yield f"{where}: needs source and version"
            elif name in ("google", "archive") and body["source"] != f"hashicorp/{name}":
                yield f"{where}: source is hashicorp/{name}, not {body['source']}"
        if "required_version" not in block:
            yield "terraform: missing: required_version"

    def providers(self) -> Iterator[str]:
        for name, body in self.section("provider").items():
            shape = self.provider.provider() if name == "google" else None
            for one in body if isinstance(body, list) else [body]:
                if shape is not None:
                    yield from self.block(one, shape, shape.root, f"provider.{name}", {"alias"})
                yield from self.values(one, f"provider.{name}", f"provider.{name}")

    def keys(self, section: str, allowed: set[str]) -> Iterator[str]:
        if not isinstance(self.document.get(section, {}), dict):
            yield f"{section}: not an object"
        for name, body in self.section(section).items():
            if not _NAME.match(name):
                yield f"{section}.{name}: not a name"
            if not isinstance(body, dict):
                yield f"{section}.{name}: not an object"
                continue
            for key in sorted(body.keys() - allowed):
                yield f"{section}.{name}.{key}: unknown"

    def variables(self) -> Iterator[str]:
        for name, body in self.section("variable").items():
            kind = body.get("type") if isinstance(body, dict) else None
            if kind is not None and not (isinstance(kind, str) and _TYPE.match(kind)):
                yield f"variable.{name}.type: no type: {kind!r}"
            default = body.get("default") if isinstance(body, dict) else None
            expected = _LITERALS.get(str(kind))
            if default is not None and expected is not None and not isinstance(default, expected):
                yield f"variable.{name}.default: not a {kind}: {default!r}"

    # Resources

    def body(self, kind: str, name: str, body: Any) -> Iterator[str]:
        where = f"{kind}.{name}"
        if not _NAME.match(name):
            yield f"{where}: not a name"
        if not isinstance(body, dict):
            yield f"{where}: not an object"
            return
        if kind == "data.archive_file":
            yield from self.archive(body, where)
        else:
            shape = self.shape(kind)
            if shape is None:
                yield f"{where}: no such type"
            else:
                yield from self.block(body, shape, shape.root, where, _META)
        yield from self.lifecycle(body, where)
        yield from self.depends(body.get("depends_on", []), where)
        rest = {key: value for key, value in body.items() if key not in ("depends_on", "lifecycle")}
        yield from self.values(rest, where, where)

    def shape(self, kind: str) -> Shape | None:
        if kind.startswith("data."):
            return self.provider.data(kind.removeprefix("data."))
        return self.provider.resource(kind) if kind.startswith("google_") else None

    def archive(self, body: dict[str, Any], where: str) -> Iterator[str]:
        for key in sorted(body.keys() - _ARCHIVE.keys() - _META):
            yield f"{where}.{key}: unknown"
        for key, required in _ARCHIVE.items():
            if required and key not in body:
                yield f"{where}: missing: {key}"
        folder = body.get("source_dir")
        if isinstance(folder, str):
            path = folder.replace("${path.module}", str(self.folder))
            if "${" not in path and not Path(path).is_dir():
                yield f"{where}.source_dir: no folder {path}"

    def block(
        self, body: Any, shape: Shape, interface: str, where: str, extra: set[str]
    ) -> Iterator[str]:
        if not isinstance(body, dict):
            yield f"{where}: expected a block, found {body!r}"
            return
        fields = shape.fields[interface]
        for key, value in body.items():
            if key in extra and key not in fields:
                continue
            if key not in fields:
                yield f"{where}.{key}: unknown"
            else:
                yield from self.field(value, fields[key], shape, f"{where}.{key}")
        for key, described in fields.items():
            if described.required and key not in body:
                yield f"{where}: missing: {key}"

    def field(self, value: Any, described: Field, shape: Shape, where: str) -> Iterator[str]:
        if described.block is not None and described.block in shape.fields:
            blocks = value if isinstance(value, list) else [value]
            for index, block in enumerate(blocks):
                place = f"{where}[{index}]" if isinstance(value, list) else where
                yield from self.block(block, shape, described.block, place, set())
            if "[]" not in described.kind and len(blocks) != 1:
                yield f"{where}: one block, not {len(blocks)}"
            return
        if not _fits(value, described.kind):
            yield f"{where}: expected {described.kind}, found {value!r}"

    def lifecycle(self, body: dict[str, Any], where: str) -> Iterator[str]:
        lifecycle = body.get("lifecycle", {})
        for one in lifecycle if isinstance(lifecycle, list) else [lifecycle]:
            for key in sorted(one.keys() - _LIFECYCLE):
                yield f"{where}.lifecycle.{key}: unknown"

    def depends(self, names: Any, where: str) -> Iterator[str]:
        for name in names if isinstance(names, list) else [names]:
            try:
                node = parse_template("${" + str(name) + "}")
            except TerraformError as error:
                yield f"{where}.depends_on: {error}"
                continue
            if not isinstance(node, Reference):
                yield f"{where}.depends_on: not a reference: {name}"
            else:
                yield from self.reference(node.path, f"{where}.depends_on", where)

    # Expressions

    def values(self, value: Any, where: str, owner: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, item in value.items():
                if key != "//":
                    yield from self.values(item, f"{where}.{key}", owner)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.values(item, f"{where}[{index}]", owner)
        elif isinstance(value, str) and not where.startswith("variable."):
            try:
                node = parse_template(value)
            except TerraformError as error:
                yield f"{where}: {error}"
                return
            yield from self.expression(node, where, owner)

    def expression(self, root: Node, where: str, owner: str) -> Iterator[str]:
        for node in walk(root):
            if isinstance(node, Reference):
                yield from self.reference(node.path, where, owner)
            elif isinstance(node, Call):
                if node.name not in _FUNCTIONS:
                    yield f"{where}: no function {node.name}"
                if node.name.startswith("file") and node.name != "fileset":
                    yield from self.file(node, where)

    def file(self, node: Call, where: str) -> Iterator[str]:
        literal = "".join(
            str(getattr(part, "value", "")) for part in walk(node.arguments[0])
        ).lstrip("/")
        references = [part for part in walk(node) if isinstance(part, Reference)]
        if all(reference.path == ("path", "module") for reference in references):
            if not (self.folder / literal).is_file():
                yield f"{where}: no file {literal}"

    def reference(self, path: tuple[str | int, ...], where: str, owner: str) -> Iterator[str]:
        shown = _shown(path)
        match path:
            case ("var", str(name), *_):
                if name not in self.section("variable"):
                    yield f"{where}: no variable {name}"
            case ("local", str(name), *_):
                self.edges.setdefault(owner, set()).add(f"local.{name}")
                if name not in self.section("locals"):
                    yield f"{where}: no local {name}"
            case ("path", "module" | "root" | "cwd") | ("terraform", "workspace"):
                pass
            case ("each", "key" | "value", *_):
                yield from self.meta("for_each", where, owner)
            case ("count", "index"):
                yield from self.meta("count", where, owner)
            case ("data", str(kind), str(name), *rest):
                yield from self.attribute("data", f"data.{kind}", kind, name, rest, where, owner)
            case (str(kind), str(name), *rest) if "_" in kind:
                yield from self.attribute("resource", kind, kind, name, rest, where, owner)
            case _:
                yield f"{where}: no such reference: {shown}"

    def meta(self, argument: str, where: str, owner: str) -> Iterator[str]:
        *section, kind, name = owner.split(".")
        body = self.section("data" if section else "resource").get(kind, {}).get(name, {})
        if argument not in body:
            yield f"{where}: {owner} has no {argument}"

    def attribute(
        self,
        section: str,
        full: str,
        kind: str,
        name: str,
        rest: list[str | int],
        where: str,
        owner: str,
    ) -> Iterator[str]:
        self.edges.setdefault(owner, set()).add(f"{full}.{name}")
        if name not in self.section(section).get(kind, {}):
            yield f"{where}: no {full}.{name}"
            return
        if self.is_repeated(section, kind, name) and rest:
            rest = rest[1:]
        if not rest:
            return
        if full == "data.archive_file":
            if rest[0] not in _ARCHIVE and rest[0] not in _ARCHIVE_COMPUTED:
                yield f"{where}: archive_file has no attribute {rest[0]}"
            return
        shape = self.shape(full)
        if shape is None or shape.main_class is None:
            return
        getters = shape.getters[shape.main_class]
        for position, key in enumerate(rest):
            if isinstance(key, int) or key == "*":
                continue
            if camel(key) not in getters:
                yield f"{where}: {full} has no attribute {_shown(tuple(rest[: position + 1]))}"
                return
            kind_of = getters[camel(key)]
            following = rest[position + 1] if position + 1 < len(rest) else None
            inner = _inner_class(kind_of, shape)
            if inner is None:
                return
            if following is not None and not isinstance(following, int) and following != "*":
                if key != "timeouts":
                    yield f"{where}: {full}.{key} is a list, write {key}[0].{following}"
            getters = shape.getters[inner]

    def is_repeated(self, section: str, kind: str, name: str) -> bool:
        body = self.section(section)[kind][name]
        return isinstance(body, dict) and bool({"for_each", "count"} & body.keys())

    def cycles(self) -> Iterator[str]:
        done: set[str] = set()

        def visit(node: str, path: tuple[str, ...]) -> Iterator[str]:
            if node in path:
                yield "cycle: " + " → ".join((*path[path.index(node) :], node))
                return
            if node in done:
                return
            for following in sorted(self.edges.get(node, ())):
                yield from visit(following, (*path, node))
            done.add(node)

        for node in sorted(self.edges):
            yield from visit(node, ())


def _inner_class(kind: str, shape: Shape) -> str | None:
    if kind.endswith("List"):
        kind = kind.removesuffix("List") + "OutputReference"
    return kind if kind in shape.getters else None


def _shown(path: tuple[str | int, ...]) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _fits(value: Any, kind: str) -> bool:
    """Whether a literal can be of the declared type; Terraform converts scalars and strings."""
    if value is None or isinstance(value, str) and value.startswith("${"):
        return True
    if kind.startswith("{"):
        return isinstance(value, dict)
    if "[]" in kind:
        return isinstance(value, list)
    if kind.startswith("boolean"):
        return isinstance(value, bool)
    if kind.startswith("number"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind.startswith("string"):
        return isinstance(value, str)
    return True
