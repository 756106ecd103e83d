//! Macros: their types and their values.

use serde_json::Value;

use super::ast::{ErrorField, RunField, TriggerField};
use super::eval::{Env, EvalError, run as evaluate};
use super::names::NAMESPACES;
use super::parse::{Call, Syntax, SyntaxKind};
use super::problems::ExprProblem;
use super::shape::kind_of;
use super::types::Kinds;
use super::typing::Checker;
use super::{Expr, ExprKind, Function, Local, Macro, MacroCall, Type};
use crate::syntax::span::Span;

/// Checks a call of a macro.
pub(super) fn check(checker: &mut Checker, call: &Call, span: Span) -> Option<Expr> {
    let kind = Macro::from_name(&call.name)?;
    let items = call.arguments.first().and_then(|items| checker.strict(items));
    let (variable, filter, body) = match (kind, call.arguments.get(1..).unwrap_or_default()) {
        (Macro::Map, [variable, filter, body]) => (variable, Some(filter), body),
        (_, [variable, body]) => (variable, None, body),
        _ => return form(checker, kind, span),
    };
    let SyntaxKind::Name(name) = &variable.kind else {
        return form(checker, kind, variable.span);
    };
    let free = crate::check::names::is_identifier(name)
        && !NAMESPACES.contains(&name.as_str())
        && name != "in"
        && Function::from_name(name).is_none()
        && checker.variables.iter().all(|(other, _)| other != name)
        && checker.scope.locals.iter().all(|local| local.name != *name);
    if !free {
        checker.problems.push(ExprProblem::MacroName {
            name: name.clone(),
            span: variable.span,
        });
        return None;
    }
    let items_type = items.as_ref().map_or(Type::Any, |items| items.ty.clone());
    let listed = items_type.kinds();
    if !listed.meets(Kinds::LIST.or(Kinds::OBJECT)) {
        checker.problems.push(ExprProblem::ArgumentType {
            function: kind.name(),
            expected: "a list or an object before the point",
            found: items_type,
            span: items.as_ref().map_or(span, |items| items.span),
            help: None,
        });
        return None;
    }
    let item = match &items_type {
        Type::Object(_) => Type::String,
        Type::List(item) => (**item).clone(),
        _ => Type::Any,
    };
    checker.variables.push((name.clone(), item.clone()));
    let filter = filter.map(|filter| condition(checker, filter));
    let body = match kind {
        Macro::Map => checker.strict(body),
        _ => condition(checker, body),
    };
    checker.variables.pop();
    let filter = match filter {
        None => None,
        Some(filter) => Some(filter?),
    };
    let (items, body) = (items?, body?);
    checker.not_null(&items);
    let known = matches!(items.ty, Type::List(_) | Type::Object(_));
    let truths = filter.iter().chain((kind != Macro::Map).then_some(&body));
    let boolean = truths.into_iter().all(|truth| truth.ty == Type::Boolean);
    Some(Expr {
        ty: match kind {
            Macro::Map => Type::List(Box::new(body.ty.clone())),
            Macro::Filter => Type::List(Box::new(item)),
            Macro::Exists | Macro::ExistsOne | Macro::All => Type::Boolean,
        },
        safe: known && boolean && items.safe && body.safe && filter.as_ref().is_none_or(|filter| filter.safe),
        kind: ExprKind::Macro(Box::new(MacroCall {
            kind,
            items,
            variable: name.clone(),
            filter,
            body,
        })),
        span,
    })
}

fn form(checker: &mut Checker, kind: Macro, span: Span) -> Option<Expr> {
    checker.problems.push(ExprProblem::MacroForm {
        name: kind.name(),
        usage: match kind {
            Macro::Map => "list.map(x, x + 1)",
            Macro::Filter => "list.filter(x, x > 1)",
            Macro::Exists => "list.exists(x, x > 1)",
            Macro::ExistsOne => "list.exists_one(x, x > 1)",
            Macro::All => "list.all(x, x > 1)",
        },
        span,
    });
    None
}

