//! The reference evaluator: what an expression means on every target.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine as _;
use jiff::civil::DateTime;
use regex::Regex;
use serde_json::{Map, Number, Value};

use super::ast::{ErrorField, Local, RunField, TextPart, TriggerField};
use super::convert::MAX_INTEGER;
use super::functions::MOST_IN_RANGE;
use super::lookup::{equal, path};
use super::macros;
use super::operators::symbol;
use super::pattern;
use super::shape::kind_of;
use super::{BinaryOp, Expr, ExprKind, Function, Template, UnaryOp};
use crate::syntax::scalars::Duration;
use crate::syntax::span::Span;

/// What an expression reads. Values are JSON; texts are as the names of the language promise.
pub trait Env {
    /// The execution's params, an object, defaults applied.
    fn params(&self) -> &Value;
    /// A step's output; None reads as null.
    fn output(&self, step: &str) -> Option<&Value>;
    /// `succeeded` or `skipped`.
    fn status(&self, step: &str) -> Option<&str>;
    /// A step's caught error; None reads as null.
    fn error_of(&self, step: &str) -> Option<&Value>;
    /// What a modifier of the step adds; None where it is not known here.
    fn local(&self, step: &str, what: Local) -> Option<&Value>;
    /// What a macro's name stands for.
    fn variable(&self, name: &str) -> Option<&Value> {
        let _ = name;
        None
    }
    /// A bucket's URI, by logical id.
    fn bucket_uri(&self, id: &str) -> Option<&str>;
    /// A bucket's name in the cloud, by logical id.
    fn bucket_name(&self, id: &str) -> Option<&str>;
    /// A topic's name in the cloud, by logical id.
    fn topic_name(&self, id: &str) -> Option<&str>;
    /// A field of `run`.
    fn run(&self, field: RunField) -> &str;
    /// A field of `error`.
    fn error(&self, field: ErrorField) -> Option<&str>;
    /// A field of `trigger`.
    fn trigger(&self, field: TriggerField) -> Option<&str>;
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// For a person: ``no field `rows` ``.
    pub message: String,
    /// The part that failed, in the pipeline file.
    pub span: Span,
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvalError {}

type Evaluated<'e> = Result<Cow<'e, Value>, EvalError>;

/// The value of an expression; whole numbers are JSON integers, whatever form they had.
pub fn eval(expr: &Expr, env: &dyn Env) -> Result<Value, EvalError> {
    run(expr, env).map(|value| normalised(value.into_owned()))
}

/// The value of a template.
pub fn eval_template(template: &Template, env: &dyn Env) -> Result<Value, EvalError> {
    match template {
        Template::Constant(value) => Ok(normalised(value.clone())),
        Template::Expr(expr) => eval(expr, env),
        Template::Text(parts) => {
            let mut text = String::new();
            for part in parts {
                match part {
                    TextPart::Literal(literal) => text.push_str(literal),
                    TextPart::Expr(expr) => {
                        let value = run(expr, env)?;
                        text.push_str(&string(&value).ok_or_else(|| fails(expr, no_text(&value)))?);
                    }
                }
            }
            Ok(Value::String(text))
        }
        Template::List(items) => items.iter().map(|item| eval_template(item, env)).collect(),
        Template::Object(fields) => {
            let fields: Result<Map<String, Value>, EvalError> = fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), eval_template(value, env)?)))
                .collect();
            fields.map(Value::Object)
        }
    }
}

/// The JSON number of a double: an integer where it is one within ±(2^53 - 1); None where it is not finite.
pub fn number(double: f64) -> Option<Number> {
    if double.fract() == 0.0 && double.abs() <= MAX_INTEGER as f64 {
        // In range and whole: the conversion is exact.
        Some(Number::from(double as i64))
    } else {
        Number::from_f64(double)
    }
}

/// The value with every whole number as a JSON integer.
pub fn normalised(value: Value) -> Value {
    match value {
        Value::Number(given) if given.is_f64() => match given.as_f64().and_then(number) {
            Some(number) => Value::Number(number),
            None => Value::Number(given),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(normalised).collect()),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, normalised(value)))
            .collect(),
        other => other,
    }
}

