//! [`Syntax`] to [`Expr`]: names are resolved, types given, and what evaluates without fail is proven.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::Value;

use super::calls;
use super::guards;
use super::names;
use super::parse::{Call, Part, Syntax, SyntaxKind, Text};
use super::problems::ExprProblem;
use super::types::Kinds;
use super::{BinaryOp, Expr, ExprKind, Function, Template, Type, UnaryOp, ast::TextPart};
use crate::syntax::span::Span;

/// What an expression may name.
#[derive(Clone, Debug, Default)]
pub struct Scope<'a> {
    /// The declared params; None where `params` is not known (triggers).
    pub params: Option<&'a IndexMap<String, Type>>,
    /// The declared steps; None where `steps` is not known (triggers, handlers).
    pub steps: Option<&'a IndexMap<String, StepScope>>,
    /// Why there are no steps here, as a help line.
    pub no_steps: &'static str,
    /// Steps that surely ran when this is evaluated: their output is not null.
    pub ran: BTreeSet<String>,
    /// The step that the expression belongs to.
    pub own: Option<&'a str>,
    /// Steps that cannot have ended when this is evaluated, with the reason.
    pub unreachable: BTreeMap<String, &'static str>,
    /// The declared buckets.
    pub buckets: &'a [&'a str],
    /// `error` is known.
    pub error: bool,
    /// `trigger` is known, and only it, constants and text.
    pub trigger: bool,
    /// `run` is known.
    pub run: bool,
}

/// What is known of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepScope {
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
                help: (expr.ty.kinds().meets(Kinds::SCALAR)).then(|| "write `string(…)` round it".to_owned()),
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

/// The state of one check.
pub(super) struct Checker<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) problems: &'a mut Vec<ExprProblem>,
    /// Steps that ran wherever the part at hand is evaluated.
    pub(super) ran: BTreeSet<String>,
    /// Within the path of `default` or `has`, where what is missing is no failure.
    pub(super) lenient: bool,
    /// Every name is known, of any type.
    pub(super) open: bool,
    /// Steps that a [`ExprProblem::MaySkip`] was given for.
    warned: BTreeSet<String>,
}

/// A step of the way down the left side of a tree.
enum Spine<'s> {
    Select(&'s Syntax, &'s str, Span),
    Index(&'s Syntax, &'s Syntax),
    Binary(&'s Syntax, BinaryOp, &'s Syntax),
    Method(&'s Syntax, &'s Call, Function),
}

impl<'a> Checker<'a> {
    fn new(scope: &'a Scope<'a>, problems: &'a mut Vec<ExprProblem>) -> Self {
        Self {
            scope,
            problems,
            ran: scope.ran.clone(),
            lenient: false,
            open: false,
            warned: BTreeSet::new(),
        }
    }

    /// Chains that are deep on the left are walked in a loop, the rest by recursion: brackets bound it.
    pub(super) fn expr(&mut self, syntax: &Syntax) -> Option<Expr> {
        let mut spine = Vec::new();
        let mut at = syntax;
        let mut value = loop {
            if let Some(path) = names::Path::of(at)
                && let Some(resolved) = names::resolve(self, &path)
            {
                break resolved;
            }
            at = match &at.kind {
                SyntaxKind::Select(base, field, span) => {
                    spine.push(Spine::Select(at, field, *span));
                    base
                }
                SyntaxKind::Index(base, index) => {
                    spine.push(Spine::Index(at, index));
                    base
                }
                SyntaxKind::Binary(op, left, right) => {
                    if let Some(problem) = names::dashed(at) {
                        self.problems.push(problem);
                        break None;
                    }
                    spine.push(Spine::Binary(at, *op, right));
                    left
                }
                SyntaxKind::Call(call) => match (calls::function(self, call), call.arguments.first()) {
                    (None, first) => {
                        if let Some(receiver) = first.filter(|_| call.method) {
                            self.expr(receiver);
                        }
                        break None;
                    }
                    (Some(function), Some(first)) if call.method && !calls::takes_path(function) => {
                        spine.push(Spine::Method(at, call, function));
                        first
                    }
                    (Some(function), _) => break calls::call(self, function, call, None, at.span),
                },
                _ => break self.leaf(at),
            };
        };
        while let Some(step) = spine.pop() {
            value = match step {
                Spine::Select(at, field, span) => value.and_then(|base| self.field(base, field, span, at.span)),
                Spine::Index(at, index) => self.index(value, index, at.span),
                Spine::Binary(at, op, right) => self.binary(op, value, right, at.span),
                Spine::Method(at, call, function) => calls::call(self, function, call, Some(value), at.span),
            };
        }
        value
    }