fn condition(checker: &mut Checker, syntax: &Syntax) -> Option<Expr> {
    let expr = checker.strict(syntax)?;
    if expr.ty.kinds().meets(Kinds::BOOLEAN) {
        return Some(expr);
    }
    checker.problems.push(ExprProblem::Expected {
        place: "a condition",
        expected: Type::Boolean,
        help: Some("compare it, as in `… == …` or `… > 0`".to_owned()),
        found: expr.ty,
        span: expr.span,
    });
    None
}

/// The value of a macro.
pub(super) fn run(call: &MacroCall, env: &dyn Env) -> Result<Value, EvalError> {
    let items: Vec<Value> = match evaluate(&call.items, env)?.into_owned() {
        Value::Array(items) => items,
        Value::Object(fields) => {
            let mut keys: Vec<String> = fields.into_iter().map(|(key, _)| key).collect();
            keys.sort();
            keys.into_iter().map(Value::from).collect()
        }
        other => {
            return Err(EvalError {
                message: format!(
                    "`{}` goes through a list or an object, found {}",
                    call.kind.name(),
                    kind_of(&other)
                ),
                span: call.items.span,
            });
        }
    };
    let mut kept = Vec::new();
    let mut count = 0;
    for item in items {
        let bound = Bound {
            env,
            name: &call.variable,
            value: item,
        };
        match call.kind {
            Macro::Map => {
                let wanted = match &call.filter {
                    Some(filter) => holds(filter, &bound)?,
                    None => true,
                };
                if wanted {
                    kept.push(evaluate(&call.body, &bound)?.into_owned());
                }
            }
            Macro::Filter => {
                if holds(&call.body, &bound)? {
                    kept.push(bound.value);
                }
            }
            Macro::Exists if holds(&call.body, &bound)? => return Ok(true.into()),
            Macro::All if !holds(&call.body, &bound)? => return Ok(false.into()),
            Macro::ExistsOne => count += usize::from(holds(&call.body, &bound)?),
            Macro::Exists | Macro::All => {}
        }
    }
    Ok(match call.kind {
        Macro::Map | Macro::Filter => Value::Array(kept),
        Macro::Exists => false.into(),
        Macro::All => true.into(),
        Macro::ExistsOne => (count == 1).into(),
    })
}

fn holds(expr: &Expr, env: &dyn Env) -> Result<bool, EvalError> {
    let value = evaluate(expr, env)?;
    value.as_bool().ok_or_else(|| EvalError {
        message: format!("a condition takes a boolean, found {}", kind_of(&value)),
        span: expr.span,
    })
}

/// One more name.
struct Bound<'e> {
    env: &'e dyn Env,
    name: &'e str,
    value: Value,
}

impl Env for Bound<'_> {
    fn params(&self) -> &Value {
        self.env.params()
    }

    fn output(&self, step: &str) -> Option<&Value> {
        self.env.output(step)
    }

    fn status(&self, step: &str) -> Option<&str> {
        self.env.status(step)
    }

    fn error_of(&self, step: &str) -> Option<&Value> {
        self.env.error_of(step)
    }

    fn local(&self, step: &str, what: Local) -> Option<&Value> {
        self.env.local(step, what)
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        if name == self.name {
            Some(&self.value)
        } else {
            self.env.variable(name)
        }
    }

    fn bucket_uri(&self, id: &str) -> Option<&str> {
        self.env.bucket_uri(id)
    }

    fn bucket_name(&self, id: &str) -> Option<&str> {
        self.env.bucket_name(id)
    }

    fn topic_name(&self, id: &str) -> Option<&str> {
        self.env.topic_name(id)
    }

    fn run(&self, field: RunField) -> &str {
        self.env.run(field)
    }

    fn error(&self, field: ErrorField) -> Option<&str> {
        self.env.error(field)
    }

    fn trigger(&self, field: TriggerField) -> Option<&str> {
        self.env.trigger(field)
    }
}
