"""Validates compiled build/aws folders: cfn-lint, the SAM translator, asl-validator, and checks of our own.

Usage: validate.py DIR…; prints each problem with its place, exits 1 on any.
"""

from __future__ import annotations

import ast
import copy
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import arguments
import asl
from query import HERE, NODE_MODULES, Jsonata
from template import FUNCTION, PLACEHOLDER, REGION, STATE_MACHINE, Template, TemplateError

# Actions that AWS allows on `*` only.
UNSCOPED = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets", "logs:DescribeLogGroups"}
UNSCOPED |= {f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")}
UNSCOPED |= {"batch:DescribeJobs", "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"}
UNSCOPED |= {"logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies"}


class NoPolicies:
    """Stands in for the loader of AWS's managed policies: the translator asks for it, offline there are none."""

    def load(self) -> dict[str, str]:
        return {}


def lint(templates: list[Path]) -> list[str]:
    """What cfn-lint says of all templates."""
    if not templates:
        return []
    done = subprocess.run(
        [str(Path(sys.prefix) / "bin" / "cfn-lint"), "--format", "json", "--regions", REGION, "--include-checks", "I", "--", *map(str, templates)],
        capture_output=True,
        text=True,
    )
    try:
        matches = json.loads(done.stdout or "[]")
    except ValueError:
        return [f"cfn-lint: {done.stdout}{done.stderr}"]
    problems = []
    for match in matches:
        start = match["Location"]["Start"]
        problems.append(f"{match['Filename']}:{start['LineNumber']}:{start['ColumnNumber']}: {match['Rule']['Id']} {match['Message']}")
    if done.returncode != 0 and not problems:
        problems.append(f"cfn-lint: exit code {done.returncode}: {done.stderr.strip()}")
    return problems


def translate(template: Template) -> tuple[dict[str, Any], list[str]]:
    """The template as CloudFormation sees it after the SAM transform, with local folders as if uploaded."""
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    document = copy.deepcopy(template.document)
    for resource in document["Resources"].values():
        properties = resource.get("Properties") or {}
        for key in ("CodeUri", "DefinitionUri", "ContentUri"):
            if isinstance(properties.get(key), str):
                properties[key] = "s3://uploaded/" + properties[key].strip("/")
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    logging.disable(logging.CRITICAL)
    try:
        values = {name: body.get("Default", "value") for name, body in (document.get("Parameters") or {}).items()}
        return Translator({}, Parser()).translate(sam_template=document, parameter_values=values), []
    except InvalidDocumentException as error:
        return {}, [f"SAM: {cause.message}" for cause in error.causes]


def policies(document: dict[str, Any]) -> list[str]:
    """Statements that allow more than they name."""
    problems = []
    for name, resource in (document.get("Resources") or {}).items():
        properties = resource.get("Properties") or {}
        documents = [policy.get("PolicyDocument") for policy in properties.get("Policies") or [] if isinstance(policy, dict)]
        for policy in [*documents, properties.get("PolicyDocument")]:
            for statement in as_list((policy or {}).get("Statement")):
                if statement.get("Effect") != "Allow":
                    continue
                actions = as_list(statement.get("Action"))
                problems += [f"{name}: allows the actions {action}" for action in actions if isinstance(action, str) and "*" in action]
                if "*" in as_list(statement.get("Resource")) and not set(actions) <= UNSCOPED:
                    problems.append(f"{name}: allows {', '.join(map(str, actions))} on every resource")
    return problems


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def substitutions(template: Template, properties: dict[str, Any]) -> list[str]:
    """`${X}` in the definition against DefinitionSubstitutions, both ways."""
    text = (template.folder / properties["DefinitionUri"]).read_text(encoding="utf-8")
    used = {match[1] for match in PLACEHOLDER.finditer(text)}
    defined = set(properties.get("DefinitionSubstitutions") or {})
    problems = [f"${{{name}}} is not in DefinitionSubstitutions" for name in sorted(used - defined)]
    return problems + [f"DefinitionSubstitutions.{name} is not used" for name in sorted(defined - used)]


def asl_validator(definition: str) -> list[str]:
    """What npm's asl-validator says."""
    done = subprocess.run(["node", str(HERE / "asl_validate.cjs"), str(NODE_MODULES)], input=definition, capture_output=True, text=True)
    problems = [f"asl-validator: {line}" for line in done.stdout.splitlines()]
    if done.returncode != 0:
        problems.append(f"asl-validator: {done.stderr.strip()}")
    return problems


def handlers(template: Template) -> list[str]:
    """Every function's handler is in its folder."""
    problems = []
    for name, properties in template.of_type(FUNCTION).items():
        function = template.function(name, properties)
        module, _, attribute = function.handler.rpartition(".")
        source = function.code / (module.replace(".", "/") + ".py")
        if not source.is_file():
            problems.append(f"{name}: no such file: {source.name}")
        elif attribute not in defined_names(source):
            problems.append(f"{name}: {source.name} does not define {attribute}")
    return problems


def defined_names(source: Path) -> set[str]:
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except SyntaxError:
        return set()
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, (ast.ImportFrom, ast.Import)):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def validate(folder: Path, jsonata: Jsonata) -> list[str]:
    """The problems of one folder, without those of cfn-lint."""
    try:
        template = Template(folder)
    except (OSError, TemplateError, ValueError) as error:
        return [f"template.yaml: {error}"]
    except Exception as error:  # yaml's errors share no base with ours
        return [f"template.yaml: {type(error).__name__}: {error}"]
    translated, problems = translate(template)
    problems = [f"template.yaml: {problem}" for problem in problems + policies(translated)]
    try:
        problems += [f"template.yaml: {problem}" for problem in handlers(template)]
        for properties in template.of_type(STATE_MACHINE).values():
            problems += [f"template.yaml: {problem}" for problem in substitutions(template, properties)]
        definitions = template.definitions()
    except (TemplateError, OSError, KeyError) as error:
        return [*problems, f"template.yaml: {error}"]
    for file, definition in definitions.items():
        found = asl.check(definition, jsonata)
        if not any("is not JSON:" in problem for problem in found):
            found += asl_validator(definition)
            found += arguments.check(definition)
        problems += [f"{file}: {problem}" for problem in found]
    return problems


def main(folders: list[str]) -> int:
    if not folders:
        print("usage: validate.py DIR…", file=sys.stderr)
        return 2
    paths = [Path(folder) for folder in folders]
    jsonata = Jsonata()
    problems = [f"{path}/{problem}" for path in paths for problem in validate(path, jsonata)]
    jsonata.close()
    problems += lint([path / "template.yaml" for path in paths if (path / "template.yaml").is_file()])
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
