//! Roles that AWS's services take to run containers: those of Batch, trainings, endpoints.

use serde_json::{Value, json};

use super::infra::{Resource, allow, document, reference};

/// Who runs trainings and endpoints.
pub const SAGEMAKER: &str = "sagemaker.amazonaws.com";

/// A role that only this service takes, for this account. Each policy has a name and its statements; one without statements is left out.
pub fn role(service: &str, policies: Vec<(&str, Vec<Value>)>) -> Resource {
    let trust = json!({
        "Effect": "Allow",
        "Principal": { "Service": [service] },
        "Action": ["sts:AssumeRole"],
        "Condition": { "StringEquals": { "aws:SourceAccount": reference("AWS::AccountId") } },
    });
    let mut properties = json!({ "AssumeRolePolicyDocument": document(vec![trust]) });
    let policies = policies.into_iter().filter(|(_, statements)| !statements.is_empty());
    let policies: Vec<Value> = policies
        .map(|(name, statements)| json!({ "PolicyName": name, "PolicyDocument": document(statements) }))
        .collect();
    if !policies.is_empty() {
        properties["Policies"] = Value::Array(policies);
    }
    Resource::of("AWS::IAM::Role", properties)
}

/// What SageMaker's containers need to write these logs, and metrics of these groups.
pub fn logging(logs: Vec<Value>, groups: &[&str]) -> Vec<Value> {
    let actions = [
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    ];
    let namespaces = match groups {
        [one] => json!(one),
        all => json!(all),
    };
    // It has no resource to name.
    let metrics = json!({
        "Effect": "Allow",
        "Action": ["cloudwatch:PutMetricData"],
        "Resource": "*",
        "Condition": { "StringEquals": { "cloudwatch:namespace": namespaces } },
    });
    vec![allow(&actions, logs), metrics]
}

/// Pulling images from these repositories; nothing where there are none.
pub fn pulls(repositories: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut once: Vec<Value> = Vec::new();
    for repository in repositories {
        if !once.contains(&repository) {
            once.push(repository);
        }
    }
    if once.is_empty() {
        return Vec::new();
    }
    let pull = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    ];
    // The token is the account's: it has no resource to name.
    let token = allow(&["ecr:GetAuthorizationToken"], vec![Value::from("*")]);
    vec![allow(&pull, once), token]
}
