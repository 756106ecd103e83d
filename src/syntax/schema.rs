//! The JSON Schema of the language, made from the types of [`super::document`].

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::document::Document;
use super::stages;

static PIPELINE: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(plain))
        .into_generator()
        .into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), json!("mlpipe pipeline, v1"));
    let mut schema = schema.to_value();
    add_stages(&mut schema);
    schema
});

/// Stages are laid over the file before it is read into a document, so its types know nothing of them. What a stage gives
/// for a key may be a part of it, or null: only the merged file can tell whether it is right.
fn add_stages(schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let parts: serde_json::Map<String, Value> = properties
        .iter()
        .filter(|(key, _)| !stages::FIXED.contains(&key.as_str()))
        .map(|(key, property)| {
            let description = property.get("description").cloned().unwrap_or_default();
            (key.clone(), json!({ "description": description }))
        })
        .collect();
    properties.insert(
        stages::STAGES.to_owned(),
        json!({
            "description": "Parts that differ from stage to stage, by the stage's name: `--stage prod` lays `prod` over the file as a JSON merge patch (RFC 7396). Mappings are merged, null removes a key, anything else replaces what was there.",
            "type": "object",
            "additionalProperties": {
                "description": "What this stage changes.",
                "type": "object",
                "properties": parts,
                "additionalProperties": false,
            },
            "examples": [{ "prod": { "name": "churn-prod", "buckets": { "models": { "versioning": true } } } }],
        }),
    );
}

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
