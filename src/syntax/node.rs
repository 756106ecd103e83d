//! The file as a tree: every key and value with the place it stands at.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy, Spanned};

use super::problems::SyntaxProblem;
use super::span::Span;
use crate::diagnostics::Problems;

/// The largest integer that a double holds exactly, with all below it.
pub const MAX_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Largest pipeline file, in bytes.
const MAX_INPUT: usize = 8 * 1024 * 1024;

/// A YAML value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands; a mapping or list reaches from its first to its last entry.
    pub span: Span,
    /// What it is.
    pub value: NodeValue,
}

/// The value of a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// null, or nothing.
    Null,
    /// true or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in written order; keys are distinct.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Node {
    /// What kind of value it is, in the words of the language.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "null",
            NodeValue::Bool(_) => "boolean",
            NodeValue::Number(_) => "number",
            NodeValue::String(_) => "string",
            NodeValue::List(_) => "list",
            NodeValue::Map(_) => "mapping",
        }
    }

    /// The value under `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            NodeValue::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// As plain JSON, without places.
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(*value),
            NodeValue::Number(number) => Value::Number(number.clone()),
            NodeValue::String(text) => Value::String(text.clone()),
            NodeValue::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeValue::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.text.clone(), node.to_json()))
                    .collect(),
            ),
        }
    }
}

impl Node {
    /// As YAML that reads as the same tree. Comments and the way that values were written are lost.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        let options = serde_saphyr::ser_options! {
            compact_list_indent: false,
            // A long expression stays on its line.
            folded_wrap_chars: MAX_INPUT,
        };
        serde_saphyr::to_string_with_options(&self.to_json(), options)
    }
}

/// Reads a pipeline file. None where it is no YAML at all; repeated keys and numbers out of range are reported and the rest is kept.
pub fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > MAX_INPUT {
        problems.push(SyntaxProblem::TooLarge {
            bytes: text.len(),
            limit: MAX_INPUT,
        });
        return None;
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        reject_unsupported_tags: true,
        merge_keys: MergeKeyPolicy::Error,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_aliases: 1_000 },
    };
    match serde_saphyr::from_str_with_options::<Raw>(text, options) {
        Ok(raw) => Some(Lower { text, problems }.node(raw)),
        Err(error) => {
            problems.push(yaml_problem(text, &error));
            None
        }
    }
}

fn yaml_problem(text: &str, error: &serde_saphyr::Error) -> SyntaxProblem {
    use serde_saphyr::Error as E;
    let mut error = error.without_snippet();
    while let E::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let span = line_rest(text, offset(text, error));
    let said = |detail: &str, help: &str| SyntaxProblem::Yaml {
        detail: detail.to_owned(),
        span,
        help: help.to_owned(),
    };
    match error {
        E::Budget { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. } => SyntaxProblem::AliasBomb { span },
        E::MultipleDocuments { .. } => said(
            "a second document begins",
            "remove `---` and what follows: a file holds one pipeline",
        ),
        E::MergeKeyNotAllowed { .. } => said(
            "merge keys (`<<`) are not part of the language",
            "write the keys out, or use `defaults`",
        ),
        E::UnsupportedTag { .. } => said(
            "tags (`!`) are not part of the language",
            "remove the tag; a value that is computed is written `${{ … }}`",
        ),
        E::UnknownAnchor { .. } => said(
            "alias of an anchor that does not exist",
            "write the value out, or set the anchor before it: `&name`; a text that begins with `*` needs quotes",
        ),
        E::RecursiveReferencesRequireWeakTypes { .. } => {
            said("an anchor holds an alias of itself", "write the value out")
        }
        _ => {
            let detail = error.to_string();
            // The library puts its own position behind the message; ours is in the label.
            let detail = detail.split(" at line ").next().unwrap_or(&detail).trim();
            let (detail, help) = scanner_words(detail, text, span);
            said(detail, help)
        }
    }
}

/// What the scanner means where it gave up, and what to type.
fn scanner_words<'a>(detail: &'a str, text: &str, span: Span) -> (&'a str, &'static str) {
    let start = text
        .get(..span.start)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    let line = text.get(start..span.end).unwrap_or_default();
    let has_bare_expression = [": ${{", "[${{", "[ ${{", ", ${{"]
        .iter()
        .any(|bare| line.contains(bare));
    let detail = match detail {
        _ if detail.contains("tab") => "a tab indents the line",
        _ if detail.contains("mapping values") => "a `: ` within a text",
        _ if detail.contains("flow mapping") => "a `,` or `}` is missing",
        _ if detail.contains("flow sequence") => "a `,` or `]` is missing",
        _ if detail.contains("quote") => "a quote is not closed",
        _ if detail.contains("recursion limit") => "too many levels of lists and mappings",
        _ => detail,
    };
    let help = match detail {
        "a tab indents the line" => "indent with spaces",
        _ if has_bare_expression => "put the expression in quotes: `\"${{ … }}\"`",
        "a quote is not closed" => "close the quote",
        "a `: ` within a text" => "put the text in quotes",
        "a `,` or `}` is missing" | "a `,` or `]` is missing" => "close the bracket, or put the text in quotes",
        "too many levels of lists and mappings" => "nest less deep",
        _ if detail.contains("unexpected character") => "remove the character",
        _ => "compare the indentation with the lines around; a text with `: `, `#`, `{` or `[` in it needs quotes",
    };
    (detail, help)
}

