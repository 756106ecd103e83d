//! Quotas and forms that keep a pipeline off Azure.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use miette::Diagnostic;
use thiserror::Error;

use super::facts::LIMITS;
use super::functions;
use super::jobs;
use super::monitoring;
use super::names::{self, Place};
use super::serving;
use super::training;
use crate::diagnostics::Problems;
use crate::model::{FunctionUse, Pipeline, identifier};
use crate::syntax::span::Span;

/// What Azure does not take.
#[derive(Debug, Error, Diagnostic)]
pub enum AzureProblem {
    /// No instance is large enough.
    #[error("`{step}` needs more memory than an instance of Flex Consumption has (at most {most} MB): {memory} MB")]
    #[diagnostic(code(MLP0740), help("ask for `memory: {most}MB` or less"))]
    Memory {
        /// The step.
        step: String,
        /// In MiB.
        memory: u64,
        /// In MiB.
        most: u64,
        /// The step's id.
        #[label("azure: instance memory")]
        span: Option<Span>,
    },

    /// A version of Python that the plan does not have.
    #[error("Flex Consumption does not run this Python (it runs {versions}): `{runtime}`")]
    #[diagnostic(code(MLP0741), help("write `runtime: python{nearest}`"))]
    Runtime {
        /// As written.
        runtime: String,
        /// All of them.
        versions: String,
        /// The newest.
        nearest: String,
        /// The step's id.
        #[label("azure: runtime of this function")]
        span: Option<Span>,
    },

    /// Functions of two runtimes.
    #[error("all functions of an Azure function app run on one Python: `{first}` and `{second}`")]
    #[diagnostic(code(MLP0742), help("write the same `runtime` for all, best in `defaults`"))]
    Runtimes {
        /// Of the first function.
        first: String,
        /// Of another.
        second: String,
        /// The other step's id.
        #[label("azure: another runtime than the functions before")]
        span: Option<Span>,
    },

    /// A bucket's id that is no container's name.
    #[error("bucket id is no name for a blob container: `{bucket}`")]
    #[diagnostic(
        code(MLP0743),
        help(
            "a container's name has no two dashes in a row and none at its end; `_` counts as `-`: rename the bucket"
        )
    )]
    ContainerName {
        /// The bucket.
        bucket: String,
    },

    /// An existing bucket that is not `account/container`.
    #[error("existing bucket of `{bucket}` is not of the form `account/container`: `{name}`")]
    #[diagnostic(
        code(MLP0744),
        help("write the storage account and the container: `existing: {{ azure: acmestore/archive }}`")
    )]
    ExistingName {
        /// The bucket.
        bucket: String,
        /// As written.
        name: String,
    },

    /// Two source folders that cannot share an environment.
    #[error(
        "all functions of an Azure function app share their packages: `{name}` is {} in `{}` and {} in `{}`",
        first.version, first.source_folder, second.version, second.source_folder
    )]
    #[diagnostic(code(MLP0745), help("require one version in both `requirements.txt`"))]
    Requirements {
        /// The package on PyPI.
        name: String,
        /// Where it was pinned first.
        first: Pin,
        /// Where it was pinned to something else.
        second: Pin,
    },

    /// A source folder that would hide a module.
    #[error("source folder has the name of a module of the Azure function app: `{source_folder}`")]
    #[diagnostic(code(MLP0746), help("rename the folder"))]
    PackageName {
        /// The folder.
        source_folder: String,
    },

    /// Too many resources.
    #[error("an ARM template holds at most {most} resources: {found}")]
    #[diagnostic(code(MLP0747), help("use fewer buckets"))]
    Resources {
        /// At most.
        most: usize,
        /// In this template.
        found: usize,
    },

    /// A step in too many groups, or in groups of too long names.
    #[error("the name of a function in a function app has at most {most} characters: `{name}` has {}", name.len())]
    #[diagnostic(
        code(MLP0748),
        help("shorten the ids of the step and of the groups round it, or nest less")
    )]
    FunctionName {
        /// The activity.
        name: String,
        /// In characters.
        most: usize,
        /// The step's id.
        #[label("azure: name of this function")]
        span: Option<Span>,
    },

    /// A container without an image for this cloud.
    #[error("`{step}` names no image for Azure")]
    #[diagnostic(code(MLP0749), help("add `azure:` to its `image`, or give one image for all clouds"))]
    Image {
        /// The step.
        step: String,
        /// The step's id.
        #[label("azure: image of this step")]
        span: Span,
    },

    /// No such machine.
    #[error("`{step}` finds no instance: {detail}")]
    #[diagnostic(
        code(MLP0750),
        help("ask for less in `compute`, or name an instance: `instance: {{ azure: … }}`")
    )]
    Instance {
        /// The step.
        step: String,
        /// What there is.
        detail: String,
        /// The step's id.
        #[label("azure: instance of this step")]
        span: Span,
    },

    /// A distance that no monitor measures.
    #[error("monitors of Azure Machine Learning do not measure `{metric}` (they measure {known}): `{step}`")]
    #[diagnostic(
        code(MLP0755),
        help("write one of these as the `metric` of `drift`, or leave it out")
    )]
    DriftMetric {
        /// The step.
        step: String,
        /// As written.
        metric: &'static str,
        /// All that there are.
        known: String,
        /// The step's id.
        #[label("azure: metric of this monitor")]
        span: Span,
    },

    /// A bug of ours.
    #[error("the app of this pipeline cannot be written: {detail}")]
    #[diagnostic(code(MLP0759), help("report this with the pipeline file: it is a bug in mlpipe"))]
    Template {
        /// What the template engine says.
        detail: String,
    },
}