/// Chains that are deep on the left are walked in a loop, the rest by recursion: brackets bound it.
pub(super) fn run<'e>(expr: &'e Expr, env: &'e dyn Env) -> Evaluated<'e> {
    let mut spine = Vec::new();
    let mut at = expr;
    loop {
        let left = match &at.kind {
            ExprKind::Field(base, _) | ExprKind::Index(base, _) => base,
            ExprKind::Unary(_, operand) => operand,
            ExprKind::Binary(_, left, _) => left,
            ExprKind::Ternary(condition, _, _) => condition,
            ExprKind::Call(function, arguments) if !super::calls::takes_path(*function) => match arguments.first() {
                Some(first) => first,
                None => break,
            },
            _ => break,
        };
        spine.push(at);
        at = left;
    }
    let mut value = leaf(at, env)?;
    while let Some(above) = spine.pop() {
        value = climb(above, value, env)?;
    }
    Ok(value)
}

fn leaf<'e>(expr: &'e Expr, env: &'e dyn Env) -> Evaluated<'e> {
    let text = |text: Option<&str>| match text {
        Some(text) => Ok(Cow::Owned(Value::from(text))),
        None => Err(fails(expr, "not known here".to_owned())),
    };
    match &expr.kind {
        ExprKind::Literal(value) => Ok(Cow::Borrowed(value)),
        ExprKind::Param(None) => Ok(Cow::Borrowed(env.params())),
        ExprKind::Param(Some(name)) => Ok(or_null(env.params().get(name))),
        ExprKind::StepOutput(step) => Ok(or_null(env.output(step))),
        ExprKind::StepStatus(step) => text(env.status(step)),
        ExprKind::StepError(step) => Ok(or_null(env.error_of(step))),
        ExprKind::Local(step, what) => match env.local(step, *what) {
            Some(value) => Ok(Cow::Borrowed(value)),
            None => Err(fails(expr, "not known here".to_owned())),
        },
        ExprKind::BucketUri(id) => text(env.bucket_uri(id)),
        ExprKind::BucketName(id) => text(env.bucket_name(id)),
        ExprKind::TopicName(id) => text(env.topic_name(id)),
        ExprKind::Run(field) => text(Some(env.run(*field))),
        ExprKind::Error(field) => text(env.error(*field)),
        ExprKind::Trigger(field) => text(env.trigger(*field)),
        ExprKind::List(items) => items
            .iter()
            .map(|item| run(item, env).map(Cow::into_owned))
            .collect::<Result<Vec<Value>, EvalError>>()
            .map(|items| Cow::Owned(Value::Array(items))),
        ExprKind::Object(fields) => fields
            .iter()
            .map(|(name, value)| Ok((name.clone(), run(value, env)?.into_owned())))
            .collect::<Result<Map<String, Value>, EvalError>>()
            .map(|fields| Cow::Owned(Value::Object(fields))),
        ExprKind::Variable(name) => match env.variable(name) {
            Some(value) => Ok(Cow::Borrowed(value)),
            None => Err(fails(expr, "not known here".to_owned())),
        },
        ExprKind::Macro(call) => macros::run(call, env).map(Cow::Owned),
        ExprKind::Call(function, arguments) => with_path(expr, *function, arguments, env),
        // `run` walks these itself.
        ExprKind::Field(..)
        | ExprKind::Index(..)
        | ExprKind::Unary(..)
        | ExprKind::Binary(..)
        | ExprKind::Ternary(..) => Err(fails(expr, "not a leaf".to_owned())),
    }
}

fn or_null(value: Option<&Value>) -> Cow<'_, Value> {
    value.map_or(Cow::Owned(Value::Null), Cow::Borrowed)
}

fn with_path<'e>(expr: &'e Expr, function: Function, arguments: &'e [Expr], env: &'e dyn Env) -> Evaluated<'e> {
    let found = match arguments.first() {
        Some(first) => path(first, env)?.filter(|value| !value.is_null()),
        None => None,
    };
    match (function, arguments.get(1)) {
        (Function::Has, _) => Ok(Cow::Owned(Value::Bool(found.is_some()))),
        (Function::Default, Some(fallback)) => match found {
            Some(value) => Ok(value),
            None => run(fallback, env),
        },
        _ => Err(fails(expr, "an argument is missing".to_owned())),
    }
}

