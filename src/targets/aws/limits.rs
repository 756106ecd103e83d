//! Quotas and forms that keep a pipeline off AWS. Numbers are in `targets/aws/quotas.yaml`, with their sources.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use std::sync::LazyLock;

use miette::Diagnostic;
use serde::Deserialize;
use thiserror::Error;

use crate::diagnostics::Problems;
use crate::model::{self, FunctionCall, HandlerAction, Job, Kind, Pipeline, Retry, Step, TriggerKind};
use crate::syntax::span::Span;
use crate::targets::aws::workflow::deployed_bytes;
use crate::targets::aws::{jobs, monitoring, serving, training};

/// What AWS does not take.
#[derive(Debug, Error, Diagnostic)]
pub enum AwsProblem {
    /// Longer than a function may run.
    #[error("`{step}` may run longer than a Lambda function does (at most {most}s): {seconds}s")]
    #[diagnostic(code(MLP0700), help("set `timeout: {most}s` or less, or split the step"))]
    Timeout {
        /// The step.
        step: String,
        /// As written.
        seconds: u64,
        /// The quota.
        most: u64,
        /// The step's id.
        #[label("aws: function timeout")]
        span: Option<Span>,
    },

    /// More or less memory than a function may have.
    #[error("`{step}` needs memory that a Lambda function does not have ({least} to {most} MB): {memory} MB")]
    #[diagnostic(code(MLP0701), help("ask for `memory:` between {least}MB and {most}MB"))]
    Memory {
        /// The step.
        step: String,
        /// In MiB.
        memory: u64,
        /// The quota.
        least: u64,
        /// The quota.
        most: u64,
        /// The step's id.
        #[label("aws: function memory")]
        span: Option<Span>,
    },

    /// A runtime that Lambda does not have.
    #[error("Lambda does not have this runtime: `{runtime}`")]
    #[diagnostic(code(MLP0702), help("use one of {known}"))]
    Runtime {
        /// As written.
        runtime: String,
        /// All of them.
        known: String,
        /// The step's id.
        #[label("aws: runtime of this function")]
        span: Option<Span>,
    },

    /// A number of a retry rule or a wait that Step Functions does not take.
    #[error("`{step}`: {what} is more than Step Functions takes (at most {most}): {found}")]
    #[diagnostic(code(MLP0703), help("lower it to {most}"))]
    TooMuch {
        /// The step.
        step: String,
        /// `retry.attempts`.
        what: &'static str,
        /// As written.
        found: u64,
        /// The quota.
        most: u64,
        /// The step's id.
        #[label("aws: {what}")]
        span: Option<Span>,
    },

