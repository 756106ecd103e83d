//! Expressions as JSONata 2.0.6, the query language of AWS Step Functions.
//!
//! Step Functions takes an expression that yields nothing (undefined) for an error, and so does the printer: where
//! types prove an access, it writes the plain path; where they don't, `condition ? path` without an alternative, which
//! yields nothing where the condition fails. JSONata hands "nothing" on through arithmetic and ordering, but takes it
//! for false, or drops it, in equality, `and`, `or`, `&` and constructors: there the value is proved first.

mod calls;
mod code;
mod macros;

use std::collections::BTreeSet;

use serde_json::Value;

use self::code::{Code, Helper, literal, path_name};
use super::ast::{ErrorField, Local, RunField, TextPart};
use super::calls::takes_path;
use super::{BinaryOp, Expr, ExprKind, Template, Type, UnaryOp};

/// How names are reached at the place where an expression stands. Each answer is a JSONata path.
pub trait Names {
    /// The variable that holds a step's output: `$train`, `$states.result.Payload`.
    fn output(&self, step: &str) -> String;
    /// The variable that holds a step's status; None where it surely ran.
    fn status(&self, step: &str) -> Option<String>;
    /// The variable that holds a step's caught error or null; None where nothing can be caught.
    fn step_error(&self, step: &str) -> Option<String>;
    /// The variable or path that holds what a modifier adds.
    fn local(&self, step: &str, what: Local) -> String;
    /// The execution's params.
    fn params(&self) -> &str;
    /// The failure that a handler or a `catch` sees.
    fn error(&self) -> &str;
    /// What is known of the pipeline's execution, as the Context object has it.
    fn execution(&self) -> &str {
        "$states.context.Execution"
    }
    /// A bucket's name: text that may hold a [`placeholder`].
    fn bucket_name(&self, id: &str) -> String;
    /// A topic's name: text that may hold a [`placeholder`].
    fn topic_name(&self, id: &str) -> String;
    /// The pipeline's name.
    fn pipeline(&self) -> &str;
}

/// The JSONata text of an expression, without `{% %}`. It yields nothing, or raises, where the expression fails.
pub fn print(expr: &Expr, names: &dyn Names) -> String {
    let mut printer = Printer::new(names);
    let code = printer.code(expr);
    printer.finish(code)
}

/// Like [`print()`], of an expression that must be a boolean: yields nothing where it is none.
pub fn print_condition(expr: &Expr, names: &dyn Names) -> String {
    let mut printer = Printer::new(names);
    let code = printer.code(expr);
    let code = printer.truth(code, &expr.ty);
    printer.finish(code)
}

/// A template as a JSON value of Amazon States Language: constants as they are, expressions in `{% %}`.
pub fn template(template: &Template, names: &dyn Names) -> Value {
    match template {
        Template::Constant(value) => constant(value),
        Template::Expr(expr) => {
            let mut printer = Printer::new(names);
            let code = printer.code(expr);
            match code.constant {
                Some(text) => constant(&Value::String(text)),
                None => Value::String(braced(&printer.finish(code))),
            }
        }
        Template::Text(parts) => {
            let mut printer = Printer::new(names);
            let code = printer.text(parts);
            match code.constant {
                Some(text) => constant(&Value::String(text)),
                None => Value::String(braced(&printer.finish(code))),
            }
        }
        Template::List(items) => items.iter().map(|item| self::template(item, names)).collect(),
        Template::Object(fields) if fields.iter().any(|(name, _)| name.contains("${")) => {
            Value::String(braced(&template_code(template, names)))
        }
        Template::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), self::template(value, names)))
                .collect(),
        ),
    }
}

/// A template as one JSONata expression, where it is part of a larger one.
pub fn template_code(template: &Template, names: &dyn Names) -> String {
    let mut printer = Printer::new(names);
    let code = match template {
        Template::Constant(value) => Code::atom(code::value(value)),
        Template::Expr(expr) => printer.code(expr),
        Template::Text(parts) => printer.text(parts),
        Template::List(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| match item {
                    Template::List(_) | Template::Constant(Value::Array(_)) => template_code(item, names),
                    _ => format!(
                        "($theValue := {}; $type($theValue) = 'array' ? [[$theValue]] : $theValue)",
                        insisting(item, names)
                    ),
                })
                .collect();
            Code::atom(format!("[{}]", items.join(", ")))
        }
        Template::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", literal(name), insisting(value, names)))
                .collect();
            Code::atom(format!("{{{}}}", fields.join(", ")))
        }
    };
    printer.finish(code)
}

