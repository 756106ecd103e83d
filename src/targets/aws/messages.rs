//! What brings a message from a topic to the pipeline: a queue, and a pipe that starts an execution for each message.
//!
//! Both queues are encrypted by SQS. What cannot start the pipeline goes to the second, and stays there for 14 days.

use indexmap::IndexMap;
use serde_json::json;

use super::infra::{Logical, Resource, STATE_MACHINE, allow, document, get_att, reference};
use crate::model::{Pipeline, TriggerKind};

/// Type of a queue.
pub const QUEUE: &str = "AWS::SQS::Queue";
/// Type of a pipe.
pub const PIPE: &str = "AWS::Pipes::Pipe";
/// How often a message is tried before it is given up.
const TRIES: u32 = 5;
/// 14 days, the longest there is (SQS API reference, SetQueueAttributes).
const RETENTION: u32 = 1_209_600;

/// Logical ids of what a trigger of a topic takes.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    /// The topic's id.
    pub topic: &'a str,
    /// The queue's.
    pub queue: String,
    /// The queue's of messages that were given up.
    pub dead: String,
    policy: String,
    subscription: String,
    pipe: String,
    role: String,
}

impl<'a> Messages<'a> {
    /// Of each trigger of a topic, in file order.
    pub fn of(pipeline: &'a Pipeline, logical: &mut Logical) -> Vec<Self> {
        let topics = pipeline.triggers.iter().filter_map(|trigger| match &trigger.kind {
            TriggerKind::Topic { topic } => Some(topic.as_str()),
            TriggerKind::ObjectCreated { .. } | TriggerKind::Schedule { .. } | TriggerKind::Http => None,
        });
        topics
            .map(|topic| Self {
                topic,
                queue: logical.name(topic, "Queue"),
                dead: logical.name(topic, "DeadLetters"),
                policy: logical.name(topic, "QueuePolicy"),
                subscription: logical.name(topic, "Subscription"),
                pipe: logical.name(topic, "Pipe"),
                role: logical.name(topic, "PipeRole"),
            })
            .collect()
    }

    /// What the definition calls the queue.
    pub fn placeholder(&self) -> String {
        format!("{}Arn", self.queue)
    }

    /// The resources; `topic` is the topic's logical id.
    pub fn resources(&self, topic: &str) -> IndexMap<String, Resource> {
        IndexMap::from([
            (self.queue.clone(), queue(Some(&self.dead))),
            (self.dead.clone(), queue(None)),
            (self.policy.clone(), self.policy(topic)),
            (
                self.subscription.clone(),
                Resource::of(
                    "AWS::SNS::Subscription",
                    json!({
                        "TopicArn": reference(topic),
                        "Protocol": "sqs",
                        "Endpoint": get_att(&self.queue, "Arn"),
                        // The text as it is, without SNS's envelope.
                        "RawMessageDelivery": true,
                    }),
                ),
            ),
            (self.pipe.clone(), self.pipe()),
            (self.role.clone(), self.role()),
        ])
    }

    /// The topic may send to the queue.
    fn policy(&self, topic: &str) -> Resource {
        let statement = json!({
            "Effect": "Allow",
            "Principal": { "Service": ["sns.amazonaws.com"] },
            "Action": ["sqs:SendMessage"],
            "Resource": [get_att(&self.queue, "Arn")],
            "Condition": { "ArnEquals": { "aws:SourceArn": reference(topic) } },
        });
        Resource::of(
            "AWS::SQS::QueuePolicy",
            json!({ "Queues": [reference(&self.queue)], "PolicyDocument": document(vec![statement]) }),
        )
    }

    /// One message an execution.
    fn pipe(&self) -> Resource {
        Resource::of(
            PIPE,
            json!({
                "RoleArn": get_att(&self.role, "Arn"),
                "Source": get_att(&self.queue, "Arn"),
                "SourceParameters": { "SqsQueueParameters": { "BatchSize": 1 } },
                "Target": reference(STATE_MACHINE),
                "TargetParameters": { "StepFunctionStateMachineParameters": { "InvocationType": "FIRE_AND_FORGET" } },
            }),
        )
    }

    /// What the pipe may do (EventBridge User Guide, "Amazon EventBridge Pipes permissions").
    fn role(&self) -> Resource {
        let trust = json!({
            "Effect": "Allow",
            "Principal": { "Service": ["pipes.amazonaws.com"] },
            "Action": ["sts:AssumeRole"],
            "Condition": { "StringEquals": { "aws:SourceAccount": reference("AWS::AccountId") } },
        });
        let read = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
        let statements = vec![
            allow(&read, vec![get_att(&self.queue, "Arn")]),
            allow(&["states:StartExecution"], vec![reference(STATE_MACHINE)]),
        ];
        Resource::of(
            "AWS::IAM::Role",
            json!({
                "AssumeRolePolicyDocument": document(vec![trust]),
                "Policies": [{ "PolicyName": "Start", "PolicyDocument": document(statements) }],
            }),
        )
    }
}

fn queue(dead: Option<&str>) -> Resource {
    let mut properties = json!({ "SqsManagedSseEnabled": true, "MessageRetentionPeriod": RETENTION });
    if let Some(dead) = dead {
        properties["RedrivePolicy"] = json!({ "deadLetterTargetArn": get_att(dead, "Arn"), "maxReceiveCount": TRIES });
    }
    Resource::of(QUEUE, properties).kept("Delete")
}
