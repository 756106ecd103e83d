//! What endpoints are watched by: alarms of CloudWatch.

use serde_json::{Value, json};

use super::infra::{Resource, allow, document, get_att, reference, sub};
use super::limits::{AwsProblem, QUOTAS};
use super::serving;
use crate::diagnostics::Problems;
use crate::model::{Kind, Monitor, Pipeline, Step};

/// The key of topics that alarms publish to.
pub const KEY: &str = "AlarmKey";
/// Names of the alarms end with it.
const LATENCY: &str = "latency";
const ERRORS: &str = "errors";

/// The alarms of an endpoint, of its latency and of its errors: their names, for what it is called.
pub fn alarms(endpoint: &str) -> [String; 2] {
    [LATENCY, ERRORS].map(|end| format!("{endpoint}-{end}"))
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

/// What setting up the alarms of these endpoints takes. `root` is the name of the pipeline that the stack is of.
pub fn setting_up(endpoints: &[&str], root: &str) -> Value {
    let arn = |name: &str| {
        serving::with_stack(&format!(
            "arn:${{AWS::Partition}}:cloudwatch:${{AWS::Region}}:${{AWS::AccountId}}:alarm:{name}"
        ))
    };
    let names = endpoints
        .iter()
        .flat_map(|endpoint| alarms(&serving::name(root, endpoint)));
    document(vec![allow(
        &["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"],
        names.map(|name| arn(&name)).collect(),
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
