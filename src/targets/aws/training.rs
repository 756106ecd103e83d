//! What trainings run on: SageMaker, with the code and the results in a bucket of the stack.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::frameworks::{FRAMEWORKS, Registry};
use super::infra::{Resource, allow, document, get_att, reference, sub};
use super::jobs;
use super::limits::{AwsProblem, QUOTAS, is_bucket_name};
use super::serving::INFERENCE;
use crate::diagnostics::Problems;
use crate::expr::Template;
use crate::expr::ast::TextPart;
use crate::model::{Kind, Pipeline, Runtime, Step, Train};
use crate::targets::instances::{self, Instance};
use crate::targets::package::{SERVING, SERVING_MODULE, TRAINING, TRAINING_MODULE};
use crate::targets::{Artifacts, Sources};

/// The bucket of code and results.
pub const BUCKET: &str = "TrainingArtifacts";
/// What definitions call it.
pub const BUCKET_NAME: &str = "TrainingArtifactsName";
/// What a training may do.
pub const ROLE: &str = "TrainingRole";
/// What definitions call its ARN.
pub const ROLE_ARN: &str = "TrainingRoleArn";
/// The template's table of accounts.
const ACCOUNTS: &str = "TrainingImages";
/// File name of what SageMaker starts.
pub const LAUNCHER_MODULE: &str = "mlpipe_launcher.py";
const LAUNCHER: &str = include_str!("../../../targets/aws/launcher.py");
/// What the launcher puts into a model, so that endpoints serve it, by a name that no file of the user's has.
const MODEL_INFERENCE: &str = "mlpipe_inference.py";
/// Where jobs write their logs, and what of their metrics.
const LOGS: &str = "/aws/sagemaker/TrainingJobs";
/// How many characters of a job's name come before its number of 36 (API reference, CreateTrainingJob: 63 in all).
const PREFIX_CHARACTERS: usize = 26;

/// A step that is a training.
#[derive(Debug)]
pub struct Training<'a> {
    /// Its pipeline's place among them.
    pub member: usize,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The step.
    pub step: &'a Step,
    /// What runs.
    pub train: &'a Train,
    /// What the logical ids of its own begin with.
    pub logical: String,
}

impl Training<'_> {
    /// What definitions call its image.
    pub fn placeholder(&self) -> String {
        format!("{}Uri", self.logical)
    }

    /// Its image, as a value of the template.
    pub fn image(&self) -> Value {
        match self.images() {
            Some((registry, rest)) => json!({ "Fn::Sub": [
                format!("${{Account}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/{rest}"),
                { "Account": account(registry) },
            ] }),
            None => json!(self.own_image()),
        }
    }

    /// The kind of registry and the repository with the tag of a framework's image.
    fn images(&self) -> Option<(Registry, String)> {
        let Runtime::Framework(framework, version) = &self.train.runtime else {
            return None;
        };
        let images = FRAMEWORKS.of(*framework)?;
        let machine = machine(self.step, self.train).ok();
        let tag = images
            .pick(version)?
            .tag(machine.is_some_and(|machine| machine.gpu.is_some()));
        Some((images.registry, format!("{}:{tag}", images.repository)))
    }

    fn own_image(&self) -> Option<&str> {
        match &self.train.runtime {
            Runtime::Image(image) => image.aws.as_deref(),
            Runtime::Framework(..) => None,
        }
    }

    /// The ARN of the repository that its image is in, if that is in ECR.
    fn repository(&self) -> Option<Value> {
        match self.images() {
            Some((registry, rest)) => {
                let repository = rest.split(':').next().unwrap_or(&rest);
                Some(json!({ "Fn::Sub": [
                    format!("arn:${{AWS::Partition}}:ecr:${{AWS::Region}}:${{Account}}:repository/{repository}"),
                    { "Account": account(registry) },
                ] }))
            }
            None => jobs::repository(self.own_image()?),
        }
    }
}

fn account(registry: Registry) -> Value {
    json!({ "Fn::FindInMap": [ACCOUNTS, reference("AWS::Region"), registry.column()] })
}

/// The training of a step.
pub fn of(step: &Step) -> Option<&Train> {
    match &step.kind {
        Kind::Train(train) => Some(train),
        _ => None,
    }
}

/// What it runs on.
pub fn machine(step: &Step, train: &Train) -> Result<&'static Instance, AwsProblem> {
    jobs::machine_of(&instances::AWS.sagemaker_training, step, &train.machines)
}