/// A template as an expression that raises where it would yield nothing.
fn insisting(template: &Template, names: &dyn Names) -> String {
    let text = template_code(template, names);
    if template.is_safe() {
        return format!("({text})");
    }
    format!("($theValue := ({text}); $exists($theValue) ? $theValue : $error('no value'))")
}

/// A text that stands for a value of the deployment: `${RawBucketName}`, once [`with_placeholders`] saw the whole.
pub fn placeholder(name: &str) -> String {
    let [open, close] = code::MARKS;
    format!("{open}{name}{close}")
}

/// The finished text with every placeholder as `${name}`.
pub fn with_placeholders(text: &str) -> String {
    let [open, close] = code::MARKS;
    text.replace(open, "${").replace(close, "}")
}

/// How many placeholders a text has, finished or not.
pub fn placeholders(text: &str) -> usize {
    let [open, _] = code::MARKS;
    text.matches(open).count() + text.matches("${").count()
}

/// Like [`print_condition()`], evaluated only where `before` holds: a condition that cannot fail.
pub fn print_condition_after(before: &str, expr: &Expr, names: &dyn Names) -> String {
    let mut printer = Printer::new(names);
    let code = printer.code(expr);
    let code = printer.truth(code, &expr.ty);
    let text = format!("{before} and {}", code.insisting(code::AND + 1));
    printer.finish(Code::of(text, code::AND, false))
}

/// `{% text %}`.
pub fn braced(text: &str) -> String {
    format!("{{% {text} %}}")
}

/// A string as a JSONata literal.
pub fn string_literal(text: &str) -> String {
    literal(text)
}

/// A JSON value as JSONata.
pub fn constant_code(value: &Value) -> String {
    code::value(value)
}

/// `base.name`, whatever characters the name holds.
pub fn field_path(base: &str, name: &str) -> String {
    match code::quoted(name) {
        Some(name) => format!("{base}.{name}"),
        None => format!("$lookup({base}, {})", literal(name)),
    }
}

/// A constant; text that would be read as an expression or a placeholder becomes a literal in an expression.
pub fn constant(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("{%") || text.contains("${") => Value::String(braced(&literal(text))),
        Value::Object(fields) if fields.keys().any(|name| name.contains("${")) => {
            Value::String(braced(&code::value(value)))
        }
        Value::Array(items) => items.iter().map(constant).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), constant(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Prints one expression and remembers which helpers its text calls.
pub(super) struct Printer<'n> {
    names: &'n dyn Names,
    helpers: BTreeSet<Helper>,
    /// The operand that was last computed ahead, by its place in memory.
    ready: Option<(*const Expr, Code)>,
}

impl<'n> Printer<'n> {
    fn new(names: &'n dyn Names) -> Self {
        Self {
            names,
            helpers: BTreeSet::new(),
            ready: None,
        }
    }

    /// The whole text, helpers in front.
    fn finish(&mut self, code: Code) -> String {
        let code = self.finite(code);
        let text = code.lenient();
        let mut helpers: BTreeSet<Helper> = BTreeSet::new();
        for helper in &self.helpers {
            helpers.extend(helper.needs());
            helpers.insert(*helper);
        }
        if helpers.is_empty() {
            return text;
        }
        let definitions: Vec<&str> = helpers.iter().map(|helper| helper.definition()).collect();
        format!("({}; {text})", definitions.join("; "))
    }

    fn call(&mut self, helper: Helper, arguments: &[&str]) -> String {
        self.helpers.insert(helper);
        format!("{}({})", helper.name(), arguments.join(", "))
    }

