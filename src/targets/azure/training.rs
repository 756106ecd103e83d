//! Training and predictions for files: jobs of an Azure Machine Learning workspace on serverless compute, with the code and what comes of them in a container of its
//! storage account.

use serde_json::{Value, json};

use super::facts::RESOURCES;
use super::frameworks::FRAMEWORKS;
use super::infra::{self, JOBS_IDENTITY_ID, role, role_of};
use super::jobs::instance;
use super::layout::Py;
use super::limits::AzureProblem;
use super::monitoring;
use super::serving;
use crate::diagnostics::Problems;
use crate::expr::python;
use crate::model::{Kind, Machines, Pipeline, Runtime, Step, Train, identifier};
use crate::targets::instances;
use crate::targets::package::{PREDICTING, PREDICTING_MODULE, SERVING, SERVING_MODULE, TRAINING, TRAINING_MODULE};
use crate::targets::{Artifacts, Sources};

/// The variable with the name of the workspace's storage account.
pub const STORAGE: &str = "mlStorage";
/// What an app setting's name with the id of an image's environment starts with.
const ENVIRONMENT: &str = "MLPIPE_ENVIRONMENT";
/// The name of the workspace.
pub const WORKSPACE: &str = "concat('ml-', variables('suffix'))";
/// The workspace.
pub const WORKSPACE_ID: &str =
    "resourceId('Microsoft.MachineLearningServices/workspaces', concat('ml-', variables('suffix')))";
const VAULT_ID: &str = "resourceId('Microsoft.KeyVault/vaults', concat('ml-', variables('suffix')))";
/// The container of the code and of what comes of it.
pub const ARTIFACTS: &str = "artifacts";
/// The folder of the code that predicts; `mlpipe_batch.py` names it too.
pub const PREDICTING_PACKAGE: &str = "mlpipe_predicting";
const LAUNCHER_MODULE: &str = "mlpipe_launcher.py";
const LAUNCHER: &str = include_str!("../../../targets/azure/launcher.py");

/// Steps that train, with their pipelines.
pub fn all(pipeline: &Pipeline) -> impl Iterator<Item = (&Pipeline, &Step, &Train)> {
    pipeline.family().into_iter().flat_map(|member| {
        member.steps.iter().filter_map(move |step| match &step.kind {
            Kind::Train(train) => Some((member, step, train.as_ref())),
            _ => None,
        })
    })
}

/// Whether there is a workspace.
pub fn has_workspace(pipeline: &Pipeline) -> bool {
    used(pipeline) || serving::used(pipeline)
}

/// The container of the code and of what comes of it.
pub fn artifacts_id() -> String {
    infra::container_id(STORAGE, ARTIFACTS)
}

/// Whether the workspace runs jobs.
pub fn used(pipeline: &Pipeline) -> bool {
    runtimes(pipeline).next().is_some() || monitoring::drifts(pipeline)
}

/// What the jobs of the workspace run in, with their steps and pipelines.
fn runtimes(pipeline: &Pipeline) -> impl Iterator<Item = (&Pipeline, &Step, &Runtime)> {
    pipeline.family().into_iter().flat_map(|member| {
        let steps = member.steps.iter();
        steps.filter_map(move |step| launched(step).map(|(runtime, _)| (member, step, runtime)))
    })
}

/// What a step's job runs in and on.
fn launched(step: &Step) -> Option<(&Runtime, &Machines)> {
    match &step.kind {
        Kind::Train(train) => Some((&train.runtime, &train.machines)),
        Kind::BatchPredict(batch) => Some((&batch.runtime, &batch.machines)),
        _ => None,
    }
}

/// What of the jobs Azure Machine Learning does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for step in &pipeline.steps {
        let Some((runtime, machines)) = launched(step) else {
            continue;
        };
        match runtime {
            Runtime::Image(image) if image.azure.is_none() => problems.push(AzureProblem::Image {
                step: step.path.clone(),
                span: step.span,
            }),
            Runtime::Image(_) | Runtime::Framework(..) => {}
        }
        if let Err(problem) = machine(step, machines) {
            problems.push(problem);
        }
    }
}

fn machine(step: &Step, machines: &Machines) -> Result<&'static instances::Instance, AzureProblem> {
    let table = &instances::AZURE.ml_training;
    instance(table, step, machines)
}

fn setting(member: &Pipeline, step: &Step) -> String {
    format!("{ENVIRONMENT}_{}__{}", identifier(&member.name), identifier(&step.path))
}

