//! Values of secrets are blotted out of all that a run prints.

use serde_json::Value;

use crate::model::{Pipeline, secret_variable};

const BLOT: &str = "***";

/// The values of a pipeline's secrets, as the environment holds them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// Reads the variable of each secret; the longest first, so that one within another leaves no rest.
    pub fn of(pipeline: &Pipeline) -> Self {
        let mut values: Vec<String> = pipeline
            .secrets
            .iter()
            .filter_map(|id| std::env::var(secret_variable(id)).ok())
            .filter(|value| !value.is_empty())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// The text without them.
    pub fn blot(&self, text: &str) -> String {
        self.values
            .iter()
            .fold(text.to_owned(), |text, value| text.replace(value, BLOT))
    }

    /// The value without them, in strings at any depth.
    pub fn blot_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.blot(&text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.blot_value(item)).collect()),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, self.blot_value(value)))
                    .collect(),
            ),
            other => other,
        }
    }
}
