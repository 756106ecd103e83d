//! Which outputs surely fit into what a cloud carries.
//!
//! What a step gives has at most 252 KiB. One value of a step with something small round it fits; two may not.

use crate::expr::ast::TextPart;
use crate::expr::{BinaryOp, Expr, ExprKind, Function, Macro, Template, Type};

/// True where the object of the outputs surely fits.
pub fn fits(outputs: &[(String, Template)]) -> bool {
    outputs.iter().map(|(_, template)| of_template(template)).sum::<usize>() <= 1
}

/// True where the value surely fits.
pub fn fits_value(template: &Template) -> bool {
    of_template(template) <= 1
}

/// How many large values it is at most as large as.
fn of_template(template: &Template) -> usize {
    match template {
        Template::Constant(_) => 0,
        Template::Expr(expr) => of(expr),
        Template::Text(parts) => parts
            .iter()
            .map(|part| match part {
                TextPart::Literal(_) => 0,
                TextPart::Expr(expr) => of(expr),
            })
            .sum(),
        Template::List(items) => items.iter().map(of_template).sum(),
        Template::Object(fields) => fields.iter().map(|(_, value)| of_template(value)).sum(),
    }
}

fn of(expr: &Expr) -> usize {
    if matches!(
        expr.ty.unwrapped(),
        Type::Null | Type::Boolean | Type::Integer | Type::Number
    ) {
        return 0;
    }
    match &expr.kind {
        ExprKind::Literal(_)
        | ExprKind::StepStatus(_)
        | ExprKind::StepError(_)
        | ExprKind::BucketUri(_)
        | ExprKind::BucketName(_)
        | ExprKind::TopicName(_)
        | ExprKind::Run(_)
        | ExprKind::Error(_)
        | ExprKind::Trigger(_) => 0,
        ExprKind::Param(_) | ExprKind::StepOutput(_) | ExprKind::Local(..) | ExprKind::Variable(_) => 1,
        ExprKind::Field(base, _) | ExprKind::Index(base, _) => of(base),
        ExprKind::List(items) => items.iter().map(of).sum(),
        ExprKind::Object(fields) => fields.iter().map(|(_, value)| of(value)).sum(),
        ExprKind::Unary(_, operand) => of(operand),
        ExprKind::Binary(BinaryOp::Add, left, right) => of(left) + of(right),
        ExprKind::Binary(..) => 0,
        ExprKind::Ternary(_, yes, no) => of(yes).max(of(no)),
        ExprKind::Call(Function::Default, arguments) => arguments.iter().map(of).max().unwrap_or(0),
        ExprKind::Macro(call) if call.kind == Macro::Filter => of(&call.items),
        // `join`, `json`, `range`, `map` and others give more than they take.
        ExprKind::Call(..) | ExprKind::Macro(_) => 2,
    }
}
