"""Reads a compiled SAM template: the state machine, its definition, the functions and the buckets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from functions import Function

ACCOUNT = "123456789012"
REGION = "us-east-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "conformance",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/conformance/50c9f0e0-1d2c-11ef-8a10-0e5b2a7f3c1d",
}
STATE_MACHINE = "AWS::Serverless::StateMachine"
MAIN = "StateMachine"
FUNCTION = "AWS::Serverless::Function"
BUCKET = "AWS::S3::Bucket"
TOPIC = "AWS::SNS::Topic"
JOB = "AWS::Batch::JobDefinition"
TOPIC_ID = re.compile(r"the topic `([^`]*)`")
CHILD = re.compile(r"pipeline\.([a-z][a-z0-9-]*)\.")
"""The files of definitions of another pipeline."""
PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
DEFAULT_TIMEOUT = 3
DEFAULT_MEMORY = 128


class TemplateError(Exception):
    """The artifacts are not what CloudFormation would take."""


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags, read as their long forms."""


def _tag(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _tag)


def load_yaml(text: str) -> Any:
    return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader


@dataclass(frozen=True)
class Machine:
    """What the engine runs."""

    definition: str
    functions: dict[str, Function]
    buckets: dict[str, str]
    name: str
    nested: dict[str, str] = field(default_factory=dict)
    """Definitions of the state machines that it starts, by ARN."""
    pipelines: dict[str, str] = field(default_factory=dict)
    """The pipelines of those that are not the first one's, by ARN."""
    topics: dict[str, str] = field(default_factory=dict)
    """Topics by ARN, as the pipeline calls them."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Steps by job definition."""
    images: frozenset[str] = frozenset()
    """What trainings run in."""


