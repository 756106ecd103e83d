//! The resources: `template.yaml`, a SAM template.
//!
//! Intrinsic functions are written in their long form (`Ref`, `Fn::GetAtt`, `Fn::Sub`): plain YAML.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::jobs::{self, Container};
use super::limits::QUOTAS;
use super::member::Member;
use super::messages::{Messages, PIPE, QUEUE};
use super::monitoring;
use super::serving::{self, Served};
use super::training::{self, Training, Work};
use super::triggers;
use super::workflow::Placeholders;
use super::workflow::bounded::is_bounded;
use super::workflow::distributed;
use crate::model::{Bucket, FunctionUse, Kind, Pipeline, Trigger, TriggerKind, secret_variable};

/// The logical id of the state machine.
pub const STATE_MACHINE: &str = "StateMachine";
/// What the logical id of a part's ends with.
const PART: &str = "PartStateMachine";
const MACHINE: &str = "AWS::Serverless::StateMachine";
const TOPIC: &str = "AWS::SNS::Topic";
const API: &str = "AWS::Serverless::Api";
/// What definitions call the ARN of a topic that alarms publish to: the state machine itself does not.
const ALARMED: &str = "AlarmArn";
const LOGS: &str = "FunctionLogs";
const ROLE: &str = "FunctionRole";
/// How many ARNs of functions (at most 119 characters each) a managed policy of 6,144 characters names.
const ARNS_A_POLICY: usize = 50;
/// How many the policies of a role itself name, of 10,240 characters in all.
const ARNS_INLINE: usize = 80;

/// The whole file.
#[derive(Clone, Debug, Serialize)]
pub struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    format_version: &'static str,
    #[serde(rename = "Transform")]
    transform: &'static str,
    #[serde(rename = "Description", skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(rename = "Globals", skip_serializing_if = "Option::is_none")]
    globals: Option<Value>,
    #[serde(rename = "Parameters", skip_serializing_if = "IndexMap::is_empty")]
    parameters: IndexMap<String, Value>,
    #[serde(rename = "Mappings", skip_serializing_if = "IndexMap::is_empty")]
    mappings: IndexMap<String, Value>,
    #[serde(rename = "Resources")]
    resources: IndexMap<String, Resource>,
    #[serde(rename = "Outputs")]
    outputs: IndexMap<String, Output>,
}

/// A resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resource {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_replace_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Value>,
}

/// What the stack tells.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    description: String,
    value: Value,
}

/// The properties of a Lambda function.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionProperties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    code_uri: String,
    handler: &'static str,
    runtime: &'a str,
    memory_size: u64,
    timeout: u64,
    role: Value,
}

/// The properties of the state machine.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StateMachineProperties {
    #[serde(rename = "Type")]
    kind: &'static str,
    definition_uri: String,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    definition_substitutions: IndexMap<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<Value>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    events: IndexMap<String, Value>,
}

/// Logical ids: alphanumeric and unique.
#[derive(Debug, Default)]
pub struct Logical {
    taken: BTreeSet<String>,
}

impl Logical {
    /// `my-step` + `Function` → `MyStepFunction`; a number where that is taken.
    pub fn name(&mut self, id: &str, suffix: &str) -> String {
        let wanted = format!("{}{suffix}", pascal(id));
        let mut name = wanted.clone();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}{number}");
        }
        name
    }
}

fn pascal(id: &str) -> String {
    id.split(['-', '_', '.'])
        .flat_map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(chars)
        })
        .collect()
}

/// A bucket with its logical id, where it is one of the stack's.
#[derive(Clone, Debug)]
pub struct Bucketed<'a> {
    /// As declared.
    pub bucket: &'a Bucket,
    /// `RawBucket`.
    pub logical: String,
    /// `RawBucketPolicy`.
    policy: String,
}

impl Bucketed<'_> {
    fn existing(&self) -> Option<&str> {
        self.bucket.existing.get("aws").map(String::as_str)
    }

    /// Its name, as a value of the template.
    pub fn name(&self) -> Value {
        match self.existing() {
            Some(name) => Value::from(name),
            None => reference(&self.logical),
        }
    }

    fn arn(&self) -> Value {
        match self.existing() {
            Some(name) => sub(&format!("arn:${{AWS::Partition}}:s3:::{name}")),
            None => get_att(&self.logical, "Arn"),
        }
    }

    fn objects(&self) -> Value {
        match self.existing() {
            Some(name) => sub(&format!("arn:${{AWS::Partition}}:s3:::{name}/*")),
            None => sub(&format!("${{{}.Arn}}/*", self.logical)),
        }
    }
}

