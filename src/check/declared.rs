//! Types and params as declared: `integer`, `[string]`, `{ rows: integer }`, `{ type, default, … }`.

use indexmap::IndexMap;

use super::problems::CheckProblem;
use crate::diagnostics::Problems;
use crate::expr::Type;
use crate::expr::matches;
use crate::model::Param;
use crate::syntax::scalars::Spanned;
use crate::syntax::{Node, NodeValue, suggest};

const SCALARS: [(&str, Type); 5] = [
    ("string", Type::String),
    ("number", Type::Number),
    ("integer", Type::Integer),
    ("boolean", Type::Boolean),
    ("any", Type::Any),
];

const LONG_FORM: [&str; 6] = ["type", "default", "description", "enum", "minimum", "maximum"];

/// The type that a node spells; [`Type::Any`] where it spells none, with a problem.
pub fn read_type(node: &Node, problems: &mut Problems) -> Type {
    match &node.value {
        NodeValue::String(text) => read_name(text.trim(), node, problems),
        NodeValue::List(items) => match items.as_slice() {
            [item] => Type::List(Box::new(read_type(item, problems))),
            _ => unknown(
                &node.to_json().to_string(),
                node,
                problems,
                "write the one type of its items: `[string]`",
            ),
        },
        NodeValue::Map(entries) => Type::Object(
            entries
                .iter()
                .map(|(key, value)| (key.text.clone(), read_type(value, problems)))
                .collect(),
        ),
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => {
            let shown = node.to_json().to_string();
            unknown(
                &shown,
                node,
                problems,
                "types: `string`, `number`, `integer`, `boolean`, `any`, `[T]`, `{ field: T }`",
            )
        }
    }
}

fn read_name(name: &str, node: &Node, problems: &mut Problems) -> Type {
    if let Some(inner) = name.strip_prefix("optional ") {
        return read_name(inner.trim(), node, problems).optional();
    }
    if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Type::List(Box::new(read_name(inner.trim(), node, problems)));
    }
    match SCALARS.iter().find(|(scalar, _)| *scalar == name) {
        Some((_, ty)) => ty.clone(),
        None => {
            let help = type_help(name);
            unknown(name, node, problems, &help)
        }
    }
}

/// What other languages call a type, and near misses.
fn type_help(name: &str) -> String {
    let own = match name {
        "int" | "long" => "integer",
        "float" | "double" => "number",
        "str" | "text" => "string",
        "bool" => "boolean",
        "list" | "array" => "[any]",
        "object" | "dict" | "map" => "{ field: type }",
        _ => return suggest::help(name, SCALARS.iter().map(|(scalar, _)| *scalar), "types"),
    };
    format!("write `{own}`")
}

fn unknown(name: &str, node: &Node, problems: &mut Problems, help: &str) -> Type {
    problems.push(CheckProblem::UnknownType {
        name: name.to_owned(),
        span: node.span,
        help: help.to_owned(),
    });
    Type::Any
}

/// The params of the file.
pub fn read_params(
    params: &IndexMap<Spanned<String>, crate::syntax::document::ParamNode>,
    problems: &mut Problems,
) -> Vec<Param> {
    params
        .iter()
        .map(|(name, node)| read_param(name, &node.0, problems))
        .collect()
}

fn read_param(name: &Spanned<String>, node: &Node, problems: &mut Problems) -> Param {
    let mut param = Param {
        name: name.value.clone(),
        ty: Type::Any,
        default: None,
        description: None,
        allowed: Vec::new(),
        minimum: None,
        maximum: None,
    };
    let NodeValue::Map(entries) = &node.value else {
        param.ty = read_type(node, problems);
        return param;
    };
    let Some(ty) = node.get("type") else {
        param.ty = read_type(node, problems);
        return param;
    };
    param.ty = read_type(ty, problems);
    let mut bad = |detail: String, at: &Node, help: &str| {
        problems.push(CheckProblem::BadParam {
            param: name.value.clone(),
            detail,
            span: at.span,
            help: help.to_owned(),
        });
    };
    for (key, value) in entries {
        match (key.text.as_str(), &value.value) {
            ("type", _) => {}
            ("description", NodeValue::String(text)) => param.description = Some(text.clone()),
            ("default", _) => match matches(&value.to_json(), &param.ty, "default") {
                Ok(()) => param.default = Some(value.to_json()),
                Err(mismatch) => bad(mismatch.to_string(), value, "give a default of the param's type"),
            },
            ("enum", NodeValue::List(items)) => {
                for item in items {
                    if let Err(mismatch) = matches(&item.to_json(), &param.ty, "enum") {
                        bad(mismatch.to_string(), item, "list values of the param's type");
                    }
                }
                param.allowed = items.iter().map(Node::to_json).collect();
            }
            ("minimum" | "maximum", NodeValue::Number(number)) => {
                if !param.ty.unwrapped().is_numeric() {
                    bad(
                        format!("`{}` needs a number type, this is {}", key.text, param.ty),
                        value,
                        "remove it, or change the type",
                    );
                }
                let bound = number.as_f64();
                if key.text == "minimum" {
                    param.minimum = bound
                } else {
                    param.maximum = bound
                }
            }
            (known, _) if LONG_FORM.contains(&known) => bad(
                format!("`{known}` cannot be {}", value.kind()),
                value,
                "see `mlpipe schema`",
            ),
            (other, _) => {
                let help = suggest::help(other, LONG_FORM, "keys of a param");
                bad(
                    format!("unknown key `{other}`"),
                    &Node {
                        span: key.span,
                        value: NodeValue::Null,
                    },
                    &help,
                );
            }
        }
    }
    if let Some(default) = &param.default {
        let number = default.as_f64();
        let low = number.zip(param.minimum).is_some_and(|(n, minimum)| n < minimum);
        let high = number.zip(param.maximum).is_some_and(|(n, maximum)| n > maximum);
        let other = !param.allowed.is_empty() && !param.allowed.iter().any(|value| crate::expr::equal(value, default));
        if low || high || other {
            let at = node.get("default").unwrap_or(node);
            problems.push(CheckProblem::BadParam {
                param: name.value.clone(),
                detail: "the default is not one of the values that the param takes".to_owned(),
                span: at.span,
                help: "change the default, or `enum`, `minimum`, `maximum`".to_owned(),
            });
        }
    }
    param
}
