//! Endpoints: what they are called.

use crate::model::identifier;

/// The name of an endpoint, as an expression: distinct in a region, at most 32 characters.
pub fn endpoint_name(name: &str) -> String {
    format!("concat('{name}-', substring(variables('suffix'), 0, 11))")
}

/// The app setting with that name.
pub fn endpoint_setting(name: &str) -> String {
    format!("MLPIPE_ENDPOINT_{}", identifier(name))
}