/// What of a training never changes, as the app reads it.
pub fn fields(member: &Pipeline, step: &Step, train: &Train) -> Vec<(Option<&'static str>, Py)> {
    let mut fields = vec![
        (Some("code"), Py::string(&train.package)),
        (Some("script"), Py::string(&train.entrypoint)),
    ];
    fields.extend(job_fields(member, step, &train.runtime, &train.machines));
    if train.machines.compute.count > 1 {
        fields.push((Some("count"), Py::Text(train.machines.compute.count.to_string())));
    }
    if train.spot {
        fields.push((Some("spot"), Py::Text("True".to_owned())));
    }
    fields
}

/// What a job runs in and on, as the app reads it.
pub fn job_fields(
    member: &Pipeline,
    step: &Step,
    runtime: &Runtime,
    machines: &Machines,
) -> Vec<(Option<&'static str>, Py)> {
    let (environment, requirements) = match runtime {
        Runtime::Framework(framework, version) => FRAMEWORKS.pick(*framework, version).map_or_else(
            || (Py::string(""), Vec::new()),
            |picked| (Py::string(&picked.environment), picked.requirements),
        ),
        Runtime::Image(_) => {
            let setting = python::string_literal(&setting(member, step));
            (Py::Text(format!("os.environ[{setting}]")), Vec::new())
        }
    };
    // Refused before where there is none.
    let machine = machine(step, machines).map_or("", instances::Instance::machine);
    let mut fields = vec![
        (Some("environment"), environment),
        (Some("instance"), Py::string(machine)),
    ];
    if !requirements.is_empty() {
        let packages = requirements.iter().map(|package| Py::string(package));
        fields.push((Some("requirements"), Py::List(packages.collect())));
    }
    fields
}

/// The app's settings.
pub fn settings(pipeline: &Pipeline) -> Vec<(String, String)> {
    if !has_workspace(pipeline) {
        return Vec::new();
    }
    let api = &RESOURCES.api_versions.managed_identity;
    let mut settings = vec![
        ("MLPIPE_ML_WORKSPACE".to_owned(), format!("[{WORKSPACE_ID}]")),
        ("MLPIPE_ML_STORAGE".to_owned(), format!("[variables('{STORAGE}')]")),
    ];
    if used(pipeline) {
        settings.push((
            "MLPIPE_ML_CLIENT_ID".to_owned(),
            format!("[reference({JOBS_IDENTITY_ID}, '{api}').clientId]"),
        ));
    }
    settings.extend(runtimes(pipeline).filter_map(|(member, step, runtime)| {
        let id = environment_id(&environment(image(runtime)?));
        Some((setting(member, step), format!("[{id}]")))
    }));
    settings
}

fn image(runtime: &Runtime) -> Option<&str> {
    match runtime {
        Runtime::Image(image) => image.azure.as_deref(),
        Runtime::Framework(..) => None,
    }
}

/// The name of an image's environment: one that changes is another, since versions do not change.
fn environment(image: &str) -> String {
    format!("concat('image-', uniqueString('{}'))", image.replace('\'', "''"))
}

/// The id of an environment by the expression of its name.
pub fn environment_id(name: &str) -> String {
    format!(
        "resourceId('Microsoft.MachineLearningServices/workspaces/environments/versions', {WORKSPACE}, {name}, '1')"
    )
}

/// The workspace and what it needs, environments of the users' images, and who may do what.
pub fn resources(pipeline: &Pipeline) -> Vec<Value> {
    if !has_workspace(pipeline) {
        return Vec::new();
    }
    let launches = used(pipeline);
    let roles = &RESOURCES.roles;
    let artifacts = artifacts_id();
    let mut resources = infra::storage_account(STORAGE, false);
    resources.push(infra::container(STORAGE, ARTIFACTS));
    resources.push(vault());
    resources.push(workspace(
        launches.then_some(JOBS_IDENTITY_ID),
        serving::registry(pipeline),
    ));
    resources.push(datastore(&artifacts));
    let mut images: Vec<&str> = runtimes(pipeline)
        .filter_map(|(_, _, runtime)| image(runtime))
        .collect();
    images.sort_unstable();
    images.dedup();
    resources.extend(images.into_iter().flat_map(|image| {
        let properties = json!({"image": infra::text(image), "osType": "Linux"});
        environment_resources(&environment(image), &properties)
    }));
    resources.push(role(WORKSPACE_ID, &roles.azureml_data_scientist));
    resources.push(role(&artifacts, &roles.storage_blob_data_reader));
    if launches {
        // To have jobs run as that identity.
        resources.push(role(JOBS_IDENTITY_ID, &roles.managed_identity_operator));
        resources.push(role_of(
            JOBS_IDENTITY_ID,
            &artifacts,
            &roles.storage_blob_data_contributor,
        ));
    }
    resources
}

