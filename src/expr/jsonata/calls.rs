//! Calls of the language's functions.

use serde_json::Value;

use super::Printer;
use super::code::{self, Code, Helper, literal};
use crate::expr::pattern::{self, Dialect};
use crate::expr::{Expr, ExprKind, Function, Type};

/// Integers below this are written whole by `$string`.
const FIFTEEN_DIGITS: f64 = 1e15;

impl Printer<'_> {
    pub(super) fn function(&mut self, function: Function, arguments: &[Expr], expr: &Expr) -> Code {
        match (function, arguments) {
            (Function::Size, [value]) => self.size(value),
            (Function::Contains, [whole, part]) => self.contains(whole, part),
            (Function::StartsWith, [text, part]) => self.starts(text, part),
            (Function::EndsWith, [text, part]) => self.ends(text, part),
            (Function::String, [value]) => {
                let code = self.code(value);
                self.string(code, &value.ty)
            }
            (Function::Int, [value]) => {
                let code = self.code(value);
                if value.ty == Type::Integer && code.bound <= code::INTEGER {
                    return code;
                }
                self.convert(Helper::IntegerOf, code).bounded(code::INTEGER)
            }
            (Function::Double, [value]) => {
                let code = self.code(value);
                if value.ty.is_numeric() {
                    return code;
                }
                self.convert(Helper::DoubleOf, code)
            }
            (Function::Min | Function::Max, arguments) => self.extreme(function, arguments),
            (Function::Abs | Function::Floor | Function::Ceil, [value]) => {
                let name = match function {
                    Function::Abs => "$abs",
                    Function::Floor => "$floor",
                    _ => "$ceil",
                };
                let code = self.code(value);
                let code = self.finite(code);
                Code::of(format!("{name}({})", code.text), code::PATH, code.undefined)
                    .guarded(code.guards)
                    .bounded(code.bound)
            }
            (Function::Join, [list, separator]) => {
                let mut guards = Vec::new();
                let list = self.kind(list, "array", |ty| matches!(ty, Type::List(_)), &mut guards);
                let separator = self.text_operand(separator, &mut guards);
                Code::atom(format!("$join({}, {})", list.text, separator.text)).guarded(guards)
            }
            (Function::Split, [text, separator]) => {
                let mut guards = Vec::new();
                let text = self.text_operand(text, &mut guards);
                let separator = self.text_operand(separator, &mut guards);
                if separator.known().is_none_or(str::is_empty) {
                    guards.push(format!("{} != ''", separator.at_least(code::COMPARE + 1)));
                }
                Code::atom(format!("$split({}, {})", text.text, separator.text)).guarded(guards)
            }
            (Function::Keys, [object]) => {
                let mut guards = Vec::new();
                let object = self.kind(object, "object", |ty| matches!(ty, Type::Object(_)), &mut guards);
                let order = |variable: &str| format!("{}({variable})", Helper::OrderOf.name());
                let (a, b) = (order("$a"), order("$b"));
                // Registers the helper that the comparison calls.
                self.call(Helper::OrderOf, &[]);
                let object = object.text;
                Code::atom(format!("$sort([$keys({object})], function($a, $b) {{ {a} > {b} }})")).guarded(guards)
            }
            (Function::Default, [path, fallback]) => {
                let path = self.path(path);
                let fallback = self.code(fallback);
                let fallback = self.finite(fallback);
                let undefined = fallback.may_fail();
                if path.repeats() {
                    let present = format!("{} != null", path.at_least(code::COMPARE + 1));
                    let mut conditions = path.guards.clone();
                    conditions.push(present);
                    let text = format!(
                        "{} ? {} : {}",
                        conditions.join(" and "),
                        path.at_least(code::TERNARY + 1),
                        fallback.branch()
                    );
                    return Code::of(text, code::TERNARY, undefined).bounded(fallback.bound.max(path.bound));
                }
                let text = format!(
                    "($theValue := {}; $theValue != null ? $theValue : {})",
                    path.branch(),
                    fallback.branch()
                );
                Code::of(text, code::PATH, undefined).bounded(fallback.bound.max(path.bound))
            }
            (Function::Has, [path]) => {
                let path = self.path(path);
                let present = format!("{} != null", path.at_least(code::COMPARE + 1));
                if path.guards.is_empty() {
                    return Code::of(present, code::COMPARE, false);
                }
                let mut conditions = path.guards.clone();
                conditions.push(present);
                Code::of(conditions.join(" and "), code::AND, false)
            }
            (Function::Matches, [text, pattern]) => {
                let hir = match &pattern.kind {
                    ExprKind::Literal(Value::String(pattern)) => pattern::read(pattern).ok(),
                    _ => None,
                };
                // The checker saw to it that there is one.
                let pattern = hir.map_or_else(String::new, |hir| pattern::print(&hir, Dialect::JavaScript));
                let mut guards = Vec::new();
                let text = self.text_operand(text, &mut guards).text;
                Code::atom(format!("$contains({text}, /{pattern}/)")).guarded(guards)
            }
            (Function::LowerAscii | Function::UpperAscii, [text]) => {
                let (letters, name) = match function {
                    Function::LowerAscii => ("A-Z", "$lowercase"),
                    _ => ("a-z", "$uppercase"),
                };
                let mut guards = Vec::new();
                let text = self.text_operand(text, &mut guards).text;
                let change = format!("function($m) {{ {name}($m.match) }}");
                Code::atom(format!("$replace({text}, /[{letters}]+/, {change})")).guarded(guards)
            }
            (Function::Bool, [value]) if value.ty == Type::Boolean => self.code(value),
            (Function::Bool, [value]) => {
                let code = self.code(value);
                self.convert(Helper::BoolOf, code)
            }
            (Function::Sum, [list]) => {
                let mut guards = Vec::new();
                let list = self.kind(list, "array", |ty| matches!(ty, Type::List(_)), &mut guards);
                Code::atom(format!("$sum({})", list.text))
                    .guarded(guards)
                    .bounded(f64::INFINITY)
            }
            (Function::Round, [value]) => {
                let code = self.code(value);
                let code = self.finite(code);
                let bound = code.bound;
                Code::of(format!("$round({})", code.text), code::PATH, code.undefined)
                    .guarded(code.guards)
                    .bounded(bound)
            }
            (Function::Range, arguments) => {
                let mut guards = Vec::new();
                let mut texts: Vec<String> = arguments
                    .iter()
                    .map(|argument| self.strict(argument, &mut guards).text)
                    .collect();
                if texts.len() == 1 {
                    texts.insert(0, "0".to_owned());
                }
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                Code::atom(self.call(Helper::RangeOf, &texts)).guarded(guards)
            }
            (
                Function::Values | Function::Json | Function::ParseJson | Function::Base64 | Function::Timestamp,
                [value],
            ) => {
                let helper = match function {
                    Function::Values => Helper::ValuesOf,
                    Function::Json => Helper::JsonOf,
                    Function::ParseJson => Helper::ParseOf,
                    Function::Base64 => Helper::Base64Of,
                    _ => Helper::TimeOf,
                };
                let mut guards = Vec::new();
                let value = self.strict(value, &mut guards).text;
                Code::atom(self.call(helper, &[&value])).guarded(guards)
            }
            (
                Function::Duration,
                [
                    Expr {
                        kind: ExprKind::Literal(Value::String(text)),
                        ..
                    },
                ],
            ) => Code::number_or_atom(&Value::from(crate::expr::eval::seconds(text).unwrap_or_default())),
            (Function::Duration, [value]) => {
                let code = self.code(value);
                self.convert(Helper::SecondsOf, code).bounded(code::INTEGER)
            }
            (Function::Merge, [a, b]) => {
                let mut guards = Vec::new();
                let a = self
                    .kind(a, "object", |ty| matches!(ty, Type::Object(_)), &mut guards)
                    .text;
                let b = self
                    .kind(b, "object", |ty| matches!(ty, Type::Object(_)), &mut guards)
                    .text;
                Code::atom(format!("$merge([{a}, {b}])")).guarded(guards)
            }
            // The checker counts arguments.
            _ => Code::of(format!("$error('{}')", function.name()), code::PATH, !expr.safe),
        }
    }

    /// A path that yields nothing where it leads nowhere; what stands in brackets fails as ever.
    fn path(&mut self, path: &Expr) -> Code {
        if !matches!(path.kind, ExprKind::Field(..) | ExprKind::Index(..)) {
            return self.code(path);
        }
        let mut steps = Vec::new();
        let mut root = path;
        while let ExprKind::Field(base, _) | ExprKind::Index(base, _) = &root.kind {
            steps.push(root);
            root = base;
        }
        let may_fail = |step: &&Expr| matches!(&step.kind, ExprKind::Index(_, index) if !index.safe);
        if steps.iter().any(may_fail) {
            return self.walk(root, &steps);
        }
        let mut code = self.code(path);
        // A path that is proved may still be null.
        code.undefined = true;
        code
    }

    /// A path whose indices may fail: they are evaluated in any case. `steps` are the outer ones first.
    fn walk(&mut self, root: &Expr, steps: &[&Expr]) -> Code {
        let root = self.code(root);
        let root = self.proved(root).insisting(0);
        let mut keys = Vec::new();
        for step in steps.iter().rev() {
            keys.push(match &step.kind {
                ExprKind::Index(_, index) => {
                    let key = self.code(index);
                    let key = self.proved(key).insisting(code::TERNARY + 1);
                    match index.ty.unwrapped() {
                        Type::Any | Type::List(_) => self.call(Helper::OneOf, &[&key]),
                        _ => key,
                    }
                }
                ExprKind::Field(_, name) => literal(name),
                _ => continue,
            });
        }
        let text = self.call(Helper::WalkOf, &[&root, &format!("[{}]", keys.join(", "))]);
        Code::of(text, code::PATH, true)
    }

    fn convert(&mut self, helper: Helper, code: Code) -> Code {
        let code = self.finite(code);
        let text = self.call(helper, &[&code.text]);
        Code::atom(text).guarded(code.guards)
    }

    /// A value as `string()` writes it.
    pub(super) fn string(&mut self, code: Code, ty: &Type) -> Code {
        match ty {
            Type::String => code,
            Type::Boolean => {
                Code::of(format!("$string({})", code.text), code::PATH, code.undefined).guarded(code.guards)
            }
            Type::Integer if code.bound < FIFTEEN_DIGITS => {
                Code::of(format!("$string({})", code.text), code::PATH, code.undefined).guarded(code.guards)
            }
            Type::Integer if code.bound <= code::INTEGER => {
                Code::of(format!("$formatBase({})", code.text), code::PATH, code.undefined).guarded(code.guards)
            }
            Type::Integer | Type::Number => {
                let code = self.finite(code);
                let code = self.proved(code);
                let text = self.call(Helper::TextOf, &[&code.text]);
                Code::atom(text).guarded(code.guards)
            }
            _ => self.convert(Helper::StringOf, code),
        }
    }

    fn size(&mut self, value: &Expr) -> Code {
        let mut guards = Vec::new();
        let code = self.strict(value, &mut guards);
        let text = match &value.ty {
            Type::String => format!("$length({})", code.text),
            Type::List(_) => format!("$count({})", code.text),
            Type::Object(_) => format!("$count($keys({}))", code.text),
            _ => self.call(Helper::SizeOf, &[&code.text]),
        };
        // No value of 256 KiB has more parts.
        Code::atom(text).guarded(guards).bounded(1e9)
    }

    fn contains(&mut self, whole: &Expr, part: &Expr) -> Code {
        let mut guards = Vec::new();
        let (a, b) = (self.strict(whole, &mut guards), self.strict(part, &mut guards));
        match (&whole.ty, &part.ty) {
            (Type::String, Type::String) => Code::atom(format!("$contains({}, {})", a.text, b.text)).guarded(guards),
            (Type::List(_), Type::Boolean | Type::Integer | Type::Number | Type::String) => {
                let text = format!("{} in {}", b.at_least(code::COMPARE + 1), a.at_least(code::COMPARE + 1));
                Code::of(text, code::COMPARE, false).guarded(guards)
            }
            (Type::List(_), _) => Code::atom(self.call(Helper::IsIn, &[&b.text, &a.text])).guarded(guards),
            _ => {
                let within = self.call(Helper::IsIn, &[&b.text, &a.text]);
                let text = format!(
                    "($type({a}) = 'string' ? ($type({b}) = 'string' ? $contains({a}, {b}) : $error('not a string')) \
                     : $type({a}) = 'array' ? {within} : $error('not a list'))",
                    a = a.text,
                    b = b.text
                );
                Code::atom(text).guarded(guards)
            }
        }
    }

    fn starts(&mut self, text: &Expr, part: &Expr) -> Code {
        let mut guards = Vec::new();
        let text = self.text_operand(text, &mut guards).text;
        let part = self.text_operand(part, &mut guards);
        let length = match part.known() {
            Some(known) => known.chars().count().to_string(),
            None => format!("$length({})", part.text),
        };
        let part = part.at_least(code::COMPARE + 1);
        Code::of(
            format!("$substring({text}, 0, {length}) = {part}"),
            code::COMPARE,
            false,
        )
        .guarded(guards)
    }

    fn ends(&mut self, text: &Expr, part: &Expr) -> Code {
        let mut guards = Vec::new();
        let text = self.text_operand(text, &mut guards).text;
        let part = self.text_operand(part, &mut guards);
        match part.known() {
            Some(known) if !known.is_empty() => {
                let length = known.chars().count();
                let text = format!("$substring({text}, -{length}) = {}", literal(known));
                Code::of(text, code::COMPARE, false).guarded(guards)
            }
            // From -0 on is the whole text.
            _ => {
                let (whole, part) = (part.text.clone(), part.at_least(code::COMPARE + 1));
                let text = format!("$substring({text}, -$length({whole})) = {part} or {part} = ''");
                Code::of(text, code::OR, false).guarded(guards)
            }
        }
    }

    fn extreme(&mut self, function: Function, arguments: &[Expr]) -> Code {
        let name = if function == Function::Min { "$min" } else { "$max" };
        let mut guards = Vec::new();
        if let [list] = arguments {
            let list = self.kind(list, "array", |ty| matches!(ty, Type::List(_)), &mut guards);
            return Code::of(format!("{name}({})", list.text), code::PATH, true).guarded(guards);
        }
        let mut bound: f64 = 0.0;
        let items: Vec<String> = arguments
            .iter()
            .map(|argument| {
                let code = self.kind(argument, "number", Type::is_numeric, &mut guards);
                bound = bound.max(code.bound);
                code.text
            })
            .collect();
        Code::atom(format!("{name}([{}])", items.join(", ")))
            .guarded(guards)
            .bounded(bound)
    }

    /// An operand whose type is proved by `known`, or else when it runs.
    fn kind(&mut self, expr: &Expr, name: &str, known: impl Fn(&Type) -> bool, guards: &mut Vec<String>) -> Code {
        if known(&expr.ty) {
            return self.strict(expr, guards);
        }
        let code = self.code(expr);
        let mut code = self.finite(code);
        if !code.repeats() {
            code = self.proved(code);
        }
        guards.append(&mut code.guards);
        code.undefined = false;
        let guard = format!("$type({}) = '{name}'", code.text);
        if !guards.contains(&guard) {
            guards.push(guard);
        }
        code
    }

    fn text_operand(&mut self, expr: &Expr, guards: &mut Vec<String>) -> Code {
        self.kind(expr, "string", |ty| *ty == Type::String, guards)
    }
}
