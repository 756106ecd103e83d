"""An artifacts folder as it would be deployed: the workflow, the functions and the buckets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from functions import FunctionSpec
from terraform import Module, TerraformError, Unknown
from terraform.expressions import Reference, parse_template
from workflows.jobs import JobSpec
from workflows.serving import PERMISSIONS
from workflows.training import Vertex

PROJECT, NUMBER, REGION = "test", "100000000001", "us-central1"


class ArtifactsError(Exception):
    """The artifacts do not have the form that a deployment needs."""


@dataclass(frozen=True)
class OtherWorkflow:
    """A workflow beside the pipeline's own.

    A part runs steps of another workflow; anything else is a pipeline: `child` is its name.
    """

    name: str
    source: str
    environment: dict[str, str]
    part: bool
    child: str | None
    startable: bool


@dataclass(frozen=True)
class Deployment:
    """What main.tf.json declares, as far as an execution depends on it.

    `topics` are those to which the workflows may publish, with their ids in pipeline.yaml.
    """

    workflow_name: str
    source: str
    environment: dict[str, str]
    region: str
    others: list[OtherWorkflow]
    topics: dict[str, str]
    jobs: dict[str, JobSpec]
    training: Vertex | None
    endpoints: bool
    functions: list[FunctionSpec]
    bucket_names: dict[str, str]


def read(folder: Path, pipeline: Path, url: Callable[[str], str], buckets: list[str]) -> Deployment:
    """Reads a folder. `url` gives the address under which a function is served."""
    path = folder / "main.tf.json"
    if not path.is_file():
        raise ArtifactsError(f"no {path}")
    try:
        module = Module(path, _provider(lambda: module, url), {"project": PROJECT})
        return _read(module, pipeline, buckets)
    except TerraformError as error:
        raise ArtifactsError(f"main.tf.json: {error}") from error


def fingerprint(folder: Path) -> str:
    """Changes when a file of the artifacts does."""
    digest = hashlib.sha256(str(folder).encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _provider(module: Callable[[], Module], url: Callable[[str], str]) -> Any:
    """The attributes that the provider computes."""

    def computed(kind: str, name: str, path: tuple[str | int, ...]) -> Any:
        match kind, path:
            case "google_cloudfunctions2_function", ("url",) | ("service_config", 0, "uri"):
                return url(name)
            case "data.google_project", ("number",):
                return NUMBER
            case "data.google_project", ("project_id",):
                return PROJECT
            case "google_service_account", ("email",):
                account = module().value(module().resources(kind)[name]["account_id"])
                return f"{account}@{PROJECT}.iam.gserviceaccount.com"
            case "google_storage_bucket", ("url",):
                return f"gs://{module().value(module().resources(kind)[name]['name'])}"
        raise Unknown(f"{kind}.{name}.{'.'.join(map(str, path))}")

    return computed


def _read(module: Module, pipeline: Path, buckets: list[str]) -> Deployment:
    workflows = module.resources("google_workflows_workflow")
    key = "pipeline" if "pipeline" in workflows else next(iter(workflows), "pipeline")
    if key not in workflows:
        raise ArtifactsError("main.tf.json declares no workflow")
    for name, workflow in workflows.items():
        for attribute in ("name", "source_contents", "region"):
            if attribute not in workflow:
                raise ArtifactsError(f"google_workflows_workflow.{name} has no {attribute}")
    pipeline_workflow = workflows[key]
    accounts = _invokers(module)
    return Deployment(
        module.value(pipeline_workflow["name"]),
        module.value(pipeline_workflow["source_contents"]),
        _environment(module, pipeline_workflow),
        module.value(pipeline_workflow["region"]),
        [
            OtherWorkflow(
                module.value(workflow["name"]),
                module.value(workflow["source_contents"]),
                _environment(module, workflow),
                name.startswith("part_"),
                _child(workflow),
                _account(pipeline_workflow) in accounts,
            )
            for name, workflow in workflows.items()
            if name != key
        ],
        _topics(module, _account(pipeline_workflow), _declared(pipeline)),
        _jobs(module, _account(pipeline_workflow), module.value(pipeline_workflow["name"]), pipeline.parent),
        _training(module, _account(pipeline_workflow)),
        _actions(module, _account(pipeline_workflow)) >= PERMISSIONS,
        [
            _function(module, name, body)
            for name, body in module.resources("google_cloudfunctions2_function").items()
        ],
        {bucket: _bucket_name(module, bucket, pipeline) for bucket in buckets},
    )


def _environment(module: Module, workflow: dict[str, Any]) -> dict[str, str]:
    values = module.value(workflow.get("user_env_vars", {}))
    return {name: _env_text(name, value) for name, value in values.items()}


def _account(workflow: dict[str, Any]) -> str:
    """The name of the service account's resource that a workflow runs as."""
    _, name = _referenced(workflow.get("service_account"), "service_account of a workflow")
    return name


