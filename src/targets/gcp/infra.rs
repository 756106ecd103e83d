//! `main.tf.json`: the resources around the workflow, and who may do what with them.
//!
//! Terraform's JSON syntax; attribute names are those of `hashicorp/google`. A role is given on the resource that it is for; the two
//! that Google gives on projects only are `workflows.invoker` and `eventarc.eventReceiver`.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::family::{self, Family, Member, Service};
use super::inputs::{FINALIZED, PUBLISHED};
use super::names::{ACCOUNT, BUCKET, SERVICE, Taken, resource};
use super::readme::published_to;
use super::workflow::{PartText, Workflows};
use super::{jobs, monitoring, serving, training};
use crate::expr::Template;
use crate::model::{Bucket, FunctionUse, Pipeline, TriggerKind, identifier, secret_variable};
use crate::targets::package::{self, Package};

/// The document.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Terraform {
    terraform: Value,
    variable: Map<String, Value>,
    provider: Value,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    data: Resources,
    resource: Resources,
    /// By name.
    pub output: Map<String, Value>,
}

/// Blocks by type and name.
type Resources = IndexMap<&'static str, Map<String, Value>>;

/// The resources of a pipeline.
pub fn terraform(family: &Family<'_>, workflows: &[Workflows]) -> Terraform {
    let pipeline = family.root;
    let mut document = Terraform {
        terraform: json!({
            "required_version": ">= 1.5",
            "required_providers": {
                "google": { "source": "hashicorp/google", "version": ">= 6.0" },
                "archive": { "source": "hashicorp/archive", "version": ">= 2.4" },
            },
        }),
        variable: variables(pipeline),
        provider: provider(pipeline),
        ..Terraform::default()
    };
    services(family, &mut document);
    accounts(family, &mut document);
    buckets(family, &mut document);
    topics(family, &mut document);
    secrets(family, &mut document);
    functions(family, &mut document);
    for member in &family.members {
        jobs::resources(member, &mut document);
    }
    training::resources(family, &mut document);
    serving::resources(family, &mut document);
    monitoring::resources(family, &mut document);
    for (member, workflows) in family.members.iter().zip(workflows) {
        workflows_of(pipeline, member, workflows, &mut document);
    }
    if family.members.len() > 1 || workflows.iter().any(|workflows| !workflows.parts.is_empty()) {
        project_role("workflow_workflows", "roles/workflows.invoker", WORKFLOW, &mut document);
    }
    if has_events(pipeline) {
        project_role("trigger_workflows", "roles/workflows.invoker", TRIGGER, &mut document);
    }
    object_triggers(pipeline, &mut document);
    topic_triggers(pipeline, &mut document);
    schedules(pipeline, &mut document);
    outputs(pipeline, &mut document);
    document
}

/// True where something else than a caller starts executions. A caller of the executions' API has an identity of its own.
fn has_events(pipeline: &Pipeline) -> bool {
    let mut kinds = pipeline.triggers.iter().map(|trigger| &trigger.kind);
    kinds.any(|kind| !matches!(kind, TriggerKind::Http))
}

impl Terraform {
    /// Adds a resource.
    pub fn resource(&mut self, kind: &'static str, name: impl Into<String>, body: Value) {
        self.resource.entry(kind).or_default().insert(name.into(), body);
    }

    /// Adds what is read of what is there.
    pub fn data(&mut self, kind: &'static str, name: impl Into<String>, body: Value) {
        self.data.entry(kind).or_default().insert(name.into(), body);
    }
}

/// The provider gives its default labels to every resource that takes labels.
fn provider(pipeline: &Pipeline) -> Value {
    let mut google = json!({ "project": "${var.project}", "region": "${var.region}" });
    if !pipeline.labels.is_empty() {
        google["default_labels"] = json!(pipeline.labels);
    }
    json!({ "google": google })
}

