//! Endpoints: managed online endpoints of the Azure Machine Learning workspace, which the app makes and updates. What is here is what they
//! share: who they run as, what they run in, and where that is built.

use serde_json::{Value, json};

use super::facts::RESOURCES;
use super::frameworks::FRAMEWORKS;
use super::infra::{self, IDENTITY_ID, role, role_of};
use super::jobs::instance;
use super::layout::Py;
use super::limits::AzureProblem;
use super::training::{self, WORKSPACE_ID};
use crate::diagnostics::Problems;
use crate::expr::python;
use crate::model::{Endpoint, Kind, Pipeline, Runtime, Step, Variant, identifier};
use crate::targets::package::{SERVING, SERVING_MODULE};
use crate::targets::{Artifacts, instances, packages};

/// The identity that endpoints run as.
pub const SERVING_IDENTITY_ID: &str =
    "resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', concat(variables('app'), '-serving'))";
const REGISTRY_ID: &str = "resourceId('Microsoft.ContainerRegistry/registries', concat('ml', variables('suffix')))";
/// The id of the role that lets the app write autoscale settings.
const AUTOSCALE_ROLE: &str = "guid(resourceGroup().id, variables('app'), 'autoscale')";
const SCORE: &str = include_str!("../../../targets/azure/score.py");

/// Steps that serve, with their pipelines.
pub fn all(pipeline: &Pipeline) -> impl Iterator<Item = (&Pipeline, &Step, &Endpoint)> {
    pipeline.family().into_iter().flat_map(|member| {
        member.steps.iter().filter_map(move |step| match &step.kind {
            Kind::Endpoint(endpoint) => Some((member, step, endpoint.as_ref())),
            _ => None,
        })
    })
}

/// Whether there are endpoints.
pub fn used(pipeline: &Pipeline) -> bool {
    all(pipeline).next().is_some()
}

/// Whether a framework serves, in an image that is built here.
pub fn builds(pipeline: &Pipeline) -> bool {
    all(pipeline).any(|(_, _, endpoint)| matches!(endpoint.runtime, Runtime::Framework(..)))
}

/// Whether what is asked of an endpoint is kept.
fn captures(pipeline: &Pipeline) -> bool {
    all(pipeline).any(|(_, _, endpoint)| endpoint.captured)
}

fn autoscales(pipeline: &Pipeline) -> bool {
    all(pipeline).any(|(_, _, endpoint)| endpoint.autoscale.is_some())
}

/// The name of an endpoint, as an expression. A region has one of a name, of at most 32 characters.
pub fn endpoint_name(name: &str) -> String {
    format!("concat('{name}-', substring(variables('suffix'), 0, 11))")
}

/// The app setting with the name of an endpoint.
pub fn endpoint_setting(name: &str) -> String {
    format!("MLPIPE_ENDPOINT_{}", identifier(name))
}

/// The app setting with the id of a step's environment.
fn environment_setting(member: &Pipeline, step: &Step) -> String {
    format!(
        "MLPIPE_SERVING_{}__{}",
        identifier(&member.name),
        identifier(&step.path)
    )
}

/// What of the endpoints Azure Machine Learning does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for step in &pipeline.steps {
        let Kind::Endpoint(endpoint) = &step.kind else { continue };
        if matches!(&endpoint.runtime, Runtime::Image(image) if image.azure.is_none()) {
            problems.push(AzureProblem::Image {
                step: step.path.clone(),
                span: step.span,
            });
        }
        for variant in &endpoint.variants {
            if let Err(problem) = machine(step, variant) {
                problems.push(problem);
            }
        }
    }
}

fn machine(step: &Step, variant: &Variant) -> Result<&'static instances::Instance, AzureProblem> {
    let table = &instances::AZURE.ml_online_endpoints;
    instance(table, step, &variant.machines)
}

