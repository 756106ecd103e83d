//! What trainings and predictions for files run on: SageMaker, with the code and the results in a bucket of the stack.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::frameworks::{FRAMEWORKS, Registry};
use super::infra::{Resource, allow, document, get_att, reference, sub};
use super::jobs;
use super::limits::{AwsProblem, QUOTAS, is_bucket_name};
use super::roles::{self, SAGEMAKER};
use super::serving::INFERENCE;
use crate::diagnostics::Problems;
use crate::expr::Template;
use crate::expr::ast::TextPart;
use crate::model::{Kind, Machines, Pipeline, Runtime, Step};
use crate::targets::instances::{self, Instance};
use crate::targets::package::{PREDICTING, PREDICTING_MODULE, SERVING, SERVING_MODULE, TRAINING, TRAINING_MODULE};
use crate::targets::{Artifacts, Sources};

/// The bucket of code and results.
pub const BUCKET: &str = "TrainingArtifacts";
/// What definitions call it.
pub const BUCKET_NAME: &str = "TrainingArtifactsName";
/// What a job may do.
pub const ROLE: &str = "TrainingRole";
/// What definitions call its ARN.
pub const ROLE_ARN: &str = "TrainingRoleArn";
/// The template's table of accounts.
const ACCOUNTS: &str = "TrainingImages";
/// File name of what SageMaker starts.
pub const LAUNCHER_MODULE: &str = "mlpipe_launcher.py";
const LAUNCHER: &str = include_str!("../../../targets/aws/launcher.py");
/// The folder of mlpipe's own code that predicts: no package of the user's has a dash.
pub const PREDICT_PACKAGE: &str = "mlpipe-predict";
/// File name of what SageMaker starts for predictions.
pub const PREDICTOR_MODULE: &str = "mlpipe_predictor.py";
const PREDICTOR: &str = include_str!("../../../targets/aws/predictor.py");
/// What the launcher puts into a model, so that endpoints serve it, by a name that no file of the user's has.
const MODEL_INFERENCE: &str = "mlpipe_inference.py";
/// How many characters of a job's name come before its number of 36 (API reference, CreateTrainingJob: 63 in all).
const PREFIX_CHARACTERS: usize = 26;

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `train`: a training job.
    Train,
    /// `batch_predict`: a processing job.
    Predict,
}

impl Work {
    /// The service's jobs as ARNs name them, and as actions do.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Train => ("training-job", "TrainingJob"),
            Self::Predict => ("processing-job", "ProcessingJob"),
        }
    }

    /// Where the service writes logs of such jobs, and what of their metrics.
    fn logs(self) -> &'static str {
        match self {
            Self::Train => "/aws/sagemaker/TrainingJobs",
            Self::Predict => "/aws/sagemaker/ProcessingJobs",
        }
    }

    const ALL: [Self; 2] = [Self::Train, Self::Predict];
}

/// A step that is a job of SageMaker.
#[derive(Debug)]
pub struct Training<'a> {
    /// Its pipeline's place among them.
    pub member: usize,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The step.
    pub step: &'a Step,
    /// What the job is for.
    pub work: Work,
    /// What runs it.
    pub runtime: &'a Runtime,
    /// What it runs on.
    pub machines: &'a Machines,
    /// The folder of its code.
    pub package: &'a str,
    /// URIs that it reads.
    pub reads: Vec<&'a Template>,
    /// The URI that it writes to, beside the stack's own bucket.
    pub writes: Option<&'a Template>,
    /// What the logical ids of its own begin with.
    pub logical: String,
}

