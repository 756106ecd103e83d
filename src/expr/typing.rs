//! The walk that gives types: one [`Checker`] an expression.

use std::collections::BTreeSet;

use super::ast::BinaryOp;
use super::calls;
use super::macros;
use super::names;
use super::parse::{Call, Syntax, SyntaxKind};
use super::problems::ExprProblem;
use super::{Expr, ExprKind, Function, Macro, Scope, Type};
use crate::syntax::span::Span;

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
    /// The names that the macros round the part at hand add, the outer ones first.
    pub(super) variables: Vec<(String, Type)>,
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
    pub(super) fn new(scope: &'a Scope<'a>, problems: &'a mut Vec<ExprProblem>) -> Self {
        Self {
            scope,
            problems,
            ran: scope.ran.clone(),
            lenient: false,
            open: false,
            variables: Vec::new(),
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
                    // Once for the whole chain.
                    let first = !spine.iter().any(|step| matches!(step, Spine::Binary(..)));
                    if let Some(problem) = first.then(|| names::dashed(at)).flatten() {
                        self.problems.push(problem);
                        break None;
                    }
                    spine.push(Spine::Binary(at, *op, right));
                    left
                }
                SyntaxKind::Call(call) if call.method && Macro::from_name(&call.name).is_some() => {
                    break macros::check(self, call, at.span);
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
    pub(super) fn narrowed(&mut self, also: Option<BTreeSet<String>>, syntax: &Syntax) -> Option<Expr> {
        let before = self.ran.clone();
        self.ran.extend(also.unwrap_or_default());
        let expr = self.expr(syntax);
        self.ran = before;
        expr
    }

    /// Warns where a null would make the evaluation fail and a skipped step may have put it there.
    pub(super) fn not_null(&mut self, expr: &Expr) {
        let ExprKind::StepOutput(step) = &expr.kind else { return };
        if self.lenient || self.open || self.ran.contains(step) || self.warned.contains(step) {
            return;
        }
        // The last part of a path is the id, and no two steps that can be seen share one.
        let id = step.rsplit('.').next().unwrap_or(step);
        let may_skip = self
            .scope
            .steps
            .and_then(|steps| steps.get(id))
            .is_some_and(|step| step.may_skip);
        if may_skip {
            self.warned.insert(step.clone());
            self.problems.push(ExprProblem::MaySkip {
                step: id.to_owned(),
                path: format!("{}.output", names::reference("steps", id)),
                reference: names::reference("steps", id),
                span: expr.span,
            });
        }
    }

    /// In a trigger's params: refuses all but constants, `trigger.*` and joined text.
    pub(super) fn trigger_only(&mut self, expr: &Expr) -> bool {
        if self.scope.trigger.is_empty() {
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