/// What of a step never changes, as the app reads it.
pub fn fields(member: &Pipeline, step: &Step, endpoint: &Endpoint) -> Vec<(Option<&'static str>, Py)> {
    let variants = endpoint
        .variants
        .iter()
        .zip(endpoint.percents())
        .map(|(variant, percent)| {
            // Refused before where there is none.
            let machine = machine(step, variant).map_or("", instances::Instance::machine);
            let own = json!({"instance": machine, "count": variant.machines.compute.count, "percent": percent});
            (python::string_literal(&variant.name), Py::value(&own))
        });
    let from_environment = |name: &str| Py::Text(format!("os.environ[{}]", python::string_literal(name)));
    let mut fields = vec![
        (Some("endpoint"), from_environment(&endpoint_setting(&endpoint.name))),
        (Some("name"), Py::string(&endpoint.name)),
        (
            Some("environment"),
            from_environment(&environment_setting(member, step)),
        ),
        (Some("variants"), Py::Dict(variants.collect())),
    ];
    if matches!(endpoint.runtime, Runtime::Image(_)) {
        fields.push((Some("scores"), Py::Text("False".to_owned())));
    }
    if endpoint.captured {
        fields.push((Some("captured"), Py::Text("True".to_owned())));
    }
    if let Some(scale) = endpoint.autoscale {
        let value = json!({"min": scale.min, "max": scale.max, "requests": scale.target_invocations});
        fields.push((Some("autoscale"), Py::value(&value)));
    }
    fields
}

/// The app's settings, beside those of the workspace.
pub fn settings(pipeline: &Pipeline) -> Vec<(String, String)> {
    if !used(pipeline) {
        return Vec::new();
    }
    let mut settings = vec![
        ("MLPIPE_ML_LOCATION".to_owned(), "[parameters('location')]".to_owned()),
        (
            "MLPIPE_ML_SERVING_IDENTITY".to_owned(),
            format!("[{SERVING_IDENTITY_ID}]"),
        ),
    ];
    if autoscales(pipeline) {
        settings.push(("MLPIPE_ML_AUTOSCALES".to_owned(), "1".to_owned()));
    }
    for (member, step, endpoint) in all(pipeline) {
        let name = (
            endpoint_setting(&endpoint.name),
            format!("[{}]", endpoint_name(&endpoint.name)),
        );
        if !settings.contains(&name) {
            settings.push(name);
        }
        settings.push((
            environment_setting(member, step),
            format!("[{}]", environment_id(&environment(endpoint))),
        ));
    }
    settings
}

/// What an endpoint runs in.
#[derive(PartialEq, Eq)]
enum Environment {
    /// A Python with these packages, as the text of a conda file.
    Built(String),
    /// An image of the user's.
    Image(String),
}

fn environment(endpoint: &Endpoint) -> Environment {
    let serving = &FRAMEWORKS.serving;
    match &endpoint.runtime {
        Runtime::Image(image) => Environment::Image(image.azure.clone().unwrap_or_default()),
        Runtime::Framework(framework, version) => {
            let mut wanted = serving.packages.clone();
            wanted.extend(packages::requirements(framework.name(), version));
            if endpoint.captured {
                wanted.extend(serving.captures.iter().cloned());
            }
            let file = json!({
                "channels": ["conda-forge"],
                "dependencies": [format!("python={}", serving.python), "pip", {"pip": wanted}],
            });
            Environment::Built(file.to_string())
        }
    }
}

impl Environment {
    /// Its name, as an expression: one that changes is another, since versions do not change.
    fn name(&self) -> String {
        let text = match self {
            Self::Built(file) => format!("{} {file}", FRAMEWORKS.serving.image),
            Self::Image(image) => image.clone(),
        };
        format!("concat('serving-', uniqueString('{}'))", text.replace('\'', "''"))
    }

    /// JSON is YAML too. An image of the user's is asked as SageMaker asks its own.
    fn properties(&self) -> Value {
        match self {
            Self::Built(file) => json!({"image": FRAMEWORKS.serving.image, "condaFile": file, "osType": "Linux"}),
            Self::Image(image) => {
                let route = |path: &str| json!({"path": path, "port": 8080});
                json!({
                    "image": infra::text(image),
                    "osType": "Linux",
                    "inferenceConfig": {
                        "livenessRoute": route("/ping"),
                        "readinessRoute": route("/ping"),
                        "scoringRoute": route("/invocations"),
                    },
                })
            }
        }
    }
}

