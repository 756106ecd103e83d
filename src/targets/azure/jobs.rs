//! Containers: a Container Apps job a step, which the app runs with the words and variables of the step at hand.

use serde_json::{Value, json};

use super::facts::RESOURCES;
use super::infra::{JOBS_IDENTITY_ID, role, text};
use super::limits::AzureProblem;
use crate::diagnostics::Problems;
use crate::model::{Job, Kind, Machines, Pipeline, Step, identifier};
use crate::targets::instances::{self, Instance, Table};

/// What a container may run longer than its step: the app stops it, and the service only where the app cannot.
const GRACE: u64 = 60;
const ENVIRONMENT_ID: &str = "resourceId('Microsoft.App/managedEnvironments', concat('jobs-', variables('suffix')))";

/// Steps that run containers, with their pipelines.
pub fn all(pipeline: &Pipeline) -> impl Iterator<Item = (&Pipeline, &Step, &Job)> {
    pipeline.family().into_iter().flat_map(|member| {
        member.steps.iter().filter_map(move |step| match &step.kind {
            Kind::Job(job) => Some((member, step, job.as_ref())),
            _ => None,
        })
    })
}

/// The app setting with the id of a step's job.
pub fn setting(member: &Pipeline, step: &Step) -> String {
    format!("MLPIPE_JOB_{}__{}", identifier(&member.name), identifier(&step.path))
}

/// The instance: the one that is named, or the smallest that fits.
pub fn instance(table: &'static Table, step: &Step, machines: &Machines) -> Result<&'static Instance, AzureProblem> {
    instances::choose(table, machines.named.azure.as_deref(), &machines.compute).map_err(|problem| {
        AzureProblem::Instance {
            step: step.path.clone(),
            detail: problem.detail(table),
            span: step.span,
        }
    })
}

fn machine(step: &Step, job: &Job) -> Result<&'static Instance, AzureProblem> {
    let table = &instances::AZURE.container_apps_jobs;
    instance(table, step, &job.machines)
}

/// What of the containers Container Apps does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for step in &pipeline.steps {
        let Kind::Job(job) = &step.kind else { continue };
        if job.image.azure.is_none() {
            problems.push(AzureProblem::Image {
                step: step.path.clone(),
                span: step.span,
            });
        }
        if let Err(problem) = machine(step, job) {
            problems.push(problem);
        }
    }
}

/// The name of a step's job, as an expression: at most 31 of lower-case letters, digits and single dashes.
fn name(root: &Pipeline, member: &Pipeline, step: &Step) -> String {
    let path = step.path.to_ascii_lowercase().replace(['.', '_'], "-");
    let words: Vec<&str> = path.split('-').filter(|word| !word.is_empty()).collect();
    let stem: String = words.join("-").chars().take(17).collect();
    format!(
        "concat('{}-', uniqueString(resourceGroup().id, '{}', '{}', '{}'))",
        stem.trim_end_matches('-'),
        root.name,
        member.name,
        step.path
    )
}

/// A step's job.
pub fn id(root: &Pipeline, member: &Pipeline, step: &Step) -> String {
    format!("resourceId('Microsoft.App/jobs', {})", name(root, member, step))
}

/// The jobs, where they run, and the app's right to run them.
pub fn resources(pipeline: &Pipeline) -> Vec<Value> {
    let jobs: Vec<_> = all(pipeline).collect();
    if jobs.is_empty() {
        return Vec::new();
    }
    let mut resources = vec![environment()];
    for (member, step, job) in jobs {
        let Ok(instance) = machine(step, job) else {
            continue; // refused before
        };
        resources.push(one(pipeline, member, step, job, instance));
        resources.push(role(
            &id(pipeline, member, step),
            &RESOURCES.roles.container_apps_jobs_operator,
        ));
    }
    resources
}

fn environment() -> Value {
    let workspace = "resourceId('Microsoft.OperationalInsights/workspaces', variables('app'))";
    let api = &RESOURCES.api_versions;
    json!({
        "type": "Microsoft.App/managedEnvironments",
        "apiVersion": api.app,
        "name": "[concat('jobs-', variables('suffix'))]",
        "location": "[parameters('location')]",
        "properties": {
            "workloadProfiles": [{"name": "Consumption", "workloadProfileType": "Consumption"}],
            "appLogsConfiguration": {
                "destination": "log-analytics",
                "logAnalyticsConfiguration": {
                    "customerId": format!("[reference({workspace}, '{}').customerId]", api.operational_insights),
                    "sharedKey": format!("[listKeys({workspace}, '{}').primarySharedKey]", api.operational_insights),
                },
            },
        },
        "dependsOn": [format!("[{workspace}]")],
    })
}

/// The registry of an image, where it takes an identity.
fn registries(image: &str) -> Vec<Value> {
    let server = image.split('/').next().unwrap_or_default();
    if !server.ends_with(".azurecr.io") {
        return Vec::new();
    }
    vec![json!({"server": server, "identity": format!("[{JOBS_IDENTITY_ID}]")})]
}

fn one(root: &Pipeline, member: &Pipeline, step: &Step, job: &Job, instance: &Instance) -> Value {
    let api = &RESOURCES.api_versions;
    let client = format!("[reference({JOBS_IDENTITY_ID}, '{}').clientId]", api.managed_identity);
    let count = job.machines.compute.count;
    let image = job.image.azure.as_deref().unwrap_or_default();
    json!({
        "type": "Microsoft.App/jobs",
        "apiVersion": api.app,
        "name": format!("[{}]", name(root, member, step)),
        "location": "[parameters('location')]",
        "tags": {"mlpipe-pipeline": member.name, "mlpipe-step": step.path},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {format!("[{JOBS_IDENTITY_ID}]"): {}}},
        "properties": {
            "environmentId": format!("[{ENVIRONMENT_ID}]"),
            "workloadProfileName": "Consumption",
            "configuration": {
                "triggerType": "Manual",
                "manualTriggerConfig": {"parallelism": count, "replicaCompletionCount": count},
                "registries": registries(image),
                "replicaRetryLimit": 0,
                "replicaTimeout": step.attempt_timeout().saturating_add(GRACE),
            },
            "template": {
                "containers": [{
                    "name": "main",
                    "image": text(image),
                    "resources": {"cpu": instance.cpu, "memory": format!("{}Gi", instance.memory)},
                    // The identity that azure-identity finds.
                    "env": [{"name": "AZURE_CLIENT_ID", "value": client}],
                }],
            },
        },
        "dependsOn": [format!("[{ENVIRONMENT_ID}]"), format!("[{JOBS_IDENTITY_ID}]")],
    })
}