def _child(workflow: dict[str, Any]) -> str | None:
    """The name of the pipeline in whose folder the definition stands."""
    found = re.search(r"/children/([^/]+)/workflow\.yaml", str(workflow["source_contents"]))
    return found[1] if found else None


def _declared(pipeline: Path) -> dict[str, str]:
    """The ids of topics, of the pipeline and of those beside it, by the keys of their resources."""
    ids: list[str] = []
    for path in sorted({pipeline, *pipeline.parent.rglob("*.yaml")}):
        try:
            ids += yaml.safe_load(path.read_text()).get("topics") or {}
        except (OSError, AttributeError, yaml.YAMLError):
            continue
    return {id.replace("-", "_"): id for id in ids}


def _topics(module: Module, account: str, declared: dict[str, str]) -> dict[str, str]:
    topics = module.resources("google_pubsub_topic")
    granted = {}
    for body in module.resources("google_pubsub_topic_iam_member").values():
        _, topic = _referenced(body["topic"], "topic of google_pubsub_topic_iam_member")
        if str(body["member"]).startswith("serviceAccount:"):
            # A service agent of Google's own, which publishes for its service.
            continue
        _, member = _referenced(body["member"], "member of google_pubsub_topic_iam_member")
        if body.get("role") == "roles/pubsub.publisher" and member == account:
            granted[module.value(topics[topic]["name"])] = declared.get(topic, topic)
    return granted


def _jobs(module: Module, account: str, root: str, folder: Path) -> dict[str, JobSpec]:
    """The jobs that the workflows may run with overrides and look at, by full name."""
    roles: dict[str, set[str]] = {}
    for body in module.resources("google_cloud_run_v2_job_iam_member").values():
        _, job = _referenced(body["name"], "name of google_cloud_run_v2_job_iam_member")
        _, member = _referenced(body["member"], "member of google_cloud_run_v2_job_iam_member")
        if member == account:
            roles.setdefault(job, set()).add(body["role"])
    jobs = {}
    for key, body in module.resources("google_cloud_run_v2_job").items():
        if roles.get(key, set()) < {"roles/run.jobsExecutorWithOverrides", "roles/run.viewer"}:
            continue
        body = module.value({name: value for name, value in body.items() if name not in ("depends_on", "template")}) | {
            "template": body["template"]
        }
        (container,) = body["template"]["template"]["containers"]
        if not container.get("image"):
            raise ArtifactsError(f"google_cloud_run_v2_job.{key} has no image")
        pipeline, step = (body["annotations"][f"mlpipe/{what}"] for what in ("pipeline", "step"))
        path = step if pipeline == root else f"{pipeline}/{step}"
        name = f"projects/{PROJECT}/locations/{body['location']}/jobs/{body['name']}"
        jobs[name] = JobSpec(path, module.value(container.get("command", [])), folder)
    return jobs


def _actions(module: Module, account: str) -> set[str]:
    """What custom roles let an account do in the project."""
    roles = module.resources("google_project_iam_custom_role")
    actions: set[str] = set()
    for body in module.resources("google_project_iam_member").values():
        named = re.fullmatch(r"\$\{google_project_iam_custom_role\.(\w+)\.name\}", body["role"])
        if named and _referenced(body["member"], "member of google_project_iam_member")[1] == account:
            actions |= set(roles[named[1]]["permissions"])
    return actions