    fn leaf(&mut self, syntax: &Syntax) -> Option<Expr> {
        let span = syntax.span;
        match &syntax.kind {
            SyntaxKind::Literal(value) => Some(Expr {
                ty: Type::of_value(value),
                kind: ExprKind::Literal(value.clone()),
                safe: true,
                span,
            }),
            SyntaxKind::List(items) => {
                let items: Vec<Option<Expr>> = items.iter().map(|item| self.strict(item)).collect();
                let items: Vec<Expr> = items.into_iter().collect::<Option<_>>()?;
                let item = items.iter().map(|item| item.ty.clone()).reduce(|a, b| a.join(&b));
                Some(Expr {
                    ty: Type::List(Box::new(item.unwrap_or(Type::Any))),
                    safe: items.iter().all(|item| item.safe),
                    kind: ExprKind::List(items),
                    span,
                })
            }
            SyntaxKind::Object(fields) => {
                let fields: Vec<Option<(String, Expr)>> = fields
                    .iter()
                    .map(|(name, value)| Some((name.clone(), self.strict(value)?)))
                    .collect();
                let fields: Vec<(String, Expr)> = fields.into_iter().collect::<Option<_>>()?;
                Some(Expr {
                    ty: Type::Object(
                        fields
                            .iter()
                            .map(|(name, value)| (name.clone(), value.ty.clone()))
                            .collect(),
                    ),
                    safe: fields.iter().all(|(_, value)| value.safe),
                    kind: ExprKind::Object(fields),
                    span,
                })
            }
            SyntaxKind::Unary(op, operand) => self.unary(*op, operand, span),
            SyntaxKind::Ternary(condition, yes, no) => self.ternary(condition, yes, no, span),
            SyntaxKind::Name(name) => {
                let problem = names::unknown(self.scope, name, span);
                self.problems.push(problem);
                None
            }
            // `expr` walks these itself.
            SyntaxKind::Select(..) | SyntaxKind::Index(..) | SyntaxKind::Binary(..) | SyntaxKind::Call(_) => None,
        }
    }

    /// Checks what is evaluated in full also within the path of `default` or `has`.
    pub(super) fn strict(&mut self, syntax: &Syntax) -> Option<Expr> {
        let lenient = std::mem::replace(&mut self.lenient, false);
        let expr = self.expr(syntax);
        self.lenient = lenient;
        expr
    }

    /// Checks a part that is evaluated only where `also` ran too.
    fn narrowed(&mut self, also: Option<BTreeSet<String>>, syntax: &Syntax) -> Option<Expr> {
        let before = self.ran.clone();
        self.ran.extend(also.unwrap_or_default());
        let expr = self.expr(syntax);
        self.ran = before;
        expr
    }

