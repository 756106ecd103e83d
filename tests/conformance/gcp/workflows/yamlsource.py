"""YAML as Workflows definitions use it, without what readers disagree on."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.cyaml import CParser
from yaml.resolver import Resolver

from .errors import DeployError

_PLAIN = {
    "tag:yaml.org,2002:null": re.compile(r"^(null|)$"),
    # Workflows docs, Data types: true/false, True/False, TRUE/FALSE.
    "tag:yaml.org,2002:bool": re.compile(r"^(true|True|TRUE|false|False|FALSE)$"),
    "tag:yaml.org,2002:int": re.compile(r"^(0|-?[1-9][0-9]*)$"),
    "tag:yaml.org,2002:float": re.compile(r"^-?(0|[1-9][0-9]*)\.[0-9]+$"),
}
# Plain text here, but a number to other YAML readers.
_AMBIGUOUS_TEXT = re.compile(
    r"^([-+]?(0o[0-7]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))"
    r"|\.(nan|NaN|NAN))$"
)


class _Loader(Composer, CParser, SafeConstructor, Resolver):
    """A safe loader, refusing duplicate keys, aliases, tags and ambiguous plain scalars. libyaml reads the text."""

    def __init__(self, stream: str) -> None:
        CParser.__init__(self, stream)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _problem(event, "anchors and aliases are not documented")
        if getattr(event, "tag", None) is not None:
            raise _problem(event, "tags are not documented")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _problem(key_node, f"a key must be a string: {key!r}")
            if key in mapping:
                raise _problem(key_node, f"duplicate key: {key}")
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping

    def construct_scalar(self, node: Any) -> Any:
        pattern = _PLAIN.get(node.tag)
        if not node.style:
            if node.tag == "tag:yaml.org,2002:str":
                ambiguous = _AMBIGUOUS_TEXT.match(node.value) is not None
            else:
                ambiguous = pattern is None or not pattern.match(node.value)
            if ambiguous:
                raise _problem(node, f"quote this value, YAML readers differ on it: {node.value}")
        return super().construct_scalar(node)


def _construct_map(loader: _Loader, node: Any) -> dict[Any, Any]:
    return loader.construct_mapping(node)


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)


def _problem(place: Any, message: str) -> DeployError:
    return DeployError(f"line {place.start_mark.line + 1}: {message}")


def load_yaml(text: str) -> Any:
    """The definition as plain Python values. JSON definitions are YAML too."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise DeployError(f"not YAML: {error}") from error