/// The value of an expression whose leftmost operand has the value `left`.
fn climb<'e>(expr: &'e Expr, left: Cow<'e, Value>, env: &'e dyn Env) -> Evaluated<'e> {
    match &expr.kind {
        ExprKind::Field(_, field) => match super::lookup::field(left, field) {
            Ok(value) => Ok(value),
            Err(message) => Err(fails(expr, message)),
        },
        ExprKind::Index(_, index) => {
            let index = run(index, env)?;
            super::lookup::item(left, &index).map_err(|message| fails(expr, message))
        }
        ExprKind::Unary(op, operand) => match (op, &*left) {
            (UnaryOp::Not, Value::Bool(value)) => Ok(Cow::Owned(Value::Bool(!value))),
            (UnaryOp::Negate, Value::Number(value)) => finite(expr, -double(value)),
            (UnaryOp::Not, other) => Err(fails(operand, format!("`!` takes a boolean, found {}", kind_of(other)))),
            (UnaryOp::Negate, other) => Err(fails(operand, format!("`-` takes a number, found {}", kind_of(other)))),
        },
        ExprKind::Binary(op @ (BinaryOp::And | BinaryOp::Or), left_expr, right) => {
            let stop = *op == BinaryOp::Or;
            if boolean(left_expr, symbol(*op), &left)? == stop {
                return Ok(Cow::Owned(Value::Bool(stop)));
            }
            let value = boolean(right, symbol(*op), &*run(right, env)?)?;
            Ok(Cow::Owned(Value::Bool(value)))
        }
        ExprKind::Binary(op, _, right) => {
            let right = run(right, env)?;
            binary(expr, *op, &left, &right)
        }
        ExprKind::Ternary(condition, yes, no) => {
            if boolean(condition, "?", &left)? {
                run(yes, env)
            } else {
                run(no, env)
            }
        }
        ExprKind::Call(function, arguments) => {
            let mut values = vec![left];
            for argument in arguments.iter().skip(1) {
                values.push(run(argument, env)?);
            }
            let values: Vec<&Value> = values.iter().map(AsRef::as_ref).collect();
            call(*function, &values)
                .map(Cow::Owned)
                .map_err(|message| fails(expr, message))
        }
        _ => Err(fails(expr, "not an operation".to_owned())),
    }
}

fn boolean(operand: &Expr, operator: &str, value: &Value) -> Result<bool, EvalError> {
    value.as_bool().ok_or_else(|| {
        fails(
            operand,
            format!("`{operator}` takes booleans, found {}", kind_of(value)),
        )
    })
}

