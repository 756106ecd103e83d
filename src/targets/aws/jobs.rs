//! What containers run on: AWS Batch on Fargate, with a job definition a step.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::infra::{LOG_ACTIONS, Resource, allow, document, get_att, reference, sub};
use super::limits::AwsProblem;
use super::roles;
use crate::model::{Job, Kind, Machines, Step};
use crate::targets::instances::{self, Instance, Table};

/// What definitions call the queue's ARN.
pub const QUEUE_ARN: &str = "JobQueueArn";
/// The queue.
pub const QUEUE: &str = "JobQueue";
const MACHINES: &str = "JobMachines";
const LOGS: &str = "JobLogs";
/// What a container may do.
pub const ROLE: &str = "JobRole";
/// What starts a container.
const STARTER: &str = "JobStarterRole";
/// Logical ids that no step's resource may have.
pub const TAKEN: [&str; 5] = [QUEUE, MACHINES, LOGS, ROLE, STARTER];

/// Types of the resources, those that have tags in a mapping.
pub const TYPES: [&str; 3] = [
    "AWS::Batch::JobQueue",
    "AWS::Batch::ComputeEnvironment",
    "AWS::Batch::JobDefinition",
];

const SUBNETS: &str = "JobSubnets";
const GROUPS: &str = "JobSecurityGroups";
const PUBLIC: &str = "JobPublicIp";
/// Most vCPUs of all containers of the pipeline at once.
const MOST_CPUS: u32 = 256;

/// A step that is a container.
#[derive(Debug)]
pub struct Container<'a> {
    /// Its pipeline's place among them.
    pub member: usize,
    /// The step.
    pub step: &'a Step,
    /// What runs.
    pub job: &'a Job,
    /// Of its job definition.
    pub logical: String,
}

impl Container<'_> {
    /// What definitions call it.
    pub fn placeholder(&self) -> String {
        format!("{}Arn", self.logical)
    }
}

/// What it runs on.
pub fn machine(step: &Step, job: &Job) -> Result<&'static Instance, AwsProblem> {
    machine_of(&instances::AWS.batch_fargate, step, &job.machines)
}

/// What a step runs on, of the table of a service.
pub fn machine_of<'t>(table: &'t Table, step: &Step, machines: &Machines) -> Result<&'t Instance, AwsProblem> {
    instances::choose(table, machines.named.aws.as_deref(), &machines.compute).map_err(|problem| {
        AwsProblem::NoMachine {
            step: step.path.clone(),
            detail: problem.detail(table),
            span: Some(step.span),
        }
    })
}

/// The job of a step.
pub fn of(step: &Step) -> Option<&Job> {
    match &step.kind {
        Kind::Job(job) => Some(job),
        _ => None,
    }
}

/// What the stack is asked for: where containers run.
pub fn parameters() -> IndexMap<String, Value> {
    let parameter = |kind: &str, text: &str| json!({ "Type": kind, "Description": text });
    IndexMap::from([
        (
            SUBNETS.to_owned(),
            parameter("List<AWS::EC2::Subnet::Id>", "Subnets that containers run in"),
        ),
        (
            GROUPS.to_owned(),
            parameter(
                "List<AWS::EC2::SecurityGroup::Id>",
                "Security groups of containers: they need HTTPS to the outside",
            ),
        ),
        (
            PUBLIC.to_owned(),
            json!({
                "Type": "String",
                "AllowedValues": ["ENABLED", "DISABLED"],
                "Default": "DISABLED",
                "Description": "ENABLED in subnets that reach the outside by an internet gateway only",
            }),
        ),
    ])
}