/// What the names of its jobs begin with. ARNs of jobs are in small letters.
pub fn prefix(pipeline: &str, step: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let whole: String = format!("{pipeline}-{step}").chars().map(plain).collect();
    let most = whole.get(..PREFIX_CHARACTERS).unwrap_or(&whole);
    most.trim_matches('-').to_owned()
}

/// What keeps a training off AWS.
pub fn check(step: &Step, train: &Train, problems: &mut Problems) {
    let span = Some(step.span);
    match &train.runtime {
        Runtime::Image(image) if image.aws.is_none() => problems.push(AwsProblem::NoImage {
            step: step.path.clone(),
            span,
        }),
        Runtime::Image(_) => {}
        Runtime::Framework(framework, version) => {
            let images = FRAMEWORKS.of(*framework);
            if images.and_then(|images| images.pick(version)).is_none() {
                problems.push(AwsProblem::NoFramework {
                    step: step.path.clone(),
                    framework: framework.name(),
                    version: version.clone(),
                    known: images.map(|images| images.versions()).unwrap_or_default(),
                    span,
                });
            }
        }
    }
    if let Err(problem) = machine(step, train) {
        problems.push(problem);
    }
    let most = QUOTAS.sagemaker.train_seconds;
    if step.attempt_timeout() > most {
        problems.push(AwsProblem::TooMuch {
            step: step.path.clone(),
            what: "train.max_duration in seconds",
            found: step.attempt_timeout(),
            most,
            span,
        });
    }
}

