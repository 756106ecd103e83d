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

/// Stages are laid over the file before it is read into a document, so its types know nothing of them.
fn add_stages(schema: &mut Value) {
    let mut stage = part(schema);
    if let Some(stage) = stage.as_object_mut() {
        stage.retain(|word, _| ["properties", "additionalProperties"].contains(&word.as_str()));
        stage.insert("description".to_owned(), json!("What this stage changes."));
        stage.insert("type".to_owned(), json!("object"));
    }
    if let Some(keys) = stage.get_mut("properties").and_then(Value::as_object_mut) {
        keys.retain(|key, _| !stages::FIXED.contains(&key.as_str()));
    }
    let whole = json!({
        "description": "Parts that differ from stage to stage, by the stage's name: `--stage prod` lays `prod` over the file as a JSON merge patch (RFC 7396). Mappings are merged, null removes a key, anything else replaces what was there.",
        "type": "object",
        "additionalProperties": { "$ref": "#/$defs/Stage" },
        "examples": [{ "prod": { "name": "churn-prod", "buckets": { "models": { "versioning": true } } } }],
    });
    let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) else {
        return;
    };
    let mut wanted = parts_of(&stage);
    definitions.insert("Stage".to_owned(), stage);
    while let Some(name) = wanted.pop() {
        let full = name.strip_suffix(PART).and_then(|full| definitions.get(full));
        if let Some(part) = full.map(part).filter(|_| !definitions.contains_key(&name)) {
            wanted.extend(parts_of(&part));
            definitions.insert(name, part);
        }
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(stages::STAGES.to_owned(), whole);
    }
}

/// Behind the name of a definition: what a stage may give of it.
const PART: &str = "Part";

/// What a stage may give for a value: some of its keys, or null. Items of lists are whole, as lists are not merged.
fn part(schema: &Value) -> Value {
    let Some(words) = schema.as_object() else {
        return schema.clone();
    };
    let needs_keys = |choices: &Vec<Value>| choices.iter().all(|choice| choice.get("required").is_some());
    let mut given = serde_json::Map::new();
    for (word, value) in words {
        let value = match (word.as_str(), value) {
            ("required" | "default" | "examples" | "$defs", _) => continue,
            ("oneOf", Value::Array(choices)) if needs_keys(choices) => continue,
            ("oneOf", Value::Array(choices)) => choices.iter().cloned().chain([json!({ "type": "null" })]).collect(),
            ("enum", Value::Array(values)) => values.iter().cloned().chain([Value::Null]).collect(),
            ("type", Value::Array(types)) => types.iter().cloned().chain([json!("null")]).collect(),
            ("type", Value::String(only)) => json!([only, "null"]),
            ("$ref", Value::String(target)) => json!(format!("{target}{PART}")),
            ("properties", Value::Object(keys)) => {
                Value::Object(keys.iter().map(|(key, value)| (key.clone(), part(value))).collect())
            }
            ("additionalProperties", value) => part(value),
            _ => value.clone(),
        };
        given.insert(word.clone(), value);
    }
    Value::Object(given)
}

/// The names of the parts that a schema refers to.
fn parts_of(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(words) => {
            let target = words.get("$ref").and_then(Value::as_str);
            let name = target.and_then(|target| target.strip_prefix("#/$defs/"));
            let own = name.filter(|name| name.ends_with(PART)).map(str::to_owned);
            own.into_iter().chain(words.values().flat_map(parts_of)).collect()
        }
        Value::Array(items) => items.iter().flat_map(parts_of).collect(),
        _ => Vec::new(),
    }
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
    exactly_one(
        schema,
        &[
            "function",
            "wait",
            "fail",
            "job",
            "train",
            "endpoint",
            "batch_predict",
            "monitor",
            "notify",
            "approval",
            "pipeline",
            "steps",
        ],
    );
}

/// So has one written in place, which is no group.
pub(super) fn one_kind_in_place(schema: &mut Schema) {
    exactly_one(schema, &["function", "wait", "fail", "notify", "approval", "pipeline"]);
}

/// The failure handler runs code or tells of the failure.
pub(super) fn one_kind_of_handler(schema: &mut Schema) {
    exactly_one(schema, &["function", "notify"]);
}

/// Training and serving run in the image of a framework or in one's own.
pub(super) fn one_runtime(schema: &mut Schema) {
    exactly_one(schema, &["framework", "image"]);
}

/// A pause has a length or an end.
pub(super) fn one_wait(schema: &mut Schema) {
    exactly_one(schema, &["duration", "until"]);
}

/// A trigger has exactly one event.
pub(super) fn one_trigger(schema: &mut Schema) {
    exactly_one(schema, &["object_created", "schedule", "topic", "http"]);
}