/// What all jobs share. `buckets` are the statements on what the pipeline's buckets allow.
pub fn shared(containers: &[Container<'_>], buckets: Vec<Value>) -> IndexMap<String, Resource> {
    let role = |policies| roles::role("ecs-tasks.amazonaws.com", policies);
    let images = containers
        .iter()
        .filter_map(|container| container.job.image.aws.as_deref());
    let starts = vec![
        ("Logs", vec![allow(&LOG_ACTIONS, vec![get_att(LOGS, "Arn")])]),
        ("Images", roles::pulls(images.filter_map(repository))),
    ];
    IndexMap::from([
        (
            QUEUE.to_owned(),
            Resource::of(
                TYPES[0],
                json!({
                    "Priority": 1,
                    "ComputeEnvironmentOrder": [{ "Order": 1, "ComputeEnvironment": reference(MACHINES) }],
                }),
            ),
        ),
        (
            MACHINES.to_owned(),
            Resource::of(
                TYPES[1],
                json!({
                    "Type": "MANAGED",
                    "ComputeResources": {
                        "Type": "FARGATE",
                        "MaxvCpus": MOST_CPUS,
                        "Subnets": reference(SUBNETS),
                        "SecurityGroupIds": reference(GROUPS),
                    },
                }),
            ),
        ),
        (
            LOGS.to_owned(),
            Resource::of("AWS::Logs::LogGroup", json!({ "RetentionInDays": 30 })).kept("Delete"),
        ),
        (ROLE.to_owned(), role(vec![("Buckets", buckets)])),
        (STARTER.to_owned(), role(starts)),
    ])
}

/// The job definition of a step.
pub fn definition(container: &Container<'_>) -> Resource {
    let machine = machine(container.step, container.job).ok();
    let (cpu, memory) = machine.map_or((0.0, 0), |machine| (machine.cpu, machine.memory_mib()));
    let need = |kind: &str, value: String| json!({ "Type": kind, "Value": value });
    Resource::of(
        TYPES[2],
        json!({
            "Type": "container",
            "PlatformCapabilities": ["FARGATE"],
            "ContainerProperties": {
                "Image": container.job.image.aws,
                "ResourceRequirements": [need("VCPU", cpu.to_string()), need("MEMORY", memory.to_string())],
                "JobRoleArn": get_att(ROLE, "Arn"),
                "ExecutionRoleArn": get_att(STARTER, "Arn"),
                "NetworkConfiguration": { "AssignPublicIp": reference(PUBLIC) },
                "LogConfiguration": { "LogDriver": "awslogs", "Options": { "awslogs-group": reference(LOGS) } },
            },
        }),
    )
}

/// The ARN of an image's repository in ECR: `<account>.dkr.ecr.<region>.<domain>/<repository>`.
pub fn repository(image: &str) -> Option<Value> {
    let (host, rest) = image.split_once('/')?;
    let mut parts = host.split('.');
    let (Some(account), Some("dkr"), Some("ecr"), Some(region)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let repository = rest.split(['@', ':']).next().unwrap_or(rest);
    Some(sub(&format!(
        "arn:${{AWS::Partition}}:ecr:{region}:{account}:repository/{repository}"
    )))
}

/// What submitting jobs and waiting for their ends takes (Step Functions Developer Guide, "Integrate with AWS Batch").
pub fn submission(definitions: &[&str]) -> Value {
    let place = "${AWS::Region}:${AWS::AccountId}";
    let mut submit: Vec<Value> = definitions.iter().map(|logical| reference(logical)).collect();
    submit.push(reference(QUEUE));
    document(vec![
        allow(&["batch:SubmitJob"], submit),
        allow(
            &["batch:TerminateJob"],
            vec![sub(&format!("arn:${{AWS::Partition}}:batch:{place}:job/*"))],
        ),
        // It has no resource to name.
        allow(&["batch:DescribeJobs"], vec![Value::from("*")]),
        allow(
            &["events:DescribeRule", "events:PutRule", "events:PutTargets"],
            vec![sub(&format!(
                "arn:${{AWS::Partition}}:events:{place}:rule/StepFunctionsGetEventsForBatchJobsRule"
            ))],
        ),
    ])
}