fn binary<'e>(expr: &Expr, op: BinaryOp, left: &Value, right: &Value) -> Evaluated<'e> {
    let truth = |value: bool| Ok(Cow::Owned(Value::Bool(value)));
    let mismatch = || {
        let (a, b) = (kind_of(left), kind_of(right));
        fails(expr, format!("`{}` between {a} and {b}", symbol(op)))
    };
    match op {
        BinaryOp::Equal => truth(equal(left, right)),
        BinaryOp::NotEqual => truth(!equal(left, right)),
        BinaryOp::In => match (left, right) {
            (_, Value::Array(items)) => truth(items.iter().any(|item| equal(item, left))),
            (Value::String(key), Value::Object(fields)) => truth(fields.contains_key(key)),
            _ => Err(mismatch()),
        },
        BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
            let order = match (left, right) {
                (Value::Number(a), Value::Number(b)) => double(a).partial_cmp(&double(b)),
                // UTF-8 sorts as its code points do.
                (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
                _ => None,
            };
            let order = order.ok_or_else(mismatch)?;
            truth(match op {
                BinaryOp::Less => order == Ordering::Less,
                BinaryOp::LessEqual => order != Ordering::Greater,
                BinaryOp::Greater => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        BinaryOp::Add => match (left, right) {
            (Value::Number(a), Value::Number(b)) => finite(expr, double(a) + double(b)),
            (Value::String(a), Value::String(b)) => Ok(Cow::Owned(Value::String(format!("{a}{b}")))),
            (Value::Array(a), Value::Array(b)) => Ok(Cow::Owned(a.iter().chain(b).cloned().collect())),
            _ => Err(mismatch()),
        },
        BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Remainder => {
            let (Value::Number(a), Value::Number(b)) = (left, right) else {
                return Err(mismatch());
            };
            let (a, b) = (double(a), double(b));
            match op {
                BinaryOp::Subtract => finite(expr, a - b),
                BinaryOp::Multiply => finite(expr, a * b),
                _ if b == 0.0 => Err(fails(expr, "division by zero".to_owned())),
                BinaryOp::Divide => finite(expr, a / b),
                _ => finite(expr, a % b),
            }
        }
        BinaryOp::And | BinaryOp::Or => Err(mismatch()),
    }
}

fn call(function: Function, arguments: &[&Value]) -> Result<Value, String> {
    let wrong = |expected: &str| {
        let kinds: Vec<&str> = arguments.iter().map(|value| kind_of(value)).collect();
        format!("`{}` takes {expected}, found {}", function.name(), kinds.join(" and "))
    };
    let whole = |size: usize| Ok(Value::from(size));
    match (function, arguments) {
        (Function::Size, [Value::String(text)]) => whole(text.chars().count()),
        (Function::Size, [Value::Array(items)]) => whole(items.len()),
        (Function::Size, [Value::Object(fields)]) => whole(fields.len()),
        (Function::Size, _) => Err(wrong("a string, a list or an object")),
        (Function::Contains, [Value::String(text), Value::String(part)]) => Ok(text.contains(part.as_str()).into()),
        (Function::Contains, [Value::Array(items), item]) => Ok(items.iter().any(|other| equal(other, item)).into()),
        (Function::Contains, _) => Err(wrong("two strings, or a list and an item")),
        (Function::StartsWith, [Value::String(text), Value::String(part)]) => Ok(text.starts_with(part).into()),
        (Function::EndsWith, [Value::String(text), Value::String(part)]) => Ok(text.ends_with(part).into()),
        (Function::StartsWith | Function::EndsWith, _) => Err(wrong("two strings")),
        (Function::String, [value]) => string(value).map(Value::String).ok_or_else(|| no_text(value)),
        (Function::Int, [Value::Number(value)]) => integer(double(value).trunc()),
        (Function::Int, [Value::String(text)]) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("the string is not an integer".to_owned());
            }
            match text.parse::<i64>() {
                Ok(value) if value.abs() <= MAX_INTEGER => Ok(value.into()),
                _ => Err(OUT_OF_RANGE.to_owned()),
            }
        }
        (Function::Double, [Value::Number(value)]) => Ok(Value::Number((*value).clone())),
        (Function::Double, [Value::String(text)]) => match text.parse::<f64>() {
            Ok(value) if is_json_number(text) => number(value)
                .map(Value::Number)
                .ok_or_else(|| "the number is not finite".to_owned()),
            _ => Err("the string is not a number".to_owned()),
        },
        (Function::Int | Function::Double, _) => Err(wrong("a number or a string")),
        (Function::Min | Function::Max, [Value::Array(items)]) => {
            extreme(function, items.iter()).ok_or_else(|| wrong("a list of numbers with at least one"))
        }
        (Function::Min | Function::Max, [_, _, ..]) => {
            extreme(function, arguments.iter().copied()).ok_or_else(|| wrong("numbers"))
        }
        (Function::Min | Function::Max, _) => Err(wrong("two or more numbers, or one list of numbers")),
        (Function::Abs, [Value::Number(value)]) => Ok(from_double(double(value).abs())),
        (Function::Floor, [Value::Number(value)]) => Ok(from_double(double(value).floor())),
        (Function::Ceil, [Value::Number(value)]) => Ok(from_double(double(value).ceil())),
        (Function::Abs | Function::Floor | Function::Ceil, _) => Err(wrong("a number")),
        (Function::Join, [Value::Array(items), Value::String(separator)]) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            let texts = texts.ok_or_else(|| "`join` takes a list of strings".to_owned())?;
            Ok(texts.join(separator).into())
        }
        (Function::Join, _) => Err(wrong("a list of strings and a separator")),
        (Function::Split, [Value::String(_), Value::String(separator)]) if separator.is_empty() => {
            Err("the separator is empty".to_owned())
        }
        (Function::Split, [Value::String(text), Value::String(separator)]) => {
            Ok(text.split(separator.as_str()).map(Value::from).collect())
        }
        (Function::Split, _) => Err(wrong("a string and a separator")),
        (Function::Keys, [Value::Object(fields)]) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            Ok(keys.into_iter().map(|key| Value::from(key.as_str())).collect())
        }
        (Function::Keys, _) => Err(wrong("an object")),
        (Function::Matches, [Value::String(text), Value::String(pattern)]) => match pattern::is_match(pattern, text) {
            Ok(found) => Ok(found.into()),
            Err(refused) => Err(refused.what),
        },
        (Function::Matches, _) => Err(wrong("a string and a pattern")),
        (Function::LowerAscii, [Value::String(text)]) => Ok(text.to_ascii_lowercase().into()),
        (Function::UpperAscii, [Value::String(text)]) => Ok(text.to_ascii_uppercase().into()),
        (Function::Base64, [Value::String(text)]) => Ok(base64::engine::general_purpose::STANDARD.encode(text).into()),
        (Function::LowerAscii | Function::UpperAscii | Function::Base64, _) => Err(wrong("a string")),
        (Function::Bool, [Value::Bool(value)]) => Ok((*value).into()),
        (Function::Bool, [Value::String(text)]) => match text.as_str() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err("the string is neither `true` nor `false`".to_owned()),
        },
        (Function::Bool, _) => Err(wrong("a boolean or a string")),
        (Function::Sum, [Value::Array(items)]) => {
            let sum = items
                .iter()
                .try_fold(0.0, |sum, item| item.as_f64().map(|value| sum + value))
                .ok_or_else(|| wrong("a list of numbers"))?;
            number(sum)
                .map(Value::Number)
                .ok_or_else(|| "the result is not finite".to_owned())
        }
        (Function::Sum, _) => Err(wrong("a list of numbers")),
        (Function::Round, [Value::Number(value)]) => Ok(from_double(double(value).round_ties_even())),
        (Function::Round, _) => Err(wrong("a number")),
        (Function::Range, [Value::Number(end)]) => range(0.0, double(end)),
        (Function::Range, [Value::Number(start), Value::Number(end)]) => range(double(start), double(end)),
        (Function::Range, _) => Err(wrong("integers")),
        (Function::Values, [Value::Object(fields)]) => {
            let mut entries: Vec<(&String, &Value)> = fields.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            Ok(entries.into_iter().map(|(_, value)| value.clone()).collect())
        }
        (Function::Values, _) => Err(wrong("an object")),
        (Function::Merge, [Value::Object(a), Value::Object(b)]) => {
            let mut merged = a.clone();
            merged.extend(b.iter().map(|(name, value)| (name.clone(), value.clone())));
            Ok(Value::Object(merged))
        }
        (Function::Merge, _) => Err(wrong("two objects")),
        (Function::Json, [value]) => Ok(json_text(value).into()),
        (Function::ParseJson, [Value::String(text)]) => parse_json(text),
        (Function::ParseJson, _) => Err(wrong("a string")),
        (Function::Timestamp, [Value::String(text)]) => unix_seconds(text)
            .map(from_double)
            .ok_or_else(|| "the string is not a time like 2030-01-31T08:00:00Z".to_owned()),
        (Function::Timestamp, _) => Err(wrong("a string")),
        (Function::Duration, [Value::String(text)]) => seconds(text)
            .map(Value::from)
            .ok_or_else(|| "the string is not a duration like 30s, 10m, 2h or 90d".to_owned()),
        (Function::Duration, _) => Err(wrong("a string")),
        (Function::Json, _) => Err(wrong("one value")),
        (Function::String | Function::Default | Function::Has, _) => Err(wrong("other arguments")),
    }
}