/// The accounts of the images, a row a region that has all the registries, where a training has such an image.
pub fn mappings(trainings: &[Training<'_>]) -> IndexMap<String, Value> {
    let mut used: Vec<Registry> = Vec::new();
    for (registry, _) in trainings.iter().filter_map(Training::images) {
        if !used.contains(&registry) {
            used.push(registry);
        }
    }
    if used.is_empty() {
        return IndexMap::new();
    }
    let rows = FRAMEWORKS.accounts.iter().filter_map(|(region, accounts)| {
        let cells: Option<IndexMap<&str, &String>> = used
            .iter()
            .map(|registry| Some((registry.column(), accounts.get(registry)?)))
            .collect();
        Some((region.clone(), json!(cells?)))
    });
    IndexMap::from([(ACCOUNTS.to_owned(), rows.collect())])
}

/// What all trainings share. `buckets` are the statements on what the pipeline's buckets allow.
pub fn shared(trainings: &[Training<'_>], buckets: Vec<Value>) -> IndexMap<String, Resource> {
    let policy =
        |name: &str, statements: Vec<Value>| json!({ "PolicyName": name, "PolicyDocument": document(statements) });
    let trust = json!({
        "Effect": "Allow",
        "Principal": { "Service": ["sagemaker.amazonaws.com"] },
        "Action": ["sts:AssumeRole"],
        "Condition": { "StringEquals": { "aws:SourceAccount": reference("AWS::AccountId") } },
    });
    let objects = |rest: &str| sub(&format!("${{{BUCKET}.Arn}}/{rest}"));
    let logs = format!("arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{LOGS}");
    let actions = [
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    ];
    // It has no resource to name.
    let metrics = json!({
        "Effect": "Allow",
        "Action": ["cloudwatch:PutMetricData"],
        "Resource": "*",
        "Condition": { "StringEquals": { "cloudwatch:namespace": LOGS } },
    });
    let mut policies = vec![
        policy(
            "Artifacts",
            vec![
                allow(&["s3:GetBucketLocation", "s3:ListBucket"], vec![get_att(BUCKET, "Arn")]),
                allow(&["s3:GetObject"], vec![objects("code/*")]),
                allow(
                    &[
                        "s3:AbortMultipartUpload",
                        "s3:DeleteObject",
                        "s3:GetObject",
                        "s3:PutObject",
                    ],
                    vec![objects("runs/*")],
                ),
            ],
        ),
        policy(
            "Logs",
            vec![allow(&actions, vec![sub(&logs), sub(&format!("{logs}:*"))]), metrics],
        ),
    ];
    let mut repositories: Vec<Value> = Vec::new();
    for repository in trainings.iter().filter_map(Training::repository) {
        if !repositories.contains(&repository) {
            repositories.push(repository);
        }
    }
    policies.extend((!repositories.is_empty()).then(|| policy("Images", jobs::pulls(repositories))));
    policies.extend((!buckets.is_empty()).then(|| policy("Buckets", buckets)));
    let data = reading(
        trainings
            .iter()
            .flat_map(|training| training.train.data.iter().map(|(_, uri)| uri)),
    );
    policies.extend((!data.is_empty()).then(|| policy("Data", data)));
    IndexMap::from([
        (
            BUCKET.to_owned(),
            Resource::of("AWS::S3::Bucket", super::infra::private_bucket()).kept("Retain"),
        ),
        (
            ROLE.to_owned(),
            Resource::of(
                "AWS::IAM::Role",
                json!({ "AssumeRolePolicyDocument": document(vec![trust]), "Policies": policies }),
            ),
        ),
    ])
}

/// Reading what URIs name outright: as much of each as is written before its first expression.
pub fn reading<'t>(uris: impl Iterator<Item = &'t Template>) -> Vec<Value> {
    let (mut buckets, mut objects) = (Vec::new(), Vec::new());
    for (bucket, prefix) in uris.filter_map(place) {
        let arn = format!("arn:${{AWS::Partition}}:s3:::{bucket}");
        for (found, resource) in [
            (&mut buckets, sub(&arn)),
            (&mut objects, sub(&format!("{arn}/{prefix}*"))),
        ] {
            if !found.contains(&resource) {
                found.push(resource);
            }
        }
    }
    if buckets.is_empty() {
        return Vec::new();
    }
    vec![
        allow(&["s3:GetBucketLocation", "s3:ListBucket"], buckets),
        allow(&["s3:GetObject"], objects),
    ]
}

/// The bucket, and what keys begin with as far as it is plain.
fn place(uri: &Template) -> Option<(&str, &str)> {
    let (start, whole) = match uri {
        Template::Constant(Value::String(text)) => (text.as_str(), true),
        Template::Text(parts) => match parts.first()? {
            TextPart::Literal(text) => (text.as_str(), false),
            TextPart::Expr(_) => return None,
        },
        Template::Constant(_) | Template::Expr(_) | Template::List(_) | Template::Object(_) => return None,
    };
    let rest = start.strip_prefix("s3://")?;
    let (bucket, key) = match rest.split_once('/') {
        Some(parts) => parts,
        None if whole => (rest, ""),
        None => return None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=');
    let end = key.find(|c| !plain(c)).unwrap_or(key.len());
    is_bucket_name(bucket).then(|| (bucket, &key[..end]))
}

/// What starting the jobs of these steps, waiting for their ends and reading their results takes (Step Functions Developer
/// Guide, "Create and manage Amazon SageMaker AI jobs", which tags what it waits for). Without `s3:ListBucket` an object that is not there could not be told from one that must not be read.
pub fn submission(trainings: &[&Training<'_>]) -> Value {
    let place = "${AWS::Region}:${AWS::AccountId}";
    let mut jobs: Vec<Value> = Vec::new();
    for training in trainings {
        let prefix = prefix(training.pipeline, &training.step.path);
        let job = sub(&format!(
            "arn:${{AWS::Partition}}:sagemaker:{place}:training-job/{prefix}-*"
        ));
        if !jobs.contains(&job) {
            jobs.push(job);
        }
    }
    let actions = [
        "sagemaker:AddTags",
        "sagemaker:CreateTrainingJob",
        "sagemaker:DescribeTrainingJob",
        "sagemaker:ListTags",
        "sagemaker:StopTrainingJob",
    ];
    let pass = json!({
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [get_att(ROLE, "Arn")],
        "Condition": { "StringEquals": { "iam:PassedToService": "sagemaker.amazonaws.com" } },
    });
    document(vec![
        allow(&actions, jobs),
        pass,
        allow(
            &["events:DescribeRule", "events:PutRule", "events:PutTargets"],
            vec![sub(&format!(
                "arn:${{AWS::Partition}}:events:{place}:rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule"
            ))],
        ),
        allow(&["s3:GetObject"], vec![sub(&format!("${{{BUCKET}.Arn}}/runs/*"))]),
        allow(&["s3:ListBucket"], vec![get_att(BUCKET, "Arn")]),
    ])
}

/// Adds `training/<package>/…`.
pub fn add(pipeline: &Pipeline, sources: &Sources, artifacts: &mut Artifacts) {
    for train in pipeline.steps.iter().filter_map(of) {
        let folder = format!("training/{}", train.package);
        for (path, bytes) in sources.folders.get(&train.source).into_iter().flatten() {
            artifacts.files.insert(format!("{folder}/{path}"), bytes.clone());
        }
        artifacts.text(format!("{folder}/{TRAINING_MODULE}"), TRAINING);
        artifacts.text(format!("{folder}/{LAUNCHER_MODULE}"), LAUNCHER);
        artifacts.text(format!("{folder}/{MODEL_INFERENCE}"), INFERENCE);
        artifacts.text(format!("{folder}/{SERVING_MODULE}"), SERVING);
    }
}
