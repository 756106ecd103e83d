//! Which steps surely ran where a condition holds.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{BinaryOp, Expr, ExprKind, Function, UnaryOp};

/// A set of steps; None where the case cannot happen.
type Ran = Option<BTreeSet<String>>;

/// Steps that surely ran where the expression was evaluated and is true.
pub fn ran_if_true(expr: &Expr) -> BTreeSet<String> {
    if_true(expr).unwrap_or_default()
}

/// True where it is never true, as far as its form shows.
pub fn never_true(expr: &Expr) -> bool {
    if_true(expr).is_none()
}

/// Steps that surely ran where the expression was evaluated without an error: it reads their output's inside.
pub fn ran_if_evaluated(expr: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut stack = vec![expr];
    let mut read = |expr: &Expr| {
        if let ExprKind::StepOutput(step) = &expr.kind {
            found.insert(step.clone());
        }
    };
    while let Some(part) = stack.pop() {
        match &part.kind {
            ExprKind::Field(base, _) | ExprKind::Index(base, _) => {
                read(base);
                stack.extend(part.children());
            }
            ExprKind::Binary(BinaryOp::And | BinaryOp::Or, left, _) => stack.push(left),
            ExprKind::Binary(BinaryOp::Equal | BinaryOp::NotEqual, left, right) => stack.extend([&**left, &**right]),
            ExprKind::Binary(BinaryOp::In, left, right) => {
                read(right);
                stack.extend([&**left, &**right]);
            }
            ExprKind::Binary(_, left, right) => {
                read(left);
                read(right);
                stack.extend([&**left, &**right]);
            }
            ExprKind::Ternary(condition, _, _) => stack.push(condition),
            ExprKind::Call(Function::Default | Function::Has, _) => {}
            // There may be no item to evaluate anything for.
            ExprKind::Macro(call) => {
                read(&call.items);
                stack.push(&call.items);
            }
            _ => stack.extend(part.children()),
        }
    }
    found
}

/// As [`ran_if_true`]; None where it is never true.
pub(super) fn if_true(expr: &Expr) -> Ran {
    with_reads(expr, cases(expr, true))
}

/// Steps that surely ran where it is false; None where it is never false.
pub(super) fn if_false(expr: &Expr) -> Ran {
    with_reads(expr, cases(expr, false))
}

fn with_reads(expr: &Expr, ran: Ran) -> Ran {
    let mut ran = ran?;
    ran.extend(ran_if_evaluated(expr));
    Some(ran)
}

fn cases(expr: &Expr, wanted: bool) -> Ran {
    match &expr.kind {
        ExprKind::Literal(Value::Bool(value)) if *value != wanted => None,
        ExprKind::Unary(UnaryOp::Not, operand) => cases(operand, !wanted),
        ExprKind::Binary(BinaryOp::And, left, right) => and(left, right, wanted),
        ExprKind::Binary(BinaryOp::Or, left, right) => or(left, right, wanted),
        ExprKind::Binary(BinaryOp::Equal, left, right) => Some(compared(left, right, wanted)),
        ExprKind::Binary(BinaryOp::NotEqual, left, right) => Some(compared(left, right, !wanted)),
        ExprKind::Ternary(condition, yes, no) => either(
            both(if_true(condition), if wanted { if_true(yes) } else { if_false(yes) }),
            both(if_false(condition), if wanted { if_true(no) } else { if_false(no) }),
        ),
        ExprKind::Call(Function::Has, arguments) if wanted => {
            Some(arguments.iter().filter_map(output_of).map(str::to_owned).collect())
        }
        _ => Some(BTreeSet::new()),
    }
}

fn and(left: &Expr, right: &Expr, wanted: bool) -> Ran {
    if wanted {
        both(if_true(left), if_true(right))
    } else {
        either(if_false(left), both(if_true(left), if_false(right)))
    }
}

fn or(left: &Expr, right: &Expr, wanted: bool) -> Ran {
    if wanted {
        either(if_true(left), both(if_false(left), if_true(right)))
    } else {
        both(if_false(left), if_false(right))
    }
}

fn both(a: Ran, b: Ran) -> Ran {
    let mut a = a?;
    a.extend(b?);
    Some(a)
}

fn either(a: Ran, b: Ran) -> Ran {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.intersection(&b).cloned().collect()),
        (only, None) | (None, only) => only,
    }
}

/// What `left == right` (`equal`) or `left != right` tells.
fn compared(left: &Expr, right: &Expr, equal: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (one, other) in [(left, right), (right, left)] {
        let ExprKind::Literal(value) = &other.kind else {
            continue;
        };
        let ran = match &one.kind {
            ExprKind::StepStatus(step) => match value.as_str() {
                Some("succeeded") if equal => Some(step.as_str()),
                Some("skipped") if !equal => Some(step.as_str()),
                _ => None,
            },
            // `output != null`, and `output == 3`; but `output != 3` is true of null too.
            ExprKind::StepError(step) | ExprKind::StepOutput(step) if value.is_null() != equal => Some(step.as_str()),
            _ => None,
        };
        found.extend(ran.map(str::to_owned));
    }
    found
}

/// The step whose output a path leads into.
fn output_of(expr: &Expr) -> Option<&str> {
    let mut at = expr;
    loop {
        at = match &at.kind {
            ExprKind::StepOutput(step) => return Some(step),
            ExprKind::Field(base, _) | ExprKind::Index(base, _) => base,
            _ => return None,
        };
    }
}
