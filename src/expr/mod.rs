//! Expressions: parsed by cel, typed, evaluated and printed by us.

pub mod ast;
pub mod eval;
pub mod functions;
pub mod jsonata;
pub mod parse;
pub mod python;
pub mod types;
pub mod workflows;

pub use ast::{BinaryOp, Expr, ExprKind, Template, UnaryOp};
pub use functions::Function;
pub use types::Type;
