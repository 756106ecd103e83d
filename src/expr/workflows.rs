//! Expressions as Google Workflows evaluates them.
//!
//! Where the types prove that a plain form means the same, it is what a person would write: `${evaluate.auc >= params.min_auc}`.
//! Elsewhere a helper subworkflow (`targets/gcp/helpers.yaml`) checks the operands. What needs laziness that Workflows lacks
//! (`if()` and `default()` evaluate all their arguments), map literals, or more than the 400 characters of one expression becomes a
//! [`Routine`]: a subworkflow of its own.

mod code;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::ast::{BinaryOp, ErrorField, Expr, ExprKind, Local, RunField, Template, TextPart, TriggerField, UnaryOp};
use super::{Function, Macro, MacroCall, Type, pattern};
use crate::syntax::span::Span;
use code::{Code, EXACT, LENGTHS, Level, Number, VALUE, access, identifier, is_identifier, key, number_text, pieces};
pub use code::{field_path, quote};

/// Characters of one expression, between `${` and `}`: 400 with these (Workflows quotas, "Expression length").
pub const LENGTH: usize = 397;
/// Operands longer than this get a variable, so that two of them and an operator stay within [`LENGTH`].
const OPERAND: usize = 170;
/// What the names of the language are called in the workflow.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The pipeline's name: `run.name`.
    pub pipeline: String,
    /// The variable with a step's output, by step id.
    pub outputs: IndexMap<String, String>,
    /// The variable with a step's status, by step id; a step without one always runs.
    pub statuses: IndexMap<String, String>,
    /// The variable with a step's caught error or null, by step path; a step without one catches nothing.
    pub errors: IndexMap<String, String>,
    /// The variable with what a modifier adds, by step path.
    pub locals: BTreeMap<(String, Local), String>,
    /// The expression for a bucket's name, by bucket id.
    pub buckets: IndexMap<String, String>,
    /// Expressions of topics' names, by logical id.
    pub topics: IndexMap<String, String>,
    /// Names that no generated variable or subworkflow may take.
    pub taken: BTreeSet<String>,
}

/// What the printed expressions call: helpers by name, and routines made for single expressions.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// Names of helper subworkflows.
    pub helpers: BTreeSet<&'static str>,
    /// Generated subworkflows, in order of use.
    pub routines: Vec<Routine>,
    /// How often a name was asked for.
    asked: BTreeMap<String, usize>,
    names: BTreeSet<String>,
}

/// A subworkflow that computes one expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Routine {
    /// Its name.
    pub name: String,
    /// The variables that it reads, passed by position.
    pub params: Vec<String>,
    /// What it does, in order.
    pub body: Vec<Statement>,
    /// What it returns.
    pub result: Value,
}

/// A statement of a [`Routine`].
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `variable = value`.
    Assign(String, Value),
    /// Runs `body` for each item of a list.
    For {
        /// The variable of the item.
        item: String,
        /// The list: an expression without `${}`.
        list: String,
        /// What runs.
        body: Vec<Statement>,
    },
    /// Runs `then` where `condition` (an expression without `${}`) is true, else `otherwise`.
    Switch {
        /// The condition.
        condition: String,
        /// Where it is true.
        then: Vec<Statement>,
        /// Where it is false.
        otherwise: Vec<Statement>,
    },
}

/// Prints the expressions of one workflow.
#[derive(Debug)]
pub struct Printer<'a> {
    names: &'a Names,
    library: &'a mut Library,
    /// The variables that the expression at hand reads.
    reads: BTreeSet<String>,
    /// Statements so far; None while printing in place.
    block: Option<Vec<Statement>>,
    /// Set where printing in place met what needs statements.
    blocked: bool,
    temporaries: usize,
}

impl<'a> Printer<'a> {
    /// A printer that adds what it calls to `library`.
    pub fn new(names: &'a Names, library: &'a mut Library) -> Self {
        Self {
            names,
            library,
            reads: BTreeSet::new(),
            block: None,
            blocked: false,
            temporaries: 0,
        }
    }

