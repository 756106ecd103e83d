//! `README.md` of the artifacts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::family::{self, Family};
use super::workflow::Workflows;
use super::{monitoring, serving, training};
use crate::expr::Type;
use crate::model::{HandlerAction, Kind, Pipeline, TriggerKind};
use crate::targets::package::environment;

/// What is there, how to deploy it, how to start it.
pub fn text(family: &Family<'_>, workflows: &[Workflows]) -> Result<String, minijinja::Error> {
    let pipeline = family.root;
    let settings = &pipeline.targets.gcp;
    let triggers: Vec<String> = pipeline
        .triggers
        .iter()
        .filter(|trigger| !matches!(trigger.kind, TriggerKind::Http))
        .map(|trigger| match &trigger.kind {
            TriggerKind::ObjectCreated { bucket, prefix, suffix } => {
                format!("an object `{prefix}*{suffix}` written to the bucket `{bucket}`")
            }
            TriggerKind::Topic { topic } => format!("a message on the topic `{}`", family::topic(pipeline, topic)),
            TriggerKind::Http => "a request to the executions of the workflow".to_owned(),
            TriggerKind::Schedule { cron, timezone } => {
                format!("the schedule `{cron}` ({timezone})")
            }
        })
        .collect();
    let (asking, telling) = published_to(family);
    let context = json!({
        "name": pipeline.name,
        "project": settings.project,
        "region": settings.region,
        "functions": family.has_functions(),
        "children": family.members.iter().skip(1).map(|member| &member.pipeline.name).collect::<Vec<_>>(),
        "parts": workflows.iter().any(|workflows| !workflows.parts.is_empty()),
        "topics": asking.iter().map(|topic| family::topic(pipeline, topic)).collect::<Vec<_>>(),
        "notified": telling.iter().map(|topic| family::topic(pipeline, topic)).collect::<Vec<_>>(),
        "secrets": pipeline.secrets,
        "triggers": triggers,
        "http": pipeline.triggers.iter().any(|trigger| matches!(trigger.kind, TriggerKind::Http)),
        "containers": family.has_jobs(),
        "trainings": training::packages(family),
        "endpoints": serving::ids(family),
        "watched": watched(family),
        "endpoints_install": serving::has_pins(family),
        "trains": family.has_trainings(),
        "predictions": family.has_predictions(),
        "pinned": training::pinned(family),
        "lists": pipeline.steps.iter().any(|step| step.for_each.is_some()),
        "bounded": pipeline.steps.iter().any(|step| matches!(step.kind, Kind::Group(_)) && step.timeout.is_some()),
        "example": example_input(pipeline),
    });
    let mut env = environment()?;
    env.add_template("readme", include_str!("../../../targets/gcp/README.md.j2"))?;
    env.get_template("readme")?
        .render(minijinja::Value::from(minijinja::value::Serde(&context)))
}

/// The endpoints that are watched, by the names of the topics that are told.
fn watched(family: &Family<'_>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for monitor in monitoring::monitors(family) {
        let topic = family::topic(family.root, &monitor.alert);
        found.entry(topic).or_default().push(monitor.endpoint.clone());
    }
    found
}

/// The topics with requests for approvals, and those with messages.
pub fn published_to<'a>(family: &Family<'a>) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let (mut asking, mut telling) = (BTreeSet::new(), BTreeSet::new());
    for member in &family.members {
        for step in &member.pipeline.steps {
            match &step.kind {
                Kind::Approval(approval) => asking.insert(approval.topic.as_str()),
                Kind::Notify(notify) => telling.insert(notify.topic.as_str()),
                _ => continue,
            };
        }
        let handler = member.pipeline.on_failure.as_ref().map(|handler| &handler.action);
        if let Some(HandlerAction::Notify(notify)) = handler {
            telling.insert(&notify.topic);
        }
    }
    (asking, telling)
}

/// Params with a value for each that has no default.
fn example_input(pipeline: &Pipeline) -> String {
    let fields: Map<String, Value> = pipeline
        .params
        .iter()
        .filter(|param| param.default.is_none() && !matches!(param.ty, Type::Optional(_)))
        .map(|param| (param.name.clone(), example(&param.ty)))
        .collect();
    Value::Object(fields).to_string()
}

fn example(ty: &Type) -> Value {
    match ty {
        Type::Any | Type::Null | Type::Optional(_) => Value::Null,
        Type::Boolean => json!(true),
        Type::Integer | Type::Number => json!(1),
        Type::String => json!("..."),
        Type::List(item) => json!([example(item)]),
        Type::Object(fields) => fields.iter().map(|(name, ty)| (name.clone(), example(ty))).collect(),
    }
}
