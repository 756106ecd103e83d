//! Quotas and forms that keep a pipeline off Google Cloud. Numbers are in `targets/gcp/quotas.yaml`, with their sources.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use miette::Diagnostic;
use serde::Deserialize;
use thiserror::Error;

use super::functions::ENTRY;
use super::{jobs, serving, training};
use crate::diagnostics::Problems;
use crate::expr::ExprKind;
use crate::model::{FunctionUse, Kind, ON_FAILURE, Pipeline, Step, Wait};
use crate::syntax::span::Span;
use crate::targets::Sources;
use crate::targets::package::{self, CORE_MODULE};

/// What Google Cloud does not take.
#[derive(Debug, Error, Diagnostic)]
pub enum GcpProblem {
    /// Longer than a function may run.
    #[error("`{step}` may run longer than a Cloud Run function does (at most {most}s): {seconds}s")]
    #[diagnostic(
        code(MLP0720),
        help("set the function's `timeout: {most}s` or less, or split the step")
    )]
    FunctionTimeout {
        /// The step.
        step: String,
        /// As written.
        seconds: u64,
        /// The quota.
        most: u64,
        /// The step's id.
        #[label("gcp: function duration")]
        span: Option<Span>,
    },

    /// Longer than a workflow waits for an answer.
    #[error("a workflow waits {most}s for the answer of `{step}`, which may take longer: {seconds}s")]
    #[diagnostic(code(MLP0721), help("set `timeout: {most}s` or less, or split the step"))]
    CallTimeout {
        /// The step.
        step: String,
        /// The bound of one attempt.
        seconds: u64,
        /// The quota.
        most: u64,
        /// The step's id.
        #[label("gcp: timeout of an HTTP request of Workflows")]
        span: Option<Span>,
    },

    /// More or less memory than a function may have.
    #[error("`{step}` needs memory that a Cloud Run function does not have ({least} to {most} MB): {memory} MB")]
    #[diagnostic(code(MLP0722), help("ask for `memory:` between {least}MB and {most}MB"))]
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
        #[label("gcp: function memory")]
        span: Option<Span>,
    },

    /// A runtime that Cloud Run functions do not have.
    #[error("Cloud Run functions do not have this runtime: `{runtime}`")]
    #[diagnostic(code(MLP0723), help("use one of {known}"))]
    Runtime {
        /// As written.
        runtime: String,
        /// All of them.
        known: String,
        /// The step's id.
        #[label("gcp: runtime of this function")]
        span: Option<Span>,
    },

    /// The workflow is too large.
    #[error("a workflow's source holds at most {most} bytes: {found}")]
    #[diagnostic(code(MLP0724), help("split the pipeline into several"))]
    Source {
        /// In bytes.
        found: usize,
        /// The quota.
        most: usize,
    },

    /// More values than a workflow's environment takes.
    #[error(
        "a workflow has at most {most} environment variables, the buckets and functions that one must know need {found}"
    )]
    #[diagnostic(code(MLP0725), help("split the pipeline into several"))]
    Environment {
        /// How many.
        found: usize,
        /// The quota.
        most: usize,
    },

    /// A user's file where the adapter must be.
    #[error("`{source_folder}/{file}` has the name of a file that mlpipe writes beside it")]
    #[diagnostic(code(MLP0726), help("rename the file, and the handler in it"))]
    FileClash {
        /// The source folder as written.
        source_folder: String,
        /// The file.
        file: &'static str,
    },

    /// A wait longer than an execution.
    #[error("`{step}` waits longer than an execution lasts (at most {most}s): {seconds}s")]
    #[diagnostic(code(MLP0727), help("wait less, or start a second pipeline by a schedule"))]
    Wait {
        /// The step.
        step: String,
        /// As written.
        seconds: u64,
        /// The quota.
        most: u64,
        /// The step's id.
        #[label("gcp: execution duration")]
        span: Span,
    },

    /// A container without an image for this cloud.
    #[error("`{step}` names no image for Google Cloud")]
    #[diagnostic(code(MLP0728), help("add `gcp:` to its `image`, or give one image for all clouds"))]
    Image {
        /// The step.
        step: String,
        /// The step's id.
        #[label("gcp: image of this container")]
        span: Span,
    },

    /// No such machine.
    #[error("`{step}` finds no instance: {detail}")]
    #[diagnostic(code(MLP0729), help("{help}"))]
    Instance {
        /// The step.
        step: String,
        /// What there is.
        detail: String,
        /// What to do.
        help: String,
        /// The step's id.
        #[label("gcp: instance of this step")]
        span: Span,
    },

    /// Longer than a container may run.
    #[error("`{step}` may run longer than a Cloud Run job {what}does (at most {most}s): {seconds}s")]
    #[diagnostic(code(MLP0730), help("set `max_duration: {most}s` or less, or split the step"))]
    JobTimeout {
        /// The step.
        step: String,
        /// Of which kind.
        what: &'static str,
        /// As written.
        seconds: u64,
        /// The quota.
        most: u64,
        /// The step's id.
        #[label("gcp: duration of a task")]
        span: Span,
    },

    /// A bug of ours.
    #[error("the artifacts of this pipeline cannot be written: {detail}")]
    #[diagnostic(code(MLP0739), help("report this with the pipeline file: it is a bug in mlpipe"))]
    Unwritable {
        /// What the writer says.
        detail: String,
    },
}

