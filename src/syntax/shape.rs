//! Checks a tree against the JSON Schema and reports every problem of form, where serde would stop at the first.
//!
//! It knows the words that the schema of [`super::schema`] uses and no others; a test holds that true.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use miette::LabeledSpan;
use regex::Regex;
use serde_json::Value;

use super::node::{Node, NodeValue};
use super::problems::SyntaxProblem;
use super::scalars::{DURATION_PATTERN, LABEL_PATTERN, MEMORY_PATTERN};
use super::span::Span;
use super::suggest;
use crate::diagnostics::Problems;

/// Pushes a problem for each place where `node` is not what `schema` says. Gives what is left when the keys that are
/// wrong and may be missing are taken out, so that later checks can go on; None where nothing sound is left.
pub fn check<'a>(node: &Node, schema: &'a Value, problems: &'a mut Problems) -> Option<Node> {
    let mut walker = Walker {
        root: schema,
        problems,
        dropped: BTreeSet::new(),
    };
    let place = Place {
        path: TOP.to_owned(),
        span: head(node),
    };
    let usable = walker.node(node, schema, &place);
    let dropped = walker.dropped;
    usable.then(|| without(node, &dropped))
}

/// A copy without the entries whose keys start at these places.
fn without(node: &Node, dropped: &BTreeSet<usize>) -> Node {
    let value = match &node.value {
        NodeValue::Map(entries) => NodeValue::Map(
            entries
                .iter()
                .filter(|(key, _)| !dropped.contains(&key.span.start))
                .map(|(key, value)| (key.clone(), without(value, dropped)))
                .collect(),
        ),
        NodeValue::List(items) => NodeValue::List(items.iter().map(|item| without(item, dropped)).collect()),
        other => other.clone(),
    };
    Node { span: node.span, value }
}

/// What the whole file is called.
const TOP: &str = "the pipeline";

/// What a problem without a span of its own points at.
struct Place {
    path: String,
    span: Span,
}

struct Walker<'a> {
    root: &'a Value,
    problems: &'a mut Problems,
    /// Starts of the keys that later checks do without.
    dropped: BTreeSet<usize>,
}

impl<'a> Walker<'a> {
    /// False where nothing below here can be used.
    fn node(&mut self, node: &Node, schema: &'a Value, place: &Place) -> bool {
        let schema = self.resolved(schema);
        if let Some(expected) = schema.get("type")
            && !has_type(node, expected)
        {
            let empty = node.value == NodeValue::Null && place.path == TOP;
            self.problems.push(SyntaxProblem::WrongType {
                place: if empty {
                    "the file".to_owned()
                } else {
                    quoted(&place.path)
                },
                expected: type_words(schema, expected),
                found: if empty { "nothing" } else { node.kind() }.to_owned(),
                span: if node.span.start == node.span.end {
                    place.span
                } else {
                    head(node)
                },
                help: type_help(node, schema, expected),
            });
            return false;
        }
        let fits = self.text(node, schema, place) & self.bounds(node, schema, place);
        fits & match &node.value {
            NodeValue::Map(_) => self.map(node, schema, place),
            NodeValue::List(items) => {
                let mut usable = true;
                for (i, item) in items.iter().enumerate() {
                    let place = Place {
                        path: format!("{}[{i}]", place.path),
                        span: head(item),
                    };
                    usable &= schema.get("items").is_none_or(|schema| self.node(item, schema, &place));
                }
                usable
            }
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::String(_) => true,
        }
    }

