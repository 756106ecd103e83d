//! How an execution gets its params: from an event, with defaults, checked in file order.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::family;
use super::names::{Environment, Taken};
use super::steps::{Action, Case, Items, Routine, Step, Then, expression};
use super::workflow::CONDITIONS;
use crate::expr::workflows::{Library, Names, Printer, field_path, quote};
use crate::expr::{BinaryOp, Expr, ExprKind, Type, UnaryOp};
use crate::model::{Param, Pipeline, TriggerKind, identifier};
use crate::syntax::span::Span;

/// The type of event that Cloud Storage sends when an object was written.
pub const FINALIZED: &str = "google.cloud.storage.object.v1.finalized";

/// Characters of a list that stands in an expression.
const LISTED: usize = 300;

/// The type of event that a message to a topic is.
pub const PUBLISHED: &str = "google.cloud.pubsub.topic.v1.messagePublished";

/// Turns an event into params, and ends the execution where no trigger is meant.
pub fn trigger_steps(pipeline: &Pipeline, names: &mut Taken) -> Vec<Step> {
    let mut cases = Vec::new();
    let mut comment = "";
    if has_object_trigger(pipeline) {
        comment = "Eventarc cannot filter by prefix: an object that no trigger means ends the execution here.";
        cases.push(event_case(FINALIZED, "object_params(args.data)", "event", names));
    }
    if has_topic_trigger(pipeline) {
        // A message may be without data.
        let text = "text.decode(base64.decode(default(map.get(args, [\"data\", \"message\", \"data\"]), \"\")))";
        let params = format!("message_params(args.source, {text})");
        cases.push(event_case(PUBLISHED, &params, "message", names));
    }
    if cases.is_empty() {
        return Vec::new();
    }
    vec![Step::new(names.name("event"), Action::Switch(cases)).with_comment(comment)]
}

/// What happens where the execution was started by an event of a type.
fn event_case(kind: &str, params: &str, name: &str, names: &mut Taken) -> Case {
    let ignored = Case {
        condition: "args == null".to_owned(),
        then: Then::Return(json!("ignored")),
    };
    Case {
        condition: format!("map.get(args, \"type\") == \"{kind}\""),
        then: Then::Steps(vec![
            Step::new(
                names.name(&format!("{name}_params")),
                Action::Assign(vec![("args".to_owned(), expression(params))]),
            ),
            Step::new(names.name(&format!("{name}_ignored")), Action::Switch(vec![ignored])),
        ]),
    }
}

fn has_object_trigger(pipeline: &Pipeline) -> bool {
    pipeline
        .triggers
        .iter()
        .any(|trigger| matches!(trigger.kind, TriggerKind::ObjectCreated { .. }))
}

fn has_topic_trigger(pipeline: &Pipeline) -> bool {
    pipeline
        .triggers
        .iter()
        .any(|trigger| matches!(trigger.kind, TriggerKind::Topic { .. }))
}

