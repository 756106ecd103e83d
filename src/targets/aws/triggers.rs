//! Triggers: EventBridge rules and schedules, and the params that they start an execution with.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::infra::{Bucketed, Logical, reference};
use crate::expr::ast::{TextPart, TriggerField};
use crate::expr::{BinaryOp, Expr, ExprKind, Template};
use crate::model::{Cron, Trigger, TriggerKind};

/// The `Events` of the state machine.
pub fn events(triggers: &[Trigger], buckets: &[Bucketed<'_>], api: Option<&str>) -> IndexMap<String, Value> {
    let mut names = Logical::default();
    let mut events = IndexMap::new();
    for trigger in triggers {
        match &trigger.kind {
            TriggerKind::ObjectCreated { bucket, prefix, suffix } => {
                let name = names.name(bucket, "ObjectCreated");
                let Some(bucket) = buckets.iter().find(|known| known.bucket.id == *bucket) else {
                    continue;
                };
                let mut detail = json!({ "bucket": { "name": [bucket.name()] } });
                if let Some(filter) = key_filter(prefix, suffix) {
                    detail["object"] = json!({ "key": [filter] });
                }
                let mut properties = json!({
                    "Pattern": {
                        "source": ["aws.s3"],
                        "detail-type": ["Object Created"],
                        "detail": detail,
                    },
                });
                let (text, paths) = input(&trigger.params);
                if paths {
                    properties["InputTransformer"] = json!({
                        "InputPathsMap": {
                            "key": "$.detail.object.key",
                            "bucket": "$.detail.bucket.name",
                        },
                        "InputTemplate": text,
                    });
                } else {
                    properties["Input"] = Value::String(text);
                }
                events.insert(name, json!({ "Type": "EventBridgeRule", "Properties": properties }));
            }
            // A pipe brings its messages.
            TriggerKind::Topic { .. } => {}
            TriggerKind::Http => {
                let name = names.name("", "Http");
                let properties = json!({
                    "RestApiId": reference(api.unwrap_or_default()),
                    "Method": "post",
                    "Path": PATH,
                    // What the template escapes for JavaScript is no JSON where there is a single quote.
                    "UnescapeMappingTemplate": true,
                });
                events.insert(name, json!({ "Type": "Api", "Properties": properties }));
            }
            TriggerKind::Schedule { cron, timezone } => {
                let name = names.name("", "Schedule");
                let (text, _) = input(&trigger.params);
                events.insert(
                    name,
                    json!({
                        "Type": "ScheduleV2",
                        "Properties": {
                            "ScheduleExpression": expression(cron),
                            "ScheduleExpressionTimezone": timezone,
                            "Input": text,
                        },
                    }),
                );
            }
        }
    }
    events
}

/// The stage of the API: the first part of its paths.
pub const STAGE: &str = "v1";
/// Where HTTP requests go.
pub const PATH: &str = "/executions";

/// The API that HTTP requests come to: callers are known by IAM.
pub fn api() -> Value {
    json!({
        "StageName": STAGE,
        // Without it SAM makes a second stage, called Stage.
        "OpenApiVersion": "3.0.1",
        "EndpointConfiguration": { "Type": "REGIONAL" },
        "Auth": { "DefaultAuthorizer": "AWS_IAM" },
    })
}

/// How many resources SAM makes of a trigger, beside those in the template.
pub fn added(kind: &TriggerKind) -> usize {
    match kind {
        // A rule or a schedule, and its role.
        TriggerKind::ObjectCreated { .. } | TriggerKind::Schedule { .. } => 2,
        TriggerKind::Topic { .. } => 0,
        // A deployment, a stage, and the role that starts the state machine.
        TriggerKind::Http => 3,
    }
}

/// A list of filters is an "or": prefix and suffix together are one wildcard (EventBridge User Guide, "Comparison operators").
fn key_filter(prefix: &str, suffix: &str) -> Option<Value> {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('*', "\\*");
    match (prefix, suffix) {
        ("", "") => None,
        (prefix, "") => Some(json!({ "prefix": prefix })),
        ("", suffix) => Some(json!({ "suffix": suffix })),
        (prefix, suffix) => Some(json!({ "wildcard": format!("{}*{}", escaped(prefix), escaped(suffix)) })),
    }
}

/// The params as JSON text, and whether it holds `<key>` or `<bucket>`, which EventBridge replaces.
pub fn input(params: &[(String, Template)]) -> (String, bool) {
    let mut paths = false;
    let fields: Vec<String> = params
        .iter()
        .map(|(name, template)| format!("{}: {}", quoted(name), value(template, &mut paths)))
        .collect();
    (format!("{{{}}}", fields.join(", ")), paths)
}

fn value(template: &Template, paths: &mut bool) -> String {
    match template {
        Template::Constant(value) => angled(&value.to_string()),
        Template::Expr(expr) => of_expr(expr, paths),
        Template::Text(parts) => {
            let inside: String = parts
                .iter()
                .map(|part| match part {
                    TextPart::Literal(text) => inner(text),
                    TextPart::Expr(expr) => unquoted(expr, paths),
                })
                .collect();
            format!("\"{inside}\"")
        }
        Template::List(items) => {
            let items: Vec<String> = items.iter().map(|item| value(item, paths)).collect();
            format!("[{}]", items.join(", "))
        }
        Template::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, item)| format!("{}: {}", quoted(name), value(item, paths)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

fn of_expr(expr: &Expr, paths: &mut bool) -> String {
    match &expr.kind {
        ExprKind::Literal(value) => angled(&value.to_string()),
        // Outside of quotes EventBridge writes the value as JSON, escapes included.
        ExprKind::Trigger(TriggerField::Key) => placeholder("<key>", paths),
        ExprKind::Trigger(TriggerField::Bucket) => placeholder("<bucket>", paths),
        _ => format!("\"{}\"", unquoted(expr, paths)),
    }
}

/// The text of a string expression, to stand inside quotes. Sums are walked in a loop: they are deep on the left.
fn unquoted(expr: &Expr, paths: &mut bool) -> String {
    let mut parts = Vec::new();
    let mut at = expr;
    while let ExprKind::Binary(BinaryOp::Add, left, right) = &at.kind {
        parts.push(&**right);
        at = left;
    }
    parts.push(at);
    parts
        .into_iter()
        .rev()
        .map(|part| match &part.kind {
            ExprKind::Literal(Value::String(text)) => inner(text),
            ExprKind::Literal(other) => other.to_string(),
            ExprKind::Trigger(TriggerField::Key) => placeholder("<key>", paths),
            ExprKind::Trigger(TriggerField::Bucket) => placeholder("<bucket>", paths),
            ExprKind::Trigger(TriggerField::Uri) => placeholder("s3://<bucket>/<key>", paths),
            ExprKind::Binary(BinaryOp::Add, ..) => unquoted(part, paths),
            // The checker lets nothing else into a trigger's params.
            _ => String::new(),
        })
        .collect()
}

fn placeholder(text: &str, paths: &mut bool) -> String {
    *paths = true;
    text.to_owned()
}

fn quoted(text: &str) -> String {
    angled(&Value::from(text).to_string())
}

/// A JSON string without its quotes.
fn inner(text: &str) -> String {
    let quoted = quoted(text);
    quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned()
}

/// `<` begins a placeholder: in JSON text it can be written as its escape.
fn angled(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e")
}

/// EventBridge's six fields: a year at the end, `?` in the day field that says nothing
/// (EventBridge Scheduler User Guide, "Cron-based schedules").
pub fn expression(cron: &Cron) -> String {
    let day_of_week = field(&cron.day_of_week, 0, Some(&DAYS));
    let day_of_month = field(&cron.day_of_month, 1, None);
    let (day_of_month, day_of_week) = if day_of_week == "*" {
        (day_of_month, "?".to_owned())
    } else {
        ("?".to_owned(), day_of_week)
    };
    format!(
        "cron({} {} {day_of_month} {} {day_of_week} *)",
        field(&cron.minute, 0, None),
        field(&cron.hour, 0, None),
        field(&cron.month, 1, Some(&MONTHS)),
    )
}

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

/// Steps over all count from the field's least value; steps over a range are spelled out.
fn field(text: &str, least: usize, names: Option<&[&str]>) -> String {
    let items: Vec<String> = text
        .split(',')
        .map(|item| match item.split_once('/') {
            Some(("*", step)) if names.is_none_or(|names| names.len() == 12) => format!("{least}/{step}"),
            Some((range, step)) => stepped(range, step, least, names).unwrap_or_else(|| item.to_owned()),
            None => wrapped(item, names).unwrap_or_else(|| item.to_owned()),
        })
        .collect();
    items.join(",")
}

fn stepped(range: &str, step: &str, least: usize, names: Option<&[&str]>) -> Option<String> {
    let step: usize = step.parse().ok().filter(|step| *step > 0)?;
    let place = |text: &str| match names {
        Some(names) => names
            .iter()
            .position(|name| *name == text)
            .map(|at| at + least)
            .or_else(|| text.parse().ok()),
        None => text.parse().ok(),
    };
    let count = names.map_or(0, <[&str]>::len);
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (place(first)?, place(last)?),
        None if range == "*" => (least, least + count.checked_sub(1)?),
        None => return None,
    };
    let last = if last < first { last + count } else { last };
    let shown = |at: usize| match names {
        Some(names) if count > 0 => names.get((at - least) % count).map(|name| (*name).to_owned()),
        _ => Some(at.to_string()),
    };
    let items: Option<Vec<String>> = (first..=last).step_by(step).map(shown).collect();
    items.map(|items| items.join(","))
}

/// A range of names that runs over the end of the week or year, spelled out.
fn wrapped(item: &str, names: Option<&[&str]>) -> Option<String> {
    let names = names?;
    let (first, last) = item.split_once('-')?;
    let at = |text: &str| names.iter().position(|name| *name == text);
    let (first, last) = (at(first)?, at(last)?);
    (last < first).then(|| {
        let days: Vec<&str> = names
            .iter()
            .copied()
            .cycle()
            .skip(first)
            .take(last + names.len() - first + 1)
            .collect();
        days.join(",")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(minute: &str, hour: &str, day: &str, month: &str, week: &str) -> String {
        expression(&Cron {
            minute: minute.to_owned(),
            hour: hour.to_owned(),
            day_of_month: day.to_owned(),
            month: month.to_owned(),
            day_of_week: week.to_owned(),
        })
    }

    #[test]
    fn crons_get_a_year_and_one_question_mark() {
        assert_eq!(cron("0", "3", "*", "*", "MON-FRI"), "cron(0 3 ? * MON-FRI *)");
        assert_eq!(
            cron("*/15", "8-18/5", "1,15", "*", "*"),
            "cron(0/15 8,13,18 1,15 * ? *)"
        );
        assert_eq!(
            cron("5", "*", "*", "JAN-MAR", "FRI-MON"),
            "cron(5 * ? JAN-MAR FRI,SAT,SUN,MON *)"
        );
        assert_eq!(cron("0", "0", "*/2", "*/3", "*"), "cron(0 0 1/2 1/3 ? *)");
        assert_eq!(cron("0", "0", "*", "*", "MON-FRI/2"), "cron(0 0 ? * MON,WED,FRI *)");
    }
}