impl<'a> Training<'a> {
    /// The job of a step, if it is one.
    pub fn of(member: usize, pipeline: &'a Pipeline, step: &'a Step) -> Option<Self> {
        let job = |work, runtime, machines, package, reads, writes| Self {
            member,
            pipeline: &pipeline.name,
            step,
            work,
            runtime,
            machines,
            package,
            reads,
            writes,
            logical: String::new(),
        };
        match &step.kind {
            Kind::Train(train) => {
                let reads = train.data.iter().map(|(_, uri)| uri).collect();
                Some(job(
                    Work::Train,
                    &train.runtime,
                    &train.machines,
                    &train.package,
                    reads,
                    None,
                ))
            }
            Kind::BatchPredict(batch) => {
                let reads = vec![&batch.model, &batch.input];
                let writes = Some(&batch.output);
                Some(job(
                    Work::Predict,
                    &batch.runtime,
                    &batch.machines,
                    PREDICT_PACKAGE,
                    reads,
                    writes,
                ))
            }
            _ => None,
        }
    }

    /// The machine that it runs on.
    fn machine(&self) -> Result<&'static Instance, AwsProblem> {
        machine(self.work, self.step, self.machines)
    }
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
        let Runtime::Framework(framework, version) = self.runtime else {
            return None;
        };
        let images = FRAMEWORKS.of(*framework)?;
        let machine = self.machine().ok();
        let tag = images
            .pick(version)?
            .tag(machine.is_some_and(|machine| machine.gpu.is_some()));
        Some((images.registry, format!("{}:{tag}", images.repository)))
    }

    fn own_image(&self) -> Option<&str> {
        match self.runtime {
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

/// What a job runs on.
pub fn machine(work: Work, step: &Step, machines: &Machines) -> Result<&'static Instance, AwsProblem> {
    let table = match work {
        Work::Train => &instances::AWS.sagemaker_training,
        Work::Predict => &instances::AWS.sagemaker_processing,
    };
    jobs::machine_of(table, step, machines)
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

/// What keeps a job off AWS.
pub fn check(pipeline: &Pipeline, step: &Step, problems: &mut Problems) {
    let Some(job) = Training::of(0, pipeline, step) else {
        return;
    };
    let span = Some(step.span);
    match job.runtime {
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
    if let Err(problem) = job.machine() {
        problems.push(problem);
    }
    let (what, most) = match job.work {
        Work::Train => ("train.max_duration in seconds", QUOTAS.sagemaker.train_seconds),
        Work::Predict => (
            "batch_predict.max_duration in seconds",
            QUOTAS.sagemaker.processing_seconds,
        ),
    };
    if step.attempt_timeout() > most {
        problems.push(AwsProblem::TooMuch {
            step: step.path.clone(),
            what,
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
    let objects = |rest: &str| sub(&format!("${{{BUCKET}.Arn}}/{rest}"));
    let groups: Vec<&str> = works(trainings.iter()).map(Work::logs).collect();
    let logs = groups.iter().flat_map(|group| {
        let arn = format!("arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{group}");
        [sub(&arn), sub(&format!("{arn}:*"))]
    });
    let mut artifacts = vec![
        allow(&["s3:GetBucketLocation", "s3:ListBucket"], vec![get_att(BUCKET, "Arn")]),
        allow(&["s3:GetObject"], vec![objects("code/*")]),
    ];
    let trains = trainings.iter().any(|training| training.work == Work::Train);
    artifacts.extend(trains.then(|| {
        let actions = [
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:GetObject",
            "s3:PutObject",
        ];
        allow(&actions, vec![objects("runs/*")])
    }));
    let role = roles::role(
        SAGEMAKER,
        vec![
            ("Artifacts", artifacts),
            ("Logs", roles::logging(logs.collect(), &groups)),
            (
                "Images",
                roles::pulls(trainings.iter().filter_map(Training::repository)),
            ),
            ("Buckets", buckets),
            ("Data", data(trainings)),
        ],
    );
    IndexMap::from([
        (
            BUCKET.to_owned(),
            Resource::of("AWS::S3::Bucket", super::infra::private_bucket()).kept("Retain"),
        ),
        (ROLE.to_owned(), role),
    ])
}

/// What the jobs are for, each once.
fn works<'t, 'a: 't>(trainings: impl Iterator<Item = &'t Training<'a>>) -> impl Iterator<Item = Work> {
    let found: Vec<Work> = trainings.map(|training| training.work).collect();
    Work::ALL.into_iter().filter(move |work| found.contains(work))
}

/// Reading and writing what steps name outright: as much of a URI as is written before its first expression.
fn data(trainings: &[Training<'_>]) -> Vec<Value> {
    let reads = trainings.iter().flat_map(|training| training.reads.iter().copied());
    let writes = trainings.iter().filter_map(|training| training.writes);
    let mut statements = access(reads, &["s3:GetObject"]);
    statements.extend(access(writes, &["s3:AbortMultipartUpload", "s3:PutObject"]));
    statements
}

/// Reading what URIs name outright.
pub fn reading<'t>(uris: impl Iterator<Item = &'t Template>) -> Vec<Value> {
    access(uris, &["s3:GetObject"])
}

fn access<'t>(uris: impl Iterator<Item = &'t Template>, actions: &[&str]) -> Vec<Value> {
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
        allow(actions, objects),
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
    let mut statements = Vec::new();
    let mut rules = Vec::new();
    for work in works(trainings.iter().copied()) {
        let (arn, action) = work.names();
        let mut jobs: Vec<Value> = Vec::new();
        for training in trainings.iter().filter(|training| training.work == work) {
            let prefix = prefix(training.pipeline, &training.step.path);
            let job = sub(&format!("arn:${{AWS::Partition}}:sagemaker:{place}:{arn}/{prefix}-*"));
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
        let [create, describe, stop] = ["Create", "Describe", "Stop"].map(|verb| format!("sagemaker:{verb}{action}"));
        let actions = ["sagemaker:AddTags", &create, &describe, "sagemaker:ListTags", &stop];
        statements.push(allow(&actions, jobs));
        rules.push(sub(&format!(
            "arn:${{AWS::Partition}}:events:{place}:rule/StepFunctionsGetEventsForSageMaker{action}sRule"
        )));
    }
    statements.push(json!({
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [get_att(ROLE, "Arn")],
        "Condition": { "StringEquals": { "iam:PassedToService": "sagemaker.amazonaws.com" } },
    }));
    statements.push(allow(
        &["events:DescribeRule", "events:PutRule", "events:PutTargets"],
        rules,
    ));
    // Predictions tell their result when they are described.
    if trainings.iter().any(|training| training.work == Work::Train) {
        statements.push(allow(
            &["s3:GetObject"],
            vec![sub(&format!("${{{BUCKET}.Arn}}/runs/*"))],
        ));
        statements.push(allow(&["s3:ListBucket"], vec![get_att(BUCKET, "Arn")]));
    }
    document(statements)
}

/// Adds `training/<package>/…`.
pub fn add(pipeline: &Pipeline, sources: &Sources, artifacts: &mut Artifacts) {
    for step in &pipeline.steps {
        match &step.kind {
            Kind::Train(train) => {
                let folder = format!("training/{}", train.package);
                for (path, bytes) in sources.folders.get(&train.source).into_iter().flatten() {
                    artifacts.files.insert(format!("{folder}/{path}"), bytes.clone());
                }
                artifacts.text(format!("{folder}/{TRAINING_MODULE}"), TRAINING);
                artifacts.text(format!("{folder}/{LAUNCHER_MODULE}"), LAUNCHER);
                artifacts.text(format!("{folder}/{MODEL_INFERENCE}"), INFERENCE);
                artifacts.text(format!("{folder}/{SERVING_MODULE}"), SERVING);
            }
            Kind::BatchPredict(_) => {
                let own = [
                    (PREDICTOR_MODULE, PREDICTOR),
                    (TRAINING_MODULE, TRAINING),
                    (PREDICTING_MODULE, PREDICTING),
                    (SERVING_MODULE, SERVING),
                ];
                for (name, text) in own {
                    artifacts.text(format!("training/{PREDICT_PACKAGE}/{name}"), text);
                }
            }
            _ => {}
        }
    }
}