    /// The definition is too large.
    #[error("a state machine's definition holds at most {most} bytes: {found}")]
    #[diagnostic(
        code(MLP0704),
        help("a step is too large to be split: move constant data out of its `input`")
    )]
    Definition {
        /// In bytes.
        found: usize,
        /// The quota.
        most: usize,
    },

    /// The template is too large.
    #[error("a CloudFormation template holds at most {most} bytes: {found}")]
    #[diagnostic(code(MLP0705), help("split the pipeline into several"))]
    Template {
        /// In bytes.
        found: usize,
        /// The quota.
        most: usize,
    },

    /// Too many resources.
    #[error("a CloudFormation stack holds at most {most} resources: {found}")]
    #[diagnostic(
        code(MLP0706),
        help("each function step is a resource: split the pipeline into several")
    )]
    Resources {
        /// After the SAM transform.
        found: usize,
        /// The quota.
        most: usize,
    },

    /// A name that is none for a bucket.
    #[error("existing bucket of `{bucket}` has no name that S3 takes: `{name}`")]
    #[diagnostic(code(MLP0707), help("a name has {rule}"))]
    BucketName {
        /// The logical bucket.
        bucket: String,
        /// As written.
        name: String,
        /// The rule.
        rule: String,
    },

    /// Too long a text for the rule of an event.
    #[error("the params of a trigger hold at most {most} characters: {found}")]
    #[diagnostic(code(MLP0708), help("pass less, or a key of an object that holds it"))]
    TriggerInput {
        /// In characters.
        found: usize,
        /// The quota.
        most: usize,
    },

    /// A container without an image.
    #[error("`{step}` has no image on AWS")]
    #[diagnostic(code(MLP0711), help("add it: `image: {{ aws: … }}`"))]
    NoImage {
        /// The step.
        step: String,
        /// The step's id.
        #[label("aws: no image")]
        span: Option<Span>,
    },

    /// No machine that a step fits on.
    #[error("`{step}` fits on no machine: {detail}")]
    #[diagnostic(code(MLP0712), help("ask for less, or name an instance: `instance: {{ aws: … }}`"))]
    NoMachine {
        /// The step.
        step: String,
        /// What there is.
        detail: String,
        /// The step's id.
        #[label("aws: machine of this step")]
        span: Option<Span>,
    },

    /// A version that there is no image of.
    #[error("`{step}` wants {framework} {version}, and SageMaker has no image of it")]
    #[diagnostic(code(MLP0713), help("there is {known}; or name an image: `image: {{ aws: … }}`"))]
    NoFramework {
        /// The step.
        step: String,
        /// Its name.
        framework: &'static str,
        /// As written.
        version: String,
        /// All of them.
        known: String,
        /// The step's id.
        #[label("aws: framework of this step")]
        span: Option<Span>,
    },

    /// More variants than an alarm can watch.
    #[error("`{step}` watches more variants of `{endpoint}` than a CloudWatch alarm does (at most {most}): {found}")]
    #[diagnostic(code(MLP0718), help("give the endpoint fewer variants, or leave `error_rate` out"))]
    Unwatched {
        /// The step.
        step: String,
        /// The endpoint.
        endpoint: String,
        /// Of the endpoint, by all steps that create it.
        found: usize,
        /// The quota.
        most: usize,
        /// The step's id.
        #[label("aws: metrics of an alarm")]
        span: Option<Span>,
    },

    /// A framework whose images serve nothing of ours.
    #[error("`{step}` serves a model of {framework}, for which SageMaker has only a server of its own")]
    #[diagnostic(code(MLP0714), help("name an image that serves it: `image: {{ aws: … }}`"))]
    NotServed {
        /// The step.
        step: String,
        /// Its name.
        framework: &'static str,
        /// The step's id.
        #[label("aws: framework of this endpoint")]
        span: Option<Span>,
    },

    /// A name that SageMaker does not take.
    #[error("`{step}`: a variant's name cannot end in `-` on AWS: `{name}`")]
    #[diagnostic(code(MLP0716), help("call it something else"))]
    VariantName {
        /// The step.
        step: String,
        /// As written.
        name: String,
        /// The step's id.
        #[label("aws: variants of this endpoint")]
        span: Option<Span>,
    },

    /// A bug of ours.
    #[error("the artifacts of this pipeline cannot be written: {detail}")]
    #[diagnostic(code(MLP0719), help("report this with the pipeline file: it is a bug in mlpipe"))]
    Unwritable {
        /// What the writer says.
        detail: String,
    },
}

/// `targets/aws/quotas.yaml`.
#[derive(Debug, Default, Deserialize)]
pub struct Quotas {
    /// AWS Lambda.
    pub lambda: Lambda,
    /// AWS Step Functions.
    pub step_functions: StepFunctions,
    /// AWS CloudFormation.
    pub cloudformation: CloudFormation,
    /// Amazon EventBridge.
    pub eventbridge: EventBridge,
    /// Amazon S3.
    pub s3: S3,
    /// Amazon SageMaker.
    pub sagemaker: SageMaker,
    /// Amazon CloudWatch.
    pub cloudwatch: CloudWatch,
}

/// Of alarms.
#[derive(Debug, Default, Deserialize)]
pub struct CloudWatch {
    /// That one alarm computes from.
    pub alarm_metrics: usize,
}

/// Of jobs.
#[derive(Debug, Default, Deserialize)]
pub struct SageMaker {
    /// Longest training.
    pub train_seconds: u64,
    /// Longest processing job.
    pub processing_seconds: u64,
    /// Of an endpoint.
    pub endpoint_variants: u64,
}

/// Of functions.
#[derive(Debug, Default, Deserialize)]
pub struct Lambda {
    /// Most.
    pub timeout_seconds: u64,
    /// In MiB.
    pub memory_mib: Range,
    /// Supported.
    pub runtimes: Vec<String>,
}