    /// The code of an expression. Chains that are deep on the left are walked in a loop: what is ready when its parent
    /// asks for it is not computed again.
    fn code(&mut self, expr: &Expr) -> Code {
        if let Some((_, code)) = self.ready.take_if(|(ready, _)| std::ptr::eq(*ready, expr)) {
            return code;
        }
        let mut spine = Vec::new();
        let mut at = expr;
        loop {
            at = match &at.kind {
                ExprKind::Binary(_, left, _) => left,
                ExprKind::Field(base, _) | ExprKind::Index(base, _) => base,
                ExprKind::Unary(_, operand) => operand,
                ExprKind::Ternary(condition, _, _) => condition,
                // A path may be written otherwise than as a chain.
                ExprKind::Call(function, arguments) if !takes_path(*function) => match arguments.first() {
                    Some(first) => first,
                    None => break,
                },
                _ => break,
            };
            spine.push(at);
        }
        while let Some(part) = spine.pop() {
            let code = self.one(part);
            self.ready = Some((part, code));
        }
        self.one(expr)
    }

    /// The code of an expression whose leftmost operand is ready.
    fn one(&mut self, expr: &Expr) -> Code {
        match &expr.kind {
            ExprKind::Literal(Value::String(text)) => Code::string(text.clone()),
            ExprKind::Literal(value) => Code::number_or_atom(value),
            ExprKind::Param(None) => Code::atom(self.names.params().to_owned()),
            ExprKind::Param(Some(name)) => Code::path(format!("{}.{}", self.names.params(), path_name(name)), &expr.ty),
            ExprKind::StepOutput(step) => Code::path(self.names.output(step), &expr.ty),
            ExprKind::StepStatus(step) => match self.names.status(step) {
                Some(variable) => Code::atom(variable),
                None => Code::string("succeeded".to_owned()),
            },
            ExprKind::StepError(step) => match self.names.step_error(step) {
                Some(variable) => Code::path(variable, &expr.ty),
                None => Code::atom("null".to_owned()),
            },
            ExprKind::Local(step, what) => Code::path(self.names.local(step, *what), &expr.ty),
            ExprKind::BucketUri(id) => Code::string(format!("s3://{}", self.names.bucket_name(id))),
            ExprKind::BucketName(id) => Code::string(self.names.bucket_name(id)),
            ExprKind::TopicName(id) => Code::string(self.names.topic_name(id)),
            ExprKind::Run(RunField::Id) => Code::atom(format!("{}.Name", self.names.execution())),
            ExprKind::Run(RunField::Name) => Code::string(self.names.pipeline().to_owned()),
            ExprKind::Run(RunField::StartedAt) => Code::atom(format!("{}.StartTime", self.names.execution())),
            ExprKind::Error(field) => {
                let field = match field {
                    ErrorField::Name => "name",
                    ErrorField::Message => "message",
                    ErrorField::Step => "step",
                };
                Code::atom(format!("{}.{field}", self.names.error()))
            }
            // Stands only in a trigger's params, which are no JSONata.
            ExprKind::Trigger(_) => Code::atom("$error('no trigger here')".to_owned()),
            ExprKind::Field(base, name) => self.field(base, name, expr),
            ExprKind::Index(base, index) => self.index(base, index, expr),
            ExprKind::List(items) => {
                let mut guards = Vec::new();
                let items: Vec<String> = items.iter().map(|item| self.item(item, &mut guards)).collect();
                Code::atom(format!("[{}]", items.join(", "))).guarded(guards)
            }
            ExprKind::Object(fields) => {
                let mut guards = Vec::new();
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| {
                        let value = self.strict(value, &mut guards);
                        format!("{}: {}", literal(name), value.text)
                    })
                    .collect();
                Code::atom(format!("{{{}}}", fields.join(", "))).guarded(guards)
            }
            ExprKind::Unary(UnaryOp::Not, operand) => {
                let code = self.code(operand);
                let code = self.truth(code, &operand.ty);
                Code::atom(format!("$not({})", code.text)).guarded(code.guards)
            }
            ExprKind::Unary(UnaryOp::Negate, operand) => {
                let code = self.code(operand);
                let bound = code.bound;
                let text = format!("-{}", code.at_least(code::PATH));
                Code::of(text, code::UNARY, code.undefined)
                    .guarded(code.guards)
                    .bounded(bound)
            }
            ExprKind::Binary(op, left, right) => {
                let code = self.code(left);
                self.binary(*op, code, &left.ty, right)
            }
            ExprKind::Ternary(condition, yes, no) => {
                let code = self.code(condition);
                let condition = self.truth(code, &condition.ty);
                let (yes, no) = (self.code(yes), self.code(no));
                let (yes, no) = (self.finite(yes), self.finite(no));
                let undefined = yes.may_fail() || no.may_fail();
                let bound = yes.bound.max(no.bound);
                let text = format!("{} ? {} : {}", condition.at_least(code::OR), yes.branch(), no.branch());
                Code::of(text, code::TERNARY, undefined)
                    .guarded(condition.guards)
                    .bounded(bound)
            }
            ExprKind::Variable(name) => Code::path(macros::variable(name), &expr.ty),
            ExprKind::Macro(call) => self.macro_call(call),
            ExprKind::Call(function, arguments) => self.function(*function, arguments, expr),
        }
    }

    /// `base.name`, undefined where the base has no such field.
    fn field(&mut self, base: &Expr, name: &str, expr: &Expr) -> Code {
        let code = self.code(base);
        let declared = match base.ty.unwrapped() {
            Type::Object(fields) => fields.get(name),
            _ => None,
        };
        let typed = matches!(base.ty.unwrapped(), Type::Object(_));
        // Names that every JavaScript object has are found on any value but by `$keys`; long chains repeat themselves.
        let plain = declared.is_some() || !code::inherited(name);
        if expr.safe || (typed && plain) {
            let always = declared.is_some_and(|ty| !matches!(ty, Type::Optional(_)));
            let undefined = !expr.safe && (code.undefined || matches!(base.ty, Type::Optional(_)) || !always);
            return self.step(code, name, &expr.ty, undefined);
        }
        if plain && code.repeats() && code.guards.len() < 3 {
            let guard = format!("$type({}) = 'object'", code.text);
            let mut code = self.step(code, name, &expr.ty, true);
            code.guards.push(guard);
            return code;
        }
        let text = self.call(Helper::ItemOf, &[&code.text, &literal(name)]);
        Code::of(text, code::PATH, true).guarded(code.guards)
    }

    fn step(&mut self, base: Code, name: &str, ty: &Type, undefined: bool) -> Code {
        let text = match code::quoted(name) {
            Some(name) => format!("{}.{name}", base.at_least(code::PATH)),
            None => format!("$lookup({}, {})", base.text, literal(name)),
        };
        let mut code = Code::path(text, ty).guarded(base.guards);
        code.undefined = undefined;
        code
    }

    /// `base[index]`, undefined where there is no such item.
    fn index(&mut self, base: &Expr, index: &Expr, expr: &Expr) -> Code {
        let code = self.code(base);
        let listed = matches!(base.ty.unwrapped(), Type::List(_));
        let place = match &index.kind {
            ExprKind::Literal(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        if let Some(place) = place
            && (listed || (base.ty == Type::Any && code.repeats() && code.guards.len() < 3))
        {
            let text = if code.text.ends_with(']') || code.level < code::PATH {
                format!("({})[{place}]", code.text)
            } else {
                format!("{}[{place}]", code.text)
            };
            let mut found = Code::path(text, &expr.ty).guarded(code.guards);
            found.undefined = !expr.safe;
            if !listed {
                found.guards.push(format!("$type({}) = 'array'", code.text));
            }
            return found;
        }
        let mut guards = code.guards;
        let mut index = self.code(index);
        index = self.finite(index);
        guards.append(&mut index.guards);
        let text = self.call(Helper::ItemOf, &[&code.text, &index.text]);
        let mut found = Code::path(text, &expr.ty).guarded(guards);
        found.undefined = !expr.safe;
        found
    }

    /// An item of a list constructor, which unpacks what is a list itself.
    fn item(&mut self, item: &Expr, guards: &mut Vec<String>) -> String {
        let code = self.strict(item, guards);
        match item.ty.unwrapped() {
            _ if matches!(item.kind, ExprKind::List(_)) => code.text,
            Type::List(_) if !matches!(item.ty, Type::Optional(_)) => format!("[{}]", code.text),
            Type::Any | Type::List(_) => self.call(Helper::OneOf, &[&code.text]),
            _ => code.text,
        }
    }

    /// The code of an operand that must be defined and finite; what that hangs on joins `guards`.
    fn strict(&mut self, expr: &Expr, guards: &mut Vec<String>) -> Code {
        let code = self.code(expr);
        let mut code = self.proved(code);
        guards.append(&mut code.guards);
        code
    }

    /// Never undefined and finite, but for its guards.
    fn proved(&mut self, code: Code) -> Code {
        let mut code = self.finite(code);
        if code.undefined {
            if code.repeats() {
                code.guards.push(format!("$exists({})", code.text));
            } else {
                let text = self.call(Helper::Must, &[&code.text]);
                code = Code::of(text, code::PATH, false).guarded(code.guards);
            }
            code.undefined = false;
        }
        code
    }

    /// A boolean, but for its guards.
    fn truth(&mut self, code: Code, ty: &Type) -> Code {
        let mut code = code;
        if *ty == Type::Boolean {
            return self.proved(code);
        }
        if code.repeats() {
            code.guards.push(format!("$type({}) = 'boolean'", code.text));
        } else {
            let text = self.call(Helper::BooleanOf, &[&code.text]);
            code = Code::of(text, code::PATH, false).guarded(code.guards);
        }
        code.undefined = false;
        code
    }

    /// Adds nothing to a number that may be infinite: JSONata raises an error for such an operand, not for such a result.
    fn finite(&mut self, code: Code) -> Code {
        if code.bound.is_finite() {
            return code;
        }
        let text = self.call(Helper::Finite, &[&code.text]);
        Code::of(text, code::PATH, code.undefined).guarded(code.guards)
    }

    /// Text around expressions.
    fn text(&mut self, parts: &[TextPart]) -> Code {
        let mut whole: Option<Code> = None;
        for part in parts {
            let code = match part {
                TextPart::Literal(text) => Code::string(text.clone()),
                TextPart::Expr(expr) => {
                    let code = self.code(expr);
                    let code = self.string(code, &expr.ty);
                    self.proved(code)
                }
            };
            whole = Some(match whole {
                None => code,
                Some(before) => before.concat(code),
            });
        }
        whole.unwrap_or_else(|| Code::string(String::new()))
    }

    fn binary(&mut self, op: BinaryOp, left: Code, left_type: &Type, right: &Expr) -> Code {
        match op {
            BinaryOp::And | BinaryOp::Or => {
                let left = self.truth(left, left_type);
                let code = self.code(right);
                let code = self.truth(code, &right.ty);
                let (word, level) = if op == BinaryOp::And {
                    ("and", code::AND)
                } else {
                    ("or", code::OR)
                };
                // The right side may not be evaluated: what it hangs on stays there.
                let text = format!("{} {word} {}", left.at_least(level), code.insisting(level + 1));
                Code::of(text, level, false).guarded(left.guards)
            }
            BinaryOp::Equal | BinaryOp::NotEqual => {
                let left = self.proved(left);
                let mut guards = left.guards.clone();
                let code = self.strict(right, &mut guards);
                let sign = if op == BinaryOp::Equal { "=" } else { "!=" };
                let text = format!(
                    "{} {sign} {}",
                    left.at_least(code::COMPARE + 1),
                    code.at_least(code::COMPARE + 1)
                );
                Code::of(text, code::COMPARE, false).guarded(guards)
            }
            BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
                self.order(op, left, left_type, right)
            }
            BinaryOp::In => self.within(left, left_type, right),
            BinaryOp::Add => self.add(left, left_type, right),
            BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Remainder => {
                let code = self.code(right);
                arithmetic(op, left, code, &right.ty)
            }
        }
    }

    fn order(&mut self, op: BinaryOp, left: Code, left_type: &Type, right: &Expr) -> Code {
        let left = self.finite(left);
        let code = self.code(right);
        let code = self.finite(code);
        let sign = match op {
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            _ => ">=",
        };
        // JSONata orders strings by UTF-16 units: it matters where neither side is a number or plain text.
        let numeric = left_type.is_numeric() || right.ty.is_numeric();
        let low = |code: &Code| {
            code.constant
                .as_deref()
                .is_some_and(|text| text.chars().all(|c| c < '\u{d7ff}'))
        };
        let undefined = left.undefined || code.undefined;
        let text = if numeric || low(&left) || low(&code) {
            format!(
                "{} {sign} {}",
                left.at_least(code::COMPARE + 1),
                code.at_least(code::COMPARE + 1)
            )
        } else {
            let (a, b) = (
                self.call(Helper::OrderOf, &[&left.text]),
                self.call(Helper::OrderOf, &[&code.text]),
            );
            format!("{a} {sign} {b}")
        };
        Code::of(text, code::COMPARE, undefined)
            .guarded(left.guards)
            .guarded(code.guards)
    }

    fn within(&mut self, left: Code, left_type: &Type, right: &Expr) -> Code {
        let left = self.proved(left);
        let mut guards = left.guards.clone();
        let code = self.strict(right, &mut guards);
        let operands = |list: &str| format!("{} in {list}", left.at_least(code::COMPARE + 1),);
        match (&right.ty, left_type) {
            (Type::List(_), Type::Boolean | Type::Integer | Type::Number | Type::String | Type::Null) => {
                let text = operands(&code.at_least(code::COMPARE + 1));
                Code::of(text, code::COMPARE, false).guarded(guards)
            }
            (Type::Object(_), Type::String) => {
                let text = operands(&format!("$keys({})", code.text));
                Code::of(text, code::COMPARE, false).guarded(guards)
            }
            _ => {
                let text = self.call(Helper::IsIn, &[&left.text, &code.text]);
                Code::of(text, code::PATH, false).guarded(guards)
            }
        }
    }

    fn add(&mut self, left: Code, left_type: &Type, right: &Expr) -> Code {
        match (left_type, &right.ty) {
            (Type::String, Type::String) => {
                let left = self.proved(left);
                let mut guards = left.guards.clone();
                let mut code = self.strict(right, &mut guards);
                code.guards = Vec::new();
                Code {
                    guards,
                    ..left.concat(code)
                }
            }
            (a, b) if a.unwrapped().is_numeric() || b.unwrapped().is_numeric() => {
                let code = self.code(right);
                arithmetic(BinaryOp::Add, left, code, &right.ty)
            }
            (Type::List(_), Type::List(_)) => {
                let left = self.proved(left);
                let mut guards = left.guards.clone();
                let code = self.strict(right, &mut guards);
                Code::atom(format!("$append({}, {})", left.text, code.text)).guarded(guards)
            }
            _ => {
                let left = self.finite(left);
                let code = self.code(right);
                let code = self.finite(code);
                let text = self.call(Helper::Plus, &[&left.text, &code.text]);
                Code::of(text, code::PATH, true)
                    .guarded(left.guards)
                    .guarded(code.guards)
            }
        }
    }
}

