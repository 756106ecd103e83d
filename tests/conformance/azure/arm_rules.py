"""Checks of a whole template that a schema cannot make: references, dependencies, names."""

from __future__ import annotations

import re
from typing import Any, Iterator

from arm import ArmError, Call, Template, Unknown, calls, is_expression, kind_and_name, parse
from arm_schema import check_resource

TOP = {"$schema", "contentVersion", "languageVersion", "metadata", "parameters", "variables", "functions", "resources", "outputs"}
PARAMETER_TYPES = {"string", "securestring", "int", "bool", "object", "secureobject", "array"}
NAMES = {
    # https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"[a-z0-9](?:-?[a-z0-9]){2,62}",
    "Microsoft.Web/sites": r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]",
    "Microsoft.Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
    "Microsoft.EventGrid/systemTopics": r"[A-Za-z0-9-]{3,128}",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": r"[A-Za-z0-9-]{3,64}",
    "Microsoft.EventGrid/topics/eventSubscriptions": r"[A-Za-z0-9-]{3,64}",
    "Microsoft.KeyVault/vaults": r"[A-Za-z](?:-?[A-Za-z0-9]){2,23}",
    "Microsoft.KeyVault/vaults/secrets": r"[A-Za-z0-9-]{1,127}",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.Insights/components": r"[^%&\\?/]{1,260}",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
    "Microsoft.ContainerRegistry/registries": r"[A-Za-z0-9]{5,50}",
    "Microsoft.Authorization/roleDefinitions": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.Authorization/roleAssignments": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
NOT_ON_FLEX = {
    # https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_VNET_ROUTE_ALL",
}
FLEX_MEMORY = {512, 2048, 4096}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
ELSEWHERE = ("microsoft.storage/", "microsoft.keyvault/")
"""Types of which a pipeline may name existing resources, with their plain names."""


def check_template(document: dict[str, Any]) -> list[str]:
    """All problems of a template, each with the place that it is at."""
    problems = check_top(document)
    template = Template(document)
    problems += [f"{where}: {text}" for where, text in check_expressions(template)]
    if problems:
        return problems
    by_id: dict[str, dict[str, Any]] = {}
    for resource in template.resources:
        label = label_of(template, resource)
        identity = scoped_id(template, resource)
        if identity.lower() in by_id:
            problems.append(f"{label}: is there twice")
        by_id[identity.lower()] = resource
        problems += [f"{label}: {text}" for text in check_resource(template.evaluate(without_children(resource)))]
        problems += [f"{label}: {text}" for text in check_name(template, resource)]
    for resource in template.resources:
        label = label_of(template, resource)
        problems += [f"{label}: {text}" for text in check_references(template, resource, by_id)]
    problems += check_cycles(template, by_id)
    for site in template.of_type("Microsoft.Web/sites"):
        problems += [f"{label_of(template, site)}: {text}" for text in check_flex(template.evaluate(without_children(site)))]
    return problems


def check_top(document: dict[str, Any]) -> list[str]:
    problems = [f"there is no top-level key `{key}` in a template" for key in document if key not in TOP]
    problems += [f"`{key}` is missing" for key in ("$schema", "contentVersion", "resources") if key not in document]
    if "deploymentTemplate.json" not in str(document.get("$schema", "")):
        problems.append("$schema: this is no deployment template")
    for name, parameter in document.get("parameters", {}).items():
        if str(parameter.get("type", "")).lower() not in PARAMETER_TYPES:
            problems.append(f"parameters.{name}: `{parameter.get('type')}` is no type")
    return problems


def check_expressions(template: Template) -> Iterator[tuple[str, str]]:
    """Every expression parses and evaluates; every parameter and variable is used."""
    used: set[str] = set()
    for where, text in strings(template.document, ""):
        if not is_expression(text):
            continue
        try:
            for call in calls(parse(text[1:-1])):
                if call.name.lower() in ("parameters", "variables"):
                    used.add(f"{call.name.lower()}.{call.arguments[0] if call.arguments else ''}".lower())
                if call.name.lower() in ("utcnow", "newguid"):
                    yield where, f"`{call.name}` gives another value at each deployment"
            template.evaluate(text)
        except ArmError as error:
            yield where, f"{error} in {text}"
    for kind in ("parameters", "variables"):
        for name in template.document.get(kind, {}):
            if f"{kind}.{name}".lower() not in used:
                yield f"{kind}.{name}", "is never used"


def strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.{key}".strip("."), key
            yield from strings(item, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]")


def without_children(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != "resources"}


def label_of(template: Template, resource: dict[str, Any]) -> str:
    return f"{resource.get('type')} {template.name(resource)}"


def scoped_id(template: Template, resource: dict[str, Any]) -> str:
    return f"{template.evaluate(resource.get('scope', ''))}|{template.id(resource)}"


def check_name(template: Template, resource: dict[str, Any]) -> list[str]:
    pattern = NAMES.get(resource["type"])
    last = template.name(resource).rpartition("/")[2]
    return [f"name: `{last}` does not match {pattern}"] if pattern and not re.fullmatch(pattern, last) else []