/// `Ref`.
pub fn reference(id: &str) -> Value {
    json!({ "Ref": id })
}

/// `Fn::GetAtt`.
pub fn get_att(id: &str, attribute: &str) -> Value {
    json!({ "Fn::GetAtt": [id, attribute] })
}

/// `Fn::Sub`.
pub fn sub(text: &str) -> Value {
    json!({ "Fn::Sub": text })
}

/// What a state machine beside the pipeline's is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A group with a `timeout`.
    Group,
    /// A part, by its first step.
    Part,
    /// Another pipeline.
    Pipeline,
}

/// A state machine beside the pipeline's.
#[derive(Clone, Debug)]
pub struct Inner {
    /// Of what it is.
    pub of: For,
    /// That group's path, part's id or pipeline's name.
    pub name: String,
    /// The definition's.
    pub file: String,
    logical: String,
}

impl Inner {
    /// What definitions call it.
    pub fn placeholder(&self) -> String {
        format!("{}Arn", self.logical)
    }
}

/// Logical ids of everything in the stack.
#[derive(Debug)]
pub struct Names<'a> {
    functions: Vec<Called<'a>>,
    buckets: Vec<Bucketed<'a>>,
    topics: Vec<(&'a str, String)>,
    secrets: Vec<(&'a str, String)>,
    messages: Vec<Messages<'a>>,
    containers: Vec<Container<'a>>,
    trainings: Vec<Training<'a>>,
    /// Topics that alarms publish to.
    watched: Vec<&'a str>,
    endpoints: Vec<Served<'a>>,
    /// The name of the pipeline, the first.
    pipeline: &'a str,
    /// The logical id of the API that HTTP requests come to.
    api: Option<String>,
    /// All state machines but the pipeline's.
    machines: Vec<Inner>,
}

/// A function of one of the pipelines.
#[derive(Debug)]
struct Called<'a> {
    /// Its pipeline's place among them.
    member: usize,
    function: FunctionUse<'a>,
    logical: String,
}