fn variables(pipeline: &Pipeline) -> Map<String, Value> {
    let settings = &pipeline.targets.gcp;
    [
        ("project", "The project to deploy to.", &settings.project),
        ("region", "The region to deploy to.", &settings.region),
    ]
    .into_iter()
    .map(|(name, description, default)| {
        let mut variable = json!({ "type": "string", "description": description });
        if let Some(default) = default {
            variable["default"] = json!(escaped(default));
        }
        (name.to_owned(), variable)
    })
    .collect()
}

fn services(family: &Family<'_>, document: &mut Terraform) {
    let pipeline = family.root;
    let mut apis = vec![
        "artifactregistry",
        "cloudbuild",
        "cloudfunctions",
        "iam",
        "run",
        "storage",
        "workflowexecutions",
        "workflows",
    ];
    for trigger in &pipeline.triggers {
        apis.extend(match trigger.kind {
            TriggerKind::ObjectCreated { .. } => ["eventarc", "pubsub"].as_slice(),
            TriggerKind::Schedule { .. } => ["cloudscheduler"].as_slice(),
            TriggerKind::Topic { .. } => ["eventarc", "pubsub"].as_slice(),
            TriggerKind::Http => [].as_slice(),
        });
    }
    if !pipeline.secrets.is_empty() {
        apis.push("secretmanager");
    }
    if family.has_custom_jobs() {
        apis.extend(["aiplatform", "logging"]);
    }
    if family.has_endpoints() {
        apis.push("aiplatform");
    }
    if !monitoring::monitors(family).is_empty() {
        apis.push("monitoring");
    }
    if !pipeline.topics.is_empty() {
        apis.push("pubsub");
    }
    apis.sort_unstable();
    apis.dedup();
    let list: Vec<String> = apis.iter().map(|api| format!("\"{api}.googleapis.com\"")).collect();
    document.resource(
        "google_project_service",
        "apis",
        json!({
            "for_each": format!("${{toset([{}])}}", list.join(", ")),
            "service": "${each.value}",
            "disable_on_destroy": false,
        }),
    );
}

fn accounts(family: &Family<'_>, document: &mut Terraform) {
    let pipeline = family.root;
    let mut accounts = vec![("workflow", "runs the workflow")];
    if family.has_functions() {
        accounts.push(("functions", "runs the functions"));
    }
    if family.has_jobs() {
        accounts.push(("jobs", "runs the containers"));
    }
    if family.has_trainings() {
        accounts.push((training::TRAINS, "trains"));
    }
    if family.has_predictions() {
        accounts.push((training::PREDICTS, "predicts for files"));
    }
    if has_events(pipeline) {
        accounts.push(("trigger", "starts executions"));
    }
    for (account, purpose) in accounts {
        document.resource(
            "google_service_account",
            account,
            json!({
                "account_id": resource(&[&pipeline.name, account], ACCOUNT),
                "display_name": format!("{}: {purpose}", pipeline.name),
                "depends_on": ["google_project_service.apis"],
            }),
        );
    }
}

fn buckets(family: &Family<'_>, document: &mut Terraform) {
    let pipeline = family.root;
    for bucket in &pipeline.buckets {
        let id = identifier(&bucket.id);
        match bucket.existing.get("gcp") {
            Some(name) => document.data("google_storage_bucket", &id, json!({ "name": escaped(name) })),
            None => document.resource("google_storage_bucket", &id, new_bucket(pipeline, bucket)),
        }
        for (account, uses) in [("functions", family.has_functions()), ("jobs", family.has_jobs())] {
            if uses {
                document.resource(
                    "google_storage_bucket_iam_member",
                    format!("{account}_{id}"),
                    json!({
                        "bucket": format!("${{{}.name}}", bucket_address(bucket)),
                        "role": "roles/storage.objectUser",
                        "member": format!("${{google_service_account.{account}.member}}"),
                    }),
                );
            }
        }
    }
}

