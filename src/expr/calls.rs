//! The types of function calls: one arm a function.

use serde_json::Value;

use super::names;
use super::operators::{conversion, numeric};
use super::parse::{Call, Syntax, SyntaxKind};
use super::pattern;
use super::problems::ExprProblem;
use super::types::Kinds;
use super::typing::Checker;
use super::{Expr, ExprKind, Function, Type};
use crate::syntax::span::Span;

/// Functions whose first argument is a path that may be missing.
pub(super) fn takes_path(function: Function) -> bool {
    matches!(function, Function::Default | Function::Has)
}

/// The function that a call names; None after adding the problem.
pub(super) fn function(checker: &mut Checker, call: &Call) -> Option<Function> {
    if let Some(function) = Function::from_name(&call.name) {
        return Some(function);
    }
    let help = match call.name.as_str() {
        "map" | "filter" | "exists" | "exists_one" | "all" => {
            format!("write it behind a list: `list.{}(x, …)`", call.name)
        }
        "lower" | "toLower" | "lowercase" => "write `lowerAscii(…)`".to_owned(),
        "upper" | "toUpper" | "uppercase" => "write `upperAscii(…)`".to_owned(),
        "len" | "length" | "count" => "write `size(…)`".to_owned(),
        "str" | "toString" | "to_string" => "write `string(…)`".to_owned(),
        "float" | "number" | "toNumber" => "write `double(…)`".to_owned(),
        "integer" | "uint" => "write `int(…)`".to_owned(),
        "get" | "coalesce" | "ifnull" => "write `default(path, value)`".to_owned(),
        name => {
            let known = || Function::ALL.into_iter().map(Function::name);
            names::did_you_mean(name, known()).unwrap_or_else(|| {
                let names: Vec<&str> = known().collect();
                format!("the functions are `{}`", names.join("`, `"))
            })
        }
    };
    checker.problems.push(ExprProblem::UnknownFunction {
        name: call.name.clone(),
        span: call.name_span,
        help: Some(help),
    });
    None
}

/// Checks a call. `receiver` is a method's first argument where the caller has checked it already.
pub(super) fn call(
    checker: &mut Checker,
    function: Function,
    call: &Call,
    receiver: Option<Option<Expr>>,
    span: Span,
) -> Option<Expr> {
    if takes_path(function) {
        return with_path(checker, function, call, span);
    }
    let skip = usize::from(receiver.is_some());
    let mut arguments: Vec<Option<Expr>> = receiver.into_iter().collect();
    arguments.extend(
        call.arguments
            .iter()
            .skip(skip)
            .map(|argument| checker.strict(argument)),
    );
    count(checker, function, call.arguments.len(), span)?;
    let arguments: Vec<Expr> = arguments.into_iter().collect::<Option<_>>()?;
    let (ty, exact) = types(checker, function, &arguments)?;
    for argument in &arguments {
        checker.not_null(argument);
    }
    Some(Expr {
        ty,
        safe: exact && arguments.iter().all(|argument| argument.safe),
        kind: ExprKind::Call(function, arguments),
        span,
    })
}

fn count(checker: &mut Checker, function: Function, found: usize, span: Span) -> Option<()> {
    let arity = function.arity();
    if found >= arity.min && arity.max.is_none_or(|max| found <= max) {
        return Some(());
    }
    let plural = if arity.min == 1 { "" } else { "s" };
    let least = if arity.max.is_none() { "at least " } else { "" };
    checker.problems.push(ExprProblem::ArgumentCount {
        function: function.name(),
        expected: format!("{least}{} argument{plural}", arity.min),
        found,
        usage: usage(function),
        span,
    });
    None
}

