//! The JSON Schema of the language, made from the types of [`super::document`].

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::document::Document;

static PIPELINE: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(plain))
        .into_generator()
        .into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), json!("mlpipe pipeline, v1"));
    schema.to_value()
});

/// The schema of a pipeline file: draft 2020-12.
pub fn pipeline() -> &'static Value {
    &PIPELINE
}

/// The schema as the file in `schemas/` holds it.
pub fn text() -> String {
    format!("{:#}\n", *PIPELINE)
}

/// Optional fields are optional, not nullable; number formats mean nothing to an editor.
fn plain(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("format");
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|ty| ty != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get("anyOf") {
            let rest: Vec<&Value> = choices
                .iter()
                .filter(|choice| **choice != json!({ "type": "null" }))
                .collect();
            if let [Value::Object(only)] = rest.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
        if object.get("default").is_some_and(|value| {
            value.is_null()
                || value
                    .as_object()
                    .is_some_and(|o| o.is_empty() || o.values().all(Value::is_null))
        }) {
            object.remove("default");
        }
    }
}

fn exactly_one(schema: &mut Schema, keys: &[&str]) {
    let choices: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
    schema.insert("oneOf".to_owned(), Value::Array(choices));
}

/// A step has exactly one kind.
pub(super) fn one_kind(schema: &mut Schema) {
    exactly_one(schema, &["function", "wait", "fail", "steps"]);
}

/// So has one written in place, which is no group.
pub(super) fn one_kind_in_place(schema: &mut Schema) {
    exactly_one(schema, &["function", "wait", "fail"]);
}

/// A pause has a length or an end.
pub(super) fn one_wait(schema: &mut Schema) {
    exactly_one(schema, &["duration", "until"]);
}

/// A trigger has exactly one event.
pub(super) fn one_trigger(schema: &mut Schema) {
    exactly_one(schema, &["object_created", "schedule"]);
}