fn range(start: f64, end: f64) -> Result<Value, String> {
    if [start, end].iter().any(|bound| bound.fract() != 0.0) {
        return Err("`range` takes integers".to_owned());
    }
    // Beyond these, counting on gives the same double again.
    if [start, end].iter().any(|bound| bound.abs() > MAX_INTEGER as f64) {
        return Err(OUT_OF_RANGE.to_owned());
    }
    if end - start > MOST_IN_RANGE {
        return Err(format!("`range` gives at most {MOST_IN_RANGE} items"));
    }
    let mut items = Vec::new();
    let mut at = start;
    while at < end {
        items.push(from_double(at));
        at += 1.0;
    }
    Ok(Value::Array(items))
}

/// Compact JSON: keys sorted by code point, numbers as `string()` writes them, no escapes but those that JSON needs.
fn json_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(json_text).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut entries: Vec<(&String, &Value)> = fields.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), json_text(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::String(_) => value.to_string(),
        Value::Bool(_) | Value::Number(_) => string(value).unwrap_or_default(),
    }
}

fn parse_json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if large_integer(text) {
        return Err(OUT_OF_RANGE.to_owned());
    }
    Ok(normalised(value))
}

/// True where JSON holds an integer, written as one, that a double cannot hold exactly.
fn large_integer(json: &str) -> bool {
    static TOKEN: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#""(?:\\.|[^"\\])*"|-?[0-9][0-9.eE+-]*"#).ok());
    let tokens = TOKEN.iter().flat_map(|token| token.find_iter(json));
    tokens.map(|token| token.as_str()).any(|token| {
        let digits = token.strip_prefix('-').unwrap_or(token);
        digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits
                .parse::<u64>()
                .map_or(true, |value| value > MAX_INTEGER.unsigned_abs())
    })
}

