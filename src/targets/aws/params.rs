//! The state `Params`: checks the execution's input, and merges defaults into it.

use indexmap::IndexMap;
use serde_json::Value;

use super::failure::{FAILED, known};
use super::states::{Choice, Rule, State};
use crate::expr::Type;
use crate::expr::jsonata::{braced, constant_code, field_path, string_literal};
use crate::model::Param;

/// The state's name.
pub const PARAMS: &str = "Params";

const INPUT: &str = "$states.input";

/// A rule for each way in which a param may be wrong, in file order; no condition can fail, because nothing could catch it.
/// With `keep`, the params of an execution that fails here are kept for the handler, as given.
pub fn state(params: &[Param], keep: bool, next: &str) -> State {
    let mut rules = vec![rule(
        format!("$type({INPUT}) != 'object'"),
        Value::from("params must be an object"),
    )];
    for param in params {
        rules.extend(of_param(param));
    }
    let names: Vec<String> = params.iter().map(|param| string_literal(&param.name)).collect();
    let unknown = format!(
        "$filter($keys({INPUT}), function($name) {{ $not($name in [{}]) }})",
        names.join(", ")
    );
    rules.push(rule(
        format!("$exists({unknown})"),
        Value::String(braced(&format!("'param `' & ({unknown})[0] & '` is unknown'"))),
    ));
    if keep {
        for rule in &mut rules {
            rule.assign.insert("params".to_owned(), Value::String(braced(INPUT)));
        }
    }
    State::Choice(Choice {
        comment: Some("The execution's input: each param of its type, defaults for the rest".to_owned()),
        choices: rules,
        assign: IndexMap::from([("params".to_owned(), Value::String(braced(&merged(params))))]),
        default: next.to_owned(),
        ..Choice::default()
    })
}

fn rule(condition: String, message: Value) -> Rule {
    Rule {
        condition: braced(&condition),
        output: Some(known(Value::from("ParamMismatch"), message, "params")),
        next: FAILED.to_owned(),
        ..Rule::default()
    }
}

fn of_param(param: &Param) -> Vec<Rule> {
    let mut rules = Vec::new();
    let place = field_path(INPUT, &param.name);
    let name = &param.name;
    let message = |text: String| crate::expr::jsonata::constant(&Value::String(text));
    let optional = matches!(param.ty, Type::Optional(_));
    if param.default.is_none() && !optional {
        rules.push(rule(
            format!("$not($exists({place}))"),
            message(format!("param `{name}` is missing")),
        ));
    }
    if let Some(wrong) = wrong(&param.ty, &place) {
        rules.push(rule(wrong, message(format!("param `{name}` must be {}", param.ty))));
    }
    if !param.allowed.is_empty() {
        let allowed: Vec<String> = param.allowed.iter().map(constant_code).collect();
        let shown: Vec<String> = param.allowed.iter().map(Value::to_string).collect();
        rules.push(rule(
            format!(
                "{place} != null and $count($filter([{}], function($value) {{ $value = {place} }})) = 0",
                allowed.join(", ")
            ),
            message(format!("param `{name}` must be one of {}", shown.join(", "))),
        ));
    }
    let bounds = [(param.minimum, "<", "at least"), (param.maximum, ">", "at most")];
    for (bound, sign, words) in bounds {
        if let Some(bound) = bound {
            rules.push(rule(
                format!("$type({place}) = 'number' and {place} {sign} {bound}"),
                message(format!("param `{name}` must be {words} {bound}")),
            ));
        }
    }
    rules
}

/// True where a given value is not of the type; false where none is given. None: every value is.
fn wrong(ty: &Type, place: &str) -> Option<String> {
    Some(match ty {
        Type::Any => return None,
        // A comparison with what is not there is false.
        Type::Boolean | Type::Number | Type::String => format!("$type({place}) != '{ty}'"),
        Type::Optional(inner) if matches!(**inner, Type::Boolean | Type::Number | Type::String) => {
            format!("{place} != null and $type({place}) != '{inner}'")
        }
        Type::Optional(inner) => format!("{place} != null and $not({})", right(inner, place, 1)?),
        _ => format!("$exists({place}) and $not({})", right(ty, place, 1)?),
    })
}

/// True where the value is there and of the type. None: whatever is there is.
fn right(ty: &Type, place: &str, level: usize) -> Option<String> {
    let all = |conditions: Vec<String>| conditions.join(" and ");
    Some(match ty {
        Type::Any => return None,
        Type::Null => format!("{place} = null"),
        Type::Boolean | Type::Number | Type::String => format!("$type({place}) = '{ty}'"),
        Type::Integer => {
            format!("$type({place}) = 'number' and $floor({place}) = {place}")
        }
        Type::List(item) => {
            let variable = format!("$item{level}");
            let mut conditions = vec![format!("$type({place}) = 'array'")];
            if let Some(condition) = right(item, &variable, level + 1) {
                conditions.push(format!(
                    "$count($filter({place}, function({variable}) {{ $not({condition}) }})) = 0"
                ));
            }
            all(conditions)
        }
        Type::Object(fields) => {
            let mut conditions = vec![format!("$type({place}) = 'object'")];
            for (name, ty) in fields {
                let field = field_path(place, name);
                match (ty, right(ty, &field, level)) {
                    (Type::Optional(_), Some(condition)) => {
                        conditions.push(format!("($not($exists({field})) or {condition})"));
                    }
                    (Type::Optional(_), None) => {}
                    (_, Some(condition)) => conditions.push(condition),
                    (_, None) => conditions.push(format!("$exists({field})")),
                }
            }
            all(conditions)
        }
        Type::Optional(inner) => {
            let inner = right(inner, place, level)?;
            format!("({place} = null or {inner})")
        }
    })
}

fn merged(params: &[Param]) -> String {
    let defaults: Vec<String> = params
        .iter()
        .filter_map(|param| {
            let value = match (&param.default, &param.ty) {
                (Some(value), _) => constant_code(value),
                (None, Type::Optional(_)) => "null".to_owned(),
                (None, _) => return None,
            };
            Some(format!("{}: {value}", string_literal(&param.name)))
        })
        .collect();
    if defaults.is_empty() {
        INPUT.to_owned()
    } else {
        format!("$merge([{{{}}}, {INPUT}])", defaults.join(", "))
    }
}
