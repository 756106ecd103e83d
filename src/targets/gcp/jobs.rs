//! `job` steps: each a Cloud Run job, run with the words and variables of the step at hand.

use serde_json::{Map, Value, json};

use super::family::{Member, Service};
use super::infra::{Terraform, WORKFLOW, escaped};
use super::limits::{GcpProblem, QUOTAS};
use crate::diagnostics::Problems;
use crate::expr::Template;
use crate::model::{Job, Kind, Machines, Pipeline, Step};
use crate::targets::instances::{self, Instance, NoInstance, Table};

/// What a task may run longer than its step: the workflow ends it, and the service only where the workflow cannot.
const GRACE: u64 = 60;
/// Runs the words that follow, where the program is not known before.
const ENV: &str = "env";

/// Steps that run containers.
pub fn jobs(pipeline: &Pipeline) -> impl Iterator<Item = (&Step, &Job)> {
    pipeline.steps.iter().filter_map(|step| match &step.kind {
        Kind::Job(job) => Some((step, job.as_ref())),
        _ => None,
    })
}

/// What a container starts with that never changes, and how many of its words that is: overrides leave it as it is.
fn program(job: &Job) -> Option<(&str, usize)> {
    match job.command.first()? {
        Template::Constant(Value::String(program)) => Some((program, 1)),
        _ => Some((ENV, 0)),
    }
}

/// The words that a run is given.
pub fn arguments(job: &Job) -> &[Template] {
    let first = program(job).map_or(0, |(_, words)| words);
    job.command.get(first..).unwrap_or_default()
}

/// The instance: the one that is named, or the smallest that fits.
pub fn instance(table: &'static Table, step: &Step, machines: &Machines) -> Result<&'static Instance, GcpProblem> {
    instances::choose(table, machines.named.gcp.as_deref(), &machines.compute).map_err(|problem| {
        let (detail, help) = match problem {
            NoInstance::Unknown(name) => (
                format!("{} has no instance `{name}`", table.service),
                format!("use one of {}", table.names().collect::<Vec<_>>().join(", ")),
            ),
            NoInstance::NoFit(problem) => (
                problem.to_string(),
                "ask for less in `compute`, or name an `instance`".to_owned(),
            ),
        };
        GcpProblem::Instance {
            step: step.path.clone(),
            detail,
            help,
            span: step.span,
        }
    })
}

/// What of the jobs Cloud Run does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for (step, job) in jobs(pipeline) {
        if job.image.gcp.is_none() {
            problems.push(GcpProblem::Image {
                step: step.path.clone(),
                span: step.span,
            });
        }
        let gpu = match instance(&instances::GCP.cloud_run_jobs, step, &job.machines) {
            Ok(instance) => instance.gpu.is_some(),
            Err(problem) => {
                problems.push(problem);
                false
            }
        };
        let quotas = &QUOTAS.job;
        let (most, what) = if gpu {
            (quotas.gpu_timeout_seconds, "with a GPU ")
        } else {
            (quotas.timeout_seconds, "")
        };
        if step.attempt_timeout() > most {
            problems.push(GcpProblem::JobTimeout {
                step: step.path.clone(),
                what,
                seconds: step.attempt_timeout(),
                most,
                span: step.span,
            });
        }
    }
}

/// The jobs of a pipeline, and who may run them.
pub fn resources(member: &Member<'_>, document: &mut Terraform) {
    for (step, job) in jobs(member.pipeline) {
        let instance = instance(&instances::GCP.cloud_run_jobs, step, &job.machines);
        let (Some(Service { key, name }), Ok(instance)) = (member.jobs.get(&step.path), instance) else {
            // Refused before.
            continue;
        };
        document.resource(
            "google_cloud_run_v2_job",
            key,
            one(member.pipeline, step, job, name, instance),
        );
        // To look at an execution is not part of the first role.
        for (prefix, role) in [
            ("run", "roles/run.jobsExecutorWithOverrides"),
            ("view", "roles/run.viewer"),
        ] {
            document.resource(
                "google_cloud_run_v2_job_iam_member",
                format!("{prefix}_{key}"),
                json!({
                    "location": format!("${{google_cloud_run_v2_job.{key}.location}}"),
                    "name": format!("${{google_cloud_run_v2_job.{key}.name}}"),
                    "role": role,
                    "member": WORKFLOW,
                }),
            );
        }
    }
}

fn one(pipeline: &Pipeline, step: &Step, job: &Job, name: &str, instance: &Instance) -> Value {
    let mut limits = Map::new();
    limits.insert("cpu".to_owned(), json!(instance.cpu.to_string()));
    limits.insert("memory".to_owned(), json!(format!("{}Mi", instance.memory_mib())));
    if let Some(gpu) = instance.gpu {
        limits.insert("nvidia.com/gpu".to_owned(), json!(gpu.count.to_string()));
    }
    let mut container = json!({
        "image": escaped(job.image.gcp.as_deref().unwrap_or_default()),
        "resources": { "limits": limits },
    });
    if let Some((program, _)) = program(job) {
        container["command"] = json!([escaped(program)]);
    }
    let most = QUOTAS.job.timeout_seconds;
    let mut task = json!({
        "containers": [container],
        "max_retries": 0,
        "timeout": format!("{}s", (step.attempt_timeout() + GRACE).min(most)),
        "service_account": "${google_service_account.jobs.email}",
    });
    if let Some(accelerator) = &instance.accelerator {
        task["node_selector"] = json!({ "accelerator": accelerator });
        task["gpu_zonal_redundancy_disabled"] = json!(true);
        task["timeout"] = json!(format!("{}s", QUOTAS.job.gpu_timeout_seconds));
    }
    let mut template = json!({ "template": task });
    let count = job.machines.compute.count;
    if count > 1 {
        template["task_count"] = json!(count);
        template["parallelism"] = json!(count);
    }
    json!({
        "name": name,
        "location": "${var.region}",
        "annotations": { "mlpipe/pipeline": pipeline.name, "mlpipe/step": step.path },
        "deletion_protection": false,
        "template": template,
        "depends_on": ["google_project_service.apis"],
    })
}
