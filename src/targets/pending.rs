//! What of the language a target does not compile yet.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use miette::Diagnostic;
use thiserror::Error;

use super::Target;
use crate::diagnostics::Problems;
use crate::model::{HandlerAction, Kind, Pipeline, TriggerKind};
use crate::syntax::span::Span;

/// Constructs that some targets leave out, with those targets.
const BEHIND: &[(&str, &[Target])] = &[
    // SageMaker Model Monitor takes no new customers (SageMaker Developer Guide, "Schedule monitoring jobs", read 2026-11-25); Vertex AI's has a metric
    // and an interval of its own.
    ("drift", &[Target::Aws, Target::Gcp]),
];

#[derive(Debug, Error, Diagnostic)]
#[error("{target} does not run `{construct}` yet")]
#[diagnostic(code(MLP0709), help("compile for another target, or write the step without it"))]
struct Pending {
    target: &'static str,
    construct: &'static str,
    #[label("uses `{construct}`")]
    span: Option<Span>,
}

/// A problem for each step and trigger that the target leaves out.
pub fn check(pipeline: &Pipeline, target: Target) -> Problems {
    let mut problems = Problems::new();
    let steps = pipeline.steps.iter().filter_map(|step| {
        let construct = match &step.kind {
            Kind::Job(_) => "job",
            Kind::Train(_) => "train",
            Kind::Endpoint(_) => "endpoint",
            Kind::BatchPredict(_) => "batch_predict",
            Kind::Monitor(monitor) if monitor.drift.is_some() && target != Target::Azure => "drift",
            Kind::Monitor(_) => "monitor",
            Kind::Notify(_) => "notify",
            Kind::Approval(_) => "approval",
            Kind::Pipeline(_) => "pipeline",
            Kind::Function(_) | Kind::Wait(_) | Kind::Fail { .. } | Kind::Group(_) => return None,
        };
        Some((construct, Some(step.span)))
    });
    let triggers = pipeline.triggers.iter().filter_map(|trigger| match trigger.kind {
        TriggerKind::Topic { .. } => Some(("topic trigger", None)),
        TriggerKind::Http => Some(("http trigger", None)),
        TriggerKind::ObjectCreated { .. } | TriggerKind::Schedule { .. } => None,
    });
    let handler = pipeline.on_failure.iter().filter_map(|handler| match handler.action {
        HandlerAction::Notify(_) => Some(("notify", None)),
        HandlerAction::Function { .. } => None,
    });
    for (construct, span) in steps.chain(triggers).chain(handler) {
        let behind = BEHIND.iter().find(|(name, _)| *name == construct);
        if behind.is_some_and(|(_, targets)| targets.contains(&target)) {
            problems.push(Pending {
                target: target.name(),
                construct,
                span,
            });
        }
    }
    problems
}
