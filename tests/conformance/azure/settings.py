"""What main.json tells the running app: its environment and the addresses of its buckets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from arm import Template

ADDRESS = re.compile(r"^abfss?://([^@/]+)@([^./]+)\.")
CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers"


def environment(template: Template) -> dict[str, str]:
    """The app settings, as the app sees them."""
    found: dict[str, str] = {}
    for site in template.of_type("Microsoft.Web/sites"):
        for setting in site.get("properties", {}).get("siteConfig", {}).get("appSettings", []):
            found[str(template.evaluate(setting["name"]))] = as_text(template.evaluate(setting["value"]))
    for config in template.of_type("Microsoft.Web/sites/config"):
        if template.name(config).endswith("/appsettings"):
            found |= {name: as_text(value) for name, value in template.evaluate(config["properties"]).items()}
    return found


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def bucket_addresses(template: Template, pipeline: Path, names: list[str], settings: dict[str, str]) -> dict[str, dict[str, str]]:
    """For each bucket of the pipeline the URI and name that the app knows it by."""
    places = existing(pipeline)
    containers = [tuple(template.name(container).split("/")[::2]) for container in template.of_type(CONTAINER)]
    for setting in settings.values():
        if match := ADDRESS.match(setting):
            containers.append((match.group(2), match.group(1)))
    found = {}
    for name in names:
        place = places.get(name) or container_of(name, containers)
        if place is not None:
            account, container = place
            found[name] = {"uri": f"abfs://{container}@{account}.dfs.core.windows.net", "name": container}
    return found


def container_of(bucket: str, containers: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The (account, container) that stands for a bucket: of its name, or ending in it."""
    wanted = bucket.replace("_", "-")
    exact = [place for place in containers if place[1] == wanted]
    ending = [place for place in containers if place[1].endswith(f"-{wanted}")]
    return (exact or ending or [None])[0]


def existing(pipeline: Path) -> dict[str, tuple[str, str]]:
    """Buckets that the pipeline says exist already: `account/container`."""
    buckets = yaml.safe_load(pipeline.read_text()).get("buckets") or {}
    found = {}
    for name, body in buckets.items():
        place = ((body or {}).get("existing") or {}).get("azure")
        if isinstance(place, str) and "/" in place:
            account, container = place.split("/", 1)
            found[name] = (account, container)
    return found


def topic_ids(template: Template, pipeline: Path) -> dict[str, str]:
    """The topics' ids by their names on Azure, as the outputs of main.json tell them; those of the files beside the pipeline count too."""
    documents = [yaml.safe_load(file.read_text()) for file in pipeline.parent.glob("*.yaml")]
    ids = {topic for document in documents if isinstance(document, dict) for topic in document.get("topics") or {}}
    outputs = template.document.get("outputs") or {}
    names = {topic: outputs.get(f"topic_{topic.replace('-', '_')}") for topic in ids}
    return {template.evaluate(output["value"]): topic for topic, output in names.items() if output is not None}
