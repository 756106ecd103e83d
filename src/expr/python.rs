//! Prints expressions as Python: plain where the types prove that Python means the same, else through `mlpipe_expr`.
//!
//! The printed text reads the names `params`, `steps`, `buckets`, `run`, `error` and `trigger`, and `expr` for the module of
//! helpers. What has no value raises an exception, of any class.

use serde_json::Value;

use super::ast::{BinaryOp, ErrorField, Expr, ExprKind, Local, RunField, Template, TextPart, TriggerField, UnaryOp};
use super::{Function, Macro, MacroCall, Type, pattern};

/// The attribute of `steps["X"]` that holds what X's `for_each` or `repeat` adds.
pub fn local(what: Local) -> &'static str {
    match what {
        Local::Item => "item",
        Local::Index => "index",
        Local::Previous => "previous",
        Local::Output => "output",
    }
}

/// The expression on one line.
pub fn print(expr: &Expr) -> String {
    printed(expr).text
}

/// The template on one line: an expression, or a literal where it is constant.
pub fn print_template(template: &Template) -> String {
    match template {
        Template::Constant(value) => literal(value),
        Template::Expr(expr) => print(expr),
        Template::Text(parts) => print_text(parts),
        Template::List(items) => brackets("[", items.iter().map(print_template), "]"),
        Template::Object(fields) => brackets(
            "{",
            fields
                .iter()
                .map(|(name, value)| format!("{}: {}", string_literal(name), print_template(value))),
            "}",
        ),
    }
}

/// Text around expressions, as a sum of strings.
pub fn print_text(parts: &[TextPart]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            TextPart::Literal(text) => string_literal(text),
            TextPart::Expr(expr) => text_of(expr).at(SUM),
        })
        .collect();
    parts.join(" + ")
}

/// A JSON value as Python source, on one line.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number_literal(number),
        Value::String(text) => string_literal(text),
        Value::Array(items) => brackets("[", items.iter().map(literal), "]"),
        Value::Object(fields) => brackets(
            "{",
            fields
                .iter()
                .map(|(name, value)| format!("{}: {}", string_literal(name), literal(value))),
            "}",
        ),
    }
}

/// A string as a Python literal in double quotes. What does not show, or turns the text around it, is escaped.
pub fn string_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whole numbers that a double holds exactly are written without a fraction, as the helpers compute them.
fn number_literal(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(n) if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 => format!("{}", n as i64),
        Some(n) => format!("{n:?}"),
        None => number.to_string(),
    }
}

fn brackets(open: &str, items: impl Iterator<Item = String>, close: &str) -> String {
    format!("{open}{}{close}", items.collect::<Vec<_>>().join(", "))
}

// Python's precedences, from the loosest.
const TERNARY: u8 = 1;
const OR: u8 = 2;
const AND: u8 = 3;
const NOT: u8 = 4;
const COMPARISON: u8 = 5;
const SUM: u8 = 6;
const UNARY: u8 = 8;
const PRIMARY: u8 = 9;

/// Python source with the precedence of its outermost operator.
struct Printed {
    text: String,
    precedence: u8,
    /// The helper that the text is a call of, where it takes further operands.
    chain: Option<&'static str>,
    /// How many calls of such helpers stand in one another on the left.
    nested: u8,
}

impl Printed {
    fn new(text: impl Into<String>, precedence: u8) -> Self {
        Self {
            text: text.into(),
            precedence,
            chain: None,
            nested: 0,
        }
    }

    /// The text, in parentheses where it binds looser than `precedence`.
    fn at(self, precedence: u8) -> String {
        if self.precedence < precedence {
            format!("({})", self.text)
        } else {
            self.text
        }
    }

    /// `self[key]`, growing in place.
    fn subscript(self, key: &str) -> Self {
        let mut text = self.at(PRIMARY);
        text.push('[');
        text.push_str(key);
        text.push(']');
        Self::new(text, PRIMARY)
    }

    /// `self op right`, growing in place.
    fn infix(self, op: &str, right: Printed, precedence: u8, left_precedence: u8) -> Self {
        let mut text = self.at(left_precedence);
        text.push(' ');
        text.push_str(op);
        text.push(' ');
        text.push_str(&right.at(precedence + 1));
        Self::new(text, precedence)
    }
}

