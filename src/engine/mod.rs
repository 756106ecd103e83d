//! The local engine: runs the pipeline's own graph, with the functions in warm Python processes.

pub mod approval;
mod block;
mod call;
mod child;
mod endpoint;
pub mod interpreter;
mod job;
mod launched;
pub mod params;
mod process;
mod run;
mod scope;
mod step;
mod train;
pub mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

pub use run::run;

/// A time as `run.started_at` gives it.
pub fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What a run needs from outside.
pub struct Options {
    /// The folder of the pipeline file.
    pub folder: PathBuf,
    /// The execution's params, as given.
    pub params: Map<String, Value>,
    /// The folder that stands for each bucket, absolute.
    pub buckets: IndexMap<String, PathBuf>,
    /// The execution's id.
    pub run_id: String,
    /// When it started: RFC 3339, UTC.
    pub started_at: String,
    /// Waits and retry delays are recorded, not slept.
    pub no_wait: bool,
    /// Where answers to approvals come from.
    pub approvals: approval::Approvals,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// `succeeded` or `failed`.
    pub status: RunStatus,
    /// The pipeline's outputs; null where it failed.
    pub outputs: Option<Map<String, Value>>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// How often each function was run; steps without a run are left out. Those of another pipeline stand behind the step that runs it: `prepare.load`.
    pub attempts: BTreeMap<String, u32>,
    /// Seconds of each wait and retry delay, in the order in which they began.
    pub waits: Vec<f64>,
    /// What was published, in the order in which it was.
    pub published: Vec<Message>,
    /// Skipped steps, in file order; not those of the pipelines that it runs.
    pub skipped: Vec<String>,
    /// The execution's id.
    pub run_id: String,
}

/// What was published to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The topic's id.
    pub topic: String,
    /// The text.
    pub message: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// All steps ended, none failed.
    Succeeded,
    /// A step failed.
    Failed,
}

/// An error and the step that it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The error's name.
    pub name: String,
    /// The error's message.
    pub message: String,
    /// The step; `params` and `outputs` stand for those parts of the pipeline.
    pub step: String,
}

/// What happens while a pipeline runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A function's attempt began.
    Started {
        /// The step.
        step: &'a str,
        /// From 1.
        attempt: u32,
    },
    /// A step pauses, or waits before its next attempt.
    Waiting {
        /// The step.
        step: &'a str,
        /// How long.
        seconds: f64,
        /// The error that is tried again after it.
        after: Option<&'a str>,
    },
    /// A message was published.
    Notified {
        /// The step.
        step: &'a str,
        /// The topic's id.
        topic: &'a str,
        /// The text.
        message: &'a str,
    },
    /// A step waits for a person's answer.
    Asked {
        /// The step.
        step: &'a str,
        /// What the person reads.
        message: &'a str,
        /// False where the answer was given beforehand, or nobody could give it in time.
        open: bool,
    },
    /// A line that a function printed.
    Log {
        /// The step.
        step: &'a str,
        /// The line.
        line: &'a str,
    },
    /// A step ended well.
    Succeeded {
        /// The step.
        step: &'a str,
        /// How long its last attempt took.
        seconds: f64,
    },
    /// A step failed, and its `catch` goes on.
    Caught {
        /// The step.
        step: &'a str,
        /// The error.
        failure: &'a Failure,
        /// What the engine knows beyond the message.
        detail: &'a [String],
    },
    /// A step was skipped.
    Skipped {
        /// The step.
        step: &'a str,
    },
    /// A step failed for good.
    Failed {
        /// The error.
        failure: &'a Failure,
        /// What the engine knows beyond the message: where an expression failed, the function's last lines.
        detail: &'a [String],
    },
}
