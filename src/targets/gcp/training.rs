//! `train` steps: Vertex AI custom jobs, with the code and the results in a bucket of the deployment.

use serde_json::{Map, Value, json};

use super::family::Family;
use super::frameworks::FRAMEWORKS;
use super::infra::{Terraform, WORKFLOW, bucket_address, project_role};
use super::jobs;
use super::limits::GcpProblem;
use super::names::{ACCOUNT, BUCKET, resource};
use crate::diagnostics::Problems;
use crate::model::{Kind, Pipeline, Runtime, Step, Train, identifier};
use crate::targets::instances::{self, Instance};
use crate::targets::package::{TRAINING, TRAINING_MODULE};
use crate::targets::{Artifacts, Sources};

/// File name of what a custom job starts.
pub const LAUNCHER_MODULE: &str = "mlpipe_launcher.py";
const LAUNCHER: &str = include_str!("../../../targets/gcp/launcher.py");
/// The key of what is made for trainings: the bucket, the account, the role. No bucket of a pipeline has a key that ends so.
const KEY: &str = "training_";
/// What a job may run longer than its step: the workflow ends it, and the service only where the workflow cannot.
const GRACE: u64 = 60;
/// Characters of a display name (reference of CustomJob).
const TITLE: usize = 128;
const MEMBER: &str = "${google_service_account.training.member}";

/// Steps that train.
pub fn trainings(pipeline: &Pipeline) -> impl Iterator<Item = (&Step, &Train)> {
    pipeline.steps.iter().filter_map(|step| match &step.kind {
        Kind::Train(train) => Some((step, train.as_ref())),
        _ => None,
    })
}

fn instance(step: &Step, train: &Train) -> Result<&'static Instance, GcpProblem> {
    jobs::instance(&instances::GCP.vertex_training, step, &train.machines)
}

/// What of the trainings Vertex AI does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for (step, train) in trainings(pipeline) {
        match &train.runtime {
            Runtime::Image(image) if image.gcp.is_none() => problems.push(GcpProblem::Image {
                step: step.path.clone(),
                span: step.span,
            }),
            Runtime::Image(_) | Runtime::Framework(..) => {}
        }
        if let Err(problem) = instance(step, train) {
            problems.push(problem);
        }
    }
}

/// What of a job is the same for each attempt, as the subworkflow that runs it takes it.
pub fn job(root: &Pipeline, pipeline: &Pipeline, step: &Step, train: &Train) -> Value {
    // Refused before where there is none.
    let instance = instance(step, train).ok();
    let gpu = instance.and_then(|instance| instance.gpu);
    let image = image(root, &train.runtime, gpu.is_some());
    let machine = machine(instance);
    let workers = train.machines.compute.count;
    let mut scheduling = json!({ "timeout": format!("{}s", step.attempt_timeout() + GRACE) });
    if train.spot {
        scheduling["strategy"] = json!("SPOT");
    }
    if workers > 1 {
        // The others wait for ever for one that comes back.
        scheduling["restartJobOnWorkerRestart"] = json!(true);
    }
    let title: String = format!("{}/{}", pipeline.name, step.path).chars().take(TITLE).collect();
    json!({
        "title": title,
        "pipeline": pipeline.name,
        "bucket": bucket(root),
        "account": account(root),
        "package": train.package,
        "script": train.entrypoint,
        "image": image,
        "machine": machine,
        "others": (workers > 1).then(|| json!({ "replicaCount": workers - 1 })),
        "scheduling": scheduling,
    })
}

/// A `MachineSpec`.
pub fn machine(instance: Option<&Instance>) -> Value {
    let mut machine = Map::new();
    if let Some(instance) = instance {
        machine.insert("machineType".to_owned(), json!(instance.machine()));
        if let (Some(gpu), Some(accelerator)) = (instance.gpu, &instance.accelerator) {
            machine.insert("acceleratorType".to_owned(), json!(accelerator));
            machine.insert("acceleratorCount".to_owned(), json!(gpu.count));
        }
    }
    Value::Object(machine)
}

/// The image of a job; what pip must install in it is what [`pins`] gives.
pub fn image(root: &Pipeline, runtime: &Runtime, with_gpu: bool) -> Option<String> {
    match runtime {
        Runtime::Framework(framework, version) => FRAMEWORKS
            .pick(*framework, version)
            .map(|image| image.name(root.targets.gcp.region.as_deref(), with_gpu)),
        Runtime::Image(image) => image.gcp.clone(),
    }
}

/// Requirements that pip installs before anything runs: the framework, where no image has its version.
pub fn pins(runtime: &Runtime) -> Vec<String> {
    match runtime {
        Runtime::Framework(framework, version) => FRAMEWORKS
            .pick(*framework, version)
            .map(|image| image.lacks(*framework, version))
            .unwrap_or_default(),
        Runtime::Image(_) => Vec::new(),
    }
}