/// JSONata checks that both are numbers, and hands "nothing" on.
fn arithmetic(op: BinaryOp, left: Code, right: Code, right_type: &Type) -> Code {
    let (sign, level, bound) = match op {
        BinaryOp::Add => ("+", code::SUM, left.bound + right.bound),
        BinaryOp::Subtract => ("-", code::SUM, left.bound + right.bound),
        BinaryOp::Multiply => ("*", code::PRODUCT, left.bound * right.bound),
        BinaryOp::Divide => ("/", code::PRODUCT, f64::INFINITY),
        _ => ("%", code::PRODUCT, f64::INFINITY),
    };
    let mut guards = left.guards.clone();
    guards.extend(right.guards.iter().cloned());
    let mut bound = bound;
    let mut undefined = left.undefined || right.undefined;
    if matches!(op, BinaryOp::Divide | BinaryOp::Remainder) {
        if let Some(divisor) = right.number.filter(|divisor| *divisor != 0.0) {
            bound = match op {
                BinaryOp::Divide => left.bound / divisor.abs(),
                _ => divisor.abs(),
            };
        } else if *right_type == Type::Integer && right.repeats() && right.bound.is_finite() {
            guards.push(format!("{} != 0", right.at_least(code::COMPARE + 1)));
            bound = left.bound.min(f64::MAX);
            undefined = true;
            if op == BinaryOp::Divide {
                bound = left.bound;
            }
        }
    }
    let text = format!("{} {sign} {}", left.at_least(level), right.at_least(level + 1));
    Code::of(text, level, undefined).guarded(guards).bounded(bound)
}

#[cfg(test)]
mod tests;
