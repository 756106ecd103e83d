//! Fields, items and equality of JSON values.

use std::borrow::Cow;

use serde_json::Value;

use super::eval::{Env, EvalError, double, run};
use super::shape::kind_of;
use super::{Expr, ExprKind};

/// Deep equality: numbers by their double, objects whatever their order.
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => double(a) == double(b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, value)| b.get(name).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

/// `base.name`.
pub(super) fn field<'v>(base: Cow<'v, Value>, name: &str) -> Result<Cow<'v, Value>, String> {
    let missing = || format!("no field `{name}`");
    match base {
        Cow::Borrowed(Value::Object(fields)) => fields.get(name).map(Cow::Borrowed).ok_or_else(missing),
        Cow::Owned(Value::Object(mut fields)) => fields.swap_remove(name).map(Cow::Owned).ok_or_else(missing),
        other => Err(format!("{} has no field `{name}`", kind_of(&other))),
    }
}

/// `base[index]`: an integer from 0 into a list, a string into an object.
pub(super) fn item<'v>(base: Cow<'v, Value>, index: &Value) -> Result<Cow<'v, Value>, String> {
    match (&*base, index) {
        (Value::Array(items), Value::Number(number)) => {
            let position = double(number);
            if position.fract() != 0.0 {
                return Err("the index is not an integer".to_owned());
            }
            if position < 0.0 || position >= items.len() as f64 {
                return Err(format!(
                    "index {position} is out of range: the list has {}",
                    items.len()
                ));
            }
            // Whole and in range: the conversion is exact.
            let position = position as usize;
            let found = match base {
                Cow::Borrowed(Value::Array(items)) => items.get(position).map(Cow::Borrowed),
                Cow::Owned(Value::Array(mut items)) => Some(Cow::Owned(items.swap_remove(position))),
                _ => None,
            };
            found.ok_or_else(|| "the index is out of range".to_owned())
        }
        (Value::Object(_), Value::String(name)) => field(base, name),
        (other, index) => Err(format!("{} cannot be indexed by {}", kind_of(other), kind_of(index))),
    }
}

/// The value at the end of a path; None where anything along it is missing, out of range or without fields.
/// What stands in `[…]` is evaluated in full, and may fail.
pub(super) fn path<'e>(expr: &'e Expr, env: &'e dyn Env) -> Result<Option<Cow<'e, Value>>, EvalError> {
    let mut spine = Vec::new();
    let mut at = expr;
    while let ExprKind::Field(base, _) | ExprKind::Index(base, _) = &at.kind {
        spine.push(at);
        at = base;
    }
    let mut value = Some(run(at, env)?);
    while let Some(above) = spine.pop() {
        value = match &above.kind {
            ExprKind::Field(_, name) => value.and_then(|base| field(base, name).ok()),
            ExprKind::Index(_, index) => {
                let index = run(index, env)?;
                value.and_then(|base| item(base, &index).ok())
            }
            _ => value,
        };
    }
    Ok(value)
}
