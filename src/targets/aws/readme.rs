//! `README.md` of the artifacts.

use serde_json::{Value, json};

use super::infra::Names;
use super::lists;
use crate::expr::Type;
use crate::model::{Pipeline, StepIx, TriggerKind};
use crate::targets::package::environment;

/// What is there, how to deploy it, how to start it.
/// The definitions, by file, tell what starts what.
pub fn text(pipeline: &Pipeline, names: &Names<'_>, machines: &[(String, String)]) -> Result<String, minijinja::Error> {
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
    let distributed = lists::distributed(pipeline);
    let (apart, lists): (Vec<StepIx>, Vec<StepIx>) = pipeline
        .indices()
        .filter(|ix| pipeline.step(*ix).for_each.is_some())
        .partition(|ix| distributed.contains(ix));
    let named = |list: &[StepIx]| -> String {
        let names: Vec<String> = list.iter().map(|ix| format!("`{}`", pipeline.step(*ix).path)).collect();
        names.join(", ")
    };
    let machines: Vec<Value> = names
        .inner()
        .iter()
        .map(|inner| {
            let started = format!("${{{}}}", inner.placeholder());
            let by = machines.iter().find(|(_, definition)| definition.contains(&started));
            let by = by.map(|(file, _)| file);
            json!({ "step": inner.step, "is_part": inner.is_part, "file": inner.file, "by": by })
        })
        .collect();
    let context = json!({
        "name": pipeline.name,
        "description": pipeline.description.as_deref().map(str::trim),
        "functions": pipeline.functions().len(),
        "buckets": names.own_buckets().next().is_some(),
        "kept": names.own_buckets().next().is_some(),
        "region": pipeline.targets.aws.region,
        "secrets": secrets,
        "existing": existing,
        "machines": machines,
        "groups": names.inner().iter().any(|inner| !inner.is_part),
        "parts": names.inner().iter().any(|inner| inner.is_part),
        "lists": named(&lists),
        "apart": named(&apart),
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
