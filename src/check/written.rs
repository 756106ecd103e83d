//! The steps as written: one walk over all of them, those in groups and those in a `catch` too.

use indexmap::IndexMap;

use crate::syntax::document::{Approval, Child, Endpoint, Function, InPlace, Monitor, Notify, Step, Train};
use crate::syntax::scalars::Spanned;

/// The kind of a step or of one written in place; none of them for a kind that nobody asks for.
#[derive(Clone, Copy)]
pub struct Written<'d> {
    /// The step's id; of one in a `catch`, that of the step round it.
    pub id: &'d str,
    /// Its code.
    pub function: Option<&'d Function>,
    /// Its training.
    pub train: Option<&'d Train>,
    /// Its endpoint.
    pub endpoint: Option<&'d Endpoint>,
    /// Its monitor.
    pub monitor: Option<&'d Monitor>,
    /// Its message.
    pub notify: Option<&'d Notify>,
    /// Its question.
    pub approval: Option<&'d Approval>,
    /// The pipeline that it runs.
    pub pipeline: Option<&'d Child>,
}

/// All steps in file order: a step, those in it, then those in its `catch`.
pub fn all(steps: &IndexMap<Spanned<String>, Spanned<Step>>) -> Vec<Written<'_>> {
    let mut found = Vec::new();
    add(steps, &mut found);
    found
}

fn add<'d>(steps: &'d IndexMap<Spanned<String>, Spanned<Step>>, found: &mut Vec<Written<'d>>) {
    for (id, step) in steps {
        found.push(Written {
            id: &id.value,
            function: step.function.as_ref(),
            train: step.train.as_ref(),
            endpoint: step.endpoint.as_ref(),
            monitor: step.monitor.as_ref(),
            notify: step.notify.as_ref(),
            approval: step.approval.as_ref(),
            pipeline: step.pipeline.as_ref(),
        });
        step.steps.iter().for_each(|inner| add(inner, found));
        let fallbacks = step.catch.iter().filter_map(|catch| catch.fallback.as_deref());
        found.extend(fallbacks.map(|fallback: &InPlace| Written {
            id: &id.value,
            function: fallback.function.as_ref(),
            train: None,
            endpoint: None,
            monitor: None,
            notify: fallback.notify.as_ref(),
            approval: fallback.approval.as_ref(),
            pipeline: fallback.pipeline.as_ref(),
        }));
    }
}
