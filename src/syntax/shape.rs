//! Checks a tree against the JSON Schema and reports every problem of form, where serde would stop at the first.
//!
//! It knows the words that the schema of [`super::schema`] uses and no others; a test holds that true.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::node::{Node, NodeValue};
use super::problems::SyntaxProblem;
use super::scalars::{DURATION_PATTERN, MEMORY_PATTERN};
use super::span::Span;
use super::suggest;
use crate::diagnostics::Problems;

/// Pushes a problem for each place where `node` is not what `schema` says.
pub fn check<'a>(node: &Node, schema: &'a Value, problems: &'a mut Problems) {
    let mut walker = Walker { root: schema, problems };
    walker.node(
        node,
        schema,
        &Place {
            path: "the pipeline".to_owned(),
            span: head(node),
        },
    );
}

/// What a problem without a span of its own points at.
struct Place {
    path: String,
    span: Span,
}

struct Walker<'a> {
    root: &'a Value,
    problems: &'a mut Problems,
}

impl<'a> Walker<'a> {
    fn node(&mut self, node: &Node, schema: &'a Value, place: &Place) {
        let schema = self.resolved(schema);
        if let Some(expected) = schema.get("type") {
            if !has_type(node, expected) {
                self.problems.push(SyntaxProblem::WrongType {
                    place: place.path.clone(),
                    expected: type_words(schema, expected),
                    found: node.kind().to_owned(),
                    span: if node.span.start == node.span.end {
                        place.span
                    } else {
                        head(node)
                    },
                    help: quoting_help(node, expected),
                });
                return;
            }
        }
        self.text(node, schema);
        self.bounds(node, schema, place);
        match &node.value {
            NodeValue::Map(_) => self.map(node, schema, place),
            NodeValue::List(items) => {
                if let Some(item_schema) = schema.get("items") {
                    for (i, item) in items.iter().enumerate() {
                        let place = Place {
                            path: format!("{}[{i}]", place.path),
                            span: head(item),
                        };
                        self.node(item, item_schema, &place);
                    }
                }
            }
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::String(_) => {}
        }
    }

    fn map(&mut self, node: &Node, schema: &'a Value, place: &Place) {
        let NodeValue::Map(entries) = &node.value else { return };
        let properties = schema.get("properties").and_then(Value::as_object);
        let rest = schema.get("additionalProperties");
        for (key, value) in entries {
            let child = Place {
                path: key.text.clone(),
                span: key.span,
            };
            let known = properties.and_then(|properties| properties.get(&key.text));
            match (known, rest) {
                (Some(property), _) => self.node(value, property, &child),
                (None, Some(Value::Bool(false))) => {
                    let names = properties
                        .into_iter()
                        .flat_map(|properties| properties.keys().map(String::as_str));
                    self.problems.push(SyntaxProblem::UnknownKey {
                        key: key.text.clone(),
                        place: quoted(&place.path),
                        span: key.span,
                        help: suggest::help(&key.text, names, "keys here"),
                    });
                }
                (None, Some(rest)) => self.node(value, rest, &child),
                (None, None) => {}
            }
        }
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(key) = key.as_str().filter(|key| node.get(key).is_none()) {
                self.problems.push(SyntaxProblem::MissingKey {
                    key: key.to_owned(),
                    place: quoted(&place.path),
                    span: place.span,
                    help: missing_help(
                        key,
                        properties
                            .and_then(|properties| properties.get(key))
                            .map(|s| self.resolved(s)),
                    ),
                });
            }
        }
        self.exactly_one(node, schema, place);
    }

    fn exactly_one(&mut self, node: &Node, schema: &'a Value, place: &Place) {
        let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else {
            return;
        };
        let keys: Vec<&str> = choices
            .iter()
            .filter_map(|choice| choice.get("required")?.get(0)?.as_str())
            .collect();
        let found: Vec<&str> = keys.iter().copied().filter(|key| node.get(key).is_some()).collect();
        if found.len() != 1 {
            let found_words = match found.as_slice() {
                [] => "none of its kinds".to_owned(),
                some => some
                    .iter()
                    .map(|key| format!("`{key}`"))
                    .collect::<Vec<_>>()
                    .join(" and "),
            };
            let all: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            self.problems.push(SyntaxProblem::NotOneOf {
                place: quoted(&place.path),
                found: found_words,
                span: place.span,
                help: format!("write one of {}", all.join(", ")),
            });
        }
    }

    fn text(&mut self, node: &Node, schema: &'a Value) {
        let NodeValue::String(text) = &node.value else { return };
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            self.one_of(node, text, allowed.iter().filter_map(Value::as_str));
        } else if let Some(only) = schema.get("const").and_then(Value::as_str) {
            self.one_of(node, text, [only].into_iter());
        } else if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            self.one_of(
                node,
                text,
                choices.iter().filter_map(|choice| choice.get("const")?.as_str()),
            );
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            let (expected, help) = pattern_words(pattern);
            if !matches_pattern(pattern, text) {
                self.problems.push(SyntaxProblem::BadText {
                    text: text.clone(),
                    expected: expected.to_owned(),
                    span: node.span,
                    help: help.to_owned(),
                });
            }
        }
    }

    fn one_of<'s>(&mut self, node: &Node, text: &str, allowed: impl Iterator<Item = &'s str> + Clone) {
        if !allowed.clone().any(|value| value == text) {
            self.problems.push(SyntaxProblem::BadText {
                text: text.to_owned(),
                expected: "one of the values known here".to_owned(),
                span: node.span,
                help: suggest::help(text, allowed, "known values"),
            });
        }
    }

    fn bounds(&mut self, node: &Node, schema: &'a Value, place: &Place) {
        let NodeValue::Number(number) = &node.value else { return };
        let Some(found) = number.as_f64() else { return };
        let minimum = schema
            .get("minimum")
            .and_then(Value::as_f64)
            .filter(|minimum| found < *minimum);
        let maximum = schema
            .get("maximum")
            .and_then(Value::as_f64)
            .filter(|maximum| found > *maximum);
        let bound = match (minimum, maximum) {
            (Some(minimum), _) => format!("at least {minimum}"),
            (None, Some(maximum)) => format!("at most {maximum}"),
            (None, None) => return,
        };
        self.problems.push(SyntaxProblem::OutOfBounds {
            place: place.path.clone(),
            bound,
            found: number.to_string(),
            span: node.span,
        });
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        while let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            match self.root.pointer(target.trim_start_matches('#')) {
                Some(found) => schema = found,
                None => break,
            }
        }
        schema
    }
}

