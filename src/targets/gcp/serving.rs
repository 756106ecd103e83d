//! `endpoint` steps: endpoints of Vertex AI, which the workflow makes and updates.

use serde_json::{Map, Value, json};

use super::family::Family;
use super::infra::{Terraform, WORKFLOW, project_role};
use super::jobs;
use super::limits::GcpProblem;
use super::names::{SERVICE, resource};
use super::steps::expression;
use super::training;
use crate::diagnostics::Problems;
use crate::model::{Endpoint, Kind, Pipeline, Runtime, Step, Variant, identifier};
use crate::targets::instances::{self, Instance};

const KEY: &str = "serving_";
/// Where a container of mlpipe's or of a user's answers.
const HEALTH: &str = "/ping";
const PREDICT: &str = "/invocations";
const PORT: u16 = 8080;

/// Steps with endpoints.
pub fn endpoints(pipeline: &Pipeline) -> impl Iterator<Item = (&Step, &Endpoint)> {
    pipeline.steps.iter().filter_map(|step| match &step.kind {
        Kind::Endpoint(endpoint) => Some((step, endpoint.as_ref())),
        _ => None,
    })
}

fn instance(step: &Step, variant: &Variant) -> Result<&'static Instance, GcpProblem> {
    jobs::instance(&instances::GCP.vertex_prediction, step, &variant.machines)
}

/// What of the endpoints Vertex AI does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for (step, endpoint) in endpoints(pipeline) {
        if matches!(&endpoint.runtime, Runtime::Image(image) if image.gcp.is_none()) {
            problems.push(GcpProblem::Image {
                step: step.path.clone(),
                span: step.span,
            });
        }
        for variant in &endpoint.variants {
            if let Err(problem) = instance(step, variant) {
                problems.push(problem);
            }
        }
    }
}

/// The endpoint's id in Google Cloud.
pub fn id(root: &Pipeline, endpoint: &Endpoint) -> String {
    id_of(root, &endpoint.name)
}

/// The id of the endpoint with this name.
pub fn id_of(root: &Pipeline, name: &str) -> String {
    resource(&[&root.name, name], SERVICE)
}

/// The endpoint as the subworkflow that makes it takes it; `models` are the expressions of its variants' models.
pub fn endpoint(root: &Pipeline, pipeline: &Pipeline, step: &Step, endpoint: &Endpoint, models: Vec<Value>) -> Value {
    let percents = endpoint.percents();
    let variants: Vec<Value> = endpoint
        .variants
        .iter()
        .zip(models)
        .zip(percents)
        .map(|((variant, model), percent)| {
            // Refused before where there is none.
            let instance = instance(step, variant).ok();
            json!({
                "name": variant.name,
                "model": model,
                "container": container(root, endpoint, instance),
                "resources": resources_of(endpoint, variant, instance),
                "percent": percent,
            })
        })
        .collect();
    json!({
        "id": id(root, endpoint),
        "name": endpoint.name,
        "pipeline": pipeline.name,
        "variants": variants,
    })
}

/// The server is mlpipe's own in the image of the framework that trains too: Google's prediction images load other files than mlpipe's rules say.
fn container(root: &Pipeline, endpoint: &Endpoint, instance: Option<&Instance>) -> Value {
    let with_gpu = instance.is_some_and(|instance| instance.gpu.is_some());
    let mut container = Map::new();
    let image = training::image(root, &endpoint.runtime, with_gpu);
    container.insert("imageUri".to_owned(), json!(image));
    if matches!(endpoint.runtime, Runtime::Framework(..)) {
        container.insert("command".to_owned(), json!(["python3"]));
        container.insert("args".to_owned(), expression("serving_code()"));
    }
    let pins = training::pins(&endpoint.runtime);
    if !pins.is_empty() {
        let env = json!([{ "name": "MLPIPE_REQUIREMENTS", "value": pins.join(" ") }]);
        container.insert("env".to_owned(), env);
    }
    container.insert("ports".to_owned(), json!([{ "containerPort": PORT }]));
    container.insert("healthRoute".to_owned(), json!(HEALTH));
    container.insert("predictRoute".to_owned(), json!(PREDICT));
    Value::Object(container)
}

fn resources_of(endpoint: &Endpoint, variant: &Variant, instance: Option<&Instance>) -> Value {
    let count = variant.machines.compute.count;
    let (least, most) = endpoint
        .autoscale
        .map_or((count, count), |scale| (scale.min, scale.max));
    let mut resources = json!({
        "machineSpec": training::machine(instance),
        "minReplicaCount": least,
        "maxReplicaCount": most,
    });
    if let Some(scale) = endpoint.autoscale {
        // Requests a minute and replica (Vertex AI docs, "Scale inference nodes by using autoscaling").
        resources["autoscalingMetricSpecs"] = json!([{
            "metricName": "aiplatform.googleapis.com/prediction/online/request_count",
            "target": scale.target_invocations,
        }]);
    }
    resources
}

/// What the workflow may do with endpoints and models.
pub fn resources(family: &Family<'_>, document: &mut Terraform) {
    if !family.has_endpoints() {
        return;
    }
    let root = family.root;
    document.resource(
        "google_project_iam_custom_role",
        KEY,
        json!({
            "role_id": format!("{}_serving", identifier(&root.name)),
            "title": format!("{}: makes and updates endpoints", root.name),
            "permissions": [
                "aiplatform.endpoints.create",
                "aiplatform.endpoints.deploy",
                "aiplatform.endpoints.get",
                "aiplatform.endpoints.undeploy",
                "aiplatform.endpoints.update",
                "aiplatform.models.delete",
                "aiplatform.models.get",
                "aiplatform.models.upload",
            ],
        }),
    );
    let role = format!("${{google_project_iam_custom_role.{KEY}.name}}");
    project_role("workflow_serving", &role, WORKFLOW, document);
}

/// The endpoints' ids, each once.
pub fn ids(family: &Family<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for member in &family.members {
        for (_, endpoint) in endpoints(member.pipeline) {
            let id = id(family.root, endpoint);
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}

/// True where pip installs a framework before a model is served.
pub fn has_pins(family: &Family<'_>) -> bool {
    let mut members = family.members.iter();
    members.any(|member| endpoints(member.pipeline).any(|(_, endpoint)| !training::pins(&endpoint.runtime).is_empty()))
}
