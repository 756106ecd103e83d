//! Values with expressions in them: parsed first (the graph needs the references), typed later.

use serde_json::Value;

use crate::diagnostics::Problems;
use crate::expr::Template;
use crate::expr::check::{Scope, check_text, list_template, object_template};
use crate::expr::parse::{Place, Syntax, Text, parse_text, references};
use crate::syntax::span::Span;
use crate::syntax::{Node, NodeValue};

/// The file's text: where a scalar stands in it as it is, errors point into the expression.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The pipeline file.
    pub text: &'a str,
}

/// A value whose expressions were parsed.
#[derive(Debug)]
pub enum Parsed {
    /// No expression in it.
    Constant(Value),
    /// A string with expressions.
    Text(Text),
    /// A list.
    List(Vec<Parsed>),
    /// An object.
    Object(Vec<(String, Parsed)>),
}

impl Source<'_> {
    /// The place of a string's text in the file.
    pub fn place(&self, text: &str, span: Span) -> Place {
        let written = self.text.get(span.start..span.end).unwrap_or_default();
        if written == text {
            return Place::exact(span.start, text.len());
        }
        let unquoted = written
            .strip_prefix(['"', '\''])
            .and_then(|rest| rest.strip_suffix(['"', '\'']));
        if unquoted == Some(text) {
            Place::exact(span.start + 1, text.len())
        } else {
            Place::whole(span)
        }
    }

    /// What of a place stands on its first line.
    pub fn first_line(&self, span: Span) -> Span {
        let written = self.text.get(span.start..span.end).unwrap_or_default();
        let line = written.find('\n').unwrap_or(written.len());
        Span::new(span.start, span.start + written[..line].trim_end().len())
    }

    /// Parses every string of a value; None with problems.
    pub fn parse(&self, node: &Node, problems: &mut Problems) -> Option<Parsed> {
        match &node.value {
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => Some(Parsed::Constant(node.to_json())),
            NodeValue::String(text) => {
                let parsed = self.parse_string(text, node.span, problems)?;
                Some(match parsed.constant() {
                    Some(constant) => Parsed::Constant(Value::String(constant)),
                    None => Parsed::Text(parsed),
                })
            }
            NodeValue::List(items) => {
                let items: Vec<Option<Parsed>> = items.iter().map(|item| self.parse(item, problems)).collect();
                items.into_iter().collect::<Option<_>>().map(Parsed::List)
            }
            NodeValue::Map(entries) => {
                let fields: Vec<Option<(String, Parsed)>> = entries
                    .iter()
                    .map(|(key, value)| Some((key.text.clone(), self.parse(value, problems)?)))
                    .collect();
                fields.into_iter().collect::<Option<_>>().map(Parsed::Object)
            }
        }
    }

    /// Parses one string.
    pub fn parse_string(&self, text: &str, span: Span, problems: &mut Problems) -> Option<Text> {
        match parse_text(text, self.place(text, span)) {
            Ok(text) => Some(text),
            Err(found) => {
                found.into_iter().for_each(|problem| problems.push(problem));
                None
            }
        }
    }
}

impl Parsed {
    /// Calls `visit` for each expression.
    pub fn each(&self, visit: &mut dyn FnMut(&Syntax)) {
        match self {
            Self::Constant(_) => {}
            Self::Text(text) => text.exprs().for_each(visit),
            Self::List(items) => items.iter().for_each(|item| item.each(visit)),
            Self::Object(fields) => fields.iter().for_each(|(_, value)| value.each(visit)),
        }
    }

    /// Names of the steps that it reads.
    pub fn references(&self, found: &mut Vec<String>) {
        self.each(&mut |syntax| found.extend(references(syntax).into_iter().map(|(step, _)| step)));
    }

    /// Types and resolves all of it.
    pub fn check(&self, scope: &Scope<'_>, problems: &mut Problems) -> Option<Template> {
        match self {
            Self::Constant(value) => Some(Template::Constant(value.clone())),
            Self::Text(text) => collect(problems, |found| check_text(text, scope, found)),
            Self::List(items) => {
                let items: Vec<Option<Template>> = items.iter().map(|item| item.check(scope, problems)).collect();
                items.into_iter().collect::<Option<_>>().map(list_template)
            }
            Self::Object(fields) => {
                let fields: Vec<Option<(String, Template)>> = fields
                    .iter()
                    .map(|(name, value)| Some((name.clone(), value.check(scope, problems)?)))
                    .collect();
                fields.into_iter().collect::<Option<_>>().map(object_template)
            }
        }
    }
}

/// Runs a check of the expressions' own and takes its problems over.
pub fn collect<T>(
    problems: &mut Problems,
    check: impl FnOnce(&mut Vec<crate::expr::problems::ExprProblem>) -> Option<T>,
) -> Option<T> {
    let mut found = Vec::new();
    let result = check(&mut found);
    found.into_iter().for_each(|problem| problems.push(problem));
    result
}