impl<'a> Names<'a> {
    /// Of a pipeline, the first, and those that it runs.
    pub fn new(members: &[Member<'a>]) -> Self {
        let mut logical = Logical::default();
        for taken in [STATE_MACHINE, LOGS, ROLE, monitoring::KEY]
            .into_iter()
            .chain(jobs::TAKEN)
        {
            logical.taken.insert(taken.to_owned());
        }
        let mut names = Self {
            functions: Vec::new(),
            buckets: Vec::new(),
            topics: Vec::new(),
            secrets: Vec::new(),
            messages: Vec::new(),
            containers: Vec::new(),
            trainings: Vec::new(),
            watched: Vec::new(),
            endpoints: Vec::new(),
            pipeline: members.first().map_or("", |member| member.pipeline.name.as_str()),
            api: None,
            machines: Vec::new(),
        };
        for (place, member) in members.iter().enumerate() {
            let functions = member.pipeline.functions().into_iter();
            names.functions.extend(functions.map(|function| Called {
                member: place,
                function,
                logical: logical.name(&member.qualified(function.step), "Function"),
            }));
            let pipeline = member.pipeline;
            let containers = pipeline.steps.iter().filter_map(|step| Some((step, jobs::of(step)?)));
            names.containers.extend(containers.map(|(step, job)| Container {
                member: place,
                step,
                job,
                logical: logical.name(&member.qualified(&step.path), "JobDefinition"),
            }));
            let steps = pipeline.steps.iter();
            let trainings = steps.filter_map(|step| Training::of(place, pipeline, step));
            names.trainings.extend(trainings.map(|training| Training {
                logical: logical.name(&member.qualified(&training.step.path), "Image"),
                ..training
            }));
            for step in &pipeline.steps {
                let Kind::Monitor(monitor) = &step.kind else { continue };
                names.watched.push(&monitor.alert);
            }
            let endpoints = pipeline.steps.iter();
            for (step, endpoint) in endpoints.filter_map(|step| Some((step, serving::of(step)?))) {
                let same = names
                    .endpoints
                    .iter()
                    .find(|served| served.endpoint.name == endpoint.name);
                let of_endpoint = match same {
                    Some(served) => served.of_endpoint.clone(),
                    None => logical.name(&endpoint.name, "Endpoint"),
                };
                names.endpoints.push(Served {
                    member: place,
                    pipeline: &pipeline.name,
                    step,
                    endpoint,
                    logical: logical.name(&member.qualified(&step.path), "ServingImage"),
                    of_endpoint,
                });
            }
            if member.is_root() {
                names.root(member.pipeline, &mut logical);
            } else {
                names.machines.push(Inner {
                    of: For::Pipeline,
                    name: member.pipeline.name.clone(),
                    file: member.file(),
                    logical: logical.name(&member.pipeline.name, STATE_MACHINE),
                });
            }
            names.machines_of(member, &mut logical);
        }
        names
    }

    /// What the stack has once: the pipeline's own, and all that those that it runs declare.
    fn root(&mut self, pipeline: &'a Pipeline, logical: &mut Logical) {
        let buckets = pipeline.buckets.iter();
        self.buckets.extend(buckets.map(|bucket| Bucketed {
            bucket,
            logical: logical.name(&bucket.id, "Bucket"),
            policy: logical.name(&bucket.id, "BucketPolicy"),
        }));
        let topics = pipeline.topics.iter().map(|topic| topic.id.as_str());
        self.topics
            .extend(topics.map(|topic| (topic, logical.name(topic, "Topic"))));
        let secrets = pipeline.secrets.iter().map(String::as_str);
        self.secrets
            .extend(secrets.map(|secret| (secret, logical.name(secret, "Secret"))));
        self.messages = Messages::of(pipeline, logical);
        let mut kinds = pipeline.triggers.iter().map(|trigger| &trigger.kind);
        if kinds.any(|kind| matches!(kind, TriggerKind::Http)) {
            self.api = Some(logical.name("", "HttpApi"));
        }
    }

    fn machines_of(&mut self, member: &Member<'_>, logical: &mut Logical) {
        let groups = member.pipeline.steps.iter().filter(|step| is_bounded(step));
        self.machines.extend(groups.map(|step| Inner {
            of: For::Group,
            name: member.qualified(&step.path),
            file: member.group_file(&step.path),
            logical: logical.name(&member.qualified(&step.path), STATE_MACHINE),
        }));
        let parts = member.layout.parts().into_iter();
        self.machines.extend(parts.map(|id| Inner {
            of: For::Part,
            name: member.qualified(id),
            file: member.part_file(id),
            logical: logical.name(&member.qualified(id), PART),
        }));
    }

    /// What the definitions of the pipeline at that place call them.
    pub fn placeholders(&self, member: usize) -> Placeholders {
        let own = self.functions.iter().filter(|called| called.member == member);
        let topics = |attribute: &str| {
            let topics = self.topics.iter();
            topics
                .map(|(id, logical)| ((*id).to_owned(), format!("{logical}{attribute}")))
                .collect()
        };
        Placeholders {
            functions: own
                .map(|called| (called.function.step.to_owned(), format!("{}Arn", called.logical)))
                .collect(),
            buckets: self
                .buckets
                .iter()
                .map(|bucket| (bucket.bucket.id.clone(), format!("{}Name", bucket.logical)))
                .collect(),
            topics: topics("Name"),
            topic_arns: topics("Arn"),
            alarm_topics: topics(ALARMED),
            machines: self
                .machines
                .iter()
                .map(|inner| (inner.file.clone(), inner.placeholder()))
                .collect(),
            jobs: self
                .containers
                .iter()
                .filter(|container| container.member == member)
                .map(|container| (container.step.path.clone(), container.placeholder()))
                .collect(),
            images: self
                .trainings
                .iter()
                .filter(|training| training.member == member)
                .map(|training| (training.step.path.clone(), training.placeholder()))
                .collect(),
            endpoints: self
                .endpoints
                .iter()
                .filter(|served| served.member == member)
                .map(|served| (served.step.path.clone(), served.called()))
                .collect(),
            endpoint_names: self
                .endpoints
                .iter()
                .map(|served| (served.endpoint.name.clone(), served.called().name))
                .collect(),
            queues: self.messages.iter().map(Messages::placeholder).collect(),
        }
    }

    /// Topics: id and logical id.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &str)> {
        self.topics.iter().map(|(id, logical)| (*id, logical.as_str()))
    }

    /// What the triggers of topics take.
    pub fn messages(&self) -> &[Messages<'a>] {
        &self.messages
    }

    /// True where it has containers.
    pub fn has_jobs(&self) -> bool {
        !self.containers.is_empty()
    }

    /// The packages of trainings, each once.
    pub fn packages(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for training in &self.trainings {
            if !found.contains(&training.package) {
                found.push(training.package);
            }
        }
        found
    }