/// A place to point at: a mapping or list is shown by its first entry, not by all of it.
fn head(node: &Node) -> Span {
    match &node.value {
        NodeValue::Map(entries) => entries.first().map_or(node.span, |(key, _)| key.span),
        NodeValue::List(items) => items.first().map_or(node.span, head),
        _ => node.span,
    }
}

fn quoted(path: &str) -> String {
    if path.contains(' ') {
        path.to_owned()
    } else {
        format!("`{path}`")
    }
}

fn has_type(node: &Node, expected: &Value) -> bool {
    match expected {
        Value::String(name) => match (name.as_str(), &node.value) {
            ("object", NodeValue::Map(_))
            | ("array", NodeValue::List(_))
            | ("string", NodeValue::String(_))
            | ("boolean", NodeValue::Bool(_))
            | ("number", NodeValue::Number(_)) => true,
            // An empty mapping may be left out: `raw:` is `raw: {}`.
            ("integer", NodeValue::Number(number)) => number.as_f64().is_some_and(|n| n.fract() == 0.0),
            _ => false,
        },
        Value::Array(names) => names.iter().any(|name| has_type(node, name)),
        _ => true,
    }
}

fn type_words(schema: &Value, expected: &Value) -> String {
    let words = |name: &str| match name {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a string",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    };
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        return pattern_words(pattern).0.to_owned();
    }
    match expected {
        Value::String(name) => words(name).to_owned(),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(words)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "another type".to_owned(),
    }
}

fn quoting_help(node: &Node, expected: &Value) -> Option<String> {
    match (&node.value, expected.as_str()) {
        (NodeValue::Bool(_) | NodeValue::Number(_), Some("string")) => {
            Some("put it in quotes to make it a string".to_owned())
        }
        (NodeValue::Null, Some("object")) => Some("write `{}` for an empty mapping".to_owned()),
        (NodeValue::String(_), Some("array")) => Some("put it in brackets: `[…]`".to_owned()),
        _ => None,
    }
}

fn missing_help(key: &str, schema: Option<&Value>) -> String {
    let only = schema.and_then(|schema| {
        schema
            .get("const")
            .or_else(|| schema.get("enum")?.get(0))
            .or_else(|| schema.get("oneOf")?.get(0)?.get("const"))
    });
    match only.and_then(Value::as_str) {
        Some(only) => format!("add `{key}: {only}`"),
        None => format!("add `{key}: …`"),
    }
}

/// What a pattern means, and an example to type.
fn pattern_words(pattern: &str) -> (&'static str, &'static str) {
    match pattern {
        DURATION_PATTERN => (
            "a duration",
            "write a whole number and a unit: `30s`, `10m`, `2h`, `90d`",
        ),
        MEMORY_PATTERN => ("a memory size", "write a whole number and a unit: `512MB`, `2GB`"),
        r"^[a-z][a-z0-9-]{0,39}$" => (
            "a pipeline name",
            "lower-case letters, digits and `-`, from a letter on, at most 40 characters: `churn-model`",
        ),
        r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$" => (
            "a handler",
            "write `file.function`: `train.handler` is `handler` in `train.py`",
        ),
        r"^[a-z0-9]{3,24}/[a-z0-9-]{3,63}$" => ("a storage account and a container", "write `account/container`"),
        r"^[a-z]{2}(-[a-z]+)+-[0-9]$" => ("an AWS region", "write it as AWS does: `eu-central-1`"),
        _ => ("of the form needed here", "see `mlpipe schema`"),
    }
}

/// The schema has a handful of patterns; each is compiled once a thread.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
    }
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return regex.is_match(text);
        }
        Regex::new(pattern).is_ok_and(|regex| compiled.entry(pattern.to_owned()).or_insert(regex).is_match(text))
    })
}