/// A version that a requirements.txt names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The folder of the requirements.txt, as written in the pipeline.
    pub source_folder: String,
    /// `1.2`
    pub version: String,
}

/// What the pipeline alone shows.
pub fn check(pipeline: &Pipeline) -> Problems {
    let mut problems = Problems::new();
    let functions = pipeline.functions();
    let spans = spans(pipeline);
    for (function, span) in functions.iter().zip(spans) {
        check_function(function, span, &mut problems);
    }
    check_runtimes(pipeline, &mut problems);
    jobs::check(pipeline, &mut problems);
    training::check(pipeline, &mut problems);
    monitoring::check(pipeline, &mut problems);
    serving::check(pipeline, &mut problems);
    for child in pipeline.family().into_iter().skip(1) {
        for function in child.functions() {
            let name = format!("{}{}", functions::child_prefix(child), identifier(function.step));
            check_name(name, None, &mut problems);
        }
    }
    for bucket in &pipeline.buckets {
        match names::place(bucket) {
            Place::Made { container } if !names::is_container(&container) => {
                problems.push(AzureProblem::ContainerName {
                    bucket: bucket.id.clone(),
                });
            }
            Place::Existing { account, container }
                if !names::is_account(account) || !names::is_container(container) =>
            {
                problems.push(AzureProblem::ExistingName {
                    bucket: bucket.id.clone(),
                    name: bucket.existing.get("azure").cloned().unwrap_or_default(),
                });
            }
            Place::Made { .. } | Place::Existing { .. } => {}
        }
    }
    for package in crate::targets::package::packages(pipeline) {
        let taken = &LIMITS.taken_packages;
        let module = taken.names.iter().any(|name| name == package.name);
        if module || package.name.starts_with(&taken.start) {
            problems.push(AzureProblem::PackageName {
                source_folder: package.source.to_owned(),
            });
        }
    }
    problems
}

/// Of each of `pipeline.functions()`: its step's id.
fn spans(pipeline: &Pipeline) -> impl Iterator<Item = Option<Span>> {
    let steps = pipeline
        .steps
        .iter()
        .filter(|step| matches!(step.kind, crate::model::Kind::Function(_)));
    steps.map(|step| Some(step.span)).chain(std::iter::once(None))
}

/// All functions of the app run on the Python of the first.
fn check_runtimes(pipeline: &Pipeline, problems: &mut Problems) {
    let own = pipeline.functions().len();
    let all = functions::all_functions(pipeline);
    let Some(first) = all.first().map(|function| function.call.runtime.as_str()) else {
        return;
    };
    let spans = spans(pipeline).take(own).chain(std::iter::repeat(None));
    for (function, span) in all.iter().zip(spans) {
        if function.call.runtime != first {
            problems.push(AzureProblem::Runtimes {
                first: first.to_owned(),
                second: function.call.runtime.clone(),
                span,
            });
        }
    }
}

/// The name of an activity.
fn check_name(name: String, span: Option<Span>, problems: &mut Problems) {
    let most = LIMITS.function_name.longest;
    if name.len() > most {
        problems.push(AzureProblem::FunctionName { name, most, span });
    }
}

fn check_function(function: &FunctionUse<'_>, span: Option<Span>, problems: &mut Problems) {
    let most = LIMITS.instance_memory.mib.last().copied().unwrap_or(u64::MAX);
    if function.call.memory_mib > most {
        problems.push(AzureProblem::Memory {
            step: function.step.to_owned(),
            memory: function.call.memory_mib,
            most,
            span,
        });
    }
    check_name(identifier(function.step), span, problems);
    let versions = &LIMITS.runtimes.python;
    if !versions
        .iter()
        .any(|version| version == python_version(&function.call.runtime))
    {
        problems.push(AzureProblem::Runtime {
            runtime: function.call.runtime.clone(),
            versions: versions.join(", "),
            nearest: versions.last().cloned().unwrap_or_default(),
            span,
        });
    }
}

/// `3.12` of `python3.12`.
pub fn python_version(runtime: &str) -> &str {
    runtime.strip_prefix("python").unwrap_or(runtime)
}

/// The smallest instance that holds the largest function, in MiB.
pub fn instance_memory(pipeline: &Pipeline) -> u64 {
    let largest = functions::all_functions(pipeline)
        .iter()
        .map(|function| function.call.memory_mib)
        .max()
        .unwrap_or_default();
    let sizes = &LIMITS.instance_memory.mib;
    sizes
        .iter()
        .copied()
        .find(|size| *size >= largest)
        .or(sizes.last().copied())
        .unwrap_or(largest)
}