    fn unary(&mut self, op: UnaryOp, operand: &Syntax, span: Span) -> Option<Expr> {
        let operand = self.expr(operand)?;
        let (operator, expected, kinds, ty) = match op {
            UnaryOp::Not => ("!", "a boolean", Kinds::BOOLEAN, Type::Boolean),
            UnaryOp::Negate => ("-", "a number", Kinds::NUMBER, numeric(&[&operand.ty])),
        };
        if !operand.ty.kinds().meets(kinds) {
            self.problems.push(ExprProblem::Operand {
                operator,
                expected,
                help: conversion(&operand.ty, kinds),
                found: operand.ty,
                span: operand.span,
            });
            return None;
        }
        self.not_null(&operand);
        Some(Expr {
            ty,
            safe: operand.safe && operand.ty.kinds().within(kinds),
            kind: ExprKind::Unary(op, Box::new(operand)),
            span,
        })
    }

    fn ternary(&mut self, condition: &Syntax, yes: &Syntax, no: &Syntax, span: Span) -> Option<Expr> {
        let condition = self.expr(condition);
        let if_true = condition.as_ref().and_then(guards::if_true);
        let if_false = condition.as_ref().and_then(guards::if_false);
        let yes = self.narrowed(if_true, yes);
        let no = self.narrowed(if_false, no);
        let condition = condition?;
        if !condition.ty.kinds().meets(Kinds::BOOLEAN) {
            self.problems.push(ExprProblem::Expected {
                place: "a condition",
                expected: Type::Boolean,
                help: Some("compare it, as in `… == …` or `… > 0`".to_owned()),
                found: condition.ty,
                span: condition.span,
            });
            return None;
        }
        self.not_null(&condition);
        let (yes, no) = (yes?, no?);
        Some(Expr {
            ty: yes.ty.join(&no.ty),
            safe: condition.safe && condition.ty == Type::Boolean && yes.safe && no.safe,
            kind: ExprKind::Ternary(Box::new(condition), Box::new(yes), Box::new(no)),
            span,
        })
    }

    fn field(&mut self, base: Expr, field: &str, field_span: Span, span: Span) -> Option<Expr> {
        self.not_null(&base);
        let (ty, safe) = match base.ty.unwrapped() {
            Type::Object(fields) if !fields.is_empty() => match fields.get(field) {
                Some(ty) => {
                    let present = !matches!(ty, Type::Optional(_)) && matches!(base.ty, Type::Object(_));
                    // In a literal every field is there.
                    let present = present || matches!(base.kind, ExprKind::Object(_));
                    (ty.clone(), base.safe && present)
                }
                None => {
                    self.problems.push(ExprProblem::UnknownField {
                        of: base.ty.unwrapped().to_string(),
                        name: field.to_owned(),
                        span: field_span,
                        help: names::did_you_mean(field, fields.keys().map(String::as_str))
                            .or_else(|| Some("declare it in the `output` or the type it comes from".to_owned())),
                    });
                    return None;
                }
            },
            Type::Object(_) | Type::Any => (Type::Any, false),
            other => {
                self.problems.push(ExprProblem::NoFields {
                    what: "fields",
                    help: match other {
                        Type::List(_) => Some("write `[0]` for the first item, `size(…)` for the length".to_owned()),
                        _ => None,
                    },
                    found: base.ty.clone(),
                    span: base.span,
                });
                return None;
            }
        };
        Some(Expr {
            ty,
            safe,
            kind: ExprKind::Field(Box::new(base), field.to_owned()),
            span,
        })
    }

