//! Lists that one execution cannot run: too many items at once, or too many steps.

use serde_json::Value;

use super::limits::QUOTAS;
use crate::expr::{Expr, ExprKind, Template};
use crate::model::{ForEach, Kind, Pipeline, StepIx};

/// Steps of a workflow that a step of a pipeline takes, for each item: an estimate from above, retries aside.
const PER_STEP: u64 = 8;

/// How a list is dealt out to executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    /// Most slices.
    pub count: u64,
    /// Items of a slice that give no reason for another.
    pub share: u64,
    /// Most items of a slice at once; None: as many as Workflows runs.
    pub limit: Option<u32>,
    /// Most slices at once; None: as many as Workflows runs.
    pub at_once: Option<u32>,
}

/// The slices of a step's list; None: one execution can run it.
pub fn slices(pipeline: &Pipeline, ix: StepIx, for_each: &ForEach) -> Option<Slices> {
    let at_once = QUOTAS.workflow.at_once;
    // Half of what an execution has: retries and helpers take some too.
    let most_steps = QUOTAS.workflow.steps / 2;
    let steps = length(&for_each.list).unwrap_or(0).saturating_mul(cost(pipeline, ix));
    let long = (steps > most_steps).then(|| steps.div_ceil(most_steps));
    match (for_each.max_concurrency, long) {
        (Some(most), None) if most > at_once => {
            let (count, limit) = wide(most);
            Some(Slices {
                count: count.into(),
                share: limit.into(),
                limit: Some(limit),
                at_once: None,
            })
        }
        (_, None) => None,
        (None, Some(count)) => Some(Slices {
            count,
            share: 1,
            limit: None,
            at_once: None,
        }),
        (Some(most), Some(count)) if most > at_once => {
            let (slices, limit) = wide(most);
            Some(Slices {
                count: count.max(slices.into()),
                share: 1,
                limit: Some(limit),
                at_once: Some(slices),
            })
        }
        (Some(most), Some(count)) => {
            let slices = u32::try_from(count).unwrap_or(most).min(most).max(1);
            Some(Slices {
                count,
                share: 1,
                limit: Some(most / slices),
                at_once: Some(slices),
            })
        }
    }
}

/// How many slices run that many items at once, and how many each: as few as come closest to it.
fn wide(most: u32) -> (u32, u32) {
    let at_once = QUOTAS.workflow.at_once;
    let fewest = most.div_ceil(at_once).clamp(1, at_once);
    let each = |count: u32| (most / count).min(at_once);
    let best = (fewest..=at_once)
        .rev()
        .max_by_key(|count| count * each(*count))
        .unwrap_or(fewest);
    (best, each(best))
}

/// The length of a list that is known before it is evaluated.
fn length(list: &Template) -> Option<u64> {
    let of = |len: usize| u64::try_from(len).ok();
    match list {
        Template::Constant(Value::Array(items)) => of(items.len()),
        Template::List(items) => of(items.len()),
        Template::Expr(expr) => match &expr.kind {
            ExprKind::Literal(Value::Array(items)) => of(items.len()),
            ExprKind::List(items) => of(items.len()),
            ExprKind::Call(crate::expr::Function::Range, arguments) => range(arguments),
            _ => None,
        },
        Template::Constant(_) | Template::Text(_) | Template::Object(_) => None,
    }
}

fn range(arguments: &[Expr]) -> Option<u64> {
    let number = |expr: &Expr| match &expr.kind {
        ExprKind::Literal(value) => value.as_i64(),
        _ => None,
    };
    let length = match arguments {
        [last] => number(last)?,
        [first, last] => number(last)?.checked_sub(number(first)?)?,
        _ => return None,
    };
    u64::try_from(length).ok()
}

/// Steps that one item takes.
fn cost(pipeline: &Pipeline, ix: StepIx) -> u64 {
    let step = pipeline.step(ix);
    let runs = step.repeat.as_ref().map_or(1, |repeat| u64::from(repeat.max));
    let inner: u64 = match &step.kind {
        Kind::Endpoint(_) | Kind::Monitor(_) => 0,
        Kind::Group(block) => block
            .steps
            .iter()
            .map(|inner| {
                let each = pipeline.step(*inner).for_each.as_ref();
                let items = each.and_then(|each| length(&each.list)).unwrap_or(1);
                items.saturating_mul(cost(pipeline, *inner))
            })
            .sum(),
        Kind::Job(_) | Kind::Train(_) | Kind::BatchPredict(_) | Kind::Notify(_) => 0,
        Kind::Function(_) | Kind::Wait(_) | Kind::Fail { .. } | Kind::Approval(_) | Kind::Pipeline(_) => 0,
    };
    runs.saturating_mul(inner + PER_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_list_has_the_fewest_slices_that_come_closest() {
        for (most, expected) in [
            (20, (1, 20)),
            (21, (3, 7)),
            (40, (2, 20)),
            (50, (5, 10)),
            (400, (20, 20)),
            (1000, (20, 20)),
        ] {
            assert_eq!(wide(most), expected, "{most}");
        }
    }
}
