//! What of the language a target does not compile yet.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use miette::Diagnostic;
use thiserror::Error;

use crate::diagnostics::Problems;
use crate::model::{Kind, Pipeline, Wait};
use crate::syntax::span::Span;

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
pub fn check(pipeline: &Pipeline, target: &'static str) -> Problems {
    let mut problems = Problems::new();
    // AWS and Azure run it all.
    if target != "gcp" {
        return problems;
    }
    for step in &pipeline.steps {
        let used = [
            ("for_each", step.for_each.is_some()),
            ("catch", !step.catch.is_empty()),
            ("repeat", step.repeat.is_some()),
            ("steps", matches!(step.kind, Kind::Group(_))),
            ("wait until", matches!(step.kind, Kind::Wait(Wait::Until(_)))),
        ];
        for (construct, _) in used.into_iter().filter(|(_, used)| *used) {
            problems.push(Pending {
                target,
                construct,
                span: step.span,
            });
        }
    }
    problems
}