    /// True where it has jobs for that.
    pub fn works(&self, work: Work) -> bool {
        self.trainings.iter().any(|training| training.work == work)
    }

    /// True where executions set up alarms.
    pub fn has_alarms(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Endpoints, a step each.
    pub fn endpoints(&self) -> &[Served<'a>] {
        &self.endpoints
    }

    /// True where HTTP requests start it.
    pub fn has_api(&self) -> bool {
        self.api.is_some()
    }

    /// All state machines but the pipeline's.
    pub fn inner(&self) -> &[Inner] {
        &self.machines
    }

    /// Buckets of the stack: id and logical id.
    pub fn own_buckets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.buckets
            .iter()
            .filter(|bucket| bucket.existing().is_none())
            .map(|bucket| (bucket.bucket.id.as_str(), bucket.logical.as_str()))
    }

    /// Secrets: id and logical id.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secrets.iter().map(|(id, logical)| (*id, logical.as_str()))
    }
}

impl Template {
    /// How many resources CloudFormation sees: SAM adds a role to the state machine, and what each event takes.
    pub fn resource_count(&self, events: &[Trigger]) -> usize {
        let machines = self.resources.values().filter(|resource| resource.kind == MACHINE);
        let events = events.iter().map(|event| triggers::added(&event.kind));
        self.resources.len() + machines.count() + events.sum::<usize>()
    }
}

/// The template of a pipeline. The definitions by file, its own first, are searched for the placeholders that they use.
pub fn template(pipeline: &Pipeline, names: &Names<'_>, machines: &[(String, String)]) -> Template {
    let mut resources = IndexMap::new();
    resources.insert(STATE_MACHINE.to_owned(), Resource::of(MACHINE, Value::Null));
    // A group that no run reaches has no definition.
    let defined = |inner: &&Inner| machines.iter().any(|(file, _)| *file == inner.file);
    for inner in names.machines.iter().filter(defined) {
        resources.insert(inner.logical.clone(), Resource::of(MACHINE, Value::Null));
    }
    let has_functions = !names.functions.is_empty();
    for called in &names.functions {
        resources.insert(called.logical.clone(), of_function(&called.function));
    }
    if has_functions {
        resources.insert(ROLE.to_owned(), role(names));
        resources.insert(
            LOGS.to_owned(),
            Resource::of("AWS::Logs::LogGroup", json!({ "RetentionInDays": 30 })).kept("Delete"),
        );
    }
    let mut parameters = IndexMap::new();
    if names.has_jobs() {
        parameters = jobs::parameters();
        resources.extend(jobs::shared(&names.containers, access(names)));
        let definitions = names.containers.iter();
        resources.extend(definitions.map(|container| (container.logical.clone(), jobs::definition(container))));
    }
    if !names.trainings.is_empty() {
        resources.extend(training::shared(&names.trainings, access(names)));
    }
    if !names.endpoints.is_empty() {
        let models = reading(names);
        resources.extend(serving::shared(&names.endpoints, models, !names.trainings.is_empty()));
    }
    for bucket in names.buckets.iter().filter(|bucket| bucket.existing().is_none()) {
        resources.insert(bucket.logical.clone(), of_bucket(bucket, pipeline));
        resources.insert(bucket.policy.clone(), encrypted_transport(bucket));
    }
    for (id, logical) in &names.topics {
        // Encrypted, by the key that AWS has for it where that will do.
        let watched = names.watched.contains(id);
        let properties = json!({ "KmsMasterKeyId": monitoring::key_of(watched) });
        resources.insert(logical.clone(), Resource::of(TOPIC, properties));
        if watched {
            resources.insert(format!("{logical}Policy"), monitoring::topic_policy(logical));
            resources.insert(monitoring::KEY.to_owned(), monitoring::key());
        }
    }
    for messages in &names.messages {
        let topic = names.topics.iter().find(|(id, _)| *id == messages.topic);
        resources.extend(topic.iter().flat_map(|(_, logical)| messages.resources(logical)));
    }
    if let Some(api) = &names.api {
        resources.insert(api.clone(), Resource::of(API, triggers::api()));
    }
    for (id, logical) in &names.secrets {
        let properties = json!({ "Description": format!("Secret `{id}` of the pipeline {}", pipeline.name) });
        resources.insert(
            logical.clone(),
            Resource::of("AWS::SecretsManager::Secret", properties).kept("Retain"),
        );
    }
    for (file, definition) in machines {
        let inner = names.machines.iter().find(|inner| inner.file == *file);
        let (logical, events) = match inner {
            Some(inner) => (inner.logical.as_str(), IndexMap::new()),
            None => (
                STATE_MACHINE,
                triggers::events(&pipeline.triggers, &names.buckets, names.api.as_deref()),
            ),
        };
        machine(names, (logical, file.clone(), definition, events), &mut resources);
    }
    if !pipeline.labels.is_empty() {
        resources
            .values_mut()
            .for_each(|resource| resource.tag(&pipeline.labels));
    }
    Template {
        format_version: "2010-09-09",
        transform: "AWS::Serverless-2016-10-31",
        description: pipeline
            .description
            .as_deref()
            .map(|text| cut(text.trim(), QUOTAS.cloudformation.description_bytes)),
        globals: has_functions.then(|| globals(names, &pipeline.labels)),
        parameters,
        mappings: training::mappings(&names.trainings)
            .into_iter()
            .chain(serving::mappings(&names.endpoints))
            .collect(),
        resources,
        outputs: outputs(names),
    }
}