    /// A template as a YAML value: strings that start with `${` are expressions. `hint` names the routines it may need.
    pub fn template(&mut self, template: &Template, hint: &str) -> Value {
        match template {
            Template::Constant(value) => self.constant(value, hint),
            Template::Expr(expr) => self.value(expr, hint),
            Template::Text(_) => self.value(&text_expr(template), hint),
            Template::List(items) => items.iter().map(|item| self.template(item, hint)).collect(),
            Template::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, value)| (key(name), self.template(value, &format!("{hint}_{}", identifier(name)))))
                    .collect(),
            ),
        }
    }

    /// A template that must be a string.
    pub fn string_template(&mut self, template: &Template, hint: &str) -> Value {
        match template {
            Template::Expr(expr) if expr.ty != Type::String => {
                let expr = Expr {
                    kind: ExprKind::Call(Function::String, vec![expr.clone()]),
                    ty: Type::Any,
                    safe: false,
                    span: expr.span,
                };
                self.printed(&expr, hint, true)
            }
            other => self.template(other, hint),
        }
    }

    /// A constant as a YAML value.
    pub fn constant(&mut self, value: &Value, hint: &str) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Number(number) => match number_text(number) {
                text if text.starts_with("double") => Value::String(format!("${{{text}}}")),
                text => serde_json::from_str(&text).unwrap_or(Value::Null),
            },
            Value::String(text) if text.contains("${") => self.value(&literal(value.clone()), hint),
            Value::String(_) => value.clone(),
            Value::Array(items) => items.iter().map(|item| self.constant(item, hint)).collect(),
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, item)| (key(name), self.constant(item, hint)))
                    .collect(),
            ),
        }
    }

    /// An expression as a YAML value.
    pub fn value(&mut self, expr: &Expr, hint: &str) -> Value {
        match &expr.kind {
            ExprKind::Object(fields) => fields
                .iter()
                .map(|(name, value)| (key(name), self.value(value, &format!("{hint}_{}", identifier(name)))))
                .collect::<Map<_, _>>()
                .into(),
            ExprKind::Literal(value) => match value {
                Value::String(text) if text.contains("${") => self.printed(expr, hint, false),
                _ => self.constant(value, hint),
            },
            ExprKind::List(items) if items.is_empty() || items.iter().any(has_object) => {
                items.iter().map(|item| self.value(item, hint)).collect()
            }
            _ => self.printed(expr, hint, false),
        }
    }

    /// A boolean expression, without `${}`.
    pub fn condition(&mut self, expr: &Expr, hint: &str) -> String {
        if let Some(text) = self.inline(expr, |printer, expr| printer.boolean(expr).text) {
            return text;
        }
        let call = self.routine(expr, hint, false);
        if expr.ty == Type::Boolean {
            return call;
        }
        self.call("boolean_of", &[call]).text
    }

    /// In place where it fits, else by a call of a routine. `string_only` refuses what is no string.
    fn printed(&mut self, expr: &Expr, hint: &str, string_only: bool) -> Value {
        let in_place = self.inline(expr, |printer, expr| match (&expr.kind, string_only) {
            (ExprKind::Call(Function::String, arguments), true) => {
                let argument = arguments.first().map(|argument| printer.code(argument).text);
                printer.call("text_of", &[argument.unwrap_or_default()]).text
            }
            _ => printer.code(expr).text,
        });
        let text = in_place.unwrap_or_else(|| self.routine(expr, hint, string_only));
        Value::String(format!("${{{text}}}"))
    }

    /// The expression's text where it needs no statements and fits.
    fn inline(&mut self, expr: &Expr, print: impl Fn(&mut Self, &Expr) -> String) -> Option<String> {
        let helpers = self.library.helpers.clone();
        self.blocked = false;
        self.block = None;
        let text = print(self, expr);
        if !self.blocked && text.chars().count() <= LENGTH {
            return Some(text);
        }
        self.library.helpers = helpers;
        None
    }

    /// A call of a new routine that computes the expression.
    fn routine(&mut self, expr: &Expr, hint: &str, string_only: bool) -> String {
        self.reads.clear();
        self.temporaries = 0;
        self.block = Some(Vec::new());
        let mut code = match (&expr.kind, string_only) {
            (ExprKind::Call(Function::String, arguments), true) => match arguments.first() {
                Some(argument) => {
                    let argument = self.code(argument);
                    self.call("text_of", &[argument.text])
                }
                None => self.code(expr),
            },
            _ => self.code(expr),
        };
        code = self.fit(code);
        let body = self.block.take().unwrap_or_default();
        let params: Vec<String> = self.reads.iter().cloned().collect();
        let name = self.routine_name(hint);
        let call = format!("{name}({})", params.join(", "));
        let result = Value::String(format!("${{{}}}", code.text));
        self.library.routines.push(Routine {
            name,
            params,
            body,
            result,
        });
        call
    }

    fn routine_name(&mut self, hint: &str) -> String {
        loop {
            let asked = self.library.asked.entry(hint.to_owned()).or_default();
            *asked += 1;
            let name = if *asked == 1 {
                hint.to_owned()
            } else {
                format!("{hint}_{asked}")
            };
            if !self.names.taken.contains(&name) && !self.library.names.contains(&name) {
                self.library.names.insert(name.clone());
                return name;
            }
        }
    }

    /// The code of an expression, within [`OPERAND`] where statements are allowed.
    fn code(&mut self, expr: &Expr) -> Code {
        let code = match &expr.kind {
            ExprKind::Literal(value) => self.literal(value),
            ExprKind::Param(None) => self.variable("params"),
            ExprKind::Param(Some(name)) => {
                let base = self.variable("params");
                access(base, name).with(VALUE)
            }
            ExprKind::StepOutput(step) => match self.names.outputs.get(step) {
                Some(variable) => self.variable(&variable.clone()),
                None => Code::atom("null"),
            },
            ExprKind::StepStatus(step) => match self.names.statuses.get(step) {
                Some(variable) => self.variable(&variable.clone()),
                None => Code::atom("\"succeeded\""),
            },
            ExprKind::StepError(step) => match self.names.errors.get(step) {
                Some(variable) => self.variable(&variable.clone()),
                None => Code::atom("null"),
            },
            ExprKind::Local(step, what) => match self.names.locals.get(&(step.clone(), *what)) {
                Some(variable) => self.variable(&variable.clone()),
                None => Code::atom("null"),
            },
            ExprKind::BucketUri(bucket) => {
                let name = self.bucket(bucket);
                Code::new(format!("\"gs://\" + {}", name.text), Level::Add)
            }
            ExprKind::BucketName(bucket) => self.bucket(bucket),
            ExprKind::TopicName(topic) => {
                let name = self.names.topics.get(topic);
                Code::atom(name.map_or_else(|| "null".to_owned(), Clone::clone))
            }
            ExprKind::Run(RunField::Id) => self.variable("run_id"),
            ExprKind::Run(RunField::Name) => self.literal(&Value::String(self.names.pipeline.clone())),
            ExprKind::Run(RunField::StartedAt) => self.variable("started_at"),
            ExprKind::Error(field) => {
                let base = self.variable("error");
                access(
                    base,
                    match field {
                        ErrorField::Name => "name",
                        ErrorField::Message => "message",
                        ErrorField::Step => "step",
                    },
                )
            }
            ExprKind::Trigger(field) => {
                let event = self.variable(match field {
                    TriggerField::Message => "message",
                    TriggerField::Key | TriggerField::Bucket | TriggerField::Uri => "object",
                });
                match field {
                    TriggerField::Message => event,
                    TriggerField::Key => access(event, "name"),
                    TriggerField::Bucket => access(event, "bucket"),
                    TriggerField::Uri => {
                        Code::new("\"gs://\" + object.bucket + \"/\" + object.name".to_owned(), Level::Add)
                    }
                }
            }
            ExprKind::Field(base, name) => {
                let base = self.code(base);
                self.field(base, name).with(VALUE)
            }
            ExprKind::Index(base, index) => {
                let base = self.code(base);
                let position = match &index.kind {
                    ExprKind::Literal(Value::Number(number)) => number.as_u64(),
                    _ => None,
                };
                match position {
                    Some(position) if base.level == Level::Path => {
                        Code::new(format!("{}[{position}]", base.text), Level::Path)
                    }
                    _ => {
                        let index = self.code(index);
                        self.call("get_item", &[base.text, index.text])
                    }
                }
            }
            ExprKind::List(items) => self.list(items),
            ExprKind::Object(fields) => self.object(fields),
            ExprKind::Unary(UnaryOp::Not, operand) => {
                let operand = self.boolean(operand);
                Code::new(format!("not {}", operand.within(Level::Atom)), Level::Not)
            }
            ExprKind::Unary(UnaryOp::Negate, operand) => {
                let numeric = operand.ty.is_numeric();
                let operand = self.code(operand);
                if numeric {
                    Code::new(format!("-{}", operand.within(Level::Atom)), Level::Negate)
                        .with(operand.number)
                        .bounded(operand.bound)
                } else {
                    self.call("minus", &["0".to_owned(), operand.text])
                }
            }
            ExprKind::Binary(..) => self.binary(expr),
            ExprKind::Ternary(condition, yes, no) => self.ternary(condition, yes, no),
            ExprKind::Variable(name) => Code::new(self.each(name), Level::Path),
            ExprKind::Macro(call) => self.macro_call(call),
            ExprKind::Call(function, arguments) => self.function(*function, arguments),
        };
        let code = match &expr.kind {
            ExprKind::Param(_)
            | ExprKind::StepOutput(_)
            | ExprKind::Local(..)
            | ExprKind::Variable(_)
            | ExprKind::Field(..)
            | ExprKind::Index(..)
                if expr.ty == Type::Integer =>
            {
                code.bounded(EXACT as f64)
            }
            _ => code,
        };
        self.fit(code)
    }

    /// A chain of operators, deep on the left, in a loop.
    fn binary(&mut self, expr: &Expr) -> Code {
        let mut spine = Vec::new();
        let mut at = expr;
        while let ExprKind::Binary(op, left, right) = &at.kind {
            spine.push((*op, &**left, &**right));
            at = left;
        }
        let mut code = self.code(at);
        while let Some((op, left, right)) = spine.pop() {
            code = self.operator(op, code, left, right);
            code = self.fit(code);
        }
        code
    }

    fn operator(&mut self, op: BinaryOp, code: Code, left: &Expr, right: &Expr) -> Code {
        let numbers = left.ty.is_numeric() && right.ty.is_numeric();
        let strings = left.ty == Type::String && right.ty == Type::String;
        match op {
            BinaryOp::And | BinaryOp::Or => self.lazy(op, code, left, right),
            BinaryOp::Add if strings => self.infix(code, "+", right, Level::Add),
            BinaryOp::Add if numbers => self.arithmetic(code, "+", right, Level::Add),
            BinaryOp::Subtract if numbers => self.arithmetic(code, "-", right, Level::Add),
            BinaryOp::Multiply if numbers => self.arithmetic(code, "*", right, Level::Multiply),
            BinaryOp::Divide if numbers => self.quotient(code, right),
            BinaryOp::Equal => self.infix(code, "==", right, Level::Compare),
            BinaryOp::NotEqual => self.infix(code, "!=", right, Level::Compare),
            BinaryOp::Less if numbers || strings => self.infix(code, "<", right, Level::Compare),
            BinaryOp::LessEqual if numbers || strings => self.infix(code, "<=", right, Level::Compare),
            BinaryOp::Greater if numbers || strings => self.infix(code, ">", right, Level::Compare),
            BinaryOp::GreaterEqual if numbers || strings => self.infix(code, ">=", right, Level::Compare),
            BinaryOp::In
                if matches!(right.ty, Type::List(_))
                    || (matches!(right.ty, Type::Object(_)) && left.ty == Type::String) =>
            {
                self.infix(code, "in", right, Level::Compare)
            }
            BinaryOp::Add => self.apply("plus", code, right),
            BinaryOp::Subtract => self.apply("minus", code, right),
            BinaryOp::Multiply => self.apply("times", code, right),
            BinaryOp::Divide => self.apply("over", code, right),
            BinaryOp::Remainder => self.apply("remainder", code, right),
            BinaryOp::In => self.apply("member", code, right),
            BinaryOp::Less => self.apply("less", code, right),
            BinaryOp::GreaterEqual => {
                let less = self.apply("less", code, right);
                Code::new(format!("not {}", less.text), Level::Not)
            }
            BinaryOp::Greater => {
                let right = self.code(right);
                self.call("less", &[right.text, code.text])
            }
            BinaryOp::LessEqual => {
                let right = self.code(right);
                let less = self.call("less", &[right.text, code.text]);
                Code::new(format!("not {}", less.text), Level::Not)
            }
        }
    }

    /// `+`, `-` and `*` of two numbers, in doubles where integers would not be exact.
    fn arithmetic(&mut self, left: Code, op: &str, right: &Expr, level: Level) -> Code {
        let right = self.code(right);
        let bound = match op {
            "*" => left.bound * right.bound,
            _ => left.bound + right.bound,
        };
        let (left, right, number) = match (left.number, right.number) {
            (Number::Within(a), Number::Within(b)) => {
                let most = match op {
                    "*" => a.saturating_mul(b),
                    _ => a.saturating_add(b),
                };
                if most <= EXACT {
                    (left, right, Number::Within(most))
                } else if right.text.bytes().all(|b| b.is_ascii_digit()) {
                    (left, right.double(), Number::Double)
                } else {
                    (left.double(), right, Number::Double)
                }
            }
            _ => (left, right, Number::Double),
        };
        let code = Self::joined(&left, op, &right, level).with(number).bounded(bound);
        self.finite(code)
    }

    /// `a / b` of two numbers.
    fn quotient(&mut self, left: Code, right: &Expr) -> Code {
        let least = match &right.kind {
            ExprKind::Literal(value) => value.as_f64().unwrap_or_default().abs(),
            _ if right.ty == Type::Integer => 1.0,
            _ => 0.0,
        };
        let bound = left.bound / least;
        let code = self
            .infix(left, "/", right, Level::Multiply)
            .with(Number::Double)
            .bounded(bound);
        self.finite(code)
    }

    /// Workflows computes with infinite numbers where the language fails.
    fn finite(&mut self, code: Code) -> Code {
        if code.bound.is_finite() {
            return code;
        }
        self.call("whole", &[code.text]).with(VALUE)
    }

    fn infix(&mut self, left: Code, op: &str, right: &Expr, level: Level) -> Code {
        let right = self.code(right);
        Self::joined(&left, op, &right, level)
    }

    fn joined(left: &Code, op: &str, right: &Code, level: Level) -> Code {
        // Comparisons do not chain; the others group to the left.
        let left_level = if level == Level::Compare { Level::Add } else { level };
        let right_level = match level {
            Level::Compare => Level::Add,
            Level::Add => Level::Multiply,
            _ => Level::Negate,
        };
        Code::new(
            format!("{} {op} {}", left.within(left_level), right.within(right_level)),
            level,
        )
    }

    fn apply(&mut self, helper: &'static str, left: Code, right: &Expr) -> Code {
        let right = self.code(right);
        self.call(helper, &[left.text, right.text])
    }

    /// `&&` and `||`: Workflows' own are lazy, but the statements of a right side must be guarded.
    fn lazy(&mut self, op: BinaryOp, left_code: Code, left: &Expr, right: &Expr) -> Code {
        let (word, level, above) = match op {
            BinaryOp::And => ("and", Level::And, Level::Compare),
            _ => ("or", Level::Or, Level::And),
        };
        // A chain's own results are booleans, whatever their operands' types.
        let chained = matches!(left.kind, ExprKind::Binary(BinaryOp::And | BinaryOp::Or, ..));
        let left = if left.ty == Type::Boolean || chained {
            left_code
        } else {
            self.call("boolean_of", &[left_code.text])
        };
        let outer = self.block.as_mut().map(std::mem::take);
        let right = self.boolean(right);
        let inner = self.block.as_mut().map(std::mem::take).unwrap_or_default();
        if let Some(outer) = outer {
            self.block = Some(outer);
        }
        if inner.is_empty() {
            return Code::new(format!("{} {word} {}", left.within(level), right.within(above)), level);
        }
        let result = self.hoist(Value::String(format!("${{{}}}", left.text)));
        let condition = match op {
            BinaryOp::And => result.text.clone(),
            _ => format!("not {}", result.text),
        };
        let mut then = inner;
        then.push(Statement::Assign(result.text.clone(), right.value()));
        self.push(Statement::Switch {
            condition,
            then,
            otherwise: Vec::new(),
        });
        result
    }

    /// The code of an operand that must be a boolean.
    fn boolean(&mut self, expr: &Expr) -> Code {
        let code = self.code(expr);
        if expr.ty == Type::Boolean {
            code
        } else {
            self.call("boolean_of", &[code.text])
        }
    }

    fn ternary(&mut self, condition: &Expr, yes: &Expr, no: &Expr) -> Code {
        let condition = self.boolean(condition);
        let (yes_block, yes_code) = self.aside(yes);
        let (no_block, no_code) = self.aside(no);
        let length = condition.text.len() + yes_code.text.len() + no_code.text.len();
        let fits = self.block.is_none() || length < LENGTH - 20;
        let plain = fits && yes_block.is_empty() && no_block.is_empty() && eager(yes) && eager(no);
        if plain {
            return Code::new(
                format!("if({}, {}, {})", condition.text, yes_code.text, no_code.text),
                Level::Atom,
            );
        }
        let result = self.hoist(Value::Null);
        let assign = |code: Code, mut block: Vec<Statement>| {
            block.push(Statement::Assign(result.text.clone(), code.value()));
            block
        };
        let statement = Statement::Switch {
            condition: condition.text,
            then: assign(yes_code, yes_block),
            otherwise: assign(no_code, no_block),
        };
        self.push(statement);
        result
    }

    /// The code of an expression with its statements kept apart.
    fn aside(&mut self, expr: &Expr) -> (Vec<Statement>, Code) {
        let outer = self.block.as_mut().map(std::mem::take);
        let code = self.code(expr);
        let inner = self.block.as_mut().map(std::mem::take).unwrap_or_default();
        if let Some(outer) = outer {
            self.block = Some(outer);
        }
        (inner, code)
    }

    fn function(&mut self, function: Function, arguments: &[Expr]) -> Code {
        let (Some(first), second) = (arguments.first(), arguments.get(1)) else {
            return Code::atom("null");
        };
        match function {
            Function::Size => self.builtin("len", first).with(LENGTHS).bounded(1e6),
            Function::Contains => match (&first.ty, second) {
                (Type::List(_), Some(item)) => {
                    let item = self.code(item);
                    let list = self.code(first);
                    Code::new(
                        format!("{} in {}", item.within(Level::Add), list.within(Level::Add)),
                        Level::Compare,
                    )
                }
                _ => self.helper_call("contains_part", arguments),
            },
            Function::StartsWith => self.helper_call("starts_with", arguments),
            Function::EndsWith => self.helper_call("ends_with", arguments),
            Function::String => match &first.ty {
                Type::String => self.code(first),
                Type::Boolean => self.builtin("string", first),
                Type::Integer if whole(first) => self.builtin("string", first),
                _ => self.helper_call("string_of", arguments),
            },
            Function::Int if first.ty == Type::Integer => {
                let code = self.code(first);
                // What is computed may be larger than what is declared can be.
                if code.bound <= EXACT as f64 {
                    code
                } else {
                    self.call("int_of", &[code.text]).bounded(EXACT as f64)
                }
            }
            Function::Int => self.helper_call("int_of", arguments).bounded(EXACT as f64),
            Function::Double if first.ty.is_numeric() => self.code(first),
            Function::Double => self.helper_call("double_of", arguments),
            Function::Min => self.extreme("math.min", "min_of", arguments),
            Function::Max => self.extreme("math.max", "max_of", arguments),
            Function::Abs if first.ty.is_numeric() => self.builtin("math.abs", first),
            Function::Abs => self.helper_call("abs_of", arguments),
            Function::Floor | Function::Ceil if first.ty == Type::Integer => self.code(first),
            Function::Floor => self.helper_call("floor_of", arguments),
            Function::Ceil => self.helper_call("ceil_of", arguments),
            Function::Join => self.helper_call("join_list", arguments),
            Function::Split => match second {
                Some(Expr {
                    kind: ExprKind::Literal(Value::String(separator)),
                    ..
                }) if first.ty == Type::String && !separator.is_empty() => {
                    let text = self.code(first);
                    let separator = self.literal(&Value::String(separator.clone()));
                    Code::atom(format!("text.split({}, {})", text.text, separator.text))
                }
                _ => self.helper_call("split_text", arguments),
            },
            Function::Keys => self.helper_call("sorted_keys", arguments),
            Function::Matches => match second {
                Some(pattern) => self.pattern(first, pattern),
                None => Code::atom("false"),
            },
            Function::LowerAscii => self.helper_call("lower_ascii", arguments),
            Function::UpperAscii => self.helper_call("upper_ascii", arguments),
            Function::Bool if first.ty == Type::Boolean => self.code(first),
            Function::Bool => self.helper_call("bool_of", arguments),
            Function::Sum => self.helper_call("sum_of", arguments),
            Function::Round if first.ty == Type::Integer => self.code(first),
            Function::Round => self.helper_call("round_of", arguments),
            Function::Range => match second {
                Some(_) => self.helper_call("range_of", arguments),
                None => {
                    let end = self.code(first);
                    self.call("range_of", &["0".to_owned(), end.text])
                }
            },
            Function::Values => self.helper_call("sorted_values", arguments),
            Function::Merge => self.helper_call("merge_maps", arguments),
            Function::Json => self.helper_call("json_text", arguments),
            Function::ParseJson => self.helper_call("parse_json", arguments),
            Function::Base64 => self.helper_call("base64_of", arguments),
            Function::Timestamp => self.helper_call("timestamp_of", arguments),
            Function::Duration => match &first.kind {
                ExprKind::Literal(Value::String(text)) => {
                    self.literal(&Value::from(super::eval::seconds(text).unwrap_or_default()))
                }
                _ => self.helper_call("duration_of", arguments),
            },
            Function::Has => {
                let path = self.lenient(first);
                Code::new(format!("{} != null", path.within(Level::Add)), Level::Compare)
            }
            Function::Default => match second {
                Some(fallback) => self.default(first, fallback),
                None => self.lenient(first),
            },
        }
    }

    /// The variable of a macro's name.
    fn each(&self, name: &str) -> String {
        let mut variable = format!("each_{name}");
        while self.names.taken.contains(&variable) {
            variable.push('_');
        }
        variable
    }

    /// Workflows has no functions over lists: a loop.
    fn macro_call(&mut self, call: &MacroCall) -> Code {
        if self.block.is_none() {
            self.blocked = true;
            return Code::atom("null");
        }
        let items = self.code(&call.items);
        let list = match call.items.ty {
            Type::List(_) => items.text,
            _ => self.call("items_of", &[items.text]).text,
        };
        let start = match call.kind {
            Macro::Map | Macro::Filter => Value::Array(Vec::new()),
            Macro::Exists => Value::Bool(false),
            Macro::All => Value::Bool(true),
            Macro::ExistsOne => Value::from(0),
        };
        let result = self.hoist(start).text;
        let item = self.each(&call.variable);
        let outer = self.block.replace(Vec::new());
        let truth = match (call.kind, &call.filter) {
            (Macro::Map, None) => None,
            (Macro::Map, Some(filter)) => Some(self.boolean(filter).text),
            _ => Some(self.boolean(&call.body).text),
        };
        let mut before = self.block.replace(Vec::new()).unwrap_or_default();
        let value = match call.kind {
            Macro::Map => {
                let value = self.code(&call.body).text;
                format!("list.concat({result}, {value})")
            }
            Macro::Filter => format!("list.concat({result}, {item})"),
            Macro::ExistsOne => format!("{result} + 1"),
            Macro::Exists => "true".to_owned(),
            Macro::All => "false".to_owned(),
        };
        let mut then = self.block.take().unwrap_or_default();
        self.block = outer;
        then.push(Statement::Assign(
            result.clone(),
            match call.kind {
                Macro::Exists => Value::Bool(true),
                Macro::All => Value::Bool(false),
                Macro::Map | Macro::Filter | Macro::ExistsOne => Value::String(format!("${{{value}}}")),
            },
        ));
        let condition = match (call.kind, truth) {
            (Macro::All, Some(truth)) => Some(format!("not ({truth})")),
            (_, truth) => truth,
        };
        match condition {
            None => before.append(&mut then),
            Some(condition) => before.push(Statement::Switch {
                condition,
                then,
                otherwise: Vec::new(),
            }),
        }
        // What is behind the item that decides is not looked at.
        let undecided = match call.kind {
            Macro::Exists => Some(format!("not {result}")),
            Macro::All => Some(result.clone()),
            Macro::Map | Macro::Filter | Macro::ExistsOne => None,
        };
        let body = match undecided {
            None => before,
            Some(condition) => vec![Statement::Switch {
                condition,
                then: before,
                otherwise: Vec::new(),
            }],
        };
        self.push(Statement::For { item, list, body });
        match call.kind {
            Macro::ExistsOne => Code::new(format!("{result} == 1"), Level::Compare),
            _ => Code::new(result, Level::Path),
        }
    }

    fn pattern(&mut self, text: &Expr, pattern: &Expr) -> Code {
        let hir = match &pattern.kind {
            ExprKind::Literal(Value::String(pattern)) => pattern::read(pattern).ok(),
            _ => None,
        };
        // The checker saw to it that there is one.
        let written = hir.map_or_else(String::new, |hir| pattern::print(&hir, pattern::Dialect::Re2));
        let code = self.code(text);
        let text = if text.ty == Type::String {
            code.text
        } else {
            self.call("text_of", &[code.text]).text
        };
        // The documentation tells what `text.match_regex` does where the pattern takes in the whole text.
        let whole = self.literal(&Value::String(format!("^(?s:.*)(?:{written})(?s:.*)$")));
        Code::atom(format!("text.match_regex({text}, {})", whole.text))
    }

    fn default(&mut self, path: &Expr, fallback: &Expr) -> Code {
        let path = self.lenient(path);
        let (block, fallback_code) = self.aside(fallback);
        if block.is_empty() && eager(fallback) {
            return Code::atom(format!("default({}, {})", path.text, fallback_code.text));
        }
        let result = self.hoist(Value::String(format!("${{{}}}", path.text)));
        let mut then = block;
        then.push(Statement::Assign(result.text.clone(), fallback_code.value()));
        self.push(Statement::Switch {
            condition: format!("{} == null", result.text),
            then,
            otherwise: Vec::new(),
        });
        result
    }

    /// A path where what is missing is null.
    fn lenient(&mut self, path: &Expr) -> Code {
        let mut fields = Vec::new();
        let mut at = path;
        while let ExprKind::Field(base, name) = &at.kind {
            fields.push(name.as_str());
            at = base;
        }
        fields.reverse();
        let base = match &at.kind {
            ExprKind::Index(base, index) => {
                let base = self.lenient(base);
                let index = self.code(index);
                self.call("find_item", &[base.text, index.text])
            }
            ExprKind::Param(Some(name)) => {
                fields.insert(0, name);
                self.variable("params")
            }
            ExprKind::StepError(step) if !self.names.errors.contains_key(step) => return Code::atom("null"),
            _ => self.code(at),
        };
        let keys: Vec<String> = fields.iter().map(|field| self.quoted_key(field)).collect();
        let code = match keys.as_slice() {
            [] => base,
            [key] => Code::atom(format!("map.get({}, {key})", base.text)),
            keys => Code::atom(format!("map.get({}, [{}])", base.text, keys.join(", "))),
        };
        self.fit(code)
    }

    fn quoted_key(&mut self, key: &str) -> String {
        self.literal(&Value::String(key.to_owned())).text
    }

    fn builtin(&mut self, name: &str, argument: &Expr) -> Code {
        let argument = self.code(argument);
        Code::atom(format!("{name}({})", argument.text))
    }

    fn helper_call(&mut self, helper: &'static str, arguments: &[Expr]) -> Code {
        let arguments: Vec<String> = arguments.iter().map(|argument| self.code(argument).text).collect();
        self.call(helper, &arguments)
    }

    fn extreme(&mut self, builtin: &str, helper: &'static str, arguments: &[Expr]) -> Code {
        let [first, rest @ ..] = arguments else {
            return Code::atom("null");
        };
        if rest.is_empty() {
            return self.helper_call(helper, arguments);
        }
        if arguments.iter().all(|argument| argument.ty.is_numeric()) {
            let mut code = self.code(first);
            for argument in rest {
                let argument = self.code(argument);
                code = self.fit(Code::atom(format!("{builtin}({}, {})", code.text, argument.text)));
            }
            return code;
        }
        let list = self.list(arguments);
        let list = self.fit(list);
        self.call(helper, &[list.text])
    }

    fn list(&mut self, items: &[Expr]) -> Code {
        let codes: Vec<Code> = items.iter().map(|item| self.code(item)).collect();
        let length: usize = codes.iter().map(|code| code.text.len() + 2).sum();
        if self.block.is_some() && length > OPERAND {
            let items = codes.iter().map(Code::value);
            return self.hoist(items.collect());
        }
        let texts: Vec<String> = codes.into_iter().map(|code| code.text).collect();
        Code::atom(format!("[{}]", texts.join(", ")))
    }

    /// Expressions have no map literals: a variable takes the map.
    fn object(&mut self, fields: &[(String, Expr)]) -> Code {
        if self.block.is_none() {
            self.blocked = true;
            return Code::atom("null");
        }
        let map: Map<String, Value> = fields
            .iter()
            .map(|(name, value)| (key(name), self.code(value).value()))
            .collect();
        self.hoist(map.into())
    }

    fn field(&mut self, base: Code, name: &str) -> Code {
        if base.level != Level::Path {
            let key = self.quoted_key(name);
            return self.call("get_item", &[base.text, key]);
        }
        if is_identifier(name) {
            return access(base, name);
        }
        let key = self.quoted_key(name);
        Code::new(format!("{}[{key}]", base.text), Level::Path)
    }

    fn bucket(&mut self, bucket: &str) -> Code {
        Code::atom(
            self.names
                .buckets
                .get(bucket)
                .map_or_else(|| "null".to_owned(), Clone::clone),
        )
    }

    fn literal(&mut self, value: &Value) -> Code {
        match value {
            Value::Null | Value::Bool(_) => Code::atom(value.to_string()),
            Value::Number(number) => {
                let text = number_text(number);
                let digits = text.strip_prefix('-').unwrap_or(&text);
                let size = if digits.bytes().all(|b| b.is_ascii_digit()) {
                    Number::Within(digits.parse().unwrap_or(u64::MAX))
                } else {
                    Number::Double
                };
                let level = if text.starts_with('-') {
                    Level::Negate
                } else {
                    Level::Atom
                };
                Code::new(text, level)
                    .with(size)
                    .bounded(number.as_f64().map_or(f64::MAX, f64::abs))
            }
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                let items: Vec<Expr> = items.iter().cloned().map(literal).collect();
                self.list(&items)
            }
            Value::Object(fields) => {
                let fields: Vec<(String, Expr)> = fields
                    .iter()
                    .map(|(name, value)| (name.clone(), literal(value.clone())))
                    .collect();
                self.object(&fields)
            }
        }
    }

    /// A string literal. Long ones and those with control characters are YAML strings in a variable.
    fn string(&mut self, text: &str) -> Code {
        let control = text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'));
        if control || (self.block.is_some() && text.len() > OPERAND) {
            if self.block.is_none() {
                self.blocked = true;
                return Code::atom("null");
            }
            let mut parts = pieces(text).into_iter();
            let mut code = self.hoist(Value::String(parts.next().unwrap_or_default()));
            for part in parts {
                let part = self.hoist(Value::String(part));
                code = self.fit(Code::new(format!("{} + {}", code.text, part.text), Level::Add));
            }
            return code;
        }
        let quoted: Vec<String> = pieces(text).iter().map(|piece| quote(piece)).collect();
        let level = if quoted.len() > 1 { Level::Add } else { Level::Atom };
        Code::new(quoted.join(" + "), level)
    }

    fn variable(&mut self, name: &str) -> Code {
        self.reads.insert(name.to_owned());
        Code::new(name.to_owned(), Level::Path)
    }

    fn call(&mut self, helper: &'static str, arguments: &[String]) -> Code {
        self.library.helpers.insert(helper);
        Code::atom(format!("{helper}({})", arguments.join(", ")))
    }

    /// Puts a value into a new variable; in place, marks that this is not possible.
    fn hoist(&mut self, value: Value) -> Code {
        if self.block.is_none() {
            self.blocked = true;
            return Code::new("null".to_owned(), Level::Path);
        }
        let name = loop {
            self.temporaries += 1;
            let name = format!("part_{}", self.temporaries);
            if !self.names.taken.contains(&name) {
                break name;
            }
        };
        self.push(Statement::Assign(name.clone(), value));
        Code::new(name, Level::Path)
    }

    fn push(&mut self, statement: Statement) {
        if let Some(block) = &mut self.block {
            block.push(statement);
        }
    }

    /// Where statements are allowed, puts a long text into a variable.
    fn fit(&mut self, code: Code) -> Code {
        if self.block.is_some() && code.text.chars().count() > OPERAND {
            return self
                .hoist(Value::String(format!("${{{}}}", code.text)))
                .with(code.number)
                .bounded(code.bound);
        }
        code
    }
}