/// Where the library stopped: it gives bytes, or a line and a column in characters, from 1.
fn offset(text: &str, error: &serde_saphyr::Error) -> usize {
    let Some(location) = error.location() else {
        return text.len();
    };
    let number = |n: u64| usize::try_from(n).ok();
    if let Some(offset) = location.span().byte_offset().and_then(number) {
        return offset.min(text.len());
    }
    let (Some(line), Some(column)) = (number(location.line()), number(location.column())) else {
        return text.len();
    };
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = text.get(start..).unwrap_or_default();
    let inside = rest
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(rest.len(), |(at, _)| at);
    (start + inside).min(text.len())
}

/// From `offset` to the end of its line, at least one character where there is one.
fn line_rest(text: &str, offset: usize) -> Span {
    let mut start = offset;
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let length = text[start..].find('\n').unwrap_or(text.len() - start);
    Span::new(start, start + length)
}

/// What serde hands over: spans are the library's.
struct Raw(Spanned<RawValue>);

enum RawValue {
    Null,
    Bool(bool),
    Number(Number),
    NotFinite,
    String(String),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = RawValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }

            fn visit_unit<E>(self) -> Result<RawValue, E> {
                Ok(RawValue::Null)
            }

            fn visit_none<E>(self) -> Result<RawValue, E> {
                Ok(RawValue::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
                Ok(RawValue::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
                Ok(RawValue::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
                Ok(RawValue::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
                Ok(Number::from_f64(value).map_or(RawValue::NotFinite, RawValue::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
                Ok(RawValue::String(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<RawValue, E> {
                Ok(RawValue::String(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(RawValue::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawValue::Map(entries))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

/// Turns what serde gave into nodes, and says what is wrong on the way.
struct Lower<'a> {
    text: &'a str,
    problems: &'a mut Problems,
}

impl Lower<'_> {
    fn node(&mut self, raw: Raw) -> Node {
        let Raw(Spanned { value, referenced, .. }) = raw;
        let mut span = self.span(&referenced);
        let value = match value {
            RawValue::Null => NodeValue::Null,
            RawValue::Bool(value) => NodeValue::Bool(value),
            RawValue::Number(number) => {
                self.check_number(&number, span);
                NodeValue::Number(number)
            }
            RawValue::NotFinite => {
                self.problems.push(SyntaxProblem::NumberOutOfRange { span });
                NodeValue::Null
            }
            RawValue::String(text) => {
                span = trimmed(self.text, span);
                NodeValue::String(text)
            }
            RawValue::List(items) => {
                let items: Vec<Node> = items.into_iter().map(|item| self.node(item)).collect();
                if let (Some(first), Some(last)) = (items.first(), items.last()) {
                    span = ordered(first.span, last.span);
                }
                NodeValue::List(items)
            }
            RawValue::Map(entries) => {
                let mut found: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
                let mut seen = std::collections::BTreeMap::new();
                for (key, value) in entries {
                    let key = Key {
                        span: self.span(&key.referenced),
                        text: key.value,
                    };
                    let node = self.node(value);
                    match seen.get(&key.text) {
                        Some(&first) => self.problems.push(SyntaxProblem::RepeatedKey {
                            key: key.text,
                            span: key.span,
                            first,
                        }),
                        None => {
                            seen.insert(key.text.clone(), key.span);
                            found.push((key, node));
                        }
                    }
                }
                if let (Some(first), Some(last)) = (found.first(), found.last()) {
                    span = ordered(first.0.span, last.1.span);
                }
                NodeValue::Map(found)
            }
        };
        Node { span, value }
    }

    fn span(&self, location: &serde_saphyr::Location) -> Span {
        let at = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let span = location.span();
        let start = at(span.byte_offset()).min(self.text.len());
        Span::new(start, (start + at(span.byte_len())).min(self.text.len()))
    }

    /// An integer above 2^53 reaches us rounded, so its own text decides.
    fn check_number(&mut self, number: &Number, span: Span) {
        if number
            .as_f64()
            .is_none_or(|n| n.fract() == 0.0 && n.abs() > MAX_INTEGER)
        {
            let text = self.text.get(span.start..span.end).unwrap_or_default();
            let is_integer = !text.contains(['.', 'e', 'E']) || text.starts_with("0x");
            if is_integer || !number.as_f64().is_some_and(f64::is_finite) {
                self.problems.push(SyntaxProblem::NumberOutOfRange { span });
            }
        }
    }
}

fn ordered(first: Span, last: Span) -> Span {
    if last.end >= first.start { first.to(last) } else { first }
}

/// A block scalar's span reaches over the line breaks behind it.
fn trimmed(text: &str, span: Span) -> Span {
    match text.get(span.start..span.end) {
        Some(slice) => Span::new(span.start, span.start + slice.trim_end().len()),
        None => span,
    }
}