/// The subworkflows that read events.
pub fn trigger_routines(
    pipeline: &Pipeline,
    environment: &Environment,
    names: &Names,
    library: &mut Library,
) -> Vec<Routine> {
    let mut objects = Vec::new();
    let mut messages = Vec::new();
    for trigger in &pipeline.triggers {
        let (cases, condition) = match &trigger.kind {
            TriggerKind::ObjectCreated { bucket, prefix, suffix } => {
                let variable = environment.buckets.get(bucket).map_or("", String::as_str);
                let mut condition = format!("object.bucket == sys.get_env(\"{variable}\")");
                for (helper, text) in [("starts_with", prefix), ("ends_with", suffix)] {
                    if !text.is_empty() {
                        library.helpers.insert(helper);
                        condition.push_str(&format!(" and {helper}(object.name, {})", quote(text)));
                    }
                }
                (&mut objects, condition)
            }
            TriggerKind::Topic { topic } => {
                library.helpers.insert("ends_with");
                let end = format!("/topics/{}", family::topic(pipeline, topic));
                (&mut messages, format!("ends_with(source, {})", quote(&end)))
            }
            TriggerKind::Schedule { .. } | TriggerKind::Http => continue,
        };
        let mut printer = Printer::new(names, library);
        let params: Map<String, Value> = trigger
            .params
            .iter()
            .map(|(name, template)| (name.clone(), printer.template(template, &format!("trigger_{name}"))))
            .collect();
        cases.push(Case {
            condition,
            then: Then::Return(params.into()),
        });
    }
    let routine = |name: &str, comment: &str, params: &[&str], cases: Vec<Case>| {
        let mut steps = switches("by_trigger", cases, &mut Taken::default());
        steps.push(Step::new("none", Action::Return(Value::Null)));
        Routine {
            name: name.to_owned(),
            comment: comment.to_owned(),
            params: params.iter().map(|param| (*param).to_owned()).collect(),
            steps,
        }
    };
    let mut routines = Vec::new();
    if !objects.is_empty() {
        let comment = "The params that a new object stands for; null where no trigger is meant.";
        routines.push(routine("object_params", comment, &["object"], objects));
    }
    if !messages.is_empty() {
        let comment = "The params that a message stands for; null where no trigger is meant.";
        routines.push(routine("message_params", comment, &["source", "message"], messages));
    }
    routines
}

/// `params`: the defaults, and what the execution was given.
pub fn default_steps(pipeline: &Pipeline, names: &Names, library: &mut Library, steps: &mut Taken) -> Vec<Step> {
    if pipeline.params.is_empty() && !reads_params(pipeline) {
        return Vec::new();
    }
    let mut printer = Printer::new(names, library);
    let defaults: Map<String, Value> = pipeline
        .params
        .iter()
        .filter_map(|param| {
            let value = match &param.default {
                Some(value) => printer.constant(value, "default"),
                None if is_optional(param) => Value::Null,
                None => return None,
            };
            Some((param.name.clone(), value))
        })
        .collect();
    let mut assign = vec![("params".to_owned(), Value::Object(defaults))];
    // A pipeline without params takes no notice of what an execution is started with.
    if !pipeline.params.is_empty() {
        assign.push((
            "params".to_owned(),
            expression("map.merge(params, default(args, params))"),
        ));
    }
    vec![Step::new(steps.name("params"), Action::Assign(assign))]
}

fn reads_params(pipeline: &Pipeline) -> bool {
    let mut found = false;
    super::names::each_expr(pipeline, &mut |expr| {
        expr.walk(&mut |part| found |= matches!(part.kind, ExprKind::Param(_)));
    });
    found
}

fn is_optional(param: &Param) -> bool {
    matches!(param.ty, Type::Optional(_) | Type::Null)
}