fn helper(name: &str, arguments: &[&Expr]) -> Printed {
    let arguments: Vec<String> = arguments.iter().map(|argument| print(argument)).collect();
    Printed::new(format!("expr.{name}({})", arguments.join(", ")), PRIMARY)
}

fn printed(expr: &Expr) -> Printed {
    match &expr.kind {
        ExprKind::Literal(value) => {
            let text = literal(value);
            let precedence = if text.starts_with('-') { UNARY } else { PRIMARY };
            Printed::new(text, precedence)
        }
        ExprKind::Param(None) => Printed::new("params", PRIMARY),
        ExprKind::Param(Some(name)) => Printed::new(format!("params[{}]", string_literal(name)), PRIMARY),
        ExprKind::StepOutput(step) => Printed::new(format!("steps[{}].output", string_literal(step)), PRIMARY),
        ExprKind::StepStatus(step) => Printed::new(format!("steps[{}].status", string_literal(step)), PRIMARY),
        ExprKind::StepError(step) => Printed::new(format!("steps[{}].error", string_literal(step)), PRIMARY),
        ExprKind::Local(step, what) => {
            Printed::new(format!("steps[{}].{}", string_literal(step), local(*what)), PRIMARY)
        }
        ExprKind::BucketUri(bucket) => Printed::new(format!("buckets[{}].uri", string_literal(bucket)), PRIMARY),
        ExprKind::BucketName(bucket) => Printed::new(format!("buckets[{}].name", string_literal(bucket)), PRIMARY),
        ExprKind::TopicName(topic) => Printed::new(format!("topics[{}].name", string_literal(topic)), PRIMARY),
        ExprKind::Run(RunField::Id) => Printed::new("run.id", PRIMARY),
        ExprKind::Run(RunField::Name) => Printed::new("run.name", PRIMARY),
        ExprKind::Run(RunField::StartedAt) => Printed::new("run.started_at", PRIMARY),
        ExprKind::Error(ErrorField::Name) => Printed::new("error.name", PRIMARY),
        ExprKind::Error(ErrorField::Message) => Printed::new("error.message", PRIMARY),
        ExprKind::Error(ErrorField::Step) => Printed::new("error.step", PRIMARY),
        ExprKind::Trigger(TriggerField::Key) => Printed::new("trigger.key", PRIMARY),
        ExprKind::Trigger(TriggerField::Bucket) => Printed::new("trigger.bucket", PRIMARY),
        ExprKind::Trigger(TriggerField::Uri) => Printed::new("trigger.uri", PRIMARY),
        ExprKind::Field(..) | ExprKind::Index(..) | ExprKind::Binary(..) => print_spine(expr),
        ExprKind::List(items) => Printed::new(brackets("[", items.iter().map(print), "]"), PRIMARY),
        ExprKind::Object(fields) => Printed::new(
            brackets(
                "{",
                fields
                    .iter()
                    .map(|(name, value)| format!("{}: {}", string_literal(name), print(value))),
                "}",
            ),
            PRIMARY,
        ),
        ExprKind::Unary(UnaryOp::Not, operand) => Printed::new(format!("not {}", boolean(operand).at(NOT)), NOT),
        ExprKind::Unary(UnaryOp::Negate, operand) if is_numeric(operand) => {
            Printed::new(format!("-{}", printed(operand).at(UNARY)), UNARY)
        }
        ExprKind::Unary(UnaryOp::Negate, operand) => helper("negate", &[operand]),
        ExprKind::Ternary(condition, yes, no) => Printed::new(
            format!(
                "{} if {} else {}",
                printed(yes).at(OR),
                boolean(condition).at(OR),
                printed(no).at(TERNARY)
            ),
            TERNARY,
        ),
        // A prefix, so that no name is a word of Python.
        ExprKind::Variable(name) => Printed::new(format!("each_{name}"), PRIMARY),
        ExprKind::Macro(call) => print_macro(call),
        ExprKind::Call(function, arguments) => {
            let arguments: Vec<&Expr> = arguments.iter().collect();
            print_call(*function, &arguments)
        }
    }
}

