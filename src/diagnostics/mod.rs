//! What mlpipe says about a pipeline file: problems with a stable code, a span, a label and what to type instead.
//!
//! Each phase declares an enum of its own with `thiserror` and `miette`'s derive, one variant a code; this
//! module collects, orders and renders them.

pub mod explain;
pub mod render;

use std::collections::BTreeMap;

use miette::{Diagnostic, Severity};

/// One problem: any diagnostic of any phase.
#[derive(Debug)]
pub struct Problem {
    diagnostic: Box<dyn Diagnostic + Send + Sync>,
    /// The stages that have it; none: the file has it without any.
    stages: Vec<String>,
}

/// All problems of a file, in the order of the places they are at.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl<D: Diagnostic + Send + Sync + 'static> From<D> for Problem {
    fn from(diagnostic: D) -> Self {
        Self {
            diagnostic: Box::new(diagnostic),
            stages: Vec::new(),
        }
    }
}

impl Problem {
    /// `MLP0203`.
    pub fn code(&self) -> String {
        self.diagnostic.code().map(|code| code.to_string()).unwrap_or_default()
    }

    /// The diagnostic itself.
    pub fn diagnostic(&self) -> &(dyn Diagnostic + Send + Sync) {
        &*self.diagnostic
    }

    /// True for what keeps the pipeline from compiling.
    pub fn is_error(&self) -> bool {
        matches!(self.diagnostic.severity(), None | Some(Severity::Error))
    }

    /// The stages that have it; none: the file has it without any.
    pub fn stages(&self) -> &[String] {
        &self.stages
    }

    /// Code, message and places: what two problems have in common that are one.
    fn identity(&self) -> (String, String, Vec<(usize, usize)>) {
        let labels = self.diagnostic.labels().into_iter().flatten();
        let places = labels.map(|label| (label.offset(), label.len())).collect();
        (self.code(), self.diagnostic.to_string(), places)
    }

    /// Byte offset of the first label; None for a problem without a place.
    pub fn offset(&self) -> Option<usize> {
        self.diagnostic.labels()?.next().map(|label| label.offset())
    }
}

impl Problems {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, problem: impl Into<Problem>) {
        self.list.push(problem.into());
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Problems) {
        self.list.extend(other.list);
    }

    /// Adds what a stage has and the file does not have without it. A problem of several stages is one that names them all.
    pub fn extend_for_stage(&mut self, stage: &str, found: Problems) {
        let mut known: BTreeMap<_, usize> = BTreeMap::new();
        for (at, problem) in self.list.iter().enumerate() {
            known.entry(problem.identity()).or_insert(at);
        }
        for mut problem in found.list {
            let same = known.get(&problem.identity()).and_then(|&at| self.list.get_mut(at));
            match same.map(|same| &mut same.stages) {
                Some(stages) if stages.is_empty() => {}
                Some(stages) => stages.push(stage.to_owned()),
                None => {
                    problem.stages.push(stage.to_owned());
                    self.list.push(problem);
                }
            }
        }
    }

    /// True where any of them is an error (warnings and notes are not).
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(Problem::is_error)
    }

    /// How many errors there are.
    pub fn error_count(&self) -> usize {
        self.list.iter().filter(|problem| problem.is_error()).count()
    }

    /// True where there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of their places; those of one place keep the order in which they were found.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut list: Vec<&Problem> = self.list.iter().collect();
        list.sort_by_key(|problem| problem.offset().unwrap_or(usize::MAX));
        list
    }
}