/// `targets/gcp/quotas.yaml`.
#[derive(Debug, Default, Deserialize)]
pub struct Quotas {
    /// Google Workflows.
    pub workflow: Workflow,
    /// Cloud Run functions.
    pub function: Function,
    /// Cloud Run jobs.
    pub job: JobQuotas,
    /// Supported.
    pub runtimes: Vec<String>,
}

/// Of workflows.
#[derive(Debug, Default, Deserialize)]
pub struct Workflow {
    /// Of `workflow.yaml`.
    pub source_bytes: usize,
    /// Of one workflow.
    pub environment_variables: usize,
    /// Of one request.
    pub http_timeout_seconds: u64,
    /// Of one execution.
    pub execution_seconds: u64,
    /// Of one execution.
    pub steps: u64,
    /// Branches and turns of one execution.
    pub at_once: u32,
    /// Parallel steps.
    pub parallel_nesting: usize,
}

/// Of functions.
#[derive(Debug, Default, Deserialize)]
pub struct Function {
    /// Most.
    pub timeout_seconds: u64,
    /// In MiB.
    pub memory_mib: Range,
}

/// Of jobs.
#[derive(Debug, Default, Deserialize)]
pub struct JobQuotas {
    /// Of a task.
    pub timeout_seconds: u64,
    /// Of a task with a GPU.
    pub gpu_timeout_seconds: u64,
}

/// Both ends belong to it.
#[derive(Debug, Default, Deserialize)]
pub struct Range {
    /// Least.
    pub least: u64,
    /// Most.
    pub most: u64,
}

/// The quotas. The embedded file is ours: a test reads it.
pub static QUOTAS: LazyLock<Quotas> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/gcp/quotas.yaml")).unwrap_or_default());