/// A comprehension: `[each_x + 1 for each_x in params["xs"]]`.
fn print_macro(call: &MacroCall) -> Printed {
    let items = if is_list(&call.items) {
        printed(&call.items).at(OR)
    } else {
        format!("expr.items({})", print(&call.items))
    };
    let name = format!("each_{}", call.variable);
    let each = format!("for {name} in {items}");
    let condition = |expr: &Expr| boolean(expr).at(OR);
    let text = match call.kind {
        Macro::Map => match &call.filter {
            Some(filter) => format!("[{} {each} if {}]", print(&call.body), condition(filter)),
            None => format!("[{} {each}]", print(&call.body)),
        },
        Macro::Filter => format!("[{name} {each} if {}]", condition(&call.body)),
        Macro::Exists => format!("any({} {each})", boolean(&call.body).text),
        Macro::All => format!("all({} {each})", boolean(&call.body).text),
        Macro::ExistsOne => {
            let text = format!("[{} {each}].count(True) == 1", boolean(&call.body).text);
            return Printed::new(text, COMPARISON);
        }
    };
    Printed::new(text, PRIMARY)
}

/// Goes down the left operands without recursion: `a + b + …` is as deep as it is long.
fn print_spine(expr: &Expr) -> Printed {
    let mut spine = Vec::new();
    let mut first = expr;
    while let ExprKind::Binary(_, left, _) | ExprKind::Field(left, _) | ExprKind::Index(left, _) = &first.kind {
        spine.push(first);
        first = left;
    }
    let mut result = printed(first);
    for expr in spine.into_iter().rev() {
        result = match &expr.kind {
            ExprKind::Binary(op, left, right) => infix(*op, left, result, right),
            // A string in brackets finds something in an object only: lists, strings and null raise.
            ExprKind::Field(_, name) => result.subscript(&string_literal(name)),
            ExprKind::Index(base, index) if is_plain_index(base, index) => result.subscript(&print(index)),
            ExprKind::Index(_, index) => call_with("item", result, index),
            _ => result,
        };
    }
    result
}

/// Whether Python's brackets find what the language's do: no item from the end, no character of a string.
fn is_plain_index(base: &Expr, index: &Expr) -> bool {
    let from_start = matches!(&index.kind, ExprKind::Literal(value) if value.as_u64().is_some());
    is_string(index) || (from_start && is_list(base))
}

/// One operator over its left operand as printed so far.
fn infix(op: BinaryOp, left: &Expr, before: Printed, right: &Expr) -> Printed {
    match op {
        BinaryOp::Add if is_string(left) && is_string(right) || is_list(left) && is_list(right) => {
            before.infix("+", printed(right), SUM, SUM)
        }
        BinaryOp::Add => chain("add", "+", before, right),
        BinaryOp::Subtract => chain("subtract", "-", before, right),
        BinaryOp::Multiply => chain("multiply", "*", before, right),
        BinaryOp::Divide => chain("divide", "/", before, right),
        BinaryOp::Remainder => chain("remainder", "%", before, right),
        BinaryOp::Equal => equality(left, before, right, false),
        BinaryOp::NotEqual => equality(left, before, right, true),
        BinaryOp::Less => comparison("<", "less", left, before, right),
        BinaryOp::LessEqual => comparison("<=", "less_equal", left, before, right),
        BinaryOp::Greater => comparison(">", "greater", left, before, right),
        BinaryOp::GreaterEqual => comparison(">=", "greater_equal", left, before, right),
        BinaryOp::And => as_boolean(left, before).infix("and", boolean(right), AND, AND),
        BinaryOp::Or => as_boolean(left, before).infix("or", boolean(right), OR, OR),
        BinaryOp::In => {
            let plain = match proven(right) {
                Some(Type::List(item)) => !confusable(known(left), item),
                Some(Type::Object(_)) => is_string(left),
                _ => false,
            };
            if plain {
                before.infix("in", printed(right), COMPARISON, SUM)
            } else {
                call_with("within", before, right)
            }
        }
    }
}

/// Nested calls from which on a sum of mixed operators is written flat: Python reads no more than 200 brackets in one another.
const MOST_NESTED: u8 = 3;

