//! The back ends: a folder a target, each with the same rooms (`workflow`, `functions`, `infra`, `limits`).

pub mod aws;
pub mod azure;
pub mod gcp;
pub mod instances;
pub mod package;
pub mod packages;
mod pending;
pub mod size;

use indexmap::IndexMap;
use miette::Diagnostic;
use thiserror::Error;

use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::plan::Plan;

/// The clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Target {
    /// AWS Step Functions and Lambda, in a SAM template.
    Aws,
    /// Google Workflows and Cloud Run functions, in Terraform JSON.
    Gcp,
    /// Azure Durable Functions, in an ARM template.
    Azure,
}

/// Generated files by path (`/`-separated, relative to the target's folder), in a stable order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Artifacts {
    /// Contents by path.
    pub files: IndexMap<String, Vec<u8>>,
}

/// A problem of another file: its places are not in this one.
#[derive(Debug, Error, Diagnostic)]
#[error("the pipeline `{pipeline}` does not fit {target}: {detail}")]
#[diagnostic(code(MLP0710), help("`mlpipe validate` of its own file shows where"))]
struct MemberProblem {
    pipeline: String,
    target: &'static str,
    detail: String,
}

impl Artifacts {
    /// Adds a text file.
    pub fn text(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.files.insert(path.into(), text.into().into_bytes());
    }

    /// Adds a pretty-printed JSON file, two spaces a level, with a final newline.
    pub fn json(&mut self, path: impl Into<String>, value: &impl serde::Serialize) {
        // Serialising our own typed values to a string cannot fail: their keys are strings and they hold no foreign writer.
        let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.push('\n');
        self.text(path, text);
    }
}

/// A user's source folder, read: the files to ship, by path relative to it. Reading is the caller's business.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// By [`crate::model::FunctionCall::source`], each its files: path to bytes, sorted.
    pub folders: IndexMap<String, IndexMap<String, Vec<u8>>>,
}

impl Target {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Gcp, Self::Azure];

    /// The name as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }

    /// Checks the target's quotas: every problem that keeps this pipeline, or one that it runs, off this cloud.
    pub fn check(self, pipeline: &Pipeline) -> Problems {
        let mut problems = self.check_one(pipeline);
        for member in pipeline.family().into_iter().skip(1) {
            let found = self.check_one(member);
            for problem in found.sorted().into_iter().filter(|problem| problem.is_error()) {
                problems.push(MemberProblem {
                    pipeline: member.name.clone(),
                    target: self.name(),
                    detail: format!("{}: {}", problem.code(), problem.diagnostic()),
                });
            }
        }
        problems
    }

    fn check_one(self, pipeline: &Pipeline) -> Problems {
        let mut problems = match self {
            Self::Aws => aws::check(pipeline),
            Self::Gcp => gcp::check(pipeline),
            Self::Azure => azure::check(pipeline),
        };
        problems.extend(pending::check(pipeline, self));
        problems
    }

    /// The artifacts of a checked pipeline. Problems are quotas that only the finished output shows.
    pub fn compile(self, pipeline: &Pipeline, plan: &Plan, sources: &Sources) -> Result<Artifacts, Problems> {
        match self {
            Self::Aws => aws::compile(pipeline, plan, sources),
            Self::Gcp => gcp::compile(pipeline, plan, sources),
            Self::Azure => azure::compile(pipeline, plan, sources),
        }
    }
}
