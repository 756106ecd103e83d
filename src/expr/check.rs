//! [`Syntax`] to [`Expr`]: names are resolved, types given, and what evaluates without fail is proven.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::Value;

use super::ast::{Local, TextPart, TriggerField};
use super::guards;
use super::parse::{Part, Syntax, Text};
use super::problems::ExprProblem;
use super::types::Kinds;
use super::typing::Checker;
use super::{Expr, Template, Type};

/// What an expression may name.
#[derive(Clone, Debug, Default)]
pub struct Scope<'a> {
    /// The declared params; None where `params` is not known (triggers).
    pub params: Option<&'a IndexMap<String, Type>>,
    /// The steps that can be seen; None where `steps` is not known (triggers, handlers).
    pub steps: Option<&'a Steps<'a>>,
    /// Why there are no steps here, as a help line.
    pub no_steps: &'static str,
    /// Paths of steps that surely ran when this is evaluated: their output is not null.
    pub ran: BTreeSet<String>,
    /// The step that the expression belongs to.
    pub own: Option<&'a str>,
    /// Steps that cannot have ended when this is evaluated, with the reason.
    pub unreachable: BTreeMap<String, &'static str>,
    /// The names that modifiers add here, the outer ones first: a later one hides an earlier one.
    pub locals: Vec<LocalName>,
    /// The declared buckets.
    pub buckets: &'a [&'a str],
    /// The declared topics.
    pub topics: &'a [&'a str],
    /// `error` is known.
    pub error: bool,
    /// The fields of `trigger`, where it is known: then only it, constants and text are.
    pub trigger: &'static [TriggerField],
    /// `run` is known.
    pub run: bool,
}

/// The steps of a block, and those round it.
#[derive(Clone, Debug, Default)]
pub struct Steps<'a> {
    /// By id.
    pub own: IndexMap<String, StepScope>,
    /// Ids of steps in groups of the block, which cannot be seen from outside, each with its group: for help.
    pub inner: BTreeMap<String, String>,
    /// What the group that this block belongs to can see. No id of the block is one of these.
    pub outer: Option<&'a Steps<'a>>,
}

#[cfg(test)]
impl Steps<'static> {
    /// Steps at the top: id, output, may be skipped.
    pub(crate) fn at_the_top<'i>(steps: impl IntoIterator<Item = (&'i str, Type, bool)>) -> Self {
        let steps = steps.into_iter().map(|(id, output, may_skip)| {
            let path = id.to_owned();
            (id.to_owned(), StepScope { path, output, may_skip })
        });
        Self {
            own: steps.collect(),
            inner: BTreeMap::new(),
            outer: None,
        }
    }
}

impl Steps<'_> {
    /// The step of that id.
    pub fn get(&self, id: &str) -> Option<&StepScope> {
        let mut at = Some(self);
        while let Some(steps) = at {
            if let Some(step) = steps.own.get(id) {
                return Some(step);
            }
            at = steps.outer;
        }
        None
    }

    /// All ids, the inner ones first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self), |steps| steps.outer).flat_map(|steps| steps.own.keys().map(String::as_str))
    }
}

/// A name that a `for_each` or a `repeat` adds.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalName {
    /// As the user writes it.
    pub name: String,
    /// The path of the step whose modifier adds it.
    pub step: String,
    /// What stands behind it.
    pub what: Local,
    /// Its type.
    pub ty: Type,
}

/// What is known of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepScope {
    /// Its path.
    pub path: String,
    /// Its declared output; `Any` where nothing is declared.
    pub output: Type,
    /// True where some run may skip it.
    pub may_skip: bool,
}

/// Checks an expression. None where there is an error among the problems added; warnings are added too.
pub fn check(syntax: &Syntax, scope: &Scope, problems: &mut Vec<ExprProblem>) -> Option<Expr> {
    let mut checker = Checker::new(scope, problems);
    let expr = checker.expr(syntax)?;
    checker.trigger_only(&expr).then_some(expr)
}

/// Checks a `when`: as [`check`], and its value must be a boolean.
pub fn check_condition(syntax: &Syntax, scope: &Scope, problems: &mut Vec<ExprProblem>) -> Option<Expr> {
    let expr = check(syntax, scope, problems)?;
    if expr.ty.kinds().meets(Kinds::BOOLEAN) {
        return Some(expr);
    }
    problems.push(ExprProblem::Expected {
        place: "a condition",
        expected: Type::Boolean,
        help: Some("compare it, as in `… == …` or `… > 0`".to_owned()),
        found: expr.ty,
        span: expr.span,
    });
    None
}