/// A helper that folds any number of operands from the left: `a + b + c` is `expr.add(a, b, c)`, and a long
/// `a + b - c + d …` ends as `expr.fold(…, "-", c, "+", d)`.
fn chain(name: &'static str, symbol: &str, mut before: Printed, right: &Expr) -> Printed {
    let folds = before.chain == Some(FOLD);
    if folds || before.chain == Some(name) {
        before.text.pop();
        if folds {
            before.text.push_str(&format!(", \"{symbol}\""));
        }
        before.text.push_str(", ");
        before.text.push_str(&print(right));
        before.text.push(')');
        return before;
    }
    let nested = before.nested + 1;
    if nested > MOST_NESTED {
        let text = format!("expr.{FOLD}({}, \"{symbol}\", {})", before.text, print(right));
        return Printed {
            chain: Some(FOLD),
            nested,
            ..Printed::new(text, PRIMARY)
        };
    }
    Printed {
        chain: Some(name),
        nested,
        ..call_with(name, before, right)
    }
}

const FOLD: &str = "fold";

fn call_with(name: &str, before: Printed, right: &Expr) -> Printed {
    Printed::new(format!("expr.{name}({}, {})", before.text, print(right)), PRIMARY)
}

fn equality(left: &Expr, before: Printed, right: &Expr, negated: bool) -> Printed {
    let (equals, is) = if negated { ("!=", "is not") } else { ("==", "is") };
    let singleton = |side: &Expr| matches!(&side.kind, ExprKind::Literal(Value::Null | Value::Bool(_)));
    // Python warns of `1 is True`.
    if singleton(right) && !is_literal(left) {
        before.infix(is, printed(right), COMPARISON, SUM)
    } else if singleton(left) && !is_literal(right) {
        printed(right).infix(is, before, COMPARISON, SUM)
    } else if !confusable(known(left), known(right)) {
        before.infix(equals, printed(right), COMPARISON, SUM)
    } else if negated {
        Printed::new(format!("not {}", call_with("equal", before, right).text), NOT)
    } else {
        call_with("equal", before, right)
    }
}

fn comparison(op: &str, name: &str, left: &Expr, before: Printed, right: &Expr) -> Printed {
    if is_numeric(left) && is_numeric(right) || is_string(left) && is_string(right) {
        before.infix(op, printed(right), COMPARISON, SUM)
    } else {
        call_with(name, before, right)
    }
}