fn vault() -> Value {
    json!({
        "type": "Microsoft.KeyVault/vaults",
        "apiVersion": RESOURCES.api_versions.key_vault,
        "name": format!("[{WORKSPACE}]"),
        "location": "[parameters('location')]",
        "properties": {
            "tenantId": "[subscription().tenantId]",
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": true,
        },
    })
}

/// The workspace, with the identity of its jobs and the registry of the images that it builds. It may push there by itself: it has rights of its
/// own to what belongs to it.
fn workspace(jobs: Option<&str>, registry: Option<&str>) -> Value {
    let account = infra::account_id(STORAGE);
    let insights = "resourceId('Microsoft.Insights/components', variables('app'))";
    let needed = [Some(account.as_str()), Some(VAULT_ID), Some(insights), jobs, registry];
    let depends_on: Vec<String> = needed.into_iter().flatten().map(|id| format!("[{id}]")).collect();
    let identity = match jobs {
        Some(jobs) => json!({
            "type": "SystemAssigned,UserAssigned",
            "userAssignedIdentities": {format!("[{jobs}]"): {}},
        }),
        None => json!({"type": "SystemAssigned"}),
    };
    let mut properties = json!({
        "storageAccount": format!("[{account}]"),
        "keyVault": format!("[{VAULT_ID}]"),
        "applicationInsights": format!("[{insights}]"),
        "systemDatastoresAuthMode": "Identity",
    });
    if let Some(registry) = registry {
        properties["containerRegistry"] = json!(format!("[{registry}]"));
    }
    json!({
        "type": "Microsoft.MachineLearningServices/workspaces",
        "apiVersion": RESOURCES.api_versions.machine_learning,
        "name": format!("[{WORKSPACE}]"),
        "location": "[parameters('location')]",
        "identity": identity,
        "properties": properties,
        "dependsOn": depends_on,
    })
}

/// The container, as jobs name it.
fn datastore(artifacts: &str) -> Value {
    json!({
        "type": "Microsoft.MachineLearningServices/workspaces/datastores",
        "apiVersion": RESOURCES.api_versions.machine_learning,
        "name": format!("[concat({WORKSPACE}, '/{ARTIFACTS}')]"),
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": format!("[variables('{STORAGE}')]"),
            "containerName": ARTIFACTS,
            "credentials": {"credentialsType": "None"},
        },
        "dependsOn": [format!("[{WORKSPACE_ID}]"), format!("[{artifacts}]")],
    })
}

/// An environment and its only version.
pub fn environment_resources(name: &str, properties: &Value) -> [Value; 2] {
    let kind = "Microsoft.MachineLearningServices/workspaces/environments";
    let api = &RESOURCES.api_versions.machine_learning;
    [
        json!({
            "type": kind,
            "apiVersion": api,
            "name": format!("[concat({WORKSPACE}, '/', {name})]"),
            "properties": {},
            "dependsOn": [format!("[{WORKSPACE_ID}]")],
        }),
        json!({
            "type": format!("{kind}/versions"),
            "apiVersion": api,
            "name": format!("[concat({WORKSPACE}, '/', {name}, '/1')]"),
            "properties": properties,
            "dependsOn": [format!("[resourceId('{kind}', {WORKSPACE}, {name})]")],
        }),
    ]
}

/// Adds `training/<package>/…`.
pub fn add(pipeline: &Pipeline, sources: &Sources, artifacts: &mut Artifacts) {
    for (_, _, train) in all(pipeline) {
        let folder = format!("training/{}", train.package);
        for (path, bytes) in sources.folders.get(&train.source).into_iter().flatten() {
            artifacts.files.insert(format!("{folder}/{path}"), bytes.clone());
        }
        add_launcher(&folder, artifacts);
    }
    if predicts(pipeline) {
        let folder = format!("training/{PREDICTING_PACKAGE}");
        artifacts.text(format!("{folder}/{PREDICTING_MODULE}"), PREDICTING);
        artifacts.text(format!("{folder}/{SERVING_MODULE}"), SERVING);
        add_launcher(&folder, artifacts);
    }
}

fn add_launcher(folder: &str, artifacts: &mut Artifacts) {
    artifacts.text(format!("{folder}/{TRAINING_MODULE}"), TRAINING);
    artifacts.text(format!("{folder}/{LAUNCHER_MODULE}"), LAUNCHER);
}

/// Whether a step predicts for files.
pub fn predicts(pipeline: &Pipeline) -> bool {
    let mut steps = pipeline.family().into_iter().flat_map(|member| &member.steps);
    steps.any(|step| matches!(step.kind, Kind::BatchPredict(_)))
}