/// What the pipeline alone shows.
pub fn check(pipeline: &Pipeline) -> Problems {
    let mut problems = Problems::new();
    let mut spans = pipeline.steps.iter().filter_map(|step| match &step.kind {
        Kind::Endpoint(_) | Kind::Monitor(_) => None,
        Kind::Function(_) => Some(step.span),
        Kind::Job(_) | Kind::Train(_) | Kind::BatchPredict(_) | Kind::Notify(_) => None,
        Kind::Wait(_) | Kind::Fail { .. } | Kind::Approval(_) | Kind::Pipeline(_) | Kind::Group(_) => None,
    });
    for function in pipeline.functions() {
        let span = if function.step == ON_FAILURE {
            None
        } else {
            spans.next()
        };
        check_function(&function, span, &mut problems);
    }
    let most = QUOTAS.workflow.execution_seconds;
    for step in &pipeline.steps {
        let seconds = match &step.kind {
            Kind::Endpoint(_) | Kind::Monitor(_) => 0,
            Kind::Wait(Wait::Duration(seconds)) => *seconds,
            Kind::Approval(_) => step.attempt_timeout(),
            Kind::Job(_) | Kind::Train(_) | Kind::BatchPredict(_) | Kind::Notify(_) => 0,
            Kind::Function(_) | Kind::Wait(Wait::Until(_)) | Kind::Fail { .. } | Kind::Pipeline(_) | Kind::Group(_) => {
                0
            }
        };
        if seconds > most {
            problems.push(GcpProblem::Wait {
                step: step.id.clone(),
                seconds,
                most,
                span: step.span,
            });
        }
    }
    jobs::check(pipeline, &mut problems);
    training::check(pipeline, &mut problems);
    serving::check(pipeline, &mut problems);
    let most = pipeline.steps.iter().map(buckets_of).max().unwrap_or(0);
    check_environment(most, &mut problems);
    problems
}

/// How many buckets the expressions of a step name: wherever it runs, that workflow must know them.
fn buckets_of(step: &Step) -> usize {
    let mut found = BTreeSet::new();
    step.each_expr(&mut |expr| {
        expr.walk(&mut |part| {
            if let ExprKind::BucketUri(bucket) | ExprKind::BucketName(bucket) = &part.kind {
                found.insert(bucket.clone());
            }
        });
    });
    found.len()
}

fn check_function(function: &FunctionUse<'_>, span: Option<Span>, problems: &mut Problems) {
    let step = function.step.to_owned();
    let quotas = &QUOTAS.function;
    if function.call.timeout > quotas.timeout_seconds {
        problems.push(GcpProblem::FunctionTimeout {
            step: step.clone(),
            seconds: function.call.timeout,
            most: quotas.timeout_seconds,
            span,
        });
    } else if function.attempt_timeout > QUOTAS.workflow.http_timeout_seconds {
        problems.push(GcpProblem::CallTimeout {
            step: step.clone(),
            seconds: function.attempt_timeout,
            most: QUOTAS.workflow.http_timeout_seconds,
            span,
        });
    }
    let memory = function.call.memory_mib;
    if memory < quotas.memory_mib.least || memory > quotas.memory_mib.most {
        problems.push(GcpProblem::Memory {
            step,
            memory,
            least: quotas.memory_mib.least,
            most: quotas.memory_mib.most,
            span,
        });
    }
    if !QUOTAS.runtimes.contains(&function.call.runtime) {
        problems.push(GcpProblem::Runtime {
            runtime: function.call.runtime.clone(),
            known: QUOTAS.runtimes.join(", "),
            span,
        });
    }
}

/// What the users' folders show.
pub fn check_sources(pipeline: &Pipeline, sources: &Sources, problems: &mut Problems) {
    for package in package::packages(pipeline) {
        for file in [ENTRY, CORE_MODULE] {
            if sources
                .folders
                .get(package.source)
                .is_some_and(|files| files.contains_key(file))
            {
                problems.push(GcpProblem::FileClash {
                    source_folder: package.source.to_owned(),
                    file,
                });
            }
        }
    }
}

/// How many variables of the environment one of the finished workflows reads.
pub fn check_environment(found: usize, problems: &mut Problems) {
    let most = QUOTAS.workflow.environment_variables;
    if found > most {
        problems.push(GcpProblem::Environment { found, most });
    }
}

/// What the largest of the finished workflows shows, in bytes.
pub fn check_workflow(found: usize, problems: &mut Problems) {
    let most = QUOTAS.workflow.source_bytes;
    if found > most {
        problems.push(GcpProblem::Source { found, most });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotas_file_is_read_whole() {
        let read: Result<Quotas, _> = serde_yaml::from_str(include_str!("../../../targets/gcp/quotas.yaml"));
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(QUOTAS.workflow.source_bytes, 131_072);
    }
}
