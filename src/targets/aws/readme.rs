//! `README.md` of the artifacts.

use serde_json::{Value, json};

use super::infra::{For, Names};
use super::lists;
use super::member::Member;
use super::serving;
use super::training::{self, Work};
use crate::expr::Type;
use crate::model::{HandlerAction, Kind, Pipeline, Runtime, TriggerKind};
use crate::targets::package::environment;

/// What is there, how to deploy it, how to start it.
/// The pipeline is the first; the definitions, by file, tell what starts what.
pub fn text(
    members: &[Member<'_>],
    names: &Names<'_>,
    machines: &[(String, String)],
) -> Result<String, minijinja::Error> {
    let Some(pipeline) = members.first().map(|member| member.pipeline) else {
        return Ok(String::new());
    };
    let secrets: Vec<Value> = names
        .secrets()
        .map(|(_, logical)| json!({ "output": format!("{logical}Arn") }))
        .collect();
    let existing: Vec<&str> = pipeline
        .buckets
        .iter()
        .filter(|bucket| {
            pipeline.triggers.iter().any(
                |trigger| matches!(&trigger.kind, TriggerKind::ObjectCreated { bucket: id, .. } if *id == bucket.id),
            )
        })
        .filter_map(|bucket| bucket.existing.get("aws").map(String::as_str))
        .collect();
    let (mut apart, mut lists) = (Vec::new(), Vec::new());
    for member in members {
        let distributed = lists::distributed(member.pipeline);
        for ix in member.pipeline.indices() {
            let step = member.pipeline.step(ix);
            if step.for_each.is_some() {
                let found = if distributed.contains(&ix) {
                    &mut apart
                } else {
                    &mut lists
                };
                found.push(format!("`{}`", member.qualified(&step.path)));
            }
        }
    }
    let mut endpoints: Vec<&str> = Vec::new();
    for served in names.endpoints() {
        if !endpoints.contains(&served.endpoint.name.as_str()) {
            endpoints.push(&served.endpoint.name);
        }
    }
    let approvals = members.iter().flat_map(|member| &member.pipeline.steps);
    let approvals = approvals.filter(|step| matches!(step.kind, Kind::Approval(_)));
    let notifies = members.iter().any(|member| {
        let handler = member.pipeline.on_failure.iter();
        let mut handler = handler.map(|handler| &handler.action);
        let mut steps = member.pipeline.steps.iter();
        steps.any(|step| matches!(step.kind, Kind::Notify(_)))
            || handler.any(|action| matches!(action, HandlerAction::Notify(_)))
    });
    let has = |of: For| names.inner().iter().any(|inner| inner.of == of);
    let machines: Vec<Value> = names
        .inner()
        .iter()
        .map(|inner| {
            let started = format!("${{{}}}", inner.placeholder());
            let by = machines.iter().find(|(_, definition)| definition.contains(&started));
            let by = by.map(|(file, _)| file);
            let of = match inner.of {
                For::Group => "",
                For::Part => "the part that begins with ",
                For::Pipeline => "the pipeline ",
            };
            json!({ "name": inner.name, "of": of, "file": inner.file, "by": by })
        })
        .collect();
    let context = json!({
        "name": pipeline.name,
        "description": pipeline.description.as_deref().map(str::trim),
        "functions": members.iter().map(|member| member.pipeline.functions().len()).sum::<usize>(),
        "buckets": names.own_buckets().next().is_some(),
        "kept": names.own_buckets().next().is_some() || !names.packages().is_empty() || serving::captures(names.endpoints()),
        "region": pipeline.targets.aws.region,
        "secrets": secrets,
        "existing": existing,
        "machines": machines,
        "groups": has(For::Group),
        "parts": has(For::Part),
        "pipelines": has(For::Pipeline),
        "topics": names.topics().map(|(id, logical)| json!({ "id": id, "output": format!("{logical}Arn") })).collect::<Value>(),
        "messages": names.messages().iter().map(|messages| json!({
            "topic": names.topics().find(|(id, _)| *id == messages.topic).map(|(_, logical)| format!("{logical}Arn")),
            "dead": format!("{}Url", messages.dead),
        })).collect::<Value>(),
        "jobs": names.has_jobs(),
        "packages": names.packages(),
        "alarms": names.has_alarms(),
        "trainings": names.works(Work::Train),
        "predictions": names.works(Work::Predict),
        "endpoints": endpoints,
        "framework_endpoints": names.endpoints().iter().any(|served| matches!(served.endpoint.runtime, Runtime::Framework(..))),
        "captured": serving::captures(names.endpoints()),
        "prefix": training::prefix(&pipeline.name, ""),
        "http": names.has_api(),
        "notifies": notifies,
        "approvals": approvals.count() > 0,
        "lists": lists.join(", "),
        "apart": apart.join(", "),
        "apart_count": apart.len(),
        "lists_count": lists.len(),
        "input": example_input(pipeline),
    });
    let mut env = environment()?;
    env.add_template("readme", include_str!("../../../targets/aws/README.md.j2"))?;
    env.get_template("readme")?
        .render(minijinja::Value::from(minijinja::value::Serde(&context)))
}

/// An input with a value for each param that has no default.
fn example_input(pipeline: &Pipeline) -> String {
    let fields: serde_json::Map<String, Value> = pipeline
        .params
        .iter()
        .filter(|param| param.default.is_none() && !matches!(param.ty, Type::Optional(_)))
        .map(|param| (param.name.clone(), example(&param.ty)))
        .collect();
    Value::Object(fields).to_string().replace('\'', "\\u0027")
}

fn example(ty: &Type) -> Value {
    match ty {
        Type::Any | Type::Null => Value::Null,
        Type::Boolean => Value::Bool(true),
        Type::Integer | Type::Number => json!(1),
        Type::String => json!("…"),
        Type::List(item) => json!([example(item)]),
        Type::Object(fields) => fields.iter().map(|(name, ty)| (name.clone(), example(ty))).collect(),
        Type::Optional(inner) => example(inner),
    }
}
