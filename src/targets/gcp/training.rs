//! `train` and `batch_predict` steps: Vertex AI custom jobs, with the code and the results in a bucket of the deployment.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::family::Family;
use super::frameworks::FRAMEWORKS;
use super::infra::{Terraform, WORKFLOW, bucket_address, project_role};
use super::jobs;
use super::limits::GcpProblem;
use super::names::{ACCOUNT, BUCKET, resource};
use crate::diagnostics::Problems;
use crate::expr::ExprKind;
use crate::model::{BatchPredict, Kind, Machines, Pipeline, Runtime, Step, Train, identifier};
use crate::targets::instances::{self, Instance};
use crate::targets::package::{PREDICTING, PREDICTING_MODULE, SERVING, SERVING_MODULE, TRAINING, TRAINING_MODULE};
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
/// The folder of what predicts for files. No package of a user's has a dash.
const PREDICTING_PACKAGE: &str = "mlpipe-predicting";

/// Steps that train.
pub fn trainings(pipeline: &Pipeline) -> impl Iterator<Item = (&Step, &Train)> {
    pipeline.steps.iter().filter_map(|step| match &step.kind {
        Kind::Train(train) => Some((step, train.as_ref())),
        _ => None,
    })
}

/// Steps that predict for files.
pub fn predictions(pipeline: &Pipeline) -> impl Iterator<Item = (&Step, &BatchPredict)> {
    pipeline.steps.iter().filter_map(|step| match &step.kind {
        Kind::BatchPredict(batch) => Some((step, batch.as_ref())),
        _ => None,
    })
}

/// What the custom jobs of a pipeline run in and on.
fn custom_jobs(pipeline: &Pipeline) -> impl Iterator<Item = (&Step, &Runtime, &Machines)> {
    let trainings = trainings(pipeline).map(|(step, train)| (step, &train.runtime, &train.machines));
    trainings.chain(predictions(pipeline).map(|(step, batch)| (step, &batch.runtime, &batch.machines)))
}

fn instance(step: &Step, machines: &Machines) -> Result<&'static Instance, GcpProblem> {
    jobs::instance(&instances::GCP.vertex_training, step, machines)
}

/// What of the custom jobs Vertex AI does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for (step, runtime, machines) in custom_jobs(pipeline) {
        match runtime {
            Runtime::Image(image) if image.gcp.is_none() => problems.push(GcpProblem::Image {
                step: step.path.clone(),
                span: step.span,
            }),
            Runtime::Image(_) | Runtime::Framework(..) => {}
        }
        if let Err(problem) = instance(step, machines) {
            problems.push(problem);
        }
    }
}

/// What of a training is the same for each attempt, as the subworkflow that runs it takes it.
pub fn job(root: &Pipeline, pipeline: &Pipeline, step: &Step, train: &Train) -> Value {
    let workers = train.machines.compute.count;
    let mut job = custom_job(root, pipeline, step, (&train.runtime, &train.machines));
    job["what"] = json!("training");
    job["account"] = json!(account(root, TRAINS));
    job["package"] = json!(train.package);
    job["script"] = json!(train.entrypoint);
    if train.spot {
        job["scheduling"]["strategy"] = json!("SPOT");
    }
    if workers > 1 {
        // The others wait for ever for one that comes back.
        job["scheduling"]["restartJobOnWorkerRestart"] = json!(true);
        job["others"] = json!({ "replicaCount": workers - 1 });
    }
    job
}

/// The same of predictions for files.
pub fn batch(root: &Pipeline, pipeline: &Pipeline, step: &Step, batch: &BatchPredict) -> Value {
    let mut job = custom_job(root, pipeline, step, (&batch.runtime, &batch.machines));
    job["what"] = json!("job");
    job["account"] = json!(account(root, PREDICTS));
    job["package"] = json!(PREDICTING_PACKAGE);
    job["script"] = json!(PREDICTING_MODULE);
    job["arguments"] = json!([]);
    job
}