fn new_bucket(pipeline: &Pipeline, bucket: &Bucket) -> Value {
    let mut body = json!({
        "name": format!("${{var.project}}-{}", resource(&[&pipeline.name, &bucket.id], BUCKET)),
        "location": "${var.region}",
        "uniform_bucket_level_access": true,
        "public_access_prevention": "enforced",
    });
    if bucket.versioning {
        body["versioning"] = json!({ "enabled": true });
    }
    if let Some(days) = bucket.expire_after_days {
        body["lifecycle_rule"] = json!([{ "action": { "type": "Delete" }, "condition": { "age": days } }]);
    }
    body["depends_on"] = json!(["google_project_service.apis"]);
    body
}

/// A bucket's address: a resource, or data where it exists already.
pub fn bucket_address(bucket: &Bucket) -> String {
    let prefix = if bucket.existing.contains_key("gcp") {
        "data."
    } else {
        ""
    };
    format!("{prefix}google_storage_bucket.{}", identifier(&bucket.id))
}

/// Topics. The workflows publish to those that a step or a handler names.
fn topics(family: &Family<'_>, document: &mut Terraform) {
    let pipeline = family.root;
    let (asking, telling) = published_to(family);
    for topic in &pipeline.topics {
        let id = identifier(&topic.id);
        document.resource(
            "google_pubsub_topic",
            &id,
            json!({
                "name": family::topic(pipeline, &topic.id),
                "depends_on": ["google_project_service.apis"],
            }),
        );
        if !asking.contains(topic.id.as_str()) && !telling.contains(topic.id.as_str()) {
            continue;
        }
        document.resource(
            "google_pubsub_topic_iam_member",
            format!("workflow_{id}"),
            json!({
                "topic": format!("${{google_pubsub_topic.{id}.name}}"),
                "role": "roles/pubsub.publisher",
                "member": WORKFLOW,
            }),
        );
    }
}

fn secrets(family: &Family<'_>, document: &mut Terraform) {
    let pipeline = family.root;
    for secret in &pipeline.secrets {
        let id = identifier(secret);
        document.resource(
            "google_secret_manager_secret",
            &id,
            json!({
                "secret_id": format!("{}-{secret}", pipeline.name),
                "replication": { "auto": {} },
                "depends_on": ["google_project_service.apis"],
            }),
        );
        if family.has_functions() {
            document.resource(
                "google_secret_manager_secret_iam_member",
                format!("functions_{id}"),
                json!({
                    "secret_id": format!("${{google_secret_manager_secret.{id}.secret_id}}"),
                    "role": "roles/secretmanager.secretAccessor",
                    "member": "${google_service_account.functions.member}",
                }),
            );
        }
    }
}

fn functions(family: &Family<'_>, document: &mut Terraform) {
    let pipeline = family.root;
    if !family.has_functions() {
        return;
    }
    let mut taken = Taken::new(pipeline.buckets.iter().map(|bucket| identifier(&bucket.id)));
    let code = taken.name("function_code");
    document.resource(
        "google_storage_bucket",
        &code,
        json!({
            "name": format!("${{var.project}}-{}", resource(&[&pipeline.name, &code], BUCKET)),
            "location": "${var.region}",
            "uniform_bucket_level_access": true,
            "public_access_prevention": "enforced",
            "force_destroy": true,
            "depends_on": ["google_project_service.apis"],
        }),
    );
    let mut keys = Taken::default();
    let packages = family.members.iter().flat_map(|member| {
        package::packages(member.pipeline)
            .into_iter()
            .map(move |package| (member, package))
    });
    for (member, package) in packages {
        let key = keys.name(&package_key(&package));
        document.data(
            "archive_file",
            &key,
            json!({
                "type": "zip",
                "source_dir": format!("${{path.module}}/functions/{}", escaped(package.name)),
                "output_path": format!("${{path.module}}/.terraform/functions/{}.zip", escaped(package.name)),
                "excludes": ["**/__pycache__/**"],
            }),
        );
        document.resource(
            "google_storage_bucket_object",
            &key,
            json!({
                "bucket": format!("${{google_storage_bucket.{code}.name}}"),
                "name": format!("{}-${{data.archive_file.{key}.output_md5}}.zip", escaped(package.name)),
                "source": format!("${{data.archive_file.{key}.output_path}}"),
            }),
        );
        for function in &package.functions {
            one_function(member, function, &code, &key, document);
        }
    }
}