    fn index(&mut self, base: Option<Expr>, index: &Syntax, span: Span) -> Option<Expr> {
        if let SyntaxKind::Literal(Value::String(field)) = &index.kind
            && base.as_ref().is_none_or(|base| base.ty.kinds().meets(Kinds::OBJECT))
        {
            return self.field(base?, field, index.span, span);
        }
        let index = self.strict(index);
        let (base, index) = (base?, index?);
        self.not_null(&base);
        let (of, expected, kinds) = match base.ty.unwrapped() {
            Type::List(_) => ("a list", "an integer", Kinds::NUMBER),
            Type::Object(_) => ("an object", "a string", Kinds::STRING),
            Type::Any => ("a value", "an integer or a string", Kinds::NUMBER.or(Kinds::STRING)),
            Type::Null | Type::Boolean | Type::Integer | Type::Number | Type::String | Type::Optional(_) => {
                self.problems.push(ExprProblem::NoFields {
                    what: "items",
                    help: None,
                    found: base.ty,
                    span: base.span,
                });
                return None;
            }
        };
        let number = match &index.kind {
            ExprKind::Literal(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        if !index.ty.kinds().meets(kinds) || number.is_some_and(|number| number.fract() != 0.0) {
            self.problems.push(ExprProblem::IndexType {
                of,
                expected,
                help: conversion(&index.ty, kinds),
                found: index.ty,
                span: index.span,
            });
            return None;
        }
        let length = match &base.kind {
            ExprKind::List(items) => Some(items.len()),
            _ => None,
        };
        let beyond = number.is_some_and(|number| number < 0.0 || length.is_some_and(|length| number >= length as f64));
        if beyond && !self.lenient {
            self.problems.push(ExprProblem::AlwaysFails {
                what: "index out of range",
                help: Some("indices run from 0 to `size(list) - 1`".to_owned()),
                span: index.span,
            });
            return None;
        }
        self.not_null(&index);
        Some(Expr {
            ty: base.ty.item(),
            safe: base.safe && length.is_some() && number.is_some() && !beyond,
            kind: ExprKind::Index(Box::new(base), Box::new(index)),
            span,
        })
    }

    fn binary(&mut self, op: BinaryOp, left: Option<Expr>, right: &Syntax, span: Span) -> Option<Expr> {
        let right = match op {
            BinaryOp::And => self.narrowed(left.as_ref().and_then(guards::if_true), right),
            BinaryOp::Or => self.narrowed(left.as_ref().and_then(guards::if_false), right),
            _ => self.expr(right),
        };
        let (left, right) = (left?, right?);
        let (ty, exact) = match op {
            BinaryOp::Add => self.add(&left, &right)?,
            BinaryOp::Subtract | BinaryOp::Multiply => {
                let exact = self.operands(op, &left, &right, &[Kinds::NUMBER])?;
                (numeric(&[&left.ty, &right.ty]), exact)
            }
            BinaryOp::Divide | BinaryOp::Remainder => {
                let exact = self.operands(op, &left, &right, &[Kinds::NUMBER])?;
                let divisor = match &right.kind {
                    ExprKind::Literal(Value::Number(number)) => number.as_f64(),
                    _ => None,
                };
                if divisor == Some(0.0) {
                    self.problems.push(ExprProblem::AlwaysFails {
                        what: "division by zero",
                        help: None,
                        span: right.span,
                    });
                    return None;
                }
                let ty = if op == BinaryOp::Remainder {
                    numeric(&[&left.ty, &right.ty])
                } else {
                    Type::Number
                };
                (ty, exact && divisor.is_some())
            }
            BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
                let exact = self.operands(op, &left, &right, &[Kinds::NUMBER, Kinds::STRING])?;
                (Type::Boolean, exact)
            }
            BinaryOp::And | BinaryOp::Or => {
                let exact = self.operands(op, &left, &right, &[Kinds::BOOLEAN])?;
                (Type::Boolean, exact)
            }
            BinaryOp::Equal | BinaryOp::NotEqual => {
                self.equal(&left, &right)?;
                (Type::Boolean, true)
            }
            BinaryOp::In => (Type::Boolean, self.membership(&left, &right)?),
        };
        Some(Expr {
            ty,
            safe: left.safe && right.safe && exact,
            kind: ExprKind::Binary(op, Box::new(left), Box::new(right)),
            span,
        })
    }

    /// Two operands of one of the kinds; true where their types prove it.
    fn operands(&mut self, op: BinaryOp, left: &Expr, right: &Expr, kinds: &[Kinds]) -> Option<bool> {
        let (a, b) = (left.ty.kinds(), right.ty.kinds());
        if !kinds.iter().any(|kind| a.meets(*kind) && b.meets(*kind)) {
            let help = operands_help(op, &left.ty, &right.ty);
            self.problems.push(ExprProblem::Operands {
                operator: symbol(op),
                left: left.ty.clone(),
                right: right.ty.clone(),
                left_span: left.span,
                right_span: right.span,
                help,
            });
            return None;
        }
        self.not_null(left);
        // The right side of a lazy operator was checked where the left one guards it.
        if !matches!(op, BinaryOp::And | BinaryOp::Or) {
            self.not_null(right);
        }
        Some(kinds.iter().any(|kind| a.within(*kind) && b.within(*kind)))
    }

    fn add(&mut self, left: &Expr, right: &Expr) -> Option<(Type, bool)> {
        let all = [Kinds::NUMBER, Kinds::STRING, Kinds::LIST];
        let exact = self.operands(BinaryOp::Add, left, right, &all)?;
        let shared = left.ty.kinds().and(right.ty.kinds());
        let shared = shared.and(Kinds::NUMBER.or(Kinds::STRING).or(Kinds::LIST));
        let ty = if shared == Kinds::NUMBER {
            numeric(&[&left.ty, &right.ty])
        } else if shared == Kinds::STRING {
            Type::String
        } else if shared == Kinds::LIST {
            Type::List(Box::new(left.ty.item().join(&right.ty.item())))
        } else {
            Type::Any
        };
        Some((ty, exact))
    }

    fn equal(&mut self, left: &Expr, right: &Expr) -> Option<()> {
        for (one, other) in [(left, right), (right, left)] {
            if let (ExprKind::StepStatus(_), ExprKind::Literal(Value::String(text))) = (&one.kind, &other.kind)
                && !matches!(text.as_str(), "succeeded" | "skipped")
            {
                self.problems.push(ExprProblem::StatusNever {
                    found: text.clone(),
                    span: other.span,
                });
            }
        }
        // A comparison with null is a guard that may prove idle, not a mistake.
        let null = |expr: &Expr| expr.ty == Type::Null;
        if null(left) || null(right) {
            return Some(());
        }
        self.comparable(left, &left.ty, right, &right.ty)
    }

    /// Refuses two types that have no value in common.
    pub(super) fn comparable(&mut self, left: &Expr, a: &Type, right: &Expr, b: &Type) -> Option<()> {
        if a.kinds().meets(b.kinds()) {
            return Some(());
        }
        self.problems.push(ExprProblem::NeverEqual {
            left: a.clone(),
            right: b.clone(),
            left_span: left.span,
            right_span: right.span,
            help: match (a.unwrapped(), b.unwrapped()) {
                (Type::Integer | Type::Number, Type::String) | (Type::String, Type::Integer | Type::Number) => {
                    Some("convert one of them with `string(…)` or `double(…)`".to_owned())
                }
                (Type::List(_), _) => Some("write `contains(list, item)` for membership".to_owned()),
                (_, Type::List(_)) => Some("write `item in list` for membership".to_owned()),
                _ => None,
            },
        });
        None
    }

    /// `x in y`; true where the types prove that it cannot fail.
    fn membership(&mut self, left: &Expr, right: &Expr) -> Option<bool> {
        let (of, within) = (left.ty.kinds(), right.ty.kinds());
        let list = within.meets(Kinds::LIST);
        let object = within.meets(Kinds::OBJECT);
        if !list && !(object && of.meets(Kinds::STRING)) {
            self.problems.push(ExprProblem::Operands {
                operator: "in",
                left: left.ty.clone(),
                right: right.ty.clone(),
                left_span: left.span,
                right_span: right.span,
                help: Some(match within {
                    within if within == Kinds::STRING => "write `contains(text, part)` for a part of a text".to_owned(),
                    _ => "write `item in list` or `'key' in object`".to_owned(),
                }),
            });
            return None;
        }
        self.not_null(right);
        if list && !object {
            self.comparable(left, &left.ty, right, &right.ty.item())?;
        }
        Some(within == Kinds::LIST || (within == Kinds::OBJECT && of == Kinds::STRING))
    }

    /// Warns where a null would make the evaluation fail and a skipped step may have put it there.
    pub(super) fn not_null(&mut self, expr: &Expr) {
        let ExprKind::StepOutput(step) = &expr.kind else { return };
        if self.lenient || self.open || self.ran.contains(step) || self.warned.contains(step) {
            return;
        }
        let may_skip = self
            .scope
            .steps
            .and_then(|steps| steps.get(step))
            .is_some_and(|step| step.may_skip);
        if may_skip {
            self.warned.insert(step.clone());
            self.problems.push(ExprProblem::MaySkip {
                step: step.clone(),
                path: format!("{}.output", names::reference("steps", step)),
                reference: names::reference("steps", step),
                span: expr.span,
            });
        }
    }

    /// In a trigger's params: refuses all but constants, `trigger.*` and joined text.
    fn trigger_only(&mut self, expr: &Expr) -> bool {
        if !self.scope.trigger {
            return true;
        }
        let mut stack = vec![expr];
        while let Some(part) = stack.pop() {
            match &part.kind {
                ExprKind::Literal(_) | ExprKind::Trigger(_) => {}
                ExprKind::Binary(BinaryOp::Add, left, right) if part.ty == Type::String => {
                    stack.extend([&**right, &**left]);
                }
                _ => {
                    self.problems.push(ExprProblem::TriggerParams { span: part.span });
                    return false;
                }
            }
        }
        true
    }
}

/// Integer where all are, else number.
pub(super) fn numeric(types: &[&Type]) -> Type {
    if types.iter().all(|ty| **ty == Type::Integer) {
        Type::Integer
    } else {
        Type::Number
    }
}

/// How to make one of `wanted` out of a type.
pub(super) fn conversion(found: &Type, wanted: Kinds) -> Option<String> {
    let found = found.kinds();
    let help = if wanted == Kinds::STRING && found.meets(Kinds::SCALAR) {
        "write `string(…)` round it"
    } else if wanted == Kinds::NUMBER && found.meets(Kinds::STRING) {
        "write `double(…)` or `int(…)` round it"
    } else if wanted == Kinds::BOOLEAN {
        "compare it, as in `… == …` or `… > 0`"
    } else {
        return None;
    };
    Some(help.to_owned())
}

fn operands_help(op: BinaryOp, left: &Type, right: &Type) -> Option<String> {
    let (a, b) = (left.unwrapped(), right.unwrapped());
    let help = match op {
        BinaryOp::Add => match (a, b) {
            (Type::String, other) | (other, Type::String) if other.is_scalar() => {
                "write `string(…)` round the one that is no string".to_owned()
            }
            (Type::List(_), _) | (_, Type::List(_)) => "lists are joined to lists: write `[item]`".to_owned(),
            _ => "`+` adds numbers, joins strings and joins lists".to_owned(),
        },
        BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Remainder => {
            if *a == Type::String || *b == Type::String {
                "write `double(…)` or `int(…)` round the string".to_owned()
            } else {
                format!("`{}` takes two numbers", symbol(op))
            }
        }
        BinaryOp::And | BinaryOp::Or => format!("`{}` takes two booleans: compare with `==` or `>`", symbol(op)),
        _ => format!("`{}` orders two numbers or two strings", symbol(op)),
    };
    Some(help)
}

/// The operator as written.
pub(super) fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Remainder => "%",
        BinaryOp::Equal => "==",
        BinaryOp::NotEqual => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterEqual => ">=",
        BinaryOp::And => "&&",
        BinaryOp::Or => "||",
        BinaryOp::In => "in",
    }
}
