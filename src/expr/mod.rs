//! Expressions: parsed by cel, typed, evaluated and printed by us.

pub mod ast;
mod calls;
pub mod check;
mod convert;
pub mod eval;
pub mod functions;
mod guards;
pub mod jsonata;
mod lex;
mod lookup;
mod macros;
mod names;
mod operators;
pub mod parse;
pub mod pattern;
pub mod problems;
pub mod python;
mod scan;
pub mod shape;
pub mod types;
mod typing;
mod words;
pub mod workflows;

pub use ast::{BinaryOp, Expr, ExprKind, Local, MacroCall, Template, UnaryOp};
pub use check::{
    LocalName, Scope, StepScope, Steps, check, check_condition, check_string, check_text, list_template,
    object_template, status_guards, template_type,
};
pub use eval::{Env, EvalError, eval, eval_template};
pub use functions::{Function, Macro};
pub use guards::{never_true, ran_if_evaluated, ran_if_true};
pub use lookup::equal;
pub use names::NAMESPACES;
pub use parse::{Part, Piece, Place, Syntax, Text, bucket_references, parse, parse_text, references};
pub use problems::ExprProblem;
pub use scan::scan;
pub use shape::{Mismatch, matches};
pub use types::Type;

#[cfg(test)]
mod tests;