fn package_key(package: &Package<'_>) -> String {
    let key: String = package
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if key.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{key}")
    } else {
        key
    }
}

fn one_function(member: &Member<'_>, function: &FunctionUse<'_>, bucket: &str, object: &str, document: &mut Terraform) {
    let pipeline = member.pipeline;
    let Service { key: id, name } = member.service(function);
    let mut service = json!({
        "available_memory": format!("{}Mi", function.call.memory_mib),
        "timeout_seconds": function.call.timeout,
        "service_account_email": "${google_service_account.functions.email}",
        // Requests of a workflow in the same project are internal (Cloud Run, "Restrict network ingress").
        "ingress_settings": "ALLOW_INTERNAL_ONLY",
    });
    let secrets: Map<String, Value> = pipeline
        .secrets
        .iter()
        .map(|secret| {
            let key = identifier(secret);
            let path = format!(
                "projects/${{var.project}}/secrets/${{google_secret_manager_secret.{key}.secret_id}}/versions/latest"
            );
            (secret_variable(secret), json!(path))
        })
        .collect();
    if !secrets.is_empty() {
        service["environment_variables"] = Value::Object(secrets);
    }
    let mut body = json!({
        "name": name,
        "location": "${var.region}",
    });
    if let Some(description) = function.description {
        body["description"] = json!(escaped(description));
    }
    body["build_config"] = json!({
        "runtime": runtime(&function.call.runtime),
        "entry_point": "handle",
        "source": {
            "storage_source": {
                "bucket": format!("${{google_storage_bucket.{bucket}.name}}"),
                "object": format!("${{google_storage_bucket_object.{object}.name}}"),
            },
        },
    });
    body["service_config"] = service;
    document.resource("google_cloudfunctions2_function", &id, body);
    document.resource(
        "google_cloud_run_service_iam_member",
        &id,
        json!({
            "location": format!("${{google_cloudfunctions2_function.{id}.location}}"),
            "service": format!("${{google_cloudfunctions2_function.{id}.name}}"),
            "role": "roles/run.invoker",
            "member": WORKFLOW,
        }),
    );
}

/// `python3.12` as Google names it: `python312`.
pub fn runtime(name: &str) -> String {
    name.replace('.', "")
}

/// Where the definition of a workflow stands among the artifacts.
pub fn workflow_file(member: &Member<'_>) -> String {
    format!("{}workflow.yaml", member.folder)
}

/// Where that of a part of it stands.
pub fn part_file(member: &Member<'_>, part: &PartText) -> String {
    format!("{}parts/{}.yaml", member.folder, part.id)
}

fn workflow(root: &Pipeline, member: &Member<'_>) -> Value {
    let environment = &member.environment;
    let url = |step: &str| {
        let key = member.services.get(step).map_or("", |service| &service.key);
        format!("${{google_cloudfunctions2_function.{key}.service_config[0].uri}}")
    };
    let mut values: Map<String, Value> = environment
        .urls
        .iter()
        .map(|(step, name)| (name.clone(), json!(url(step))))
        .collect();
    for (name, steps) in &environment.url_maps {
        let urls: Vec<String> = steps
            .iter()
            .map(|step| format!("\"{}\":\"{}\"", identifier(step), url(step)))
            .collect();
        values.insert(name.clone(), json!(format!("{{{}}}", urls.join(","))));
    }
    for bucket in &root.buckets {
        if let Some(name) = environment.buckets.get(&bucket.id) {
            values.insert(name.clone(), json!(format!("${{{}.name}}", bucket_address(bucket))));
        }
    }
    let mut body = json!({
        "name": member.workflow,
        "region": "${var.region}",
    });
    if let Some(description) = &member.pipeline.description {
        body["description"] = json!(escaped(description));
    }
    body["service_account"] = json!("${google_service_account.workflow.id}");
    body["source_contents"] = json!(format!("${{file(\"${{path.module}}/{}\")}}", workflow_file(member)));
    if !values.is_empty() {
        body["user_env_vars"] = Value::Object(values);
    }
    body["deletion_protection"] = json!(false);
    body["depends_on"] = json!(["google_project_service.apis"]);
    body
}