fn usage(function: Function) -> &'static str {
    match function {
        Function::Size => "size(value)",
        Function::Contains => "contains(text, part)",
        Function::StartsWith => "startsWith(text, prefix)",
        Function::EndsWith => "endsWith(text, suffix)",
        Function::String => "string(value)",
        Function::Int => "int(value)",
        Function::Double => "double(value)",
        Function::Min => "min(a, b)",
        Function::Max => "max(a, b)",
        Function::Abs => "abs(number)",
        Function::Floor => "floor(number)",
        Function::Ceil => "ceil(number)",
        Function::Join => "join(list, separator)",
        Function::Split => "split(text, separator)",
        Function::Keys => "keys(object)",
        Function::Matches => "matches(text, 'pattern')",
        Function::LowerAscii => "lowerAscii(text)",
        Function::UpperAscii => "upperAscii(text)",
        Function::Bool => "bool(value)",
        Function::Sum => "sum(list)",
        Function::Round => "round(number)",
        Function::Range => "range(from, to)",
        Function::Values => "values(object)",
        Function::Merge => "merge(a, b)",
        Function::Json => "json(value)",
        Function::ParseJson => "parse_json(text)",
        Function::Base64 => "base64(text)",
        Function::Timestamp => "timestamp(text)",
        Function::Duration => "duration('90s')",
        Function::Default => "default(path, value)",
        Function::Has => "has(path)",
    }
}

fn with_path(checker: &mut Checker, function: Function, call: &Call, span: Span) -> Option<Expr> {
    let path = call
        .arguments
        .first()
        .map(|path| (path, path_expr(checker, function, path)));
    let rest: Vec<Option<Expr>> = call
        .arguments
        .iter()
        .skip(1)
        .map(|argument| checker.strict(argument))
        .collect();
    count(checker, function, call.arguments.len(), span)?;
    let path = path.and_then(|(_, path)| path)?;
    let pure = is_pure(&path);
    let mut arguments = vec![path];
    arguments.extend(rest.into_iter().collect::<Option<Vec<Expr>>>()?);
    let (ty, safe) = match arguments.as_slice() {
        [path, fallback] => {
            let ty = match path.ty.unwrapped() {
                Type::Null => fallback.ty.clone(),
                ty => ty.join(&fallback.ty),
            };
            (ty, pure && fallback.safe)
        }
        _ => (Type::Boolean, pure),
    };
    Some(Expr {
        ty,
        safe,
        kind: ExprKind::Call(function, arguments),
        span,
    })
}

fn path_expr(checker: &mut Checker, function: Function, path: &Syntax) -> Option<Expr> {
    let mut at = path;
    loop {
        at = match &at.kind {
            SyntaxKind::Select(base, _, _) | SyntaxKind::Index(base, _) => base,
            SyntaxKind::Name(_) => break,
            _ => {
                let problem = names::dashed(at).unwrap_or(ExprProblem::NotAPath {
                    function: function.name(),
                    span: path.span,
                });
                checker.problems.push(problem);
                return None;
            }
        };
    }
    let lenient = std::mem::replace(&mut checker.lenient, true);
    let expr = checker.expr(path);
    checker.lenient = lenient;
    expr
}

/// A path whose indices are constants.
fn is_pure(path: &Expr) -> bool {
    let mut at = path;
    loop {
        at = match &at.kind {
            ExprKind::Field(base, _) => base,
            ExprKind::Index(base, index) if matches!(index.kind, ExprKind::Literal(_)) => base,
            ExprKind::Index(..) => return false,
            _ => return true,
        };
    }
}