    fn map(&mut self, node: &Node, schema: &'a Value, place: &Place) -> bool {
        let NodeValue::Map(entries) = &node.value else {
            return true;
        };
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut usable = true;
        let properties = schema.get("properties").and_then(Value::as_object);
        let rest = schema.get("additionalProperties");
        for (key, value) in entries {
            let child = Place {
                path: key.text.clone(),
                span: key.span,
            };
            let known = properties.and_then(|properties| properties.get(&key.text));
            match (known, rest) {
                (Some(property), _) => {
                    if !self.node(value, property, &child) {
                        self.dropped.insert(key.span.start);
                        usable &= !required.contains(&key.text.as_str());
                    }
                }
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
                    self.dropped.insert(key.span.start);
                }
                (None, Some(rest)) => usable &= self.node(value, rest, &child),
                (None, None) => {}
            }
        }
        for key in required.into_iter().filter(|key| node.get(key).is_none()) {
            usable = false;
            let property = properties.and_then(|properties| properties.get(key));
            self.problems.push(SyntaxProblem::MissingKey {
                key: key.to_owned(),
                place: quoted(&place.path),
                span: place.span,
                help: missing_help(key, property.map(|property| self.resolved(property))),
            });
        }
        usable & self.exactly_one(node, schema, place)
    }

    fn exactly_one(&mut self, node: &Node, schema: &'a Value, place: &Place) -> bool {
        let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else {
            return true;
        };
        let keys: Vec<&str> = choices
            .iter()
            .filter_map(|choice| choice.get("required")?.get(0)?.as_str())
            .collect();
        let found: Vec<&str> = keys.iter().copied().filter(|key| node.get(key).is_some()).collect();
        if found.len() == 1 {
            return true;
        }
        let NodeValue::Map(entries) = &node.value else {
            return true;
        };
        let known = schema.get("properties").and_then(Value::as_object);
        let is_slip = |typed: &str| {
            let mut names = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
            let unknown = names.clone().all(|name| name != typed);
            unknown && suggest::nearest(typed, &mut names).is_some_and(|name| keys.contains(&name))
        };
        // A misspelt kind was reported as an unknown key.
        if found.is_empty() && entries.iter().any(|(key, _)| is_slip(&key.text)) {
            return false;
        }
        let words = if found.is_empty() {
            format!("none of {}", listed(&keys, ", "))
        } else {
            listed(&found, " and ")
        };
        // A stage may have written one of several.
        let spans = if found.is_empty() {
            vec![LabeledSpan::new_with_span(Some(words.clone()), place.span)]
        } else {
            let found = entries.iter().filter(|(key, _)| found.contains(&key.text.as_str()));
            found
                .map(|(key, _)| LabeledSpan::new_with_span(Some(format!("`{}`", key.text)), key.span))
                .collect()
        };
        self.problems.push(SyntaxProblem::NotOneOf {
            place: quoted(&place.path),
            found: words,
            spans,
            help: if found.is_empty() {
                format!("add one of {}", listed(&keys, ", "))
            } else {
                "keep one, and write the other as one of its own".to_owned()
            },
        });
        false
    }

    /// False where a typed value cannot be made of the text.
    fn text(&mut self, node: &Node, schema: &'a Value, place: &Place) -> bool {
        let NodeValue::String(text) = &node.value else {
            return true;
        };
        let consts = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let allowed: Vec<&str> = schema
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .chain(schema.get("const"))
            .chain(consts.filter_map(|choice| choice.get("const")))
            .filter_map(Value::as_str)
            .collect();
        if !allowed.is_empty() && !allowed.contains(&text.as_str()) {
            self.problems.push(SyntaxProblem::BadText {
                text: text.clone(),
                expected: format!("a value of {}", quoted(&place.path)),
                span: node.span,
                help: match allowed.as_slice() {
                    [only] => format!("write `{only}`"),
                    _ => format!("write one of {}", listed(&allowed, ", ")),
                },
            });
            return false;
        }
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else {
            return true;
        };
        if matches_pattern(pattern, text) {
            return true;
        }
        let (expected, help) = pattern_words(pattern);
        self.problems.push(SyntaxProblem::BadText {
            text: text.clone(),
            expected: expected.to_owned(),
            span: node.span,
            help: help.to_owned(),
        });
        ![DURATION_PATTERN, MEMORY_PATTERN].contains(&pattern)
    }

    fn bounds(&mut self, node: &Node, schema: &'a Value, place: &Place) -> bool {
        let NodeValue::Number(number) = &node.value else {
            return true;
        };
        let found = number.as_f64().unwrap_or(f64::INFINITY);
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let words = match (bound("minimum"), bound("maximum")) {
            (Some(minimum), _) if found < minimum => format!("at least {minimum}"),
            (_, Some(maximum)) if found > maximum => format!("at most {maximum}"),
            _ => return true,
        };
        let range = match (bound("minimum"), bound("maximum")) {
            (Some(minimum), Some(maximum)) => format!("write a number from {minimum} to {maximum}"),
            _ => format!("write a number that is {words}"),
        };
        self.problems.push(SyntaxProblem::OutOfBounds {
            place: place.path.clone(),
            bound: words,
            help: range,
            found: number.to_string(),
            span: node.span,
        });
        false
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
pub(super) fn head(node: &Node) -> Span {
    match &node.value {
        NodeValue::Map(entries) => entries.first().map_or(node.span, |(key, _)| key.span),
        NodeValue::List(items) => items.first().map_or(node.span, head),
        _ => node.span,
    }
}

fn listed(keys: &[&str], between: &str) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(between)
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
            | ("null", NodeValue::Null)
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
        "null" => "null",
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

fn type_help(node: &Node, schema: &Value, expected: &Value) -> Option<String> {
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        let scalar = matches!(node.value, NodeValue::Bool(_) | NodeValue::Number(_));
        if scalar && matches_pattern(pattern, &node.to_json().to_string()) {
            return Some("put it in quotes to make it a string".to_owned());
        }
        return Some(pattern_words(pattern).1.to_owned());
    }
    match (&node.value, expected.as_str()) {
        (NodeValue::Bool(_) | NodeValue::Number(_), Some("string")) => {
            Some("put it in quotes to make it a string".to_owned())
        }
        (NodeValue::String(text), Some("array")) if text.len() < 40 => Some(format!("put it in brackets: `[{text}]`")),
        (NodeValue::String(_), Some("array")) => Some("put it in brackets: `[…]`".to_owned()),
        (NodeValue::String(text), Some("integer" | "number")) if text.parse::<f64>().is_ok() => {
            Some(format!("write it without quotes: `{text}`"))
        }
        (_, Some("object")) => Some(mapping_help(node, schema)),
        (_, Some("boolean")) => Some("write `true` or `false`".to_owned()),
        (_, Some("integer")) => Some("write digits only, as in `3`".to_owned()),
        (_, Some("number")) => Some("write a number, as in `3` or `0.5`".to_owned()),
        (_, Some("array")) => Some("write a list: `[…]`".to_owned()),
        (_, Some("string")) => Some("write one text".to_owned()),
        _ => None,
    }
}

/// The keys that a mapping must have, or where they are free, its form.
fn mapping_help(node: &Node, schema: &Value) -> String {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if required.contains(&"mlpipe") {
        return "begin with `mlpipe: v1`, `name: …` and `steps:`".to_owned();
    }
    if required.is_empty() {
        return match node.value {
            NodeValue::Null => "write `{}` for an empty mapping".to_owned(),
            _ => "write keys and values: `{ key: … }`".to_owned(),
        };
    }
    let keys: Vec<String> = required.iter().map(|key| format!("{key}: …")).collect();
    format!("write `{{ {} }}`", keys.join(", "))
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
        LABEL_PATTERN => (
            "a label's value",
            "lower-case letters, digits, `_` and `-`, at most 63 characters: `team-risk`",
        ),
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
