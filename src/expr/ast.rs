//! The resolved, typed expression tree. `types` builds it from what `parse` read; `eval` and the printers only read it.

use serde_json::Value;

use super::functions::Macro;
use super::{Function, Type};
use crate::syntax::span::Span;

/// An expression with its static type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Its static type; [`Type::Any`] where nothing is known.
    pub ty: Type,
    /// True where the types prove that evaluating it cannot fail: printers may then write the plain path.
    pub safe: bool,
    /// Where it stands in the pipeline file.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// null, a boolean, a number or a string.
    Literal(Value),
    /// `params` (None) or `params.X`.
    Param(Option<String>),
    /// `steps.X.output`, by the step's path: null where the step was skipped.
    StepOutput(String),
    /// `steps.X.status`, by the step's path: `succeeded` or `skipped`.
    StepStatus(String),
    /// `steps.X.error`, by the step's path: null where nothing was caught.
    StepError(String),
    /// What a step's `for_each` or `repeat` adds, by the step's path.
    Local(String, Local),
    /// `buckets.X.uri`.
    BucketUri(String),
    /// `buckets.X.name`.
    BucketName(String),
    /// `topics.X.name`.
    TopicName(String),
    /// `run.id`, `run.name`, `run.started_at`.
    Run(RunField),
    /// `error.name`, `error.message`, `error.step`, in a handler and in a `catch`.
    Error(ErrorField),
    /// `trigger.key` and its neighbours, in a trigger's `params`.
    Trigger(TriggerField),
    /// `value.field` and `value['field']` with a constant string.
    Field(Box<Expr>, String),
    /// `value[index]` with anything else.
    Index(Box<Expr>, Box<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{'k': a}`; keys are constant, distinct and in written order.
    Object(Vec<(String, Expr)>),
    /// `!a`, `-a`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + b` and its like.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `c ? a : b`.
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `size(x)`; the arguments' count is checked.
    Call(Function, Vec<Expr>),
    /// `xs.map(x, e)`.
    Macro(Box<MacroCall>),
    /// The name that a macro adds to the expressions in it.
    Variable(String),
}

/// A macro over a list, or over an object's keys.
#[derive(Clone, Debug, PartialEq)]
pub struct MacroCall {
    /// Which.
    pub kind: Macro,
    /// What it goes through.
    pub items: Expr,
    /// The name of the item: an identifier, distinct from every other name there.
    pub variable: String,
    /// The `p` of a `map` with three arguments.
    pub filter: Option<Expr>,
    /// What is computed for each item.
    pub body: Expr,
}

/// What a step's modifiers add to the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Local {
    /// The item of `for_each`.
    Item,
    /// Its position in the list, from 0.
    Index,
    /// The output of the run before, in a `repeat`; null in the first.
    Previous,
    /// The output of the run that just ended, in `until`.
    Output,
}

/// Fields of `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunField {
    /// The execution's id, unique per run.
    Id,
    /// The pipeline's name.
    Name,
    /// When the execution started: RFC 3339, UTC.
    StartedAt,
}

/// Fields of `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorField {
    /// The error's name.
    Name,
    /// The error's message.
    Message,
    /// The step that failed.
    Step,
}

/// Fields of `trigger` (`object_created`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerField {
    /// The object's key in its bucket.
    Key,
    /// The bucket's name in the cloud.
    Bucket,
    /// The object's URI.
    Uri,
    /// The text that was published.
    Message,
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `!`
    Not,
    /// `-`
    Negate,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`: numbers, strings or lists.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`, with the sign of the dividend.
    Remainder,
    /// `==`, deep.
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `&&`, lazy.
    And,
    /// `||`, lazy.
    Or,
    /// `x in list`, `'k' in object`.
    In,
}

/// A JSON value with expressions in it: a step's `input`, the pipeline's `outputs`.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// A constant without any expression.
    Constant(Value),
    /// A string that is one expression: has the expression's type.
    Expr(Expr),
    /// Text around expressions: each is converted with `string()`. Parts are never empty.
    Text(Vec<TextPart>),
    /// A list with at least one expression in it.
    List(Vec<Template>),
    /// An object with at least one expression in it, in written order.
    Object(Vec<(String, Template)>),
}