/// The type of a call, and whether the arguments' types prove that it cannot fail.
fn types(checker: &mut Checker, function: Function, arguments: &[Expr]) -> Option<(Type, bool)> {
    let mut given = Arguments { checker, function };
    let (first, second) = (arguments.first()?, arguments.get(1));
    match function {
        Function::Size => {
            let kinds = Kinds::STRING.or(Kinds::LIST).or(Kinds::OBJECT);
            let exact = given.takes(first, kinds, "a string, a list or an object")?;
            Some((Type::Integer, exact))
        }
        Function::Contains => {
            let second = second?;
            let exact = given.takes(first, Kinds::STRING.or(Kinds::LIST), "a string or a list first")?;
            let kinds = first.ty.kinds();
            if !kinds.meets(Kinds::LIST) {
                let text = given.takes(second, Kinds::STRING, "two strings")?;
                return Some((Type::Boolean, exact && text));
            }
            if !kinds.meets(Kinds::STRING) {
                checker.comparable(first, &first.ty.item(), second, &second.ty)?;
            }
            Some((Type::Boolean, kinds == Kinds::LIST))
        }
        Function::StartsWith | Function::EndsWith => {
            let exact = given.takes(first, Kinds::STRING, "two strings")?;
            let also = given.takes(second?, Kinds::STRING, "two strings")?;
            Some((Type::Boolean, exact && also))
        }
        Function::String => {
            let exact = given.takes(first, Kinds::SCALAR, "a string, a number or a boolean")?;
            Some((Type::String, exact))
        }
        Function::Int => {
            given.takes(first, Kinds::NUMBER.or(Kinds::STRING), "a number or a string")?;
            Some((Type::Integer, first.ty == Type::Integer))
        }
        Function::Double => {
            given.takes(first, Kinds::NUMBER.or(Kinds::STRING), "a number or a string")?;
            Some((Type::Number, first.ty.is_numeric()))
        }
        Function::Min | Function::Max => given.extreme(first, arguments),
        Function::Abs => {
            let exact = given.takes(first, Kinds::NUMBER, "a number")?;
            Some((numeric(&[&first.ty]), exact))
        }
        Function::Floor | Function::Ceil => {
            let exact = given.takes(first, Kinds::NUMBER, "a number")?;
            Some((Type::Integer, exact))
        }
        Function::Join => {
            let list = given.takes(first, Kinds::LIST, "a list of strings and a separator")?;
            let items = first.ty.item();
            if list && !items.kinds().meets(Kinds::STRING) {
                return given.refuse(first, "a list of strings and a separator", None);
            }
            let separator = given.takes(second?, Kinds::STRING, "a list of strings and a separator")?;
            let exact = list && separator && (items == Type::String || is_empty(first));
            Some((Type::String, exact))
        }
        Function::Split => {
            let second = second?;
            let text = given.takes(first, Kinds::STRING, "a string and a separator")?;
            given.takes(second, Kinds::STRING, "a string and a separator")?;
            let separator = match &second.kind {
                ExprKind::Literal(Value::String(text)) => Some(text.as_str()),
                _ => None,
            };
            if separator == Some("") {
                checker.problems.push(ExprProblem::AlwaysFails {
                    what: "empty separator",
                    help: Some("write what stands between the parts, as in `split(text, ',')`".to_owned()),
                    span: second.span,
                });
                return None;
            }
            Some((Type::List(Box::new(Type::String)), text && separator.is_some()))
        }
        Function::Keys => {
            let exact = given.takes(first, Kinds::OBJECT, "an object")?;
            Some((Type::List(Box::new(Type::String)), exact))
        }
        Function::Matches => {
            let second = second?;
            let exact = given.takes(first, Kinds::STRING, "a string and a pattern")?;
            given.takes(second, Kinds::STRING, "a string and a pattern")?;
            let ExprKind::Literal(Value::String(pattern)) = &second.kind else {
                let what = "it must be written out, so that all engines can be asked";
                return given.pattern(second, what.to_owned(), "write a literal: `matches(text, '^v[0-9]+$')`");
            };
            match pattern::compile(pattern) {
                Ok(_) => Some((Type::Boolean, exact)),
                Err(refused) => given.pattern(second, refused.what, refused.help),
            }
        }
        Function::LowerAscii | Function::UpperAscii | Function::Base64 => {
            let exact = given.takes(first, Kinds::STRING, "a string")?;
            Some((Type::String, exact))
        }
        Function::Bool => {
            given.takes(first, Kinds::BOOLEAN.or(Kinds::STRING), "a boolean or a string")?;
            Some((Type::Boolean, first.ty == Type::Boolean))
        }
        Function::Sum => {
            given.takes(first, Kinds::LIST, "a list of numbers")?;
            let item = first.ty.item();
            if !is_empty(first) && !item.kinds().meets(Kinds::NUMBER) {
                return given.refuse(first, "a list of numbers", None);
            }
            Some((Type::Number, is_empty(first)))
        }
        Function::Round => {
            let exact = given.takes(first, Kinds::NUMBER, "a number")?;
            Some((Type::Integer, exact))
        }
        Function::Range => {
            for argument in arguments {
                given.takes(argument, Kinds::NUMBER, "integers")?;
            }
            Some((Type::List(Box::new(Type::Integer)), false))
        }
        Function::Values => {
            let exact = given.takes(first, Kinds::OBJECT, "an object")?;
            // An object may have more fields than its type says.
            Some((Type::List(Box::new(Type::Any)), exact))
        }
        Function::Merge => {
            let second = second?;
            let exact = given.takes(first, Kinds::OBJECT, "two objects")?;
            let also = given.takes(second, Kinds::OBJECT, "two objects")?;
            let ty = match (&first.ty, &second.ty) {
                (Type::Object(a), Type::Object(b)) => {
                    let mut fields = a.clone();
                    for (name, ty) in b {
                        let ty = match (a.get(name), ty) {
                            // A field that may be missing leaves the first one's there.
                            (Some(before), Type::Optional(_)) => before.join(ty),
                            _ => ty.clone(),
                        };
                        fields.insert(name.clone(), ty);
                    }
                    // A field that only the first one's type names may be any other in the second.
                    fields.retain(|name, _| b.contains_key(name) || matches!(second.kind, ExprKind::Object(_)));
                    Type::Object(fields)
                }
                _ => Type::Any,
            };
            Some((ty, exact && also))
        }
        Function::Json => Some((Type::String, true)),
        Function::ParseJson => {
            given.takes(first, Kinds::STRING, "a string")?;
            Some((Type::Any, false))
        }
        Function::Timestamp => {
            given.takes(first, Kinds::STRING, "a string")?;
            Some((Type::Number, false))
        }
        Function::Duration => {
            given.takes(first, Kinds::STRING, "a string")?;
            let known = match &first.kind {
                ExprKind::Literal(Value::String(text)) => Some(super::eval::seconds(text).is_some()),
                _ => None,
            };
            if known == Some(false) {
                checker.problems.push(ExprProblem::AlwaysFails {
                    what: "not a duration",
                    help: Some("write a whole number and a unit: `30s`, `10m`, `2h`, `90d`".to_owned()),
                    span: first.span,
                });
                return None;
            }
            Some((Type::Integer, known == Some(true)))
        }
        // `with_path` types these.
        Function::Default | Function::Has => None,
    }
}

