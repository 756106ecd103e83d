//! Which lists are more than one execution bears: their items run as executions of their own, in a Distributed Map.

use std::collections::BTreeSet;

use serde_json::Value;

use super::limits::QUOTAS;
use super::workflow::bounded::is_bounded;
use super::workflow::endpoint;
use crate::expr::{Expr, ExprKind, Function, Template};
use crate::model::{Kind, Pipeline, Step, StepIx};

/// The steps whose items do not run within the execution of the list: more at once than an inline Map state has, or a
/// list of known length that writes more history than an execution holds.
///
/// A list round such a list within the same execution is one too: the Map Run of a list is found by the execution that
/// started it, which so starts one at a time.
pub fn distributed(pipeline: &Pipeline) -> BTreeSet<StepIx> {
    let mut found = BTreeSet::new();
    for ix in pipeline.indices() {
        if !exceeds(pipeline, ix) {
            continue;
        }
        found.insert(ix);
        let mut round = pipeline.step(ix).parent;
        while let Some(ix) = round {
            let step = pipeline.step(ix);
            if is_bounded(step) {
                break;
            }
            if step.for_each.is_some() {
                found.insert(ix);
            }
            round = step.parent;
        }
    }
    found
}

fn exceeds(pipeline: &Pipeline, ix: StepIx) -> bool {
    let quotas = &QUOTAS.step_functions;
    let step = pipeline.step(ix);
    let Some(for_each) = &step.for_each else { return false };
    if for_each
        .max_concurrency
        .is_some_and(|most| most > quotas.map_concurrency)
    {
        return true;
    }
    let events = ITERATION.saturating_add(events_of_item(pipeline, ix));
    length(&for_each.list).is_some_and(|length| length.saturating_mul(events) > quotas.history_events)
}

/// Events of an iteration itself: started, succeeded.
const ITERATION: u64 = 2;
/// Entered, exited.
const STATE: u64 = 2;
/// Scheduled, started, ended: for each attempt of a call.
const CALL: u64 = 3;
/// A job is submitted, too.
const JOB: u64 = STATE + CALL + 1;

/// The most events that an item writes: with all its attempts and runs, as far as the pipeline tells them.
fn events_of_item(pipeline: &Pipeline, ix: StepIx) -> u64 {
    let step = pipeline.step(ix);
    let body = events_of_runs(pipeline, step);
    let fallbacks = step.fallbacks().map(|ix| events_of_runs(pipeline, pipeline.step(ix)));
    fallbacks.fold(body, u64::saturating_add)
}

fn events_of_runs(pipeline: &Pipeline, step: &Step) -> u64 {
    let attempts = u64::from(step.retry.attempts);
    let attempt = match &step.kind {
        // Two alarms, and the end.
        Kind::Monitor(_) => (STATE + CALL + STATE + CALL + STATE).saturating_mul(attempts),
        // Its name before.
        Kind::BatchPredict(_) => (STATE + JOB).saturating_mul(attempts),
        Kind::Endpoint(endpoint) => {
            let variants = u64::try_from(endpoint.variants.len()).unwrap_or(u64::MAX);
            // A look, its choice and a pause, as long as it may take; before, each variant's model; behind, its scaling.
            let looks = (step.attempt_timeout() / endpoint::PAUSE).saturating_mul(STATE * 3 + CALL);
            let calls = variants.saturating_mul((STATE + CALL) * 4);
            (STATE * 8 + CALL * 4)
                .saturating_add(looks)
                .saturating_add(calls)
                .saturating_mul(attempts)
        }
        Kind::Function(_) => STATE.saturating_add(CALL.saturating_mul(attempts)),
        Kind::Wait(_) | Kind::Fail { .. } => STATE.saturating_mul(attempts),
        Kind::Job(_) => JOB.saturating_mul(attempts),
        // Its name before, and reading its result.
        Kind::Train(_) => (STATE + JOB + STATE + CALL).saturating_mul(attempts),
        Kind::Notify(_) => (STATE + CALL).saturating_mul(attempts),
        Kind::Approval(_) | Kind::Pipeline(_) => (STATE + STATE + CALL).saturating_mul(attempts),
        // It has a history of its own.
        Kind::Group(_) if is_bounded(step) => (STATE + STATE + CALL).saturating_mul(attempts),
        Kind::Group(block) => {
            let inner = block.steps.iter().map(|inner| {
                let inner_step = pipeline.step(*inner);
                let list = inner_step.for_each.as_ref();
                let length = list.map_or(1, |for_each| length(&for_each.list).unwrap_or(1));
                events_of_item(pipeline, *inner).saturating_mul(length)
            });
            inner.fold(STATE, u64::saturating_add).saturating_mul(attempts)
        }
    };
    // `until` is a state.
    step.repeat.as_ref().map_or(attempt, |repeat| {
        (attempt + STATE).saturating_mul(u64::from(repeat.max))
    })
}

/// The length of a list, where the pipeline tells it.
fn length(list: &Template) -> Option<u64> {
    let length = match list {
        Template::List(items) => items.len(),
        Template::Constant(Value::Array(items)) => items.len(),
        Template::Expr(expr) => return length_of(expr),
        Template::Constant(_) | Template::Text(_) | Template::Object(_) => return None,
    };
    u64::try_from(length).ok()
}

fn length_of(expr: &Expr) -> Option<u64> {
    let number = |expr: &Expr| match &expr.kind {
        ExprKind::Literal(value) => value.as_u64(),
        _ => None,
    };
    match &expr.kind {
        ExprKind::List(items) => u64::try_from(items.len()).ok(),
        ExprKind::Call(Function::Range, arguments) => match arguments.as_slice() {
            [end] => number(end),
            [start, end] => Some(number(end)?.saturating_sub(number(start)?)),
            _ => None,
        },
        _ => None,
    }
}