fn print_call(function: Function, arguments: &[&Expr]) -> Printed {
    let plain = |name: &str| {
        Printed::new(
            format!(
                "{name}({})",
                arguments.iter().map(|a| print(a)).collect::<Vec<_>>().join(", ")
            ),
            PRIMARY,
        )
    };
    let method = |object: &Expr, name: &str, argument: &Expr| {
        Printed::new(
            format!("{}.{name}({})", printed(object).at(PRIMARY), print(argument)),
            PRIMARY,
        )
    };
    match (function, arguments) {
        (Function::Size, [x]) if is_string(x) || is_list(x) || is_object(x) => plain("len"),
        (Function::Size, _) => helper("size", arguments),
        (Function::Contains, [x, part]) => {
            let plain = match proven(x) {
                Some(Type::String) => is_string(part),
                Some(Type::List(item)) => !confusable(known(part), item),
                _ => false,
            };
            if plain {
                printed(part).infix("in", printed(x), COMPARISON, SUM)
            } else {
                helper("contains", arguments)
            }
        }
        (Function::Contains, _) => helper("contains", arguments),
        (Function::StartsWith, [x, prefix]) if is_string(x) && is_string(prefix) => method(x, "startswith", prefix),
        (Function::StartsWith, _) => helper("starts_with", arguments),
        (Function::EndsWith, [x, suffix]) if is_string(x) && is_string(suffix) => method(x, "endswith", suffix),
        (Function::EndsWith, _) => helper("ends_with", arguments),
        (Function::String, [x]) => text_of(x),
        (Function::String, _) => helper("string", arguments),
        (Function::Int, _) => helper("integer", arguments),
        (Function::Double, _) => helper("double", arguments),
        (Function::Min, [_, _, ..]) if arguments.iter().all(|x| is_numeric(x)) => plain("min"),
        (Function::Min, _) => helper("minimum", arguments),
        (Function::Max, [_, _, ..]) if arguments.iter().all(|x| is_numeric(x)) => plain("max"),
        (Function::Max, _) => helper("maximum", arguments),
        (Function::Abs, [x]) if is_numeric(x) => plain("abs"),
        (Function::Abs, _) => helper("absolute", arguments),
        (Function::Floor, _) => helper("floor", arguments),
        (Function::Ceil, _) => helper("ceil", arguments),
        (Function::Join, [items, separator]) if is_string(separator) && is_list_of_strings(items) => {
            method(separator, "join", items)
        }
        (Function::Join, _) => helper("join", arguments),
        (Function::Split, [x, separator]) if is_string(x) && is_string(separator) => method(x, "split", separator),
        (Function::Split, _) => helper("split", arguments),
        (Function::Keys, [x]) if is_object(x) => plain("sorted"),
        (Function::Keys, _) => helper("keys", arguments),
        (Function::Matches, [text, pattern]) => {
            let pattern = match &pattern.kind {
                ExprKind::Literal(Value::String(pattern)) => pattern::read(pattern).ok(),
                _ => None,
            };
            // The checker saw to it that there is one.
            let pattern = pattern.map_or_else(String::new, |hir| pattern::print(&hir, pattern::Dialect::Python));
            Printed::new(
                format!("expr.matches({}, {})", print(text), string_literal(&pattern)),
                PRIMARY,
            )
        }
        (Function::Matches, _) => helper("matches", arguments),
        (Function::LowerAscii, _) => helper("lower_ascii", arguments),
        (Function::UpperAscii, _) => helper("upper_ascii", arguments),
        (Function::Bool, [x]) if matches!(proven(x), Some(Type::Boolean)) => printed(x),
        (Function::Bool, _) => helper("boolean_of", arguments),
        (Function::Sum, _) => helper("total", arguments),
        (Function::Round, _) => helper("rounded", arguments),
        (Function::Range, _) => helper("integers", arguments),
        (Function::Values, _) => helper("values", arguments),
        (Function::Merge, _) => helper("merge", arguments),
        (Function::Json, _) => helper("json_text", arguments),
        (Function::ParseJson, _) => helper("parse_json", arguments),
        (Function::Base64, _) => helper("base64_text", arguments),
        (Function::Timestamp, _) => helper("timestamp", arguments),
        (
            Function::Duration,
            [
                Expr {
                    kind: ExprKind::Literal(Value::String(text)),
                    ..
                },
            ],
        ) => Printed::new(super::eval::seconds(text).unwrap_or_default().to_string(), PRIMARY),
        (Function::Duration, _) => helper("duration", arguments),
        (Function::Default, [path, other]) => {
            let other = match &other.kind {
                ExprKind::Literal(_) => print(other),
                _ => format!("lambda: {}", print(other)),
            };
            Printed::new(format!("expr.default(lambda: {}, {other})", print_path(path)), PRIMARY)
        }
        (Function::Default, _) => helper("default", arguments),
        (Function::Has, [path]) => Printed::new(format!("expr.has(lambda: {})", print_path(path)), PRIMARY),
        (Function::Has, _) => helper("has", arguments),
    }
}

/// `string(x)`.
fn text_of(expr: &Expr) -> Printed {
    if is_string(expr) {
        printed(expr)
    } else {
        helper("string", &[expr])
    }
}

/// The path of `default` and `has`: what is missing along it is forgiven, what has no value inside an index or at its root is not.
fn print_path(path: &Expr) -> String {
    let mut spine = Vec::new();
    let mut root = path;
    while let ExprKind::Field(base, _) | ExprKind::Index(base, _) = &root.kind {
        spine.push(root);
        root = base;
    }
    spine.reverse();
    let indexes_hold = spine.iter().all(|expr| match &expr.kind {
        ExprKind::Index(_, index) => index.safe,
        _ => true,
    });
    if indexes_hold && !may_miss(root) {
        return print(path);
    }
    // The indexes are evaluated in any case, as arguments are.
    let keys = spine.iter().filter_map(|expr| match &expr.kind {
        ExprKind::Field(_, name) => Some(string_literal(name)),
        ExprKind::Index(_, index) => Some(strict(index)),
        _ => None,
    });
    let arguments: Vec<String> = std::iter::once(strict(root)).chain(keys).collect();
    format!("expr.walk({})", arguments.join(", "))
}

