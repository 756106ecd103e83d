//! `monitor` steps: alert policies of Cloud Monitoring on what Vertex AI measures of an endpoint.
//!
//! Metrics and labels: Cloud Monitoring docs, "Google Cloud metrics", `aiplatform` (read 2026-11-25).

use serde_json::{Value, json};

use super::family::Family;
use super::infra::{Terraform, escaped};
use super::names::{SERVICE, resource};
use crate::model::{Kind, Monitor, StepIx, identifier};
use crate::plan::{Node, Plan};

const METRICS: &str = "aiplatform.googleapis.com/prediction/online";
const RESOURCE: &str = "aiplatform.googleapis.com/Endpoint";
/// How many seconds of requests a policy sees at once, as text of the API.
const PERIOD: &str = "300s";
/// An incident ends so long after the last request, the shortest that there is: while it is open nothing is told again.
const CLOSE: &str = "1800s";

/// The monitors, one an endpoint: of several the one that is set up last.
pub fn monitors<'a>(family: &Family<'a>) -> Vec<&'a Monitor> {
    let mut found: Vec<&Monitor> = Vec::new();
    for member in &family.members {
        let mut order = Vec::new();
        in_order(member.plan, &member.plan.root, &mut order);
        for ix in order {
            let Kind::Monitor(monitor) = &member.pipeline.step(ix).kind else {
                continue;
            };
            found.retain(|other| other.endpoint != monitor.endpoint);
            found.push(monitor);
        }
    }
    found
}

/// All steps, those of a group in its place.
fn in_order(plan: &Plan, node: &Node, order: &mut Vec<StepIx>) {
    for ix in node.steps() {
        order.push(ix);
        if let Some(inner) = plan.groups.get(&ix) {
            in_order(plan, inner, order);
        }
    }
}

/// The policies, and the channels to the topics that they tell.
pub fn resources(family: &Family<'_>, document: &mut Terraform) {
    let monitors = monitors(family);
    if monitors.is_empty() {
        return;
    }
    document.data("google_project", "project", json!({}));
    let mut topics: Vec<&str> = monitors.iter().map(|monitor| monitor.alert.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    for topic in topics {
        channel(family, topic, document);
    }
    for monitor in monitors {
        let key = identifier(&monitor.endpoint);
        let conditions = [latency(family, monitor), error_rate(family, monitor)];
        for condition in conditions.into_iter().flatten() {
            let id = format!("{key}_{}", condition.name);
            document.resource("google_monitoring_alert_policy", id, policy(family, monitor, condition));
        }
    }
}

/// Cloud Monitoring makes the account that publishes with the project's first channel to a topic.
fn channel(family: &Family<'_>, topic: &str, document: &mut Terraform) {
    let root = family.root;
    let id = identifier(topic);
    let mut body = json!({
        "display_name": escaped(&format!("{}: {topic}", root.name)),
        "type": "pubsub",
        "labels": { "topic": format!("${{google_pubsub_topic.{id}.id}}") },
    });
    if !root.labels.is_empty() {
        body["user_labels"] = json!(root.labels);
    }
    body["depends_on"] = json!(["google_project_service.apis"]);
    document.resource("google_monitoring_notification_channel", &id, body);
    document.resource(
        "google_pubsub_topic_iam_member",
        format!("monitoring_{id}"),
        json!({
            "topic": format!("${{google_pubsub_topic.{id}.name}}"),
            "role": "roles/pubsub.publisher",
            "member": "serviceAccount:service-${data.google_project.project.number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com",
            "depends_on": [format!("google_monitoring_notification_channel.{id}")],
        }),
    );
}

/// What a policy compares.
struct Condition {
    name: &'static str,
    text: String,
    threshold: Value,
}

/// The slowest deployed model's, as clients see it.
fn latency(family: &Family<'_>, monitor: &Monitor) -> Option<Condition> {
    let bound = monitor.latency_p95_ms?;
    let total = "metric.labels.latency_type = \"total\"";
    Some(Condition {
        name: "latency",
        text: format!("the 95th percentile of the latency is more than {bound} ms"),
        threshold: threshold(
            bound,
            json!({
                "filter": filter(family, monitor, "prediction_latencies", Some(total)),
                "aggregations": [aggregation("ALIGN_PERCENTILE_95", "REDUCE_MAX")],
            }),
        ),
    })
}

/// Of all deployed models together. Requests that are wrong themselves do not count: that is why it is not `error_count`.
fn error_rate(family: &Family<'_>, monitor: &Monitor) -> Option<Condition> {
    let bound = monitor.error_rate?;
    let failed = "metric.labels.response_code = starts_with(\"5\")";
    Some(Condition {
        name: "errors",
        text: format!("the share of requests that failed is more than {bound}"),
        threshold: threshold(
            bound,
            json!({
                "filter": filter(family, monitor, "response_count", Some(failed)),
                "aggregations": [aggregation("ALIGN_DELTA", "REDUCE_SUM")],
                "denominator_filter": filter(family, monitor, "response_count", None),
                "denominator_aggregations": [aggregation("ALIGN_DELTA", "REDUCE_SUM")],
            }),
        ),
    })
}

fn threshold(bound: f64, mut condition: Value) -> Value {
    condition["comparison"] = json!("COMPARISON_GT");
    condition["threshold_value"] = json!(bound);
    condition["duration"] = json!("0s");
    condition
}

fn filter(family: &Family<'_>, monitor: &Monitor, metric: &str, only: Option<&str>) -> String {
    let id = super::serving::id_of(family.root, &monitor.endpoint);
    let mut terms = vec![
        format!("resource.type = \"{RESOURCE}\""),
        format!("resource.labels.endpoint_id = \"{id}\""),
        "resource.labels.location = \"${var.region}\"".to_owned(),
        format!("metric.type = \"{METRICS}/{metric}\""),
    ];
    terms.extend(only.map(str::to_owned));
    terms.join(" AND ")
}

fn aggregation(aligner: &str, reducer: &str) -> Value {
    json!({ "alignment_period": PERIOD, "per_series_aligner": aligner, "cross_series_reducer": reducer })
}

fn policy(family: &Family<'_>, monitor: &Monitor, condition: Condition) -> Value {
    let root = family.root;
    let text = format!("{}: {}", monitor.endpoint, condition.text);
    let mut body = json!({
        "display_name": resource(&[&root.name, &monitor.endpoint, condition.name], SERVICE),
        "combiner": "OR",
        "conditions": [{ "display_name": condition.text, "condition_threshold": condition.threshold }],
        "documentation": { "content": text, "mime_type": "text/markdown" },
        "alert_strategy": { "auto_close": CLOSE },
        "notification_channels": [
            format!("${{google_monitoring_notification_channel.{}.id}}", identifier(&monitor.alert)),
        ],
    });
    if !root.labels.is_empty() {
        body["user_labels"] = json!(root.labels);
    }
    body["depends_on"] = json!(["google_project_service.apis"]);
    body
}
