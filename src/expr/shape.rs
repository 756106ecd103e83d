//! Values held against a declared type: a step's output, a param.

use std::fmt;

use serde_json::Value;

use super::Type;

/// Where a value is not of its type. Displays as `output.rows: expected integer, found string`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// From the root: `output.xs[3].name`, `output["a b"]`.
    pub path: String,
    /// The kind that the type asks for: `integer`, `list`, …
    pub expected: &'static str,
    /// The kind that the value is of: `number`, `object`, …; `nothing` where a field is missing.
    pub found: &'static str,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.path, self.expected, self.found)
    }
}

/// Holds a value against a type, first in the type's order; fields that the type does not name are allowed.
pub fn matches(value: &Value, ty: &Type, root: &str) -> Result<(), Mismatch> {
    let fits = match ty {
        Type::Any => true,
        Type::Null => value.is_null(),
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Type::Number => value.is_number(),
        Type::String => value.is_string(),
        Type::List(_) => value.is_array(),
        Type::Object(_) => value.is_object(),
        Type::Optional(inner) if !value.is_null() => return matches(value, inner, root),
        Type::Optional(_) => true,
    };
    if !fits {
        return Err(Mismatch {
            path: root.to_owned(),
            expected: kind_of_type(ty),
            found: kind_of(value),
        });
    }
    match (value, ty) {
        (Value::Array(items), Type::List(item)) => items
            .iter()
            .enumerate()
            .try_for_each(|(position, value)| matches(value, item, &format!("{root}[{position}]"))),
        (Value::Object(values), Type::Object(fields)) => {
            fields.iter().try_for_each(|(name, ty)| match (values.get(name), ty) {
                (Some(value), _) => matches(value, ty, &field(root, name)),
                (None, Type::Optional(_)) => Ok(()),
                (None, _) => Err(Mismatch {
                    path: field(root, name),
                    expected: kind_of_type(ty),
                    found: "nothing",
                }),
            })
        }
        _ => Ok(()),
    }
}

/// The name of a value's kind: `null`, `boolean`, `number`, `string`, `list`, `object`.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn kind_of_type(ty: &Type) -> &'static str {
    match ty {
        Type::Any => "any",
        Type::Null => "null",
        Type::Boolean => "boolean",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::String => "string",
        Type::List(_) => "list",
        Type::Object(_) => "object",
        Type::Optional(inner) => kind_of_type(inner),
    }
}

/// A field's path: quoted where its name is no identifier.
fn field(path: &str, name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        format!("{path}.{name}")
    } else {
        format!("{path}[{}]", Value::from(name))
    }
}
