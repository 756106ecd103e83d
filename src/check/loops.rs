//! Pipelines that would start themselves: steps that publish or write where one of the pipeline's own triggers looks.

use crate::diagnostics::Problems;
use crate::expr::ast::{BinaryOp, TextPart};
use crate::expr::{Expr, ExprKind, Template};
use crate::model::{Kind, ON_FAILURE, Step};
use crate::syntax::document::{Document, ObjectCreated};
use crate::syntax::scalars::Spanned;
use crate::targets::package::PREDICTIONS;

use super::problems::CheckProblem;
use super::written;

/// Reports steps that publish to a topic whose messages start the pipeline.
pub fn topics(document: &Document, problems: &mut Problems) {
    let topics: Vec<&Spanned<String>> = document
        .triggers
        .iter()
        .filter_map(|trigger| trigger.topic.as_ref().map(|message| &message.name))
        .collect();
    if topics.is_empty() {
        return;
    }
    let mut publishers = Vec::new();
    for step in written::all(&document.steps) {
        let notified = step.notify.map(|notify| &notify.topic);
        let asked = step.approval.and_then(|approval| approval.topic.as_ref());
        publishers.extend(notified.into_iter().chain(asked).map(|topic| (step.id, topic)));
    }
    if let Some(notify) = document.on_failure.as_ref().and_then(|handler| handler.notify.as_ref()) {
        publishers.push((ON_FAILURE, &notify.topic));
    }
    for (what, topic) in publishers {
        if let Some(trigger) = topics.iter().find(|trigger| trigger.value == topic.value) {
            problems.push(CheckProblem::EventLoop {
                what: what.to_owned(),
                topic: topic.value.clone(),
                span: topic.span,
                trigger: trigger.span,
            });
        }
    }
}

/// Reports steps whose files surely start the pipeline: of user code nobody knows where it writes.
pub fn buckets(document: &Document, steps: &[Step], problems: &mut Problems) {
    let triggers: Vec<&ObjectCreated> = document
        .triggers
        .iter()
        .filter_map(|trigger| trigger.object_created.as_ref())
        .collect();
    for step in steps {
        let Kind::BatchPredict(batch) = &step.kind else {
            continue;
        };
        let Some((bucket, key)) = place(&batch.output) else {
            continue;
        };
        let starts = |event: &&&ObjectCreated| {
            event.bucket.value == bucket && key.starts_with(&event.prefix) && PREDICTIONS.ends_with(&event.suffix)
        };
        if let Some(event) = triggers.iter().find(starts) {
            problems.push(CheckProblem::BucketLoop {
                step: step.path.clone(),
                bucket: bucket.to_owned(),
                span: step.span,
                trigger: event.bucket.span,
            });
        }
    }
}

/// The bucket of a URI and how the key begins, as far as the file tells.
fn place(uri: &Template) -> Option<(&str, String)> {
    let mut parts = Vec::new();
    match uri {
        Template::Expr(expr) => summands(expr, &mut parts),
        Template::Text(text) => {
            for part in text {
                match part {
                    TextPart::Literal(text) => parts.push(Part::Text(text)),
                    TextPart::Expr(expr) => summands(expr, &mut parts),
                }
            }
        }
        Template::Constant(_) | Template::List(_) | Template::Object(_) => return None,
    }
    let (first, rest) = parts.split_first()?;
    let Part::Bucket(bucket) = first else { return None };
    let known = rest.iter().map_while(|part| match part {
        Part::Text(text) => Some(*text),
        Part::Bucket(_) | Part::Unknown => None,
    });
    let key: String = known.collect();
    Some((*bucket, key.trim_start_matches('/').to_owned()))
}

enum Part<'e> {
    Bucket(&'e str),
    Text(&'e str),
    Unknown,
}

fn summands<'e>(expr: &'e Expr, parts: &mut Vec<Part<'e>>) {
    match &expr.kind {
        ExprKind::Binary(BinaryOp::Add, left, right) => {
            summands(left, parts);
            summands(right, parts);
        }
        ExprKind::BucketUri(bucket) => parts.push(Part::Bucket(bucket)),
        ExprKind::Literal(serde_json::Value::String(text)) => parts.push(Part::Text(text)),
        _ => parts.push(Part::Unknown),
    }
}