/// Checks a YAML string with its expressions.
pub fn check_text(text: &Text, scope: &Scope, problems: &mut Vec<ExprProblem>) -> Option<Template> {
    if let Some(constant) = text.constant() {
        return Some(Template::Constant(Value::String(constant)));
    }
    if let Some(single) = text.single() {
        return check(single, scope, problems).map(Template::Expr);
    }
    let mut parts = Vec::with_capacity(text.parts.len());
    let mut complete = true;
    for part in &text.parts {
        match part {
            Part::Literal(literal) => parts.push(TextPart::Literal(literal.clone())),
            Part::Expr(syntax) => match check_within_text(syntax, scope, problems) {
                Some(expr) => parts.push(TextPart::Expr(expr)),
                None => complete = false,
            },
        }
    }
    complete.then_some(Template::Text(parts))
}

fn check_within_text(syntax: &Syntax, scope: &Scope, problems: &mut Vec<ExprProblem>) -> Option<Expr> {
    let mut checker = Checker::new(scope, problems);
    let expr = checker.expr(syntax)?;
    if !checker.trigger_only(&expr) {
        return None;
    }
    if !expr.ty.kinds().meets(Kinds::SCALAR) {
        checker.problems.push(ExprProblem::NotText {
            found: expr.ty,
            span: expr.span,
        });
        return None;
    }
    checker.not_null(&expr);
    Some(expr)
}

/// Checks a YAML string whose value must be a string; `place` is the key in backticks.
pub fn check_string(
    text: &Text,
    place: &'static str,
    scope: &Scope,
    problems: &mut Vec<ExprProblem>,
) -> Option<Template> {
    let template = check_text(text, scope, problems)?;
    match &template {
        Template::Expr(expr) if !expr.ty.kinds().meets(Kinds::STRING) => {
            problems.push(ExprProblem::Expected {
                place,
                expected: Type::String,
                help: Some(if expr.ty.kinds().meets(Kinds::SCALAR) {
                    "write `string(…)` round it".to_owned()
                } else {
                    "take one of its fields or items; a list of texts becomes one by `join(list, ',')`".to_owned()
                }),
                found: expr.ty.clone(),
                span: expr.span,
            });
            None
        }
        _ => Some(template),
    }
}

/// A list of templates; a constant where all of them are.
pub fn list_template(items: Vec<Template>) -> Template {
    let constants: Option<Vec<Value>> = items.iter().map(constant).collect();
    match constants {
        Some(values) => Template::Constant(Value::Array(values)),
        None => Template::List(items),
    }
}

/// An object of templates; a constant where all of them are.
pub fn object_template(fields: Vec<(String, Template)>) -> Template {
    let constants: Option<serde_json::Map<String, Value>> = fields
        .iter()
        .map(|(name, template)| Some((name.clone(), constant(template)?)))
        .collect();
    match constants {
        Some(values) => Template::Constant(Value::Object(values)),
        None => Template::Object(fields),
    }
}

fn constant(template: &Template) -> Option<Value> {
    match template {
        Template::Constant(value) => Some(value.clone()),
        Template::Expr(_) | Template::Text(_) | Template::List(_) | Template::Object(_) => None,
    }
}

/// The static type of a template.
pub fn template_type(template: &Template) -> Type {
    match template {
        Template::Constant(value) => Type::of_value(value),
        Template::Expr(expr) => expr.ty.clone(),
        Template::Text(_) => Type::String,
        Template::List(items) => Type::List(Box::new(
            items
                .iter()
                .map(template_type)
                .reduce(|a, b| a.join(&b))
                .unwrap_or(Type::Any),
        )),
        Template::Object(fields) => Type::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), template_type(value)))
                .collect(),
        ),
    }
}

/// Steps that surely ran where the expression is true, as far as can be told before types are known.
pub fn status_guards(syntax: &Syntax) -> BTreeSet<String> {
    let scope = Scope {
        error: true,
        run: true,
        ..Scope::default()
    };
    let mut problems = Vec::new();
    let mut checker = Checker::new(&scope, &mut problems);
    checker.open = true;
    match checker.expr(syntax) {
        Some(expr) => guards::ran_if_true(&expr),
        None => BTreeSet::new(),
    }
}