/// One instance with its image.
fn custom_job(root: &Pipeline, pipeline: &Pipeline, step: &Step, on: (&Runtime, &Machines)) -> Value {
    let (runtime, machines) = on;
    // Refused before where there is none.
    let instance = instance(step, machines).ok();
    let gpu = instance.and_then(|instance| instance.gpu);
    let machine = machine(instance);
    let title: String = format!("{}/{}", pipeline.name, step.path).chars().take(TITLE).collect();
    json!({
        "what": null,
        "title": title,
        "pipeline": pipeline.name,
        "bucket": bucket(root),
        "account": null,
        "package": null,
        "script": null,
        "image": image(root, runtime, gpu.is_some()),
        "machine": machine,
        "others": null,
        "scheduling": { "timeout": format!("{}s", step.attempt_timeout() + GRACE) },
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
            .map(|(image, _)| image.name(root.targets.gcp.region.as_deref(), with_gpu)),
        Runtime::Image(image) => image.gcp.clone(),
    }
}

/// Requirements that pip installs before anything runs: the framework, where no image has its version.
pub fn pins(runtime: &Runtime) -> Vec<String> {
    match runtime {
        Runtime::Framework(framework, version) => FRAMEWORKS
            .pick(*framework, version)
            .map(|(_, requirements)| requirements)
            .unwrap_or_default(),
        Runtime::Image(_) => Vec::new(),
    }
}

/// The bucket's name behind the project and a dash.
fn bucket(root: &Pipeline) -> String {
    resource(&[&root.name, "training"], BUCKET)
}

/// Keys of the accounts that custom jobs run as.
pub const TRAINS: &str = "training";
/// That of predictions, which alone write to buckets of the pipeline.
pub const PREDICTS: &str = "predicting";

/// An account's name before `@`.
fn account(root: &Pipeline, key: &str) -> String {
    resource(&[&root.name, key], ACCOUNT)
}

/// The bucket, and who may do what.
pub fn resources(family: &Family<'_>, document: &mut Terraform) {
    if !family.has_custom_jobs() {
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
    if family.has_trainings() {
        on_bucket("reads", VIEWER, &member(TRAINS), None);
        on_bucket("writes", USER, &member(TRAINS), Some("runs"));
    }
    if family.has_predictions() {
        on_bucket("predicting_reads", VIEWER, &member(PREDICTS), None);
        on_bucket("predicting_writes", USER, &member(PREDICTS), Some("runs"));
    }
    on_bucket("workflow", VIEWER, WORKFLOW, None);
    // Models are there for the steps that follow.
    for (account, uses) in [("functions", family.has_functions()), ("jobs", family.has_jobs())] {
        if uses {
            on_bucket(account, VIEWER, &member(account), None);
        }
    }
    let written = written(family);
    for bucket in &root.buckets {
        let mut on_data = |key: &str, role: &str, account: &str| {
            document.resource(
                "google_storage_bucket_iam_member",
                format!("{KEY}{key}_{}", identifier(&bucket.id)),
                json!({
                    "bucket": format!("${{{}.name}}", bucket_address(bucket)),
                    "role": role,
                    "member": member(account),
                }),
            );
        };
        if family.has_trainings() {
            on_data("data", VIEWER, TRAINS);
        }
        if family.has_predictions() {
            let role = if written.contains(bucket.id.as_str()) {
                USER
            } else {
                VIEWER
            };
            on_data("predicting_data", role, PREDICTS);
        }
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
    for (account, uses) in [(TRAINS, family.has_trainings()), (PREDICTS, family.has_predictions())] {
        if !uses {
            continue;
        }
        project_role(
            &format!("{account}_logs"),
            "roles/logging.logWriter",
            &member(account),
            document,
        );
        document.resource(
            "google_service_account_iam_member",
            format!("workflow_{account}"),
            json!({
                "service_account_id": format!("${{google_service_account.{account}.name}}"),
                "role": "roles/iam.serviceAccountUser",
                "member": WORKFLOW,
            }),
        );
    }
    document.output.insert(
        "training".to_owned(),
        json!({
            "description": "The bucket of training code and of what comes of it.",
            "value": format!("${{google_storage_bucket.{KEY}.url}}"),
        }),
    );
    if family.has_predictions() {
        document.output.insert(
            "predicting".to_owned(),
            json!({
                "description": "The account that predicts for files.",
                "value": format!("${{google_service_account.{PREDICTS}.email}}"),
            }),
        );
    }
}

const VIEWER: &str = "roles/storage.objectViewer";
const USER: &str = "roles/storage.objectUser";

fn member(account: &str) -> String {
    format!("${{google_service_account.{account}.member}}")
}

/// The buckets that predictions go to: those that the outputs name, and all of them where one names none.
fn written<'a>(family: &Family<'a>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (_, batch) in family.members.iter().flat_map(|member| predictions(member.pipeline)) {
        let mut named = BTreeSet::new();
        batch.output.each_expr(&mut |expr| {
            expr.walk(&mut |part| {
                if let ExprKind::BucketUri(bucket) | ExprKind::BucketName(bucket) = &part.kind {
                    named.insert(bucket.clone());
                }
            });
        });
        let buckets = family.root.buckets.iter().map(|bucket| bucket.id.as_str());
        found.extend(buckets.filter(|bucket| named.is_empty() || named.contains(*bucket)));
    }
    found
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
    if family.has_predictions() {
        found.push(PREDICTING_PACKAGE);
    }
    found
}

/// What pip installs in the images of custom jobs, each set once.
pub fn pinned(family: &Family<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for member in &family.members {
        for (_, runtime, _) in custom_jobs(member.pipeline) {
            let pins = pins(runtime).join(" ");
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
    if predictions(pipeline).next().is_some() {
        for (file, text) in [
            (TRAINING_MODULE, TRAINING),
            (LAUNCHER_MODULE, LAUNCHER),
            (PREDICTING_MODULE, PREDICTING),
            (SERVING_MODULE, SERVING),
        ] {
            artifacts.text(format!("training/{PREDICTING_PACKAGE}/{file}"), text);
        }
    }
}