fn is_empty(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::List(items) if items.is_empty())
}

/// The arguments of one call under check.
struct Arguments<'c, 'a> {
    checker: &'c mut Checker<'a>,
    function: Function,
}

impl Arguments<'_, '_> {
    /// Refuses an argument of none of the kinds; true where its type is within them.
    fn takes(&mut self, argument: &Expr, kinds: Kinds, expected: &'static str) -> Option<bool> {
        if argument.ty.kinds().meets(kinds) {
            return Some(argument.ty.kinds().within(kinds));
        }
        self.refuse(argument, expected, conversion(&argument.ty, kinds))
    }

    fn refuse<T>(&mut self, argument: &Expr, expected: &'static str, help: Option<String>) -> Option<T> {
        self.checker.problems.push(ExprProblem::ArgumentType {
            function: self.function.name(),
            expected,
            found: argument.ty.clone(),
            span: argument.span,
            help,
        });
        None
    }

    fn pattern<T>(&mut self, argument: &Expr, what: String, help: &'static str) -> Option<T> {
        self.checker.problems.push(ExprProblem::Pattern {
            what,
            span: argument.span,
            help,
        });
        None
    }

    /// `min` and `max`.
    fn extreme(&mut self, first: &Expr, arguments: &[Expr]) -> Option<(Type, bool)> {
        const EXPECTED: &str = "two or more numbers, or one list of numbers";
        if arguments.len() > 1 {
            let mut exact = true;
            for argument in arguments {
                exact &= self.takes(argument, Kinds::NUMBER, EXPECTED)?;
            }
            let types: Vec<&Type> = arguments.iter().map(|argument| &argument.ty).collect();
            return Some((numeric(&types), exact));
        }
        self.takes(first, Kinds::LIST, EXPECTED)?;
        if is_empty(first) {
            self.checker.problems.push(ExprProblem::AlwaysFails {
                what: "an empty list has no least and no greatest",
                help: None,
                span: first.span,
            });
            return None;
        }
        let item = first.ty.item();
        if !item.kinds().meets(Kinds::NUMBER) {
            return self.refuse(first, EXPECTED, None);
        }
        let exact = matches!(first.kind, ExprKind::List(_)) && item.is_numeric();
        Some((numeric(&[&item]), exact))
    }
}
