//! Expressions of the failure handler: the params of an execution that failed for its params may be anything.

use crate::expr::ast::TextPart;
use crate::expr::{Expr, ExprKind, Template, Type};

/// A text without what the types of params promise.
pub(super) fn untyped(template: &Template) -> Template {
    match template {
        Template::Expr(expr) => Template::Expr(untyped_expr(expr)),
        Template::Text(parts) => Template::Text(
            parts
                .iter()
                .map(|part| match part {
                    TextPart::Literal(text) => TextPart::Literal(text.clone()),
                    TextPart::Expr(expr) => TextPart::Expr(untyped_expr(expr)),
                })
                .collect(),
        ),
        // No text.
        Template::Constant(_) | Template::List(_) | Template::Object(_) => template.clone(),
    }
}

fn untyped_expr(expr: &Expr) -> Expr {
    let mut reads = false;
    expr.walk(&mut |part| reads |= matches!(part.kind, ExprKind::Param(_)));
    let mut expr = expr.clone();
    if !reads {
        return expr;
    }
    let mut stack = vec![&mut expr];
    while let Some(part) = stack.pop() {
        let leaf = part.children().is_empty();
        if !leaf || matches!(part.kind, ExprKind::Param(_)) {
            part.ty = Type::Any;
            part.safe = false;
        }
        stack.extend(part.children_mut());
    }
    expr
}