/// The workflow of a pipeline, and those in which it runs parts of itself.
fn workflows_of(root: &Pipeline, member: &Member<'_>, workflows: &Workflows, document: &mut Terraform) {
    let read = |body: &mut Value, text: &str| {
        if let Some(values) = body.get_mut("user_env_vars").and_then(Value::as_object_mut) {
            let read = member.environment.read_by(text);
            values.retain(|name, _| read.contains(name.as_str()));
        }
    };
    let whole = workflow(root, member);
    let mut body = whole.clone();
    read(&mut body, &workflows.text);
    document.resource("google_workflows_workflow", &member.key, body);
    for part in &workflows.parts {
        let mut body = whole.clone();
        body["name"] = json!(part.name);
        body["description"] = json!(format!("A part of {}.", member.pipeline.name));
        body["source_contents"] = json!(format!("${{file(\"${{path.module}}/{}\")}}", part_file(member, part)));
        read(&mut body, &part.text);
        let key = if member.folder.is_empty() {
            format!("part_{}", part.id)
        } else {
            format!("{}_part_{}", member.key, part.id)
        };
        document.resource("google_workflows_workflow", key, body);
    }
}

/// The account of the workflows.
pub const WORKFLOW: &str = "${google_service_account.workflow.member}";
const TRIGGER: &str = "${google_service_account.trigger.member}";

/// Gives a role on the project.
pub fn project_role(name: &str, role: &str, member: &str, document: &mut Terraform) {
    document.resource(
        "google_project_iam_member",
        name,
        json!({ "project": "${var.project}", "role": role, "member": member }),
    );
}

/// One Eventarc trigger a bucket: the workflow itself tells apart what the pipeline's triggers mean.
fn object_triggers(pipeline: &Pipeline, document: &mut Terraform) {
    let mut watched: Vec<&Bucket> = Vec::new();
    for trigger in &pipeline.triggers {
        if let TriggerKind::ObjectCreated { bucket, .. } = &trigger.kind
            && let Some(bucket) = pipeline.buckets.iter().find(|known| known.id == *bucket)
            && !watched.iter().any(|known| known.id == bucket.id)
        {
            watched.push(bucket);
        }
    }
    if watched.is_empty() {
        return;
    }
    document.data("google_storage_project_service_account", "storage", json!({}));
    project_role(
        "storage_events",
        "roles/pubsub.publisher",
        "${data.google_storage_project_service_account.storage.member}",
        document,
    );
    project_role("trigger_events", "roles/eventarc.eventReceiver", TRIGGER, document);
    for bucket in watched {
        let address = bucket_address(bucket);
        document.resource(
            "google_eventarc_trigger",
            identifier(&bucket.id),
            json!({
                "name": resource(&[&pipeline.name, &bucket.id], SERVICE),
                "location": format!("${{lower({address}.location)}}"),
                "matching_criteria": [
                    { "attribute": "type", "value": FINALIZED },
                    { "attribute": "bucket", "value": format!("${{{address}.name}}") },
                ],
                "destination": { "workflow": "${google_workflows_workflow.pipeline.id}" },
                "service_account": "${google_service_account.trigger.email}",
                "depends_on": [
                    "google_project_iam_member.storage_events",
                    "google_project_iam_member.trigger_events",
                    "google_project_iam_member.trigger_workflows",
                ],
            }),
        );
    }
}