fn environment_id(environment: &Environment) -> String {
    training::environment_id(&environment.name())
}

/// The registry of images that are built, as the workspace names it.
pub fn registry(pipeline: &Pipeline) -> Option<&'static str> {
    builds(pipeline).then_some(REGISTRY_ID)
}

/// Environments, the registry of what is built, and who may do what.
pub fn resources(pipeline: &Pipeline) -> Vec<Value> {
    if !used(pipeline) {
        return Vec::new();
    }
    let roles = &RESOURCES.roles;
    let mut environments: Vec<Environment> = Vec::new();
    for environment in all(pipeline).map(|(_, _, endpoint)| environment(endpoint)) {
        if !environments.contains(&environment) {
            environments.push(environment);
        }
    }
    let mut resources = Vec::new();
    if builds(pipeline) {
        resources.push(json!({
            "type": "Microsoft.ContainerRegistry/registries",
            "apiVersion": RESOURCES.api_versions.container_registry,
            "name": "[concat('ml', variables('suffix'))]",
            "location": "[parameters('location')]",
            "sku": {"name": "Basic"},
            "properties": {"adminUserEnabled": false},
        }));
        resources.push(role_of(SERVING_IDENTITY_ID, REGISTRY_ID, &roles.acr_pull));
    }
    resources.extend(
        environments
            .iter()
            .flat_map(|environment| training::environment_resources(&environment.name(), &environment.properties())),
    );
    // To have endpoints run as that identity.
    resources.push(role(SERVING_IDENTITY_ID, &roles.managed_identity_operator));
    resources.push(role_of(
        SERVING_IDENTITY_ID,
        WORKSPACE_ID,
        &roles.azureml_metrics_writer,
    ));
    let artifacts = training::artifacts_id();
    let of_artifacts = if captures(pipeline) {
        &roles.storage_blob_data_contributor
    } else {
        &roles.storage_blob_data_reader
    };
    resources.push(role_of(SERVING_IDENTITY_ID, &artifacts, of_artifacts));
    if autoscales(pipeline) {
        resources.extend(autoscale_role());
    }
    resources
}

/// No built-in role is as narrow.
fn autoscale_role() -> [Value; 2] {
    let api = &RESOURCES.api_versions;
    let id = format!("resourceId('Microsoft.Authorization/roleDefinitions', {AUTOSCALE_ROLE})");
    let actions = ["read", "write", "delete"].map(|action| format!("Microsoft.Insights/autoscaleSettings/{action}"));
    [
        json!({
            "type": "Microsoft.Authorization/roleDefinitions",
            "apiVersion": api.authorization,
            "name": format!("[{AUTOSCALE_ROLE}]"),
            "properties": {
                "roleName": "[concat('Autoscale settings of ', variables('app'))]",
                "description": "Writes autoscale settings.",
                "type": "CustomRole",
                "permissions": [{"actions": actions}],
                "assignableScopes": ["[resourceGroup().id]"],
            },
        }),
        json!({
            "type": "Microsoft.Authorization/roleAssignments",
            "apiVersion": api.authorization,
            "name": format!("[guid(resourceGroup().id, {IDENTITY_ID}, 'autoscale')]"),
            "properties": {
                "roleDefinitionId": format!("[{id}]"),
                "principalId": format!("[reference({IDENTITY_ID}, '{}').principalId]", api.managed_identity),
                "principalType": "ServicePrincipal",
            },
            "dependsOn": [format!("[{id}]"), format!("[{IDENTITY_ID}]")],
        }),
    ]
}

/// Adds `serving/…`: what endpoints of frameworks run.
pub fn add(pipeline: &Pipeline, artifacts: &mut Artifacts) {
    if builds(pipeline) {
        artifacts.text(format!("serving/{SERVING_MODULE}"), SERVING);
        artifacts.text("serving/score.py", SCORE);
    }
}
