//! The execution's params: checked against their declarations, defaults filled in.

use serde_json::{Map, Value};

use crate::expr::Type;
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
                param.fits(value)?;
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