/// Checks the params in file order, what is unknown last.
pub fn check_steps(pipeline: &Pipeline, names: &Names, library: &mut Library, steps: &mut Taken) -> Vec<Step> {
    if pipeline.params.is_empty() {
        return Vec::new();
    }
    let mut cases = Vec::new();
    for param in &pipeline.params {
        let name = &param.name;
        let mut refuse = |condition: String, what: String| {
            cases.push(Case {
                condition,
                then: Then::Raise(mismatch(json!(format!("param `{name}` {what}")))),
            });
        };
        if param.default.is_none() && !is_optional(param) {
            refuse(format!("not (\"{name}\" in params)"), "is missing".to_owned());
        }
        let place = field_path("params", name);
        if let Some(condition) = differs(&place, &param.ty, library) {
            refuse(condition, format!("must be {}", param.ty));
        }
        let guard = if is_optional(param) {
            format!("{place} != null and ")
        } else {
            String::new()
        };
        if !param.allowed.is_empty() {
            let list: Vec<String> = param.allowed.iter().map(Value::to_string).collect();
            let condition = Printer::new(names, library).condition(&not_in(param), &format!("is_no_{name}"));
            refuse(
                format!("{guard}{condition}"),
                format!("must be one of {}", list.join(", ")),
            );
        }
        if let Some(minimum) = param.minimum {
            refuse(
                format!("{guard}{place} < {}", plain(minimum)),
                format!("must be at least {minimum}"),
            );
        }
        if let Some(maximum) = param.maximum {
            refuse(
                format!("{guard}{place} > {}", plain(maximum)),
                format!("must be at most {maximum}"),
            );
        }
    }
    library.helpers.insert("unknown_param");
    let known: Vec<String> = pipeline.params.iter().map(|param| quote(&param.name)).collect();
    let count = known.len();
    let list = format!("[{}]", known.join(", "));
    let long = list.len() > LISTED;
    let declared = if long { "declared" } else { &list };
    let message = expression(format!(
        "\"param `\" + unknown_param(params, {declared}) + \"` is unknown\""
    ));
    let raise = mismatch(message);
    let then = if long {
        let known = pipeline.params.iter().map(|param| json!(param.name)).collect();
        Then::Steps(vec![
            Step::new(
                steps.name("declared_params"),
                Action::Assign(vec![("declared".to_owned(), known)]),
            ),
            Step::new(steps.name("unknown_param"), Action::Raise(raise)),
        ])
    } else {
        Then::Raise(raise)
    };
    cases.push(Case {
        condition: format!("len(params) > {count}"),
        then,
    });
    switches("check_params", cases, steps)
}

fn mismatch(message: Value) -> Value {
    json!({ "name": "ParamMismatch", "message": message, "step": "params" })
}

/// `switch` steps of 50 entries at most.
fn switches(name: &str, mut cases: Vec<Case>, names: &mut Taken) -> Vec<Step> {
    let mut steps = Vec::new();
    while !cases.is_empty() {
        let rest = cases.split_off(cases.len().min(CONDITIONS));
        steps.push(Step::new(names.name(name), Action::Switch(cases)));
        cases = rest;
    }
    steps
}

fn not_in(param: &Param) -> Expr {
    let expr = |kind, ty| Expr {
        kind,
        ty,
        safe: true,
        span: Span::default(),
    };
    let items = param
        .allowed
        .iter()
        .map(|value| expr(ExprKind::Literal(value.clone()), Type::of_value(value)))
        .collect();
    let list = expr(ExprKind::List(items), Type::List(Box::new(Type::Any)));
    let value = expr(ExprKind::Param(Some(param.name.clone())), Type::Any);
    let within = expr(
        ExprKind::Binary(BinaryOp::In, Box::new(value), Box::new(list)),
        Type::Boolean,
    );
    expr(ExprKind::Unary(UnaryOp::Not, Box::new(within)), Type::Boolean)
}

/// A bound as an expression reads it.
fn plain(value: f64) -> String {
    let text = value.to_string();
    if text.contains('e') {
        format!("double(\"{text}\")")
    } else {
        text
    }
}

/// The condition that the value at `place` is not of a type; None where every value is.
fn differs(place: &str, ty: &Type, library: &mut Library) -> Option<String> {
    Some(match ty {
        Type::Any => return None,
        Type::Null => format!("{place} != null"),
        Type::Boolean => format!("get_type({place}) != \"boolean\""),
        Type::String => format!("get_type({place}) != \"string\""),
        Type::Number => format!("not (get_type({place}) in [\"integer\", \"double\"])"),
        Type::Integer => {
            library.helpers.insert("is_integer");
            format!("not is_integer({place})")
        }
        Type::List(_) | Type::Object(_) => format!("not {}({place})", type_name(ty)),
        Type::Optional(inner) => format!("{place} != null and {}", differs(place, inner, library)?),
    })
}