fn literal(value: Value) -> Expr {
    Expr {
        ty: Type::of_value(&value),
        kind: ExprKind::Literal(value),
        safe: true,
        span: Span::default(),
    }
}

/// Text with expressions in it as one sum of strings.
fn text_expr(template: &Template) -> Expr {
    let Template::Text(parts) = template else {
        return literal(Value::String(String::new()));
    };
    let mut operands = parts.iter().map(|part| match part {
        TextPart::Literal(text) => literal(Value::String(text.clone())),
        TextPart::Expr(expr) => Expr {
            kind: ExprKind::Call(Function::String, vec![expr.clone()]),
            ty: Type::String,
            safe: expr.safe,
            span: expr.span,
        },
    });
    let first = operands.next().unwrap_or_else(|| literal(Value::String(String::new())));
    operands.fold(first, |left, right| Expr {
        ty: Type::String,
        safe: left.safe && right.safe,
        span: left.span,
        kind: ExprKind::Binary(BinaryOp::Add, Box::new(left), Box::new(right)),
    })
}

/// True where an integer is surely no double at run time: what a function returned, or a length.
fn whole(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Field(base, _) => whole(base),
        ExprKind::Index(base, _) => whole(base),
        ExprKind::StepOutput(_) | ExprKind::Local(_, Local::Index) | ExprKind::Call(Function::Size, _) => true,
        _ => false,
    }
}

/// True where evaluating it cannot fail even if what guards it does not hold: a field of a skipped step's output can.
fn eager(expr: &Expr) -> bool {
    let mut fine = expr.safe;
    expr.walk(&mut |part| {
        if let ExprKind::Field(base, _) | ExprKind::Index(base, _) = &part.kind {
            let mut root = base;
            while let ExprKind::Field(inner, _) | ExprKind::Index(inner, _) = &root.kind {
                root = inner;
            }
            fine &= !matches!(root.kind, ExprKind::StepOutput(_));
        }
    });
    fine
}

fn has_object(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |part| found |= matches!(part.kind, ExprKind::Object(_)));
    found
}