impl Resource {
    /// A resource that goes with the stack.
    pub fn of(kind: &'static str, properties: Value) -> Self {
        Self {
            kind,
            deletion_policy: None,
            update_replace_policy: None,
            properties: Some(properties),
        }
    }

    /// Tags it with the labels: SAM's resources take a mapping, CloudFormation's a list. Functions have theirs from the globals.
    fn tag(&mut self, labels: &IndexMap<String, String>) {
        let Some(properties) = &mut self.properties else { return };
        match self.kind {
            MACHINE => {
                properties["Tags"] = json!(labels);
                // The role, the rules and the schedules that SAM makes for it.
                properties["PropagateTags"] = json!(true);
            }
            API => {
                properties["Tags"] = json!(labels);
                properties["PropagateTags"] = json!(true);
            }
            kind if kind == PIPE || jobs::TYPES.contains(&kind) => properties["Tags"] = json!(labels),
            "AWS::IAM::Role"
            | "AWS::Logs::LogGroup"
            | "AWS::S3::Bucket"
            | "AWS::SecretsManager::Secret"
            | "AWS::KMS::Key"
            | TOPIC
            | QUEUE => {
                let tags = labels.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
                properties["Tags"] = tags.collect();
            }
            _ => {}
        }
    }

    /// With what becomes of it when the stack, or this version of it, goes.
    pub fn kept(self, policy: &'static str) -> Self {
        Self {
            deletion_policy: Some(policy),
            update_replace_policy: Some(policy),
            ..self
        }
    }
}

/// Our own typed values have string keys: they always are JSON.
fn value(typed: &impl Serialize) -> Value {
    serde_json::to_value(typed).unwrap_or_default()
}

