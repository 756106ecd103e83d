//! What endpoints are called, and what they are watched by.

use serde_json::{Value, json};

use super::infra::{Resource, allow, document, get_att, reference, sub};
use super::limits::{AwsProblem, QUOTAS};
use super::training;
use crate::diagnostics::Problems;
use crate::model::{Kind, Monitor, Pipeline, Step};

/// The key of topics that alarms publish to.
pub const KEY: &str = "AlarmKey";
/// Names of the alarms end with it.
const LATENCY: &str = "latency";
const ERRORS: &str = "errors";

/// What SageMaker calls an endpoint. `root` is the pipeline that is compiled: equal names in its family are one endpoint.
pub fn endpoint_name(root: &str, name: &str) -> String {
    format!("{}-{name}", training::prefix(root, ""))
}

/// The alarms of a monitor: their names, and whether it has a bound for them.
pub fn alarms(root: &str, monitor: &Monitor) -> [(String, bool); 2] {
    let name = |end: &str| format!("{}-{end}", endpoint_name(root, &monitor.endpoint));
    [
        (name(LATENCY), monitor.latency_p95_ms.is_some()),
        (name(ERRORS), monitor.error_rate.is_some()),
    ]
}

/// The variants that an endpoint of the pipeline has, by all the steps that create it.
pub fn variants<'a>(pipeline: &'a Pipeline, endpoint: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for step in &pipeline.steps {
        let Kind::Endpoint(created) = &step.kind else { continue };
        for variant in created.variants.iter().filter(|_| created.name == endpoint) {
            if !found.contains(&variant.name.as_str()) {
                found.push(&variant.name);
            }
        }
    }
    found
}

/// What keeps a monitor off AWS.
pub fn check(pipeline: &Pipeline, step: &Step, monitor: &Monitor, problems: &mut Problems) {
    let count = variants(pipeline, &monitor.endpoint).len();
    // Errors are counted against requests.
    let each = if monitor.error_rate.is_some() { 2 } else { 1 };
    let most = QUOTAS.cloudwatch.alarm_metrics / each;
    if count > most {
        problems.push(AwsProblem::Unwatched {
            step: step.path.clone(),
            endpoint: monitor.endpoint.clone(),
            found: count,
            most,
            span: Some(step.span),
        });
    }
}

/// What setting up these alarms takes.
pub fn setting_up(alarms: &[String]) -> Value {
    let arn = |name: &String| {
        sub(&format!(
            "arn:${{AWS::Partition}}:cloudwatch:${{AWS::Region}}:${{AWS::AccountId}}:alarm:{name}"
        ))
    };
    document(vec![allow(
        &["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"],
        alarms.iter().map(arn).collect(),
    )])
}

fn by_alarms(actions: &[&str], resource: Value) -> Value {
    json!({
        "Effect": "Allow",
        "Principal": { "Service": "cloudwatch.amazonaws.com" },
        "Action": actions,
        "Resource": resource,
        "Condition": { "StringEquals": { "aws:SourceAccount": reference("AWS::AccountId") } },
    })
}

/// The key of topics that alarms publish to: alarms cannot use the one that AWS has for topics, whose policy nobody can change
/// (SNS Developer Guide, "Key management": compatibility with AWS services).
pub fn key() -> Resource {
    let account = json!({
        "Effect": "Allow",
        "Principal": { "AWS": sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root") },
        "Action": ["kms:*"],
        "Resource": "*",
    });
    let alarms = by_alarms(&["kms:Decrypt", "kms:GenerateDataKey*"], json!("*"));
    Resource::of(
        "AWS::KMS::Key",
        json!({
            "Description": "Encrypts topics that alarms publish to",
            "EnableKeyRotation": true,
            "KeyPolicy": document(vec![account, alarms]),
        }),
    )
    .kept("Delete")
}

/// What publishing to a topic with that key takes, beside `sns:Publish`.
pub fn publishing() -> Value {
    allow(&["kms:Decrypt", "kms:GenerateDataKey*"], vec![get_att(KEY, "Arn")])
}

/// What lets alarms publish to a topic.
pub fn topic_policy(topic: &str) -> Resource {
    Resource::of(
        "AWS::SNS::TopicPolicy",
        json!({
            "Topics": [reference(topic)],
            "PolicyDocument": document(vec![by_alarms(&["sns:Publish"], reference(topic))]),
        }),
    )
}

/// The key of a topic.
pub fn key_of(watched: bool) -> Value {
    if watched {
        get_att(KEY, "Arn")
    } else {
        json!("alias/aws/sns")
    }
}