/// Unix seconds of an RFC 3339 time; digits behind the millisecond are cut.
pub fn unix_seconds(text: &str) -> Option<f64> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"^([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))$",
        )
        .ok()
    });
    if !FORM.as_ref()?.is_match(text) {
        return None;
    }
    // Not as a timestamp: jiff's end before the last day of the year 9999.
    let (local, zone) = text.split_at(text.rfind(['Z', '+', '-'])?);
    let local: DateTime = local.parse().ok().filter(|local: &DateTime| local.year() > 0)?;
    let offset = match zone.split_once(':') {
        Some((hours, minutes)) => {
            let sign = if hours.starts_with('-') { -1 } else { 1 };
            sign * (hours.get(1..)?.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60)
        }
        None => 0,
    };
    let since = local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let milliseconds = since.as_nanos().div_euclid(1_000_000) - i128::from(offset) * 1000;
    Some(milliseconds as f64 / 1000.0)
}

/// `30s`, `10m`, `2h`, `90d` in seconds.
pub fn seconds(text: &str) -> Option<u64> {
    Duration::parse(text).map(|duration| duration.seconds)
}

const OUT_OF_RANGE: &str = "the integer is beyond 9007199254740991";

fn integer(value: f64) -> Result<Value, String> {
    if value.abs() <= MAX_INTEGER as f64 {
        Ok(from_double(value))
    } else {
        Err(OUT_OF_RANGE.to_owned())
    }
}

fn extreme<'v>(function: Function, values: impl Iterator<Item = &'v Value>) -> Option<Value> {
    let mut best: Option<f64> = None;
    for value in values {
        let value = value.as_f64()?;
        best = Some(match best {
            Some(best) if function == Function::Min => best.min(value),
            Some(best) => best.max(value),
            None => value,
        });
    }
    best.map(from_double)
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// What `string()` gives; None for null, lists and objects.
pub fn string(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(decimal(double(number))),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A double as JavaScript writes it (ECMA-262, Number::toString).
pub fn decimal(double: f64) -> String {
    ryu_js::Buffer::new().format(double).to_owned()
}

fn no_text(value: &Value) -> String {
    format!("{} has no text", kind_of(value))
}

pub(super) fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

fn from_double(value: f64) -> Value {
    number(value).map_or(Value::Null, Value::Number)
}

fn finite<'e>(expr: &Expr, value: f64) -> Evaluated<'e> {
    match number(value) {
        Some(number) => Ok(Cow::Owned(Value::Number(number))),
        None => Err(fails(expr, "the result is not finite".to_owned())),
    }
}

fn fails(expr: &Expr, message: String) -> EvalError {
    EvalError {
        message,
        span: expr.span,
    }
}