fn strict(expr: &Expr) -> String {
    if may_miss(expr) {
        format!("expr.strict(lambda: {})", print(expr))
    } else {
        print(expr)
    }
}

/// Whether evaluating it may raise what `default` forgives.
fn may_miss(expr: &Expr) -> bool {
    !expr.children().is_empty() && !expr.safe
}

/// The expression where a boolean is needed.
fn boolean(expr: &Expr) -> Printed {
    as_boolean(expr, printed(expr))
}

fn as_boolean(expr: &Expr, text: Printed) -> Printed {
    if matches!(proven(expr), Some(Type::Boolean)) {
        text
    } else {
        Printed::new(format!("expr.boolean({})", text.text), PRIMARY)
    }
}

/// Its type, where every value that it may have is of it. The output of a step that may have been skipped may be null.
fn proven(expr: &Expr) -> Option<&Type> {
    let holds = match &expr.kind {
        ExprKind::StepOutput(_) | ExprKind::StepError(_) | ExprKind::Local(..) => expr.safe,
        ExprKind::Ternary(_, yes, no) => proven(yes).is_some() && proven(no).is_some(),
        ExprKind::Call(Function::Default, arguments) => arguments.last().is_some_and(|other| proven(other).is_some()),
        _ => true,
    };
    holds.then_some(&expr.ty)
}

fn known(expr: &Expr) -> &Type {
    proven(expr).unwrap_or(&Type::Any)
}

fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Literal(_) | ExprKind::List(_) | ExprKind::Object(_)
    )
}

fn is_string(expr: &Expr) -> bool {
    matches!(proven(expr), Some(Type::String))
}

fn is_numeric(expr: &Expr) -> bool {
    proven(expr).is_some_and(Type::is_numeric)
}

fn is_list(expr: &Expr) -> bool {
    matches!(proven(expr), Some(Type::List(_)))
}

fn is_list_of_strings(expr: &Expr) -> bool {
    matches!(proven(expr), Some(Type::List(item)) if matches!(**item, Type::String))
}

fn is_object(expr: &Expr) -> bool {
    matches!(proven(expr), Some(Type::Object(_)))
}