fn cut(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

fn globals(names: &Names<'_>, labels: &IndexMap<String, String>) -> Value {
    let mut function = json!({
        "Architectures": ["arm64"],
        "LoggingConfig": { "LogGroup": reference(LOGS) },
    });
    if !labels.is_empty() {
        function["Tags"] = json!(labels);
    }
    if !names.secrets.is_empty() {
        let variables: IndexMap<String, Value> = names
            .secrets
            .iter()
            .map(|(id, logical)| (secret_variable(id), reference(logical)))
            .collect();
        function["Environment"] = json!({ "Variables": variables });
    }
    json!({ "Function": function })
}

fn of_function(function: &FunctionUse<'_>) -> Resource {
    let properties = FunctionProperties {
        // Lambda: "Description: maximum length of 256".
        description: function.description.map(|text| cut(text.trim(), 256)),
        code_uri: format!("functions/{}", function.call.package),
        handler: "mlpipe_adapter.lambda_handler",
        runtime: &function.call.runtime,
        memory_size: function.call.memory_mib,
        timeout: function.attempt_timeout,
        role: get_att(ROLE, "Arn"),
    };
    Resource::of("AWS::Serverless::Function", value(&properties))
}

/// What the functions may do: write their log, read and write the declared buckets, read the declared secrets.
fn role(names: &Names<'_>) -> Resource {
    let policy =
        |name: &str, statements: Vec<Value>| json!({ "PolicyName": name, "PolicyDocument": document(statements) });
    let mut policies = vec![policy("Logs", vec![allow(&LOG_ACTIONS, vec![get_att(LOGS, "Arn")])])];
    if !names.buckets.is_empty() {
        policies.push(policy("Buckets", access(names)));
    }
    if !names.secrets.is_empty() {
        let secrets = names.secrets.iter().map(|(_, logical)| reference(logical)).collect();
        policies.push(policy(
            "Secrets",
            vec![allow(&["secretsmanager:GetSecretValue"], secrets)],
        ));
    }
    let trust = json!({
        "Effect": "Allow",
        "Principal": { "Service": ["lambda.amazonaws.com"] },
        "Action": ["sts:AssumeRole"],
    });
    Resource::of(
        "AWS::IAM::Role",
        json!({ "AssumeRolePolicyDocument": document(vec![trust]), "Policies": policies }),
    )
}

/// Reading and writing the declared buckets, where there are any.
fn access(names: &Names<'_>) -> Vec<Value> {
    if names.buckets.is_empty() {
        return Vec::new();
    }
    let buckets = names.buckets.iter().map(Bucketed::arn).collect();
    let objects = names.buckets.iter().map(Bucketed::objects).collect();
    let actions = [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:PutObject",
    ];
    vec![
        allow(&["s3:GetBucketLocation", "s3:ListBucket"], buckets),
        allow(&actions, objects),
    ]
}

/// Reading the declared buckets, where there are any.
fn reading(names: &Names<'_>) -> Vec<Value> {
    if names.buckets.is_empty() {
        return Vec::new();
    }
    let buckets = names.buckets.iter().map(Bucketed::arn).collect();
    let objects = names.buckets.iter().map(Bucketed::objects).collect();
    vec![
        allow(&["s3:GetBucketLocation", "s3:ListBucket"], buckets),
        allow(&["s3:GetObject"], objects),
    ]
}

/// What writing a log takes.
pub const LOG_ACTIONS: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

/// A statement of a policy.
pub fn allow(actions: &[&str], resources: Vec<Value>) -> Value {
    json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
}

/// A policy of these statements.
pub fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// A state machine, which its definition tells what it uses.
fn machine(
    names: &Names<'_>,
    (logical, file, definition, events): (&str, String, &str, IndexMap<String, Value>),
    resources: &mut IndexMap<String, Resource>,
) {
    let mut policies = Vec::new();
    let used = |id: &str| definition.contains(&format!("${{{id}Arn}}"));
    let functions = names.functions.iter().map(|called| called.logical.as_str());
    let functions = functions.filter(|id| used(id));
    invocations(functions.collect(), logical, resources, &mut policies);
    let started: Vec<&str> = names
        .machines
        .iter()
        .map(|inner| inner.logical.as_str())
        .filter(|id| used(id))
        .collect();
    if !started.is_empty() {
        policies.push(executions(&started));
    }
    let published: Vec<_> = names.topics.iter().filter(|(_, id)| used(id)).collect();
    if !published.is_empty() {
        let topics = published.iter().map(|(_, id)| reference(id)).collect();
        let mut statements = vec![allow(&["sns:Publish"], topics)];
        let watched = published.iter().any(|(id, _)| names.watched.contains(id));
        statements.extend(watched.then(monitoring::publishing));
        policies.push(document(statements));
    }
    let containers = names.containers.iter().map(|container| container.logical.as_str());
    let containers: Vec<&str> = containers.filter(|id| used(id)).collect();
    if !containers.is_empty() {
        policies.push(jobs::submission(&containers));
    }
    let trainings = names.trainings.iter();
    let trainings = trainings.filter(|training| definition.contains(&format!("${{{}}}", training.placeholder())));
    let trainings: Vec<&Training<'_>> = trainings.collect();
    if !trainings.is_empty() {
        policies.push(training::submission(&trainings));
    }
    let mut watched: Vec<&str> = Vec::new();
    for served in &names.endpoints {
        let [latency, _] = monitoring::alarms(&format!("${{{}}}", served.called().name));
        if definition.contains(&latency) && !watched.contains(&served.endpoint.name.as_str()) {
            watched.push(&served.endpoint.name);
        }
    }
    if !watched.is_empty() {
        policies.push(monitoring::setting_up(&watched, names.pipeline));
    }
    let endpoints = names.endpoints.iter();
    let endpoints: Vec<&Served<'_>> = endpoints
        .filter(|served| {
            served
                .called()
                .images
                .iter()
                .any(|image| definition.contains(&format!("${{{image}}}")))
        })
        .collect();
    if !endpoints.is_empty() {
        policies.push(serving::deployment(&endpoints, names.pipeline));
    }
    if definition.contains(distributed::LOOK_UP) {
        let name = format!("{}RunItems", logical.strip_suffix(STATE_MACHINE).unwrap_or(logical));
        resources.insert(name, Resource::of("AWS::IAM::ManagedPolicy", items(logical)));
    }
    let properties = StateMachineProperties {
        kind: "STANDARD",
        definition_uri: file,
        definition_substitutions: substitutions(names, definition),
        policies,
        events,
    };
    resources.insert(logical.to_owned(), Resource::of(MACHINE, value(&properties)));
}

/// What a state machine may do: invoke its functions. Where a role's own policies cannot name them all, managed
/// policies do.
fn invocations(
    functions: Vec<&str>,
    machine: &str,
    resources: &mut IndexMap<String, Resource>,
    policies: &mut Vec<Value>,
) {
    let arns: Vec<Value> = functions.into_iter().map(|logical| get_att(logical, "Arn")).collect();
    let statement =
        |arns: &[Value]| json!({ "Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": arns });
    if arns.is_empty() {
        return;
    }
    if arns.len() <= ARNS_INLINE {
        policies.push(document(vec![statement(&arns)]));
        return;
    }
    let group = machine.strip_suffix(STATE_MACHINE).unwrap_or(machine);
    for (i, arns) in arns.chunks(ARNS_A_POLICY).enumerate() {
        let name = format!("{group}InvokeFunctions{}", i + 1);
        let policy = json!({ "PolicyDocument": document(vec![statement(arns)]) });
        resources.insert(name.clone(), Resource::of("AWS::IAM::ManagedPolicy", policy));
        policies.push(reference(&name));
    }
}

/// What starting state machines and waiting for their ends takes (Step Functions Developer Guide, "IAM policies for
/// calling AWS Step Functions": Run a Job).
fn executions(machines: &[&str]) -> Value {
    let arns = machines.iter().map(|logical| reference(logical)).collect();
    let runs = machines.iter().map(|logical| {
        sub(&format!(
            "arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:execution:${{{logical}.Name}}:*"
        ))
    });
    let rule = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule";
    document(vec![
        allow(&["states:StartExecution"], arns),
        allow(&["states:DescribeExecution", "states:StopExecution"], runs.collect()),
        allow(
            &["events:DescribeRule", "events:PutRule", "events:PutTargets"],
            vec![sub(rule)],
        ),
    ])
}

/// What a Distributed Map takes: starting executions of the state machine itself (Step Functions Developer Guide, "IAM
/// policies for using Distributed Map states"), and finding the one that failed (Service Authorization Reference, "AWS Step
/// Functions": what each action is allowed on). A policy of its own: one in the role would need the machine that needs the role.
fn items(machine: &str) -> Value {
    let place = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}";
    let of = |kind: &str, rest: &str| sub(&format!("{place}:{kind}:${{{machine}.Name}}{rest}"));
    let statements = vec![
        allow(&["states:StartExecution"], vec![reference(machine)]),
        allow(
            &["states:DescribeExecution", "states:StopExecution"],
            vec![of("execution", "/*")],
        ),
        allow(
            &["states:ListMapRuns"],
            vec![of("execution", ":*"), of("execution", "/*")],
        ),
        allow(&["states:ListExecutions"], vec![reference(machine), of("mapRun", "/*")]),
    ];
    json!({ "PolicyDocument": document(statements), "Roles": [reference(&format!("{machine}Role"))] })
}

