//! What of the language a target does not compile yet.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use miette::Diagnostic;
use thiserror::Error;

use super::Target;
use crate::diagnostics::Problems;
use crate::model::{Kind, Pipeline};
use crate::syntax::span::Span;

/// Targets that leave something out.
const BEHIND: [Target; 1] = [Target::Azure];

#[derive(Debug, Error, Diagnostic)]
#[error("{target} does not run `{construct}` yet")]
#[diagnostic(code(MLP0709), help("compile for another target, or write the step without it"))]
struct Pending {
    target: &'static str,
    construct: &'static str,
    #[label("uses `{construct}`")]
    span: Span,
}

/// A problem for each step that uses what the target leaves out.
pub fn check(pipeline: &Pipeline, target: Target) -> Problems {
    let mut problems = Problems::new();
    if !BEHIND.contains(&target) {
        return problems;
    }
    for step in &pipeline.steps {
        let construct = match &step.kind {
            Kind::Approval(_) => "approval",
            Kind::Pipeline(_) => "pipeline",
            Kind::Function(_) | Kind::Wait(_) | Kind::Fail { .. } | Kind::Group(_) => continue,
        };
        problems.push(Pending {
            target: target.name(),
            construct,
            span: step.span,
        });
    }
    problems
}
