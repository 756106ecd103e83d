//! The names of the language: `params`, `steps`, `buckets`, `topics`, `run`, `error`, `trigger`, and what stands behind each.

use indexmap::IndexMap;
use serde_json::Value;

use super::ast::{ErrorField, RunField, TriggerField};
use super::parse::{Syntax, SyntaxKind};
use super::problems::ExprProblem;
use super::typing::Checker;
use super::{BinaryOp, Expr, ExprKind, Function, Scope, Type};
use crate::syntax::span::Span;

/// Names that mean something of the language's own in some expression.
pub const NAMESPACES: [&str; 8] = [
    "params", "steps", "buckets", "topics", "secrets", "run", "error", "trigger",
];

/// A name with at most two constant fields behind it.
pub(super) struct Path<'s> {
    name: &'s str,
    members: Vec<(&'s str, Span)>,
    span: Span,
}

impl<'s> Path<'s> {
    /// The path that an expression is; None for all that is longer or something else.
    pub(super) fn of(syntax: &'s Syntax) -> Option<Self> {
        let mut members = Vec::new();
        let mut at = syntax;
        loop {
            match &at.kind {
                SyntaxKind::Name(name) => {
                    members.reverse();
                    return Some(Self {
                        name,
                        members,
                        span: syntax.span,
                    });
                }
                _ if members.len() == 2 => return None,
                SyntaxKind::Select(base, field, span) => {
                    members.push((field.as_str(), *span));
                    at = base;
                }
                SyntaxKind::Index(base, index) => match &index.kind {
                    SyntaxKind::Literal(Value::String(field)) => {
                        members.push((field.as_str(), index.span));
                        at = base;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    fn written(&self) -> String {
        match self.members.split_first() {
            Some(((member, _), rest)) => rest.iter().fold(reference(self.name, member), |text, (field, _)| {
                format!("{text}.{field}")
            }),
            None => self.name.to_owned(),
        }
    }
}

/// `steps.train`, `steps['my-step']`.
pub(super) fn reference(namespace: &str, member: &str) -> String {
    let plain = member.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !member.starts_with(|c: char| c.is_ascii_digit())
        && !member.is_empty();
    if plain {
        format!("{namespace}.{member}")
    } else {
        format!("{namespace}['{member}']")
    }
}

/// What a path names. The outer None: nothing by itself, but something of it may be; the inner None: a problem was added.
pub(super) fn resolve(checker: &mut Checker, path: &Path) -> Option<Option<Expr>> {
    if let Some((_, ty)) = checker.variables.iter().find(|(name, _)| name == path.name) {
        let kind = ExprKind::Variable(path.name.to_owned());
        let found = expr(kind, ty.clone(), path.span);
        return path.members.is_empty().then_some(found);
    }
    if let Some(local) = local(checker, path) {
        return path.members.is_empty().then_some(Some(local));
    }
    match (path.name, path.members.as_slice()) {
        ("params", []) => Some(params(checker, path)),
        ("params", [(name, _)]) => Some(param(checker, path, name)),
        ("steps", [(step, _), (field, span)]) => Some(step_field(checker, path, step, field, *span)),
        ("steps", [(step, _)]) => Some(if known_step(checker, step, path.span) {
            not_a_value(checker, path, format!("write `{}.output`", reference("steps", step)))
        } else {
            None
        }),
        ("steps", []) => Some(not_a_value(
            checker,
            path,
            "write `steps.name.output`: the name cannot be computed".to_owned(),
        )),
        ("buckets", [(bucket, _), (field, span)]) => Some(bucket_field(checker, path, bucket, field, *span)),
        ("buckets", [(bucket, _)]) => Some(if known_bucket(checker, bucket, path.span) {
            not_a_value(checker, path, format!("write `{}.uri`", reference("buckets", bucket)))
        } else {
            None
        }),
        ("buckets", []) => Some(not_a_value(checker, path, "write `buckets.name.uri`".to_owned())),
        ("topics", [(topic, _), (field, span)]) => Some(topic_field(checker, path, topic, field, *span)),
        ("topics", [(topic, _)]) => Some(if known_topic(checker, topic, path.span) {
            not_a_value(checker, path, format!("write `{}.name`", reference("topics", topic)))
        } else {
            None
        }),
        ("topics", []) => Some(not_a_value(checker, path, "write `topics.name.name`".to_owned())),
        ("run" | "error" | "trigger", []) => {
            let (_, fields) = fields_of(path.name);
            Some(if here(checker, path) {
                let help = format!("write `{}.{}`", path.name, fields.first().copied().unwrap_or_default());
                not_a_value(checker, path, help)
            } else {
                None
            })
        }
        ("run" | "error" | "trigger", [(field, span)]) => Some(own_field(checker, path, field, *span)),
        _ => None,
    }
}

fn expr(kind: ExprKind, ty: Type, span: Span) -> Option<Expr> {
    Some(Expr {
        kind,
        ty,
        safe: true,
        span,
    })
}

/// The name that a `for_each` or a `repeat` added.
fn local(checker: &Checker, path: &Path) -> Option<Expr> {
    let local = checker
        .scope
        .locals
        .iter()
        .rev()
        .find(|local| local.name == path.name)?;
    expr(
        ExprKind::Local(local.step.clone(), local.what),
        local.ty.clone(),
        path.span,
    )
}

fn not_a_value(checker: &mut Checker, path: &Path, help: String) -> Option<Expr> {
    checker.problems.push(ExprProblem::NotAValue {
        name: path.written(),
        span: path.span,
        help: Some(help),
    });
    None
}

fn params(checker: &mut Checker, path: &Path) -> Option<Expr> {
    let Some(params) = checker.scope.params else {
        if checker.open {
            return expr(ExprKind::Param(None), Type::Any, path.span);
        }
        return not_here(checker, path, "a trigger sets the params: there are none yet");
    };
    expr(ExprKind::Param(None), Type::Object(params.clone()), path.span)
}

fn param(checker: &mut Checker, path: &Path, name: &str) -> Option<Expr> {
    let kind = ExprKind::Param(Some(name.to_owned()));
    let Some(params) = checker.scope.params else {
        if checker.open {
            return expr(kind, Type::Any, path.span);
        }
        return not_here(checker, path, "a trigger sets the params: there are none yet");
    };
    match params.get(name) {
        Some(ty) => expr(kind, ty.clone(), path.span),
        None => {
            let help = did_you_mean(name, params.keys().map(String::as_str))
                .unwrap_or_else(|| format!("declare it: `params: {{ {name}: {{ type: string }} }}`"));
            undeclared(checker, "param", name, path.span, help)
        }
    }
}

fn undeclared(checker: &mut Checker, what: &'static str, name: &str, span: Span, help: String) -> Option<Expr> {
    checker.problems.push(ExprProblem::Undeclared {
        what,
        name: name.to_owned(),
        span,
        help: Some(help),
    });
    None
}

fn not_here(checker: &mut Checker, path: &Path, help: &str) -> Option<Expr> {
    checker.problems.push(ExprProblem::NotHere {
        name: path.name.to_owned(),
        span: path.span,
        help: Some(help.to_owned()).filter(|help| !help.is_empty()),
    });
    None
}

/// True where the step can be read here.
fn known_step(checker: &mut Checker, step: &str, span: Span) -> bool {
    if checker.open {
        return true;
    }
    let scope = checker.scope;
    let Some(steps) = scope.steps else {
        checker.problems.push(ExprProblem::NotHere {
            name: "steps".to_owned(),
            span,
            help: Some(scope.no_steps.to_owned()).filter(|help| !help.is_empty()),
        });
        return false;
    };
    let reason = if let Some(reason) = scope.unreachable.get(step) {
        reason
    } else if steps.get(step).is_none() {
        let help = match steps.inner.get(step) {
            Some(group) => format!(
                "it is in group `{group}`: give it as one of the group's `outputs`, and read `{}.output.{step}`",
                reference("steps", group)
            ),
            None => did_you_mean(step, steps.ids()).unwrap_or_else(|| listed("the steps are", steps.ids())),
        };
        undeclared(checker, "step", step, span, help);
        return false;
    } else if scope.own == Some(step) {
        "it is the step itself"
    } else {
        return true;
    };
    checker.problems.push(ExprProblem::StepOutOfReach {
        step: step.to_owned(),
        reason,
        span,
        help: Some("read a step that ends before".to_owned()),
    });
    false
}

fn step_field(checker: &mut Checker, path: &Path, step: &str, field: &str, field_span: Span) -> Option<Expr> {
    if !known_step(checker, step, path.span) {
        return None;
    }
    let declared = checker.scope.steps.and_then(|steps| steps.get(step));
    let step_path = declared.map_or(step, |step| &step.path).to_owned();
    match field {
        "output" => {
            let ty = declared.map_or(Type::Any, |step| step.output.clone());
            let may_skip = declared.is_none_or(|step| step.may_skip);
            let ty = if may_skip && !checker.ran.contains(&step_path) {
                ty.optional()
            } else {
                ty
            };
            expr(ExprKind::StepOutput(step_path), ty, path.span)
        }
        "status" => expr(ExprKind::StepStatus(step_path), Type::String, path.span),
        "error" => {
            let fields = ["name", "message"].map(|name| (name.to_owned(), Type::String));
            let ty = Type::Object(IndexMap::from(fields)).optional();
            expr(ExprKind::StepError(step_path), ty, path.span)
        }
        _ => {
            let names = ["output", "status", "error"];
            let help = match did_you_mean(field, names.into_iter()) {
                Some(help) => help,
                None => format!(
                    "write `{}.output.{field}` for a field of its output",
                    reference("steps", step)
                ),
            };
            unknown_field(checker, reference("steps", step), field, field_span, help)
        }
    }
}

fn unknown_field(checker: &mut Checker, of: String, field: &str, span: Span, help: String) -> Option<Expr> {
    checker.problems.push(ExprProblem::UnknownField {
        of,
        name: field.to_owned(),
        span,
        help: Some(help),
    });
    None
}

fn known_bucket(checker: &mut Checker, bucket: &str, span: Span) -> bool {
    let buckets = checker.scope.buckets;
    if checker.open || buckets.contains(&bucket) {
        return true;
    }
    let help = did_you_mean(bucket, buckets.iter().copied())
        .unwrap_or_else(|| format!("declare it: `buckets: {{ {bucket}: {{}} }}`"));
    undeclared(checker, "bucket", bucket, span, help);
    false
}

fn bucket_field(checker: &mut Checker, path: &Path, bucket: &str, field: &str, field_span: Span) -> Option<Expr> {
    if !known_bucket(checker, bucket, path.span) {
        return None;
    }
    match field {
        "uri" => expr(ExprKind::BucketUri(bucket.to_owned()), Type::String, path.span),
        "name" => expr(ExprKind::BucketName(bucket.to_owned()), Type::String, path.span),
        _ => {
            let help = "a bucket has `uri` and `name`".to_owned();
            unknown_field(checker, reference("buckets", bucket), field, field_span, help)
        }
    }
}

fn known_topic(checker: &mut Checker, topic: &str, span: Span) -> bool {
    let topics = checker.scope.topics;
    if checker.open || topics.contains(&topic) {
        return true;
    }
    let help = did_you_mean(topic, topics.iter().copied())
        .unwrap_or_else(|| format!("declare it: `topics: {{ {topic}: {{}} }}`"));
    undeclared(checker, "topic", topic, span, help);
    false
}

fn topic_field(checker: &mut Checker, path: &Path, topic: &str, field: &str, field_span: Span) -> Option<Expr> {
    if !known_topic(checker, topic, path.span) {
        return None;
    }
    if field == "name" {
        return expr(ExprKind::TopicName(topic.to_owned()), Type::String, path.span);
    }
    let help = "a topic has `name`".to_owned();
    unknown_field(checker, reference("topics", topic), field, field_span, help)
}

/// Where `run`, `error` and `trigger` are known, and their fields.
fn fields_of(name: &str) -> (&'static str, &'static [&'static str]) {
    match name {
        "run" => (
            "a trigger fires before the run: there is none yet",
            &["id", "name", "started_at"],
        ),
        "error" => (
            "`error` is known in `on_failure` and in a `catch`; `steps.name.error` tells of a caught one",
            &["name", "message", "step"],
        ),
        _ => (
            "`trigger` is known in the `params` of an `object_created` trigger",
            &["key", "bucket", "uri"],
        ),
    }
}

/// True where `run`, `error` or `trigger` is known here.
fn here(checker: &mut Checker, path: &Path) -> bool {
    let scope = checker.scope;
    let known = match path.name {
        "run" => scope.run,
        "error" => scope.error,
        _ => scope.trigger,
    };
    if !known && !checker.open {
        not_here(checker, path, fields_of(path.name).0);
        return false;
    }
    true
}

fn own_field(checker: &mut Checker, path: &Path, field: &str, field_span: Span) -> Option<Expr> {
    if !here(checker, path) {
        return None;
    }
    let kind = match (path.name, field) {
        ("run", "id") => ExprKind::Run(RunField::Id),
        ("run", "name") => ExprKind::Run(RunField::Name),
        ("run", "started_at") => ExprKind::Run(RunField::StartedAt),
        ("error", "name") => ExprKind::Error(ErrorField::Name),
        ("error", "message") => ExprKind::Error(ErrorField::Message),
        ("error", "step") => ExprKind::Error(ErrorField::Step),
        ("trigger", "key") => ExprKind::Trigger(TriggerField::Key),
        ("trigger", "bucket") => ExprKind::Trigger(TriggerField::Bucket),
        ("trigger", "uri") => ExprKind::Trigger(TriggerField::Uri),
        _ => {
            let (_, fields) = fields_of(path.name);
            let help = did_you_mean(field, fields.iter().copied())
                .unwrap_or_else(|| listed(&format!("`{}` has", path.name), fields.iter().copied()));
            return unknown_field(checker, path.name.to_owned(), field, field_span, help);
        }
    };
    expr(kind, Type::String, path.span)
}

/// The problem with a name that is none of the language's.
pub(super) fn unknown(scope: &Scope, name: &str, span: Span) -> ExprProblem {
    let known = [
        ("params", scope.params.is_some()),
        ("steps", scope.steps.is_some()),
        ("buckets", !scope.trigger),
        ("topics", !scope.topics.is_empty() && !scope.trigger),
        ("run", scope.run),
        ("error", scope.error),
        ("trigger", scope.trigger),
    ];
    let locals = || scope.locals.iter().map(|local| local.name.as_str());
    let known = || locals().chain(known.iter().filter(|(_, here)| *here).map(|(name, _)| *name));
    let help = if scope.params.is_some_and(|params| params.contains_key(name)) {
        format!("write `params.{name}`")
    } else if scope.steps.is_some_and(|steps| steps.get(name).is_some()) {
        format!("write `{}.output`", reference("steps", name))
    } else if scope.buckets.contains(&name) {
        format!("write `{}.uri`", reference("buckets", name))
    } else if scope.topics.contains(&name) {
        format!("write `{}.name`", reference("topics", name))
    } else {
        match name {
            "True" | "TRUE" => "write `true`".to_owned(),
            "False" | "FALSE" => "write `false`".to_owned(),
            "None" | "nil" | "undefined" | "Null" | "NULL" => "write `null`".to_owned(),
            "secrets" => "secrets never reach an expression: a function reads `context.secrets`".to_owned(),
            _ if Function::from_name(name).is_some() => format!("call it: `{name}(…)`"),
            _ => did_you_mean(name, known()).unwrap_or_else(|| {
                format!(
                    "{}; a text stands in quotes: `'{name}'`",
                    listed("the names are", known())
                )
            }),
        }
    };
    ExprProblem::UnknownName {
        name: name.to_owned(),
        span,
        help: Some(help),
    }
}

/// `steps.my-step.output`, which cel reads as `steps.my - step.output`, anywhere along a chain of operators.
pub(super) fn dashed(syntax: &Syntax) -> Option<ExprProblem> {
    let operands = operands(syntax);
    let (position, what, namespace, first) = operands.iter().enumerate().find_map(|(position, (_, operand))| {
        let followed = matches!(operands.get(position + 1), Some((Some(BinaryOp::Subtract), _)));
        let named = [("step", "steps"), ("bucket", "buckets"), ("topic", "topics")].into_iter();
        let mut members =
            named.filter_map(|(what, namespace)| Some((what, namespace, operand.member_of(namespace)?.0)));
        let (what, namespace, first) = members.next().filter(|_| followed)?;
        Some((position, what, namespace, first))
    })?;
    let mut name = first.to_owned();
    let mut fields = String::new();
    let mut span = operands.get(position)?.1.span;
    for (op, operand) in operands.iter().skip(position + 1) {
        if *op != Some(BinaryOp::Subtract) || !fields.is_empty() {
            break;
        }
        let mut below = *operand;
        let mut reversed = Vec::new();
        while let SyntaxKind::Select(base, field, _) = &below.kind {
            reversed.push(field.as_str());
            below = base;
        }
        match &below.kind {
            SyntaxKind::Name(text) => name = format!("{name}-{text}"),
            SyntaxKind::Literal(Value::Number(number)) => name = format!("{name}-{number}"),
            _ => break,
        }
        for field in reversed.into_iter().rev() {
            fields.push('.');
            fields.push_str(field);
        }
        span = span.to(operand.span);
    }
    (name != first).then(|| ExprProblem::DashedName {
        what,
        fixed: format!("{namespace}['{name}']{fields}"),
        span,
    })
}

/// The operands of a chain of infix operators in written order, each with the operator before it.
fn operands(syntax: &Syntax) -> Vec<(Option<BinaryOp>, &Syntax)> {
    let mut found = Vec::new();
    let mut stack = vec![(None, syntax)];
    while let Some((before, part)) = stack.pop() {
        match &part.kind {
            SyntaxKind::Binary(op, left, right) => stack.extend([(Some(*op), &**right), (before, &**left)]),
            _ => found.push((before, part)),
        }
    }
    found
}

/// ``did you mean `train`?``, where a known name is near.
pub(super) fn did_you_mean<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let bound = name.chars().count() / 3;
    known
        .map(|other| (strsim::osa_distance(name, other), other))
        .filter(|(distance, other)| *distance <= bound || other.eq_ignore_ascii_case(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| format!("did you mean `{other}`?"))
}

/// ``the steps are `a`, `b` ``, the first eight.
pub(super) fn listed<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let more = if names.len() > 8 { ", …" } else { "" };
    let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    if shown.is_empty() {
        "there are none here".to_owned()
    } else {
        format!("{what} {}{more}", shown.join(", "))
    }
}