/// The bucket's name behind the project and a dash.
fn bucket(root: &Pipeline) -> String {
    resource(&[&root.name, "training"], BUCKET)
}

/// The account's name before `@`.
fn account(root: &Pipeline) -> String {
    resource(&[&root.name, "training"], ACCOUNT)
}

/// The bucket, and who may do what.
pub fn resources(family: &Family<'_>, document: &mut Terraform) {
    if !family.has_trainings() {
        return;
    }
    let root = family.root;
    document.resource(
        "google_storage_bucket",
        KEY,
        json!({
            "name": format!("${{var.project}}-{}", bucket(root)),
            "location": "${var.region}",
            "uniform_bucket_level_access": true,
            "public_access_prevention": "enforced",
            "depends_on": ["google_project_service.apis"],
        }),
    );
    let name = format!("${{google_storage_bucket.{KEY}.name}}");
    let mut on_bucket = |key: &str, role: &str, member: &str, under: Option<&str>| {
        let mut body = json!({ "bucket": name, "role": role, "member": member });
        if let Some(folder) = under {
            body["condition"] = json!({
                "title": folder,
                "expression": format!("resource.name.startsWith(\"projects/_/buckets/{name}/objects/{folder}/\")"),
            });
        }
        document.resource("google_storage_bucket_iam_member", format!("{KEY}{key}"), body);
    };
    // A job lists and reads the whole bucket as files, and writes what comes of it. Without the right to list, an object that is not there could
    // not be told from one that must not be read: the workflow has it too.
    on_bucket("reads", "roles/storage.objectViewer", MEMBER, None);
    on_bucket("writes", "roles/storage.objectUser", MEMBER, Some("runs"));
    on_bucket("workflow", "roles/storage.objectViewer", WORKFLOW, None);
    // Models are there for the steps that follow.
    for (account, uses) in [("functions", family.has_functions()), ("jobs", family.has_jobs())] {
        if uses {
            let member = format!("${{google_service_account.{account}.member}}");
            on_bucket(account, "roles/storage.objectViewer", &member, None);
        }
    }
    for bucket in &root.buckets {
        document.resource(
            "google_storage_bucket_iam_member",
            format!("{KEY}data_{}", identifier(&bucket.id)),
            json!({
                "bucket": format!("${{{}.name}}", bucket_address(bucket)),
                "role": "roles/storage.objectViewer",
                "member": MEMBER,
            }),
        );
    }
    document.resource(
        "google_project_iam_custom_role",
        KEY,
        json!({
            "role_id": format!("{}_training", identifier(&root.name)),
            "title": format!("{}: starts and ends trainings", root.name),
            "permissions": ["aiplatform.customJobs.cancel", "aiplatform.customJobs.create", "aiplatform.customJobs.get"],
        }),
    );
    let role = format!("${{google_project_iam_custom_role.{KEY}.name}}");
    project_role("workflow_training", &role, WORKFLOW, document);
    project_role("training_logs", "roles/logging.logWriter", MEMBER, document);
    document.resource(
        "google_service_account_iam_member",
        "workflow_training",
        json!({
            "service_account_id": "${google_service_account.training.name}",
            "role": "roles/iam.serviceAccountUser",
            "member": WORKFLOW,
        }),
    );
    document.output.insert(
        "training".to_owned(),
        json!({
            "description": "The bucket of training code and of what comes of it.",
            "value": format!("${{google_storage_bucket.{KEY}.url}}"),
        }),
    );
}

/// The packages of code, each once.
pub fn packages<'a>(family: &Family<'a>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for member in &family.members {
        for (_, train) in trainings(member.pipeline) {
            if !found.contains(&train.package.as_str()) {
                found.push(&train.package);
            }
        }
    }
    found
}

/// What pip installs in the images of trainings, each set once.
pub fn pinned(family: &Family<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for member in &family.members {
        for (_, train) in trainings(member.pipeline) {
            let pins = pins(&train.runtime).join(" ");
            if !pins.is_empty() && !found.contains(&pins) {
                found.push(pins);
            }
        }
    }
    found
}

/// Adds `training/<package>/…`.
pub fn add(pipeline: &Pipeline, sources: &Sources, artifacts: &mut Artifacts) {
    for (_, train) in trainings(pipeline) {
        let folder = format!("training/{}", train.package);
        for (path, bytes) in sources.folders.get(&train.source).into_iter().flatten() {
            artifacts.files.insert(format!("{folder}/{path}"), bytes.clone());
        }
        artifacts.text(format!("{folder}/{TRAINING_MODULE}"), TRAINING);
        artifacts.text(format!("{folder}/{LAUNCHER_MODULE}"), LAUNCHER);
    }
}
