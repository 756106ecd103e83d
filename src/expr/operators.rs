//! The types of operators, fields and indices.

use serde_json::Value;

use super::convert::MAX_INTEGER;
use super::guards;
use super::names;
use super::parse::{Syntax, SyntaxKind};
use super::problems::ExprProblem;
use super::types::Kinds;
use super::typing::Checker;
use super::{BinaryOp, Expr, ExprKind, Function, Type, UnaryOp};
use crate::syntax::span::Span;

impl Checker<'_> {
    pub(super) fn field(&mut self, base: Expr, field: &str, field_span: Span, span: Span) -> Option<Expr> {
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

    pub(super) fn index(&mut self, base: Option<Expr>, index: &Syntax, span: Span) -> Option<Expr> {
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
                help: match kinds {
                    Kinds::NUMBER if index.ty.kinds().meets(Kinds::STRING) => {
                        Some("write `int(…)` round it".to_owned())
                    }
                    kinds => conversion(&index.ty, kinds),
                },
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

    pub(super) fn unary(&mut self, op: UnaryOp, operand: &Syntax, span: Span) -> Option<Expr> {
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

    pub(super) fn ternary(&mut self, condition: &Syntax, yes: &Syntax, no: &Syntax, span: Span) -> Option<Expr> {
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

    pub(super) fn binary(&mut self, op: BinaryOp, left: Option<Expr>, right: &Syntax, span: Span) -> Option<Expr> {
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
        let mut expr = Expr {
            ty,
            safe: left.safe && right.safe && exact,
            kind: ExprKind::Binary(op, Box::new(left), Box::new(right)),
            span,
        };
        // A result that is not finite is a failure.
        if expr.safe && expr.ty.is_numeric() {
            expr.safe = magnitude(&expr).is_finite();
        }
        Some(expr)
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
        if !(list || object && of.meets(Kinds::STRING)) {
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

/// Parts that [`magnitude`] looks at: longer sums count as unknown.
const MOST_PARTS: usize = 64;

/// What the number's magnitude cannot exceed; infinite where a result may be.
pub(super) fn magnitude(expr: &Expr) -> f64 {
    within(expr, &mut { MOST_PARTS })
}

fn within(expr: &Expr, parts: &mut usize) -> f64 {
    *parts = match parts.checked_sub(1) {
        Some(left) => left,
        None => return f64::INFINITY,
    };
    match &expr.kind {
        ExprKind::Literal(value) => value.as_f64().map_or(f64::MAX, f64::abs),
        ExprKind::Unary(_, operand) => within(operand, parts),
        ExprKind::Binary(op, left, right) => {
            let (a, b) = (within(left, parts), within(right, parts));
            match op {
                BinaryOp::Add | BinaryOp::Subtract => a + b,
                BinaryOp::Multiply => a * b,
                // What is proved to be safe divides by a literal.
                BinaryOp::Divide => a / b,
                _ => b,
            }
        }
        ExprKind::Ternary(_, yes, no) => within(yes, parts).max(within(no, parts)),
        ExprKind::Call(Function::Size, _) => 1e9,
        ExprKind::Call(Function::Int, _) => MAX_INTEGER as f64,
        ExprKind::Call(..) => f64::MAX,
        _ if expr.ty == Type::Integer => MAX_INTEGER as f64,
        _ => f64::MAX,
    }
}