/// Whether Python's `==` may call two values of these types equal that JSON tells apart: `True == 1`.
fn confusable(left: &Type, right: &Type) -> bool {
    match (left.unwrapped(), right.unwrapped()) {
        (Type::Boolean, other) | (other, Type::Boolean) => matches!(other, Type::Integer | Type::Number | Type::Any),
        (Type::Integer | Type::Number, other) | (other, Type::Integer | Type::Number) => matches!(other, Type::Any),
        (Type::List(a), Type::List(b)) => confusable(a, b),
        (Type::List(item), Type::Any) | (Type::Any, Type::List(item)) => confusable(item, &Type::Any),
        (Type::Object(_) | Type::Any, Type::Object(_) | Type::Any) => true,
        (Type::Null | Type::String, _)
        | (_, Type::Null | Type::String)
        | (Type::List(_), Type::Object(_))
        | (Type::Object(_), Type::List(_)) => false,
        // `unwrapped` took the optional off.
        (Type::Optional(_), _) | (_, Type::Optional(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::super::{Place, Scope, Steps, check, parse};
    use super::*;

    fn to_python(source: &str) -> String {
        let object = |fields: &[(&str, Type)]| {
            let fields = fields.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone()));
            Type::Object(fields.collect())
        };
        let params: IndexMap<String, Type> = [
            ("any", Type::Any),
            ("flag", Type::Boolean),
            ("i", Type::Integer),
            ("n", Type::Number),
            ("o", object(&[("a", Type::Integer), ("b", Type::String.optional())])),
            ("s", Type::String),
            ("xs", Type::List(Box::new(Type::String))),
        ]
        .into_iter()
        .map(|(name, ty)| (name.to_owned(), ty))
        .collect();
        let steps = Steps::at_the_top([
            ("my-step", object(&[("auc", Type::Number)]), false),
            ("free", Type::Any, false),
            ("maybe", Type::Boolean, true),
        ]);
        let scope = Scope {
            params: Some(&params),
            steps: Some(&steps),
            buckets: &["raw"],
            run: true,
            ..Scope::default()
        };
        let syntax = parse(source, Place::exact(0, source.len())).expect(source);
        print(&check(&syntax, &scope, &mut Vec::new()).expect(source))
    }

    #[test]
    fn plain_where_the_types_prove_it() {
        for (source, python) in [
            (
                "steps['my-step'].output.auc >= params.n",
                r#"steps["my-step"].output["auc"] >= params["n"]"#,
            ),
            (
                "buckets.raw.uri + '/' + params.s",
                r#"buckets["raw"].uri + "/" + params["s"]"#,
            ),
            (
                "params.flag && !(params.i == 1 || run.id == 'x')",
                r#"params["flag"] and not (params["i"] == 1 or run.id == "x")"#,
            ),
            (
                "(params.i < 2) == params.flag",
                r#"(params["i"] < 2) == params["flag"]"#,
            ),
            ("params.flag ? 1 : 2.5", r#"1 if params["flag"] else 2.5"#),
            ("'a' in params.xs", r#""a" in params["xs"]"#),
            ("contains(params.s, 'a')", r#""a" in params["s"]"#),
            ("params.xs[0].startsWith('a')", r#"params["xs"][0].startswith("a")"#),
            ("join(split(params.s, ','), '-')", r#""-".join(params["s"].split(","))"#),
            ("size(params.o) + 0", r#"expr.add(len(params["o"]), 0)"#),
            ("[-1, 1.0, 1e21, true, null]", "[-1, 1, 1e21, True, None]"),
            ("{'k': params.i}", r#"{"k": params["i"]}"#),
            ("steps.free.output == null", r#"steps["free"].output is None"#),
            ("params.any.x != true", r#"params["any"]["x"] is not True"#),
        ] {
            assert_eq!(to_python(source), python, "{source}");
        }
    }

    #[test]
    fn helpers_where_python_differs() {
        for (source, python) in [
            ("params.i + 1 + params.n", r#"expr.add(params["i"], 1, params["n"])"#),
            (
                "params.i - 1 - 2 + 3",
                r#"expr.add(expr.subtract(params["i"], 1, 2), 3)"#,
            ),
            ("params.any == 1", r#"expr.equal(params["any"], 1)"#),
            ("params.any != [1]", r#"not expr.equal(params["any"], [1])"#),
            ("params.any < 'b'", r#"expr.less(params["any"], "b")"#),
            (
                "steps.maybe.output && params.flag",
                r#"expr.boolean(steps["maybe"].output) and params["flag"]"#,
            ),
            ("params.xs[params.i]", r#"expr.item(params["xs"], params["i"])"#),
            ("params.any[0].k", r#"expr.item(params["any"], 0)["k"]"#),
            ("string(params.n) + 'x'", r#"expr.string(params["n"]) + "x""#),
            (
                "default(params.any.x, 'y')",
                r#"expr.default(lambda: params["any"]["x"], "y")"#,
            ),
            (
                "default(params.o.b, params.s)",
                r#"expr.default(lambda: params["o"]["b"], lambda: params["s"])"#,
            ),
            (
                "has(params.any[int(params.s)])",
                r#"expr.has(lambda: expr.walk(params["any"], expr.strict(lambda: expr.integer(params["s"]))))"#,
            ),
            (
                "params.n + 1 - 2 + 3 - 4 + 5",
                r#"expr.fold(expr.add(expr.subtract(expr.add(params["n"], 1), 2), 3), "-", 4, "+", 5)"#,
            ),
        ] {
            assert_eq!(to_python(source), python, "{source}");
        }
    }

    #[test]
    fn strings_survive() {
        assert_eq!(
            string_literal("a\"\\\n\u{7}é\u{202e}😀"),
            "\"a\\\"\\\\\\n\\x07é\\u202e😀\""
        );
    }
}