fn substitutions(names: &Names<'_>, definition: &str) -> IndexMap<String, Value> {
    let functions = names
        .functions
        .iter()
        .map(|called| (format!("{}Arn", called.logical), get_att(&called.logical, "Arn")));
    let topics = names.topics.iter().flat_map(|(_, logical)| {
        let name = (format!("{logical}Name"), get_att(logical, "TopicName"));
        let alarmed = (format!("{logical}{ALARMED}"), reference(logical));
        [(format!("{logical}Arn"), reference(logical)), alarmed, name]
    });
    let machines = names
        .machines
        .iter()
        .map(|inner| (inner.placeholder(), reference(&inner.logical)));
    let buckets = names
        .buckets
        .iter()
        .map(|bucket| (format!("{}Name", bucket.logical), bucket.name()));
    let containers = names.containers.iter();
    let containers = containers.map(|container| (container.placeholder(), reference(&container.logical)));
    let containers = containers.chain([(jobs::QUEUE_ARN.to_owned(), reference(jobs::QUEUE))]);
    let trainings = names.trainings.iter();
    let trainings = trainings.map(|training| (training.placeholder(), training.image()));
    let trainings = trainings.chain([
        (training::ROLE_ARN.to_owned(), get_att(training::ROLE, "Arn")),
        (training::BUCKET_NAME.to_owned(), reference(training::BUCKET)),
    ]);
    let endpoints = names.endpoints.iter();
    let endpoints = endpoints.flat_map(|served| served.substitutions(names.pipeline));
    let endpoints = endpoints.chain([(serving::ROLE_ARN.to_owned(), get_att(serving::ROLE, "Arn"))]);
    let queues = names.messages.iter();
    let queues = queues.map(|messages| (messages.placeholder(), get_att(&messages.queue, "Arn")));
    functions
        .chain(machines)
        .chain(buckets)
        .chain(topics)
        .chain(queues)
        .chain(containers)
        .chain(trainings)
        .chain(endpoints)
        .filter(|(name, _)| definition.contains(&format!("${{{name}}}")))
        .collect()
}