/// A piece of [`Template::Text`].
#[derive(Clone, Debug, PartialEq)]
pub enum TextPart {
    /// Literal text.
    Literal(String),
    /// An expression of a type that `string()` takes.
    Expr(Expr),
}

impl Template {
    /// True where evaluating it cannot fail.
    pub fn is_safe(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Expr(expr) => expr.safe,
            Self::Text(parts) => parts.iter().all(|part| match part {
                TextPart::Literal(_) => true,
                TextPart::Expr(expr) => expr.safe && expr.ty.is_scalar(),
            }),
            Self::List(items) => items.iter().all(Self::is_safe),
            Self::Object(fields) => fields.iter().all(|(_, value)| value.is_safe()),
        }
    }

    /// True where it surely gives a string.
    pub fn is_text(&self) -> bool {
        self.is_safe()
            && match self {
                Self::Constant(value) => value.is_string(),
                Self::Expr(expr) => expr.ty == Type::String,
                Self::Text(_) => true,
                Self::List(_) | Self::Object(_) => false,
            }
    }

    /// Calls `visit` for each expression, in written order.
    pub fn each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Self::Constant(_) => {}
            Self::Expr(expr) => visit(expr),
            Self::Text(parts) => {
                for part in parts {
                    if let TextPart::Expr(expr) = part {
                        visit(expr);
                    }
                }
            }
            Self::List(items) => items.iter().for_each(|item| item.each_expr(visit)),
            Self::Object(fields) => fields.iter().for_each(|(_, value)| value.each_expr(visit)),
        }
    }
}

impl Expr {
    /// The direct operands, in written order.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Literal(_)
            | ExprKind::Param(_)
            | ExprKind::StepOutput(_)
            | ExprKind::StepStatus(_)
            | ExprKind::StepError(_)
            | ExprKind::Local(..)
            | ExprKind::BucketUri(_)
            | ExprKind::BucketName(_)
            | ExprKind::TopicName(_)
            | ExprKind::Run(_)
            | ExprKind::Error(_)
            | ExprKind::Trigger(_)
            | ExprKind::Variable(_) => Vec::new(),
            ExprKind::Macro(call) => std::iter::once(&call.items)
                .chain(&call.filter)
                .chain([&call.body])
                .collect(),
            ExprKind::Field(base, _) => vec![base],
            ExprKind::Index(base, index) => vec![base, index],
            ExprKind::List(items) => items.iter().collect(),
            ExprKind::Object(fields) => fields.iter().map(|(_, value)| value).collect(),
            ExprKind::Unary(_, operand) => vec![operand],
            ExprKind::Binary(_, left, right) => vec![left, right],
            ExprKind::Ternary(condition, yes, no) => vec![condition, yes, no],
            ExprKind::Call(_, arguments) => arguments.iter().collect(),
        }
    }

    /// The same, to change them.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            ExprKind::Literal(_)
            | ExprKind::Param(_)
            | ExprKind::StepOutput(_)
            | ExprKind::StepStatus(_)
            | ExprKind::StepError(_)
            | ExprKind::Local(..)
            | ExprKind::BucketUri(_)
            | ExprKind::BucketName(_)
            | ExprKind::TopicName(_)
            | ExprKind::Run(_)
            | ExprKind::Error(_)
            | ExprKind::Trigger(_)
            | ExprKind::Variable(_) => Vec::new(),
            ExprKind::Macro(call) => std::iter::once(&mut call.items)
                .chain(&mut call.filter)
                .chain([&mut call.body])
                .collect(),
            ExprKind::Field(base, _) => vec![base],
            ExprKind::Index(base, index) => vec![base, index],
            ExprKind::List(items) => items.iter_mut().collect(),
            ExprKind::Object(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
            ExprKind::Unary(_, operand) => vec![operand],
            ExprKind::Binary(_, left, right) => vec![left, right],
            ExprKind::Ternary(condition, yes, no) => vec![condition, yes, no],
            ExprKind::Call(_, arguments) => arguments.iter_mut().collect(),
        }
    }

    /// Calls `visit` for this expression and all below it, without recursion (`a + b + …` is deep on the left).
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        let mut stack = vec![self];
        while let Some(expr) = stack.pop() {
            visit(expr);
            stack.extend(expr.children());
        }
    }
}