/// The name of the subworkflow that checks a list or an object.
fn type_name(ty: &Type) -> String {
    fn words(ty: &Type, text: &mut String) {
        match ty {
            Type::List(item) => {
                text.push_str("list_of_");
                words(item, text);
            }
            Type::Object(fields) => {
                text.push_str("map");
                for (name, ty) in fields {
                    text.push('_');
                    text.push_str(&identifier(name));
                    text.push('_');
                    words(ty, text);
                }
            }
            Type::Optional(inner) => {
                text.push_str("optional_");
                words(inner, text);
            }
            other => text.push_str(&other.to_string()),
        }
    }
    let mut text = "is_".to_owned();
    words(ty, &mut text);
    let text: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    super::names::short(&text, 60)
}

/// The subworkflows that check the lists and objects among the params' types.
pub fn type_routines(pipeline: &Pipeline, library: &mut Library) -> Vec<Routine> {
    let mut known = BTreeSet::new();
    let mut routines = Vec::new();
    let mut stack: Vec<&Type> = pipeline.params.iter().rev().map(|param| &param.ty).collect();
    while let Some(ty) = stack.pop() {
        let ty = ty.unwrapped();
        if !matches!(ty, Type::List(_) | Type::Object(_)) || !known.insert(type_name(ty)) {
            continue;
        }
        routines.push(match ty {
            Type::List(item) => {
                stack.push(item);
                list_routine(ty, item, library)
            }
            Type::Object(fields) => {
                stack.extend(fields.values().rev());
                object_routine(ty, fields.iter(), library)
            }
            _ => continue,
        });
    }
    routines
}

fn list_routine(ty: &Type, item: &Type, library: &mut Library) -> Routine {
    let mut steps = vec![no_such("list", ty)];
    if let Some(condition) = differs("item", item, library) {
        let wrong = Step::new("wrong", Action::Assign(vec![("fits".to_owned(), json!(false))]));
        let case = Case {
            condition,
            then: Then::Steps(vec![wrong]),
        };
        steps.push(Step::new(
            "init",
            Action::Assign(vec![("fits".to_owned(), json!(true))]),
        ));
        steps.push(Step::new(
            "each",
            Action::For {
                value: "item".to_owned(),
                items: Items::In(expression("x")),
                steps: vec![Step::new("check", Action::Switch(vec![case]))],
            },
        ));
        steps.push(Step::new("done", Action::Return(expression("fits"))));
    } else {
        steps.push(Step::new("done", Action::Return(json!(true))));
    }
    type_routine(ty, steps)
}

fn object_routine<'a>(
    ty: &Type,
    fields: impl Iterator<Item = (&'a String, &'a Type)>,
    library: &mut Library,
) -> Routine {
    let mut steps = vec![no_such("map", ty)];
    let mut cases = Vec::new();
    let mut refuse = |condition: String| {
        cases.push(Case {
            condition,
            then: Then::Return(json!(false)),
        });
    };
    for (name, ty) in fields {
        let key = Value::from(name.as_str());
        match ty {
            Type::Optional(inner) => {
                if let Some(condition) = differs(&field_path("x", name), inner, library) {
                    refuse(format!("map.get(x, {key}) != null and {condition}"));
                }
            }
            ty => {
                refuse(format!("not ({key} in x)"));
                if let Some(condition) = differs(&field_path("x", name), ty, library) {
                    refuse(condition);
                }
            }
        }
    }
    steps.extend(switches("fields", cases, &mut Taken::default()));
    steps.push(Step::new("done", Action::Return(json!(true))));
    type_routine(ty, steps)
}

fn no_such(kind: &str, _ty: &Type) -> Step {
    let case = Case {
        condition: format!("get_type(x) != \"{kind}\""),
        then: Then::Return(json!(false)),
    };
    Step::new("by_type", Action::Switch(vec![case]))
}

fn type_routine(ty: &Type, steps: Vec<Step>) -> Routine {
    Routine {
        name: type_name(ty),
        comment: format!("True for {ty}."),
        params: vec!["x".to_owned()],
        steps,
    }
}