/// One Eventarc trigger a topic, which delivers through a subscription that it makes itself.
fn topic_triggers(pipeline: &Pipeline, document: &mut Terraform) {
    let mut watched: Vec<&str> = Vec::new();
    for trigger in &pipeline.triggers {
        if let TriggerKind::Topic { topic } = &trigger.kind
            && !watched.contains(&topic.as_str())
        {
            watched.push(topic);
        }
    }
    for topic in watched {
        let id = identifier(topic);
        document.resource(
            "google_eventarc_trigger",
            // A bucket may have the same id.
            format!("topic_{id}"),
            json!({
                "name": resource(&[&pipeline.name, "topic", topic], SERVICE),
                "location": "${var.region}",
                "matching_criteria": [{ "attribute": "type", "value": PUBLISHED }],
                "transport": { "pubsub": { "topic": format!("${{google_pubsub_topic.{id}.id}}") } },
                "destination": { "workflow": "${google_workflows_workflow.pipeline.id}" },
                "service_account": "${google_service_account.trigger.email}",
                "depends_on": ["google_project_iam_member.trigger_workflows"],
            }),
        );
    }
}

fn schedules(pipeline: &Pipeline, document: &mut Terraform) {
    let mut keys = Taken::default();
    for trigger in &pipeline.triggers {
        let TriggerKind::Schedule { cron, timezone } = &trigger.kind else {
            continue;
        };
        let key = keys.name("schedule");
        let params: Map<String, Value> = trigger
            .params
            .iter()
            .map(|(name, template)| (name.clone(), constant(template)))
            .collect();
        let argument = hcl(&Value::Object(params));
        document.resource(
            "google_cloud_scheduler_job",
            &key,
            json!({
                "name": resource(&[&pipeline.name, &key], SERVICE),
                "region": "${var.region}",
                "schedule": cron.to_string(),
                "time_zone": timezone,
                "http_target": {
                    "http_method": "POST",
                    "uri": "https://workflowexecutions.googleapis.com/v1/${google_workflows_workflow.pipeline.id}/executions",
                    "headers": { "Content-Type": "application/json" },
                    "body": format!("${{base64encode(jsonencode({{ argument = jsonencode({argument}) }}))}}"),
                    "oauth_token": {
                        "service_account_email": "${google_service_account.trigger.email}",
                        "scope": "https://www.googleapis.com/auth/cloud-platform",
                    },
                },
                "depends_on": ["google_project_iam_member.trigger_workflows"],
            }),
        );
    }
}

/// The value of a schedule's param: the checker allows constants only.
fn constant(template: &Template) -> Value {
    match template {
        Template::Constant(value) => value.clone(),
        Template::Expr(expr) => match &expr.kind {
            crate::expr::ExprKind::Literal(value) => value.clone(),
            _ => Value::Null,
        },
        Template::Text(_) | Template::List(_) | Template::Object(_) => Value::Null,
    }
}

/// A value in Terraform's expression syntax.
fn hcl(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        // JSON's escapes are Terraform's, but for two rare ones.
        Value::String(text) => escaped(&Value::from(text.as_str()).to_string())
            .replace("\\b", "\\u0008")
            .replace("\\f", "\\u000c"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(hcl).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{} = {}", hcl(&json!(name)), hcl(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// A text that Terraform takes as it is.
pub fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

fn outputs(pipeline: &Pipeline, document: &mut Terraform) {
    document.output.insert(
        "workflow".to_owned(),
        json!({
            "description": "The workflow; start it with `gcloud workflows execute`.",
            "value": "${google_workflows_workflow.pipeline.id}",
        }),
    );
    if !pipeline.buckets.is_empty() {
        let names: Map<String, Value> = pipeline
            .buckets
            .iter()
            .map(|bucket| {
                (
                    bucket.id.clone(),
                    json!(format!("${{{}.name}}", bucket_address(bucket))),
                )
            })
            .collect();
        document.output.insert(
            "buckets".to_owned(),
            json!({ "description": "The buckets' names.", "value": names }),
        );
    }
}
