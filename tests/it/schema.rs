//! The committed schema is the one that the types give, and editors that use it agree with the compiler.

use std::collections::BTreeSet;

use mlpipe::diagnostics::Problems;
use mlpipe::syntax::{node, schema, shape};
use serde_json::Value;

use crate::support::{files, good_pipelines, on_big_stack, root};

/// What `syntax::shape` checks.
const CHECKED: [&str; 13] = [
    "$ref",
    "additionalProperties",
    "const",
    "enum",
    "items",
    "maximum",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "$defs",
];
/// What only people and editors read.
const FOR_READERS: [&str; 6] = ["$schema", "title", "description", "default", "examples", "$comment"];

#[test]
fn the_committed_schema_is_current() {
    let path = root().join("schemas/pipeline.v1.schema.json");
    let current = schema::text();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(root().join("schemas")).expect("a folder");
        std::fs::write(&path, &current).expect("the schema");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "run `UPDATE=1 cargo test schema`, or `mlpipe schema > schemas/pipeline.v1.schema.json`"
    );
}

#[test]
fn the_schema_has_only_words_that_the_compiler_checks() {
    fn words(schema: &Value, found: &mut BTreeSet<String>) {
        let Some(object) = schema.as_object() else { return };
        for (word, value) in object {
            found.insert(word.clone());
            match word.as_str() {
                "properties" | "$defs" => value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .for_each(|(_, schema)| words(schema, found)),
                "oneOf" | "anyOf" | "allOf" => value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .for_each(|schema| words(schema, found)),
                "items" | "additionalProperties" => words(value, found),
                _ => {}
            }
        }
    }
    let mut found = BTreeSet::new();
    words(schema::pipeline(), &mut found);
    found.retain(|word| !CHECKED.contains(&word.as_str()) && !FOR_READERS.contains(&word.as_str()));
    assert!(found.is_empty(), "teach src/syntax/shape.rs these words: {found:?}");
}

/// Whether the two find fault: the compiler's shape check, and a validator of JSON Schema. None where the file is no YAML,
/// or has what JSON cannot show (repeated keys, numbers out of range).
fn verdicts(text: &str, validator: &jsonschema::Validator) -> Option<(bool, bool)> {
    let mut problems = Problems::new();
    let node = node::parse(text, &mut problems)?;
    if !problems.is_empty() {
        return None;
    }
    shape::check(&node, schema::pipeline(), &mut problems);
    Some((!problems.is_empty(), !validator.is_valid(&node.to_json())))
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(schema::pipeline()).expect("a schema")
}

#[test]
fn examples_and_corpus_are_valid() {
    on_big_stack(|| {
        let validator = validator();
        for path in good_pipelines() {
            let text = std::fs::read_to_string(&path).expect("a pipeline");
            assert_eq!(verdicts(&text, &validator), Some((false, false)), "{}", path.display());
        }
    });
}

#[test]
fn the_schema_and_the_compiler_agree_on_bad_files() {
    on_big_stack(|| {
        let validator = validator();
        let mut refused = 0;
        for path in files(&root().join("tests/diagnostics"), &|path| {
            path.ends_with("pipeline.yaml")
        }) {
            let text = std::fs::read_to_string(&path).expect("a pipeline");
            if let Some((shape, schema)) = verdicts(&text, &validator) {
                assert_eq!(shape, schema, "{}: shape.rs, then the schema", path.display());
                refused += usize::from(shape);
            }
        }
        assert!(refused > 5, "only {refused} files of a wrong form");
    });
}