def _training(module: Module, account: str) -> Vertex | None:
    """What trainings run with, where the workflows may start, see and end custom jobs, act as their account, and read what comes of them."""
    actions = _actions(module, account)
    if not actions >= {f"aiplatform.customJobs.{action}" for action in ("cancel", "create", "get")}:
        return None
    acted = {
        _referenced(body["service_account_id"], "service_account_id")[1]
        for body in module.resources("google_service_account_iam_member").values()
        if body["role"] == "roles/iam.serviceAccountUser" and _referenced(body["member"], "member")[1] == account
    }
    granted: dict[str, dict[str, set[str]]] = {}
    for body in module.resources("google_storage_bucket_iam_member").values():
        kind, bucket = _referenced(body["bucket"], "bucket of google_storage_bucket_iam_member")
        member = _referenced(body["member"], "member of google_storage_bucket_iam_member")[1]
        if kind == "google_storage_bucket":
            granted.setdefault(bucket, {}).setdefault(member, set()).add(body["role"])
    viewer, user = "roles/storage.objectViewer", "roles/storage.objectUser"
    for bucket, members in granted.items():
        runners = {runner for runner in acted if {viewer, user} <= members.get(runner, set())}
        if runners and viewer in members.get(account, set()):
            emails = frozenset(module.value(f"${{google_service_account.{runner}.email}}") for runner in runners)
            name = module.value(module.resources("google_storage_bucket")[bucket]["name"])
            return Vertex(name, emails, module.folder / "training")
    return None


def _invokers(module: Module) -> set[str]:
    """The service accounts that may start workflows of the project."""
    return {
        _referenced(body["member"], "member of google_project_iam_member")[1]
        for body in module.resources("google_project_iam_member").values()
        if body.get("role") == "roles/workflows.invoker"
    }


def _env_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ArtifactsError(f"environment variable {name} is no string: {value!r}")
    return value


def _block(body: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    block = body.get(key)
    if isinstance(block, list) and len(block) == 1:
        block = block[0]
    if not isinstance(block, dict):
        raise ArtifactsError(f"{where} has no block {key}")
    return block


def _function(module: Module, name: str, body: dict[str, Any]) -> FunctionSpec:
    where = f"google_cloudfunctions2_function.{name}"
    build = _block(body, "build_config", where)
    service = _block(body, "service_config", where)
    storage = _block(_block(build, "source", where), "storage_source", where)
    source = _source_folder(module, storage.get("object"), where)
    if not (source / "main.py").is_file():
        # Cloud Run functions docs, Source directory structure: Python's entry file is main.py.
        raise ArtifactsError(f"{where}: no main.py in {source}")
    environment = module.value(service.get("environment_variables", {}))
    return FunctionSpec(
        name,
        source.resolve(),
        module.value(build.get("entry_point")),
        {key: _env_text(key, value) for key, value in environment.items()},
        float(module.value(service.get("timeout_seconds", 60))),
    )


def _source_folder(module: Module, raw: Any, where: str) -> Path:
    """Follows the object to the archive that it uploads, and that to its folder."""
    kind, name = _referenced(raw, f"{where}: storage_source.object")
    uploads = module.resources("google_storage_bucket_object")
    if kind != "google_storage_bucket_object" or name not in uploads:
        raise ArtifactsError(f"{where}: {raw} is no google_storage_bucket_object")
    archive_kind, archive = _referenced(uploads[name].get("source"), f"{where}: source")
    archives = module.data("archive_file")
    if archive_kind != "data.archive_file" or archive not in archives:
        raise ArtifactsError(f"{where}: {uploads[name].get('source')} is no archive_file")
    if "source_dir" not in archives[archive]:
        raise ArtifactsError(f"data.archive_file.{archive} has no source_dir")
    folder = Path(module.value(archives[archive]["source_dir"]))
    return folder if folder.is_absolute() else module.folder / folder


def _referenced(raw: Any, where: str) -> tuple[str, str]:
    node = parse_template(raw) if isinstance(raw, str) else None
    match node:
        case Reference(("data", str(kind), str(name), *_)):
            return f"data.{kind}", name
        case Reference((str(kind), str(name), *_)):
            return kind, name
    raise ArtifactsError(f"{where}: not a reference: {raw!r}")


def _bucket_name(module: Module, bucket: str, pipeline: Path) -> str:
    """The name of a logical bucket; one that exists already may stand in pipeline.yaml only."""
    key = bucket.replace("-", "_")
    for declared in (module.resources, module.data):
        resources = declared("google_storage_bucket")
        if key in resources:
            return module.value(resources[key]["name"])
    try:
        return yaml.safe_load(pipeline.read_text())["buckets"][bucket]["existing"]["gcp"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        raise ArtifactsError(f"no google_storage_bucket.{key} for the bucket {bucket}") from None