class Template:
    """A template with its values resolved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = load_yaml((folder / "template.yaml").read_text(encoding="utf-8"))
        if not isinstance(self.document, dict) or not isinstance(self.document.get("Resources"), dict):
            raise TemplateError("template.yaml has no Resources")
        self.resources: dict[str, dict[str, Any]] = self.document["Resources"]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id -> Properties."""
        return {name: body.get("Properties") or {} for name, body in self.resources.items() if body.get("Type") == kind}

    def machine(self) -> Machine:
        machines = self.of_type(STATE_MACHINE)
        name = MAIN if MAIN in machines else next(iter(machines), "")
        if not name or (name != MAIN and len(machines) > 1):
            raise TemplateError(f"expected one {STATE_MACHINE}, or one of them called {MAIN}: found {', '.join(machines) or 'none'}")
        nested = {self.ref(id_): self.definition(body) for id_, body in machines.items() if id_ != name}
        properties = machines[name]
        functions = {self.get_att(id_, "Arn"): self.function(id_, body) for id_, body in self.of_type(FUNCTION).items()}
        buckets = {id_: self.ref(id_) for id_ in self.of_type(BUCKET)}
        files = {self.ref(id_): str(body.get("DefinitionUri")) for id_, body in machines.items()}
        pipelines = {arn: found[1] for arn, file in files.items() if (found := CHILD.match(file))}
        topics = {self.ref(id_): self.topic(id_) for id_ in self.of_type(TOPIC)}
        definition = self.definition(properties)
        known = {self.ref(id_) for id_ in self.of_type(JOB)}
        jobs = {arn: step for text in [definition, *nested.values()] for arn, step in jobs_of(json.loads(text)) if arn in known}
        images = frozenset(image for text in [definition, *nested.values()] for image in images_of(json.loads(text)))
        return Machine(definition, functions, buckets, name, nested, pipelines, topics, jobs, images)

    def topic(self, name: str) -> str:
        """What the pipeline calls a topic: the stack's output tells."""
        output = (self.document.get("Outputs") or {}).get(f"{name}Arn") or {}
        found = TOPIC_ID.search(str(output.get("Description")))
        if found is None or output.get("Value") != {"Ref": name}:
            raise TemplateError(f"no output {name}Arn tells where to subscribe to {name}")
        return found[1]

    def definitions(self) -> dict[str, str]:
        """The text of every definition by its file."""
        self.machine()
        return {body["DefinitionUri"]: self.definition(body) for body in self.of_type(STATE_MACHINE).values()}

    def definition(self, properties: dict[str, Any]) -> str:
        """The definition's text with the substitutions done."""
        if not isinstance(properties.get("DefinitionUri"), str):
            raise TemplateError("the state machine has no DefinitionUri")
        text = (self.folder / properties["DefinitionUri"]).read_text(encoding="utf-8")
        values = {key: self.resolve(value) for key, value in (properties.get("DefinitionSubstitutions") or {}).items()}

        def value_of(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise TemplateError(f"the definition uses ${{{match[1]}}}, which DefinitionSubstitutions does not define")
            return str(values[match[1]])

        return PLACEHOLDER.sub(value_of, text)

    def function(self, name: str, properties: dict[str, Any]) -> Function:
        common = (self.document.get("Globals") or {}).get("Function") or {}
        merged = {**common, **properties}
        variables = {
            **((common.get("Environment") or {}).get("Variables") or {}),
            **((properties.get("Environment") or {}).get("Variables") or {}),
        }
        for needed in ("CodeUri", "Handler", "Runtime"):
            if not merged.get(needed):
                raise TemplateError(f"{name} has no {needed}")
        code = (self.folder / self.resolve(merged["CodeUri"])).resolve()
        if not code.is_dir():
            raise TemplateError(f"{name}: no such folder: {merged['CodeUri']}")
        return Function(
            name=name,
            code=code,
            handler=self.resolve(merged["Handler"]),
            timeout=float(self.resolve(merged.get("Timeout", DEFAULT_TIMEOUT))),
            environment={key: str(self.resolve(value)) for key, value in variables.items()},
            memory=int(self.resolve(merged.get("MemorySize", DEFAULT_MEMORY))),
        )

    def ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        parameters = self.document.get("Parameters") or {}
        if name in parameters:
            if "Default" not in parameters[name]:
                raise TemplateError(f"the parameter {name} has no default")
            return parameters[name]["Default"]
        resource = self.resources.get(name)
        if resource is None:
            raise TemplateError(f"!Ref {name}: no such resource")
        properties = resource.get("Properties") or {}
        for key in ("BucketName", "FunctionName", "Name", "RoleName"):
            if key in properties:
                return self.resolve(properties[key])
        if resource.get("Type") == TOPIC:
            return f"arn:aws:sns:{REGION}:{ACCOUNT}:conformance-{name}"
        if resource.get("Type") == STATE_MACHINE:
            return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:conformance-{name}"
        return f"conformance-{name}".lower() if resource.get("Type") == BUCKET else f"conformance-{name}"

    def get_att(self, name: str, attribute: str) -> str:
        kind = (self.resources.get(name) or {}).get("Type")
        if kind is None:
            raise TemplateError(f"!GetAtt {name}.{attribute}: no such resource")
        if attribute == "Arn":
            service, form = {
                FUNCTION: ("lambda", f"{REGION}:{ACCOUNT}:function:"),
                BUCKET: ("s3", "::"),
                STATE_MACHINE: ("states", f"{REGION}:{ACCOUNT}:stateMachine:"),
            }.get(kind, ("unknown", f"{REGION}:{ACCOUNT}:"))
            return f"arn:aws:{service}:{form}{self.ref(name).rpartition(':')[2]}"
        if (kind, attribute) in ((STATE_MACHINE, "Name"), (TOPIC, "TopicName")):
            return self.ref(name).rpartition(":")[2]
        return f"{name}.{attribute}"

    def resolve(self, value: Any) -> Any:
        """A value with its intrinsic functions done."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(key, argument)] = value.items()
            if key == "Ref":
                return self.ref(argument)
            if key == "Fn::GetAtt":
                return self.get_att(argument[0], ".".join(argument[1:]))
            if key == "Fn::FindInMap":
                name, row, column = self.resolve(argument)
                try:
                    return self.document["Mappings"][name][row][column]
                except KeyError:
                    raise TemplateError(f"no {row}.{column} in the mapping {name}") from None
            if key == "Fn::Sub":
                return self.sub(argument)
            if key == "Fn::Select":
                return self.resolve(argument[1])[argument[0]]
            if key == "Fn::Split":
                return self.resolve(argument[1]).split(argument[0])
            if key == "Fn::Join":
                return argument[0].join(str(self.resolve(item)) for item in argument[1])
            if key.startswith("Fn::"):
                raise TemplateError(f"the harness does not know {key}")
        return {key: self.resolve(item) for key, item in value.items()}

    def sub(self, argument: Any) -> str:
        text, values = (argument, {}) if isinstance(argument, str) else argument

        def value_of(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(self.resolve(values[name]))
            resource, _, attribute = name.partition(".")
            return str(self.get_att(resource, attribute) if attribute else self.ref(name))

        return PLACEHOLDER.sub(value_of, text)


def jobs_of(value: Any) -> Iterator[tuple[str, str]]:
    """Job definitions that states run, each with the step that its failure names."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from jobs_of(part)
    if isinstance(value, dict) and str(value.get("Resource")).endswith(":states:::batch:submitJob.sync"):
        yield value["Arguments"]["JobDefinition"], next(catch["Output"]["Step"] for catch in value["Catch"] if isinstance(catch["Output"], dict))


def images_of(value: Any) -> Iterator[str]:
    """Images that states train and predict in: of a registry, with a tag."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from images_of(part)
    if isinstance(value, dict) and str(value.get("Resource")).endswith(":states:::sagemaker:createTrainingJob.sync"):
        image = value["Arguments"]["AlgorithmSpecification"]["TrainingImage"]
        yield registered(image)
    if isinstance(value, dict) and str(value.get("Resource")).endswith(":states:::sagemaker:createProcessingJob.sync"):
        yield registered(value["Arguments"]["AppSpecification"]["ImageUri"])
    if isinstance(value, dict) and str(value.get("Resource")).endswith(":states:::aws-sdk:sagemaker:createModel"):
        found = re.search(r"'Image': [\"']([^\"']*)", value["Arguments"]["PrimaryContainer"])
        if found is None or "/" not in found[1]:
            raise TemplateError(f"no image: {value['Arguments']['PrimaryContainer']}")
        yield found[1]


def registered(image: str) -> str:
    if "/" not in image:
        raise TemplateError(f"no image: {image}")
    return image


def pascal(name: str) -> str:
    """`my-step` -> `MyStep`, as logical ids are made."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_.]", name))
