//! Ids: their form, reserved ones, and those that collide where a cloud knows no `-`.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::diagnostics::Problems;
use crate::model::ON_FAILURE;
use crate::syntax::document::{Document, Step};
use crate::syntax::scalars::Spanned;

use super::problems::CheckProblem;

const RESERVED: [&str; 3] = ["params", "outputs", ON_FAILURE];
const MAX_LENGTH: usize = 40;

/// Checks every id of the file.
pub fn check(document: &Document, problems: &mut Problems) {
    steps(&document.steps, problems);
    ids(document.buckets.keys(), "bucket", problems);
    ids(document.topics.keys(), "topic", problems);
    ids(document.secrets.keys(), "secret", problems);
    for param in document.params.keys().filter(|param| !is_identifier(param)) {
        problems.push(CheckProblem::BadId {
            id: param.value.clone(),
            what: "param",
            span: param.span,
            help: "lower-case letters, digits and `_`, not a digit first, at most 40 characters",
        });
    }
}

fn steps(block: &IndexMap<Spanned<String>, Spanned<Step>>, problems: &mut Problems) {
    ids(block.keys(), "step", problems);
    for id in block.keys().filter(|id| RESERVED.contains(&id.as_str())) {
        problems.push(CheckProblem::ReservedId {
            id: id.value.clone(),
            span: id.span,
        });
    }
    for inner in block.values().filter_map(|step| step.steps.as_ref()) {
        steps(inner, problems);
    }
}

fn ids<'a>(ids: impl Iterator<Item = &'a Spanned<String>>, what: &'static str, problems: &mut Problems) {
    let mut seen: BTreeMap<String, &Spanned<String>> = BTreeMap::new();
    for id in ids {
        if !is_id(id, MAX_LENGTH) {
            problems.push(CheckProblem::BadId {
                id: id.value.clone(),
                what,
                span: id.span,
                help: "lower-case letters, digits, `_` and `-`, from a letter on, at most 40 characters",
            });
        }
        if let Some(first) = seen.insert(id.replace('-', "_"), id) {
            problems.push(CheckProblem::IdsCollide {
                id: id.value.clone(),
                other: first.value.clone(),
                span: id.span,
                first: first.span,
            });
        }
    }
}

/// True for lower-case letters, digits, `_` and `-`, from a letter on.
pub fn is_id(id: &str, longest: usize) -> bool {
    id.len() <= longest
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
}

/// True for a name that every expression dialect takes.
pub fn is_identifier(id: &str) -> bool {
    id.len() <= MAX_LENGTH
        && id.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && id
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