/// Both ends belong to it.
#[derive(Debug, Default, Deserialize)]
pub struct Range {
    /// Least.
    pub least: u64,
    /// Most.
    pub most: u64,
}

/// Of state machines.
#[derive(Debug, Default, Deserialize)]
pub struct StepFunctions {
    /// Of the whole file.
    pub definition_bytes: usize,
    /// `MaxAttempts`.
    pub retry_attempts: u64,
    /// `IntervalSeconds`.
    pub retry_interval_seconds: u64,
    /// `MaxDelaySeconds`.
    pub retry_max_delay_seconds: u64,
    /// `Seconds` of a Wait state.
    pub wait_seconds: u64,
    /// `TimeoutSeconds`.
    pub timeout_seconds: u64,
    /// Items of an inline Map state at once.
    pub map_concurrency: u32,
    /// Events of one execution.
    pub history_events: u64,
}

/// Of templates.
#[derive(Debug, Default, Deserialize)]
pub struct CloudFormation {
    /// Of a stack.
    pub resources: usize,
    /// Of a template in S3.
    pub template_bytes: usize,
    /// Of its description.
    pub description_bytes: usize,
}

/// Of rules.
#[derive(Debug, Default, Deserialize)]
pub struct EventBridge {
    /// Of an input transformer.
    pub input_template_characters: usize,
}

/// Of buckets.
#[derive(Debug, Default, Deserialize)]
pub struct S3 {
    /// For a reader.
    pub bucket_name_pattern: String,
}

/// The quotas. The embedded file is ours: a test reads it.
pub static QUOTAS: LazyLock<Quotas> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/aws/quotas.yaml")).unwrap_or_default());

/// What the pipeline alone shows.
pub fn check(pipeline: &Pipeline) -> Problems {
    let mut problems = Problems::new();
    let quotas = &QUOTAS.step_functions;
    for step in &pipeline.steps {
        let span = Some(step.span);
        match &step.kind {
            Kind::Function(call) => check_function(&step.path, call, span, &mut problems),
            Kind::Job(job) => check_job(step, job, &mut problems),
            Kind::Train(_) | Kind::BatchPredict(_) => training::check(pipeline, step, &mut problems),
            Kind::Monitor(monitor) => monitoring::check(pipeline, step, monitor, &mut problems),
            Kind::Endpoint(endpoint) => serving::check(step, endpoint, &mut problems),
            Kind::Wait(_)
            | Kind::Fail { .. }
            | Kind::Notify(_)
            | Kind::Approval(_)
            | Kind::Pipeline(_)
            | Kind::Group(_) => {}
        }
        check_retry(&step.path, &step.retry, span, &mut problems);
        let duration = match &step.kind {
            // What lies beyond its timeout is not waited for.
            Kind::Wait(model::Wait::Duration(seconds)) => (*seconds).min(step.timeout.unwrap_or(u64::MAX)),
            Kind::Function(_)
            | Kind::Endpoint(_)
            | Kind::BatchPredict(_)
            | Kind::Monitor(_)
            | Kind::Wait(model::Wait::Until(_))
            | Kind::Fail { .. }
            | Kind::Job(_)
            | Kind::Train(_)
            | Kind::Notify(_)
            | Kind::Approval(_)
            | Kind::Pipeline(_)
            | Kind::Group(_) => 0,
        };
        let bound = match &step.kind {
            Kind::Endpoint(_) | Kind::BatchPredict(_) => None,
            Kind::Group(_) | Kind::Pipeline(_) | Kind::Notify(_) | Kind::Monitor(_) => step.timeout,
            Kind::Approval(_) | Kind::Job(_) => Some(step.attempt_timeout()),
            Kind::Train(_) => None,
            Kind::Function(_) | Kind::Wait(_) | Kind::Fail { .. } => None,
        };
        let spans = [
            ("wait.duration in seconds", duration, quotas.wait_seconds),
            (
                "repeat.delay in seconds",
                step.repeat.as_ref().map_or(0, |repeat| repeat.delay),
                quotas.wait_seconds,
            ),
            ("timeout in seconds", bound.unwrap_or(0), quotas.timeout_seconds),
        ];
        for (what, found, most) in spans {
            if found > most {
                problems.push(AwsProblem::TooMuch {
                    step: step.path.clone(),
                    what,
                    found,
                    most,
                    span,
                });
            }
        }
    }
    if let Some(handler) = &pipeline.on_failure {
        if let HandlerAction::Function { call, .. } = &handler.action {
            check_function(crate::model::ON_FAILURE, call, None, &mut problems);
        }
        check_retry(crate::model::ON_FAILURE, &handler.retry, None, &mut problems);
    }
    for bucket in &pipeline.buckets {
        if let Some(name) = bucket.existing.get("aws").filter(|name| !is_bucket_name(name)) {
            problems.push(AwsProblem::BucketName {
                bucket: bucket.id.clone(),
                name: name.clone(),
                rule: QUOTAS.s3.bucket_name_pattern.clone(),
            });
        }
    }
    for trigger in &pipeline.triggers {
        let most = QUOTAS.eventbridge.input_template_characters;
        let found = super::triggers::input(&trigger.params).0.chars().count();
        if matches!(trigger.kind, TriggerKind::ObjectCreated { .. }) && found > most {
            problems.push(AwsProblem::TriggerInput { found, most });
        }
    }
    problems
}