def check_references(template: Template, resource: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> list[str]:
    """What it depends on and refers to is in the template, and what it needs at deployment it depends on."""
    ids = {template.id(other).lower() for other in template.resources}
    before = {identity.lower() for identity in ancestors(template, resource)}
    problems = [f"dependsOn: {target} is not in the template" for target in depends_on(template, resource) if target.lower() not in ids]
    kind, name = resource["type"], template.name(resource)
    if kind.count("/") > 1:
        parent = template.id({"type": kind.rpartition("/")[0], "name": name.rpartition("/")[0]}).lower()
        if parent in ids and parent not in before:
            problems.append(f"does not depend on its parent {name.rpartition('/')[0]}")
    scope = str(template.evaluate(resource.get("scope", "")))
    if scope:
        whole = scope if scope.startswith("/") else template.id(resource).rpartition("/providers/")[0] + "/providers/" + scope
        problems += check_target(template, whole, ids, before, "scope", scope)
    for where, text in strings(without_children(resource), ""):
        if not is_expression(text) or where.startswith("dependsOn"):
            continue
        for call in calls(parse(text[1:-1])):
            problems += check_call(template, call, ids, before, where)
    return problems


def check_call(template: Template, call: Call, ids: set[str], before: set[str], where: str) -> list[str]:
    name = call.name.lower()
    if name == "resourceid":
        target = str(template.compute(call))
        return [] if where == "scope" else check_target(template, target, ids, None, where, target)
    if name == "reference" or name.startswith("list"):
        target = str(template.compute(call.arguments[0]))
        if not target.startswith("/"):
            return []  # by name: Azure adds the dependency itself
        return check_target(template, target, ids, before, where, target)
    if name == "subscriptionresourceid" and not GUID.fullmatch(str(template.compute(call.arguments[-1]))):
        return [f"{where}: a role is named by its GUID"]
    return []


def check_target(template: Template, target: str, ids: set[str], before: set[str] | None, where: str, shown: str) -> list[str]:
    kind, _ = kind_and_name(target)
    if target.lower() not in ids:
        return [] if kind.startswith(ELSEWHERE) and not made_here(template, target) else [f"{where}: {shown} is not in the template"]
    if before is not None and target.lower() not in before:
        return [f"{where}: needs {shown}, which is not in its dependsOn"]
    return []


def made_here(template: Template, target: str) -> bool:
    """Whether the account or vault that holds the target is made by the template."""
    kind, name = kind_and_name(target)
    tops = {(r["type"].lower(), template.name(r).lower()) for r in template.resources}
    return ("/".join(kind.split("/")[:2]), name.split("/")[0].lower()) in tops


def depends_on(template: Template, resource: dict[str, Any]) -> list[str]:
    """The ids of what a resource depends on. A bare name stands for the one resource of that name."""
    found = []
    for item in resource.get("dependsOn", []):
        target = str(template.evaluate(item))
        if not target.startswith("/"):
            named = [template.id(other) for other in template.resources if target in (template.name(other), f"{other['type']}/{template.name(other)}")]
            target = named[0] if len(named) == 1 else target
        found.append(target)
    return found


def ancestors(template: Template, resource: dict[str, Any]) -> set[str]:
    """The ids of all that comes before it."""
    by_id = {template.id(other).lower(): other for other in template.resources}
    found: set[str] = set()
    todo = depends_on(template, resource)
    while todo:
        target = todo.pop().lower()
        if target not in found:
            found.add(target)
            if target in by_id:
                todo += depends_on(template, by_id[target])
    return found


def check_cycles(template: Template, by_id: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{label_of(template, resource)}: depends on itself"
        for resource in by_id.values()
        if template.id(resource).lower() in ancestors(template, resource)
    ]


def check_flex(site: dict[str, Any]) -> list[str]:
    """What the Flex Consumption plan asks of a Function App."""
    properties = site.get("properties", {})
    config = properties.get("functionAppConfig")
    if config is None:
        return ["properties: a Flex Consumption app needs functionAppConfig"]
    problems = [f"properties.functionAppConfig: `{part}` is missing" for part in ("deployment", "runtime", "scaleAndConcurrency") if part not in config]
    memory = config.get("scaleAndConcurrency", {}).get("instanceMemoryMB")
    if not isinstance(memory, Unknown) and memory not in FLEX_MEMORY:
        problems.append(f"properties.functionAppConfig.scaleAndConcurrency.instanceMemoryMB: {memory} is not one of 512, 2048, 4096")
    settings = [setting.get("name") for setting in properties.get("siteConfig", {}).get("appSettings", [])]
    problems += [f"app setting {name}: not on the Flex Consumption plan" for name in settings if name in NOT_ON_FLEX]
    problems += [f"app setting {name}: is there twice" for name in sorted({name for name in settings if settings.count(name) > 1})]
    return problems