/// The properties of a bucket that is encrypted and nobody else's.
pub fn private_bucket() -> Value {
    json!({
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                { "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } },
            ],
        },
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": true,
            "BlockPublicPolicy": true,
            "IgnorePublicAcls": true,
            "RestrictPublicBuckets": true,
        },
    })
}

fn of_bucket(bucket: &Bucketed<'_>, pipeline: &Pipeline) -> Resource {
    let triggers = pipeline.triggers.iter().any(
        |trigger| matches!(&trigger.kind, TriggerKind::ObjectCreated { bucket: id, .. } if *id == bucket.bucket.id),
    );
    let mut properties = private_bucket();
    if bucket.bucket.versioning {
        properties["VersioningConfiguration"] = json!({ "Status": "Enabled" });
    }
    if let Some(days) = bucket.bucket.expire_after_days {
        properties["LifecycleConfiguration"] = json!({
            "Rules": [{ "Id": "expire", "Status": "Enabled", "ExpirationInDays": days }],
        });
    }
    if triggers {
        properties["NotificationConfiguration"] = json!({
            "EventBridgeConfiguration": { "EventBridgeEnabled": true },
        });
    }
    Resource::of("AWS::S3::Bucket", properties).kept("Retain")
}

/// Nobody reaches a bucket without TLS (Amazon S3 User Guide, "Security best practices": "Enforce encryption of data in transit").
fn encrypted_transport(bucket: &Bucketed<'_>) -> Resource {
    let statement = json!({
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:*"],
        "Resource": [bucket.arn(), bucket.objects()],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    });
    Resource::of(
        "AWS::S3::BucketPolicy",
        json!({ "Bucket": reference(&bucket.logical), "PolicyDocument": document(vec![statement]) }),
    )
}

fn outputs(names: &Names<'_>) -> IndexMap<String, Output> {
    let mut outputs = IndexMap::new();
    outputs.insert(
        "StateMachineArn".to_owned(),
        Output {
            description: "Start an execution of this".to_owned(),
            value: reference(STATE_MACHINE),
        },
    );
    if let Some(api) = &names.api {
        let url = format!(
            "https://${{{api}}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{}{}",
            triggers::STAGE,
            triggers::PATH
        );
        outputs.insert(
            "HttpUrl".to_owned(),
            Output {
                description: "POST the params here, signed".to_owned(),
                value: sub(&url),
            },
        );
    }
    for messages in &names.messages {
        outputs.insert(
            format!("{}Url", messages.dead),
            Output {
                description: format!(
                    "Messages of the topic `{}` that could not start an execution",
                    messages.topic
                ),
                value: reference(&messages.dead),
            },
        );
    }
    if !names.trainings.is_empty() || serving::captures(&names.endpoints) {
        outputs.insert(
            training::BUCKET_NAME.to_owned(),
            Output {
                description: if names.works(Work::Train) {
                    "The bucket of the code, the models and the results of trainings"
                } else {
                    "The bucket of the code that predicts"
                }
                .to_owned(),
                value: reference(training::BUCKET),
            },
        );
    }
    for (id, logical) in names.own_buckets() {
        outputs.insert(
            format!("{logical}Name"),
            Output {
                description: format!("The bucket `{id}`"),
                value: reference(logical),
            },
        );
    }
    for (id, logical) in names.topics() {
        outputs.insert(
            format!("{logical}Arn"),
            Output {
                description: format!("Subscribe here to the topic `{id}`"),
                value: reference(logical),
            },
        );
    }
    for (id, logical) in names.secrets() {
        outputs.insert(
            format!("{logical}Arn"),
            Output {
                description: format!("Put the value of the secret `{id}` here"),
                value: reference(logical),
            },
        );
    }
    outputs
}
