//! The execution's params: checked against their declarations, defaults filled in.

use serde_json::{Map, Value};

use crate::expr::{Type, equal, matches};
use crate::model::Param;

/// The error name of params that do not fit.
pub const PARAM_MISMATCH: &str = "ParamMismatch";

/// The full params; else what is wrong: the first declared param that does not fit, then the first unknown one.
/// A pipeline without params takes no notice of what it is started with: a chain of functions then needs no first check.
pub fn bind(declared: &[Param], given: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    if declared.is_empty() {
        return Ok(Map::new());
    }
    let mut bound = Map::new();
    for param in declared {
        let value = match given.get(&param.name) {
            Some(value) => {
                fits(param, value)?;
                value.clone()
            }
            None => match (&param.default, &param.ty) {
                (Some(default), _) => default.clone(),
                (None, Type::Optional(_)) => Value::Null,
                (None, _) => return Err(format!("param `{}` is missing", param.name)),
            },
        };
        bound.insert(param.name.clone(), value);
    }
    match given.keys().find(|name| !bound.contains_key(*name)) {
        Some(unknown) => Err(format!("param `{unknown}` is unknown")),
        None => Ok(bound),
    }
}

fn fits(param: &Param, value: &Value) -> Result<(), String> {
    if matches(value, &param.ty, &param.name).is_err() {
        return Err(format!("param `{}` must be {}", param.name, param.ty));
    }
    if !param.allowed.is_empty() && !param.allowed.iter().any(|allowed| equal(allowed, value)) {
        let allowed: Vec<String> = param.allowed.iter().map(Value::to_string).collect();
        return Err(format!("param `{}` must be one of {}", param.name, allowed.join(", ")));
    }
    let Some(number) = value.as_f64() else { return Ok(()) };
    match (param.minimum, param.maximum) {
        (Some(minimum), _) if number < minimum => Err(format!("param `{}` must be at least {minimum}", param.name)),
        (_, Some(maximum)) if number > maximum => Err(format!("param `{}` must be at most {maximum}", param.name)),
        _ => Ok(()),
    }
}