fn check_function(step: &str, call: &FunctionCall, span: Option<Span>, problems: &mut Problems) {
    let quotas = &QUOTAS.lambda;
    if call.timeout > quotas.timeout_seconds {
        problems.push(AwsProblem::Timeout {
            step: step.to_owned(),
            seconds: call.timeout,
            most: quotas.timeout_seconds,
            span,
        });
    }
    if call.memory_mib < quotas.memory_mib.least || call.memory_mib > quotas.memory_mib.most {
        problems.push(AwsProblem::Memory {
            step: step.to_owned(),
            memory: call.memory_mib,
            least: quotas.memory_mib.least,
            most: quotas.memory_mib.most,
            span,
        });
    }
    if !quotas.runtimes.contains(&call.runtime) {
        problems.push(AwsProblem::Runtime {
            runtime: call.runtime.clone(),
            known: quotas.runtimes.join(", "),
            span,
        });
    }
}

fn check_job(step: &Step, job: &Job, problems: &mut Problems) {
    if job.image.aws.is_none() {
        problems.push(AwsProblem::NoImage {
            step: step.path.clone(),
            span: Some(step.span),
        });
    }
    if let Err(problem) = jobs::machine(step, job) {
        problems.push(problem);
    }
}

fn check_retry(step: &str, retry: &Retry, span: Option<Span>, problems: &mut Problems) {
    if retry.attempts < 2 {
        return;
    }
    let quotas = &QUOTAS.step_functions;
    let bounds = [
        ("retry.attempts", u64::from(retry.attempts), quotas.retry_attempts),
        ("retry.delay in seconds", retry.delay, quotas.retry_interval_seconds),
        (
            "retry.max_delay in seconds",
            retry.max_delay,
            quotas.retry_max_delay_seconds,
        ),
    ];
    for (what, found, most) in bounds {
        if found > most {
            problems.push(AwsProblem::TooMuch {
                step: step.to_owned(),
                what,
                found,
                most,
                span,
            });
        }
    }
}

/// True where S3 takes the name.
pub fn is_bucket_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-'])
}

/// What the finished files show.
pub fn check_files<'t>(
    definitions: impl Iterator<Item = &'t str>,
    most: usize,
    template: &str,
    resources: usize,
    problems: &mut Problems,
) {
    for found in definitions.map(deployed_bytes).filter(|found| *found > most) {
        problems.push(AwsProblem::Definition { found, most });
    }
    let quotas = &QUOTAS.cloudformation;
    if template.len() > quotas.template_bytes {
        problems.push(AwsProblem::Template {
            found: template.len(),
            most: quotas.template_bytes,
        });
    }
    if resources > quotas.resources {
        problems.push(AwsProblem::Resources {
            found: resources,
            most: quotas.resources,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotas_file_is_read_whole() {
        let read: Result<Quotas, _> = serde_yaml::from_str(include_str!("../../../targets/aws/quotas.yaml"));
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(QUOTAS.lambda.timeout_seconds, 900);
    }
}
