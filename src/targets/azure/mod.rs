//! The Azure target: a function app with Durable Functions, in an ARM template.
//!
//! `main.json` is the infrastructure, `app/` the code: `mlpipe_pipeline.py` says what the pipeline does, `function_app.py`
//! binds it to triggers and activities, and the modules that are the same in every app run it.

pub mod cron;
pub mod facts;
pub mod frameworks;
pub mod functions;
pub mod infra;
pub mod jobs;
pub mod layout;
pub mod limits;
pub mod monitoring;
pub mod names;
pub mod orchestrator;
pub mod serving;
pub mod steps;
pub mod training;

use minijinja::{Environment, context};

use super::{Artifacts, Sources, package};
use crate::diagnostics::Problems;
use crate::expr::Type;
use crate::model::{Kind, Pipeline, TriggerKind};
use crate::plan::Plan;
use limits::AzureProblem;

pub use limits::check;

/// The artifacts. The plan is not needed: the orchestrator runs the graph itself.
pub fn compile(pipeline: &Pipeline, _plan: &Plan, sources: &Sources) -> Result<Artifacts, Problems> {
    let mut problems = Problems::new();
    let mut artifacts = Artifacts::default();
    let app = functions::app(pipeline);
    let template = infra::template(pipeline, &app.starters, &mut problems);
    artifacts.json("main.json", &template);
    if let Err(error) = write_texts(pipeline, &app, sources, &mut artifacts, &mut problems) {
        problems.push(AzureProblem::Template {
            detail: format!("{error:#}"),
        });
    }
    if problems.has_errors() {
        Err(problems)
    } else {
        Ok(artifacts)
    }
}

fn write_texts(
    pipeline: &Pipeline,
    app: &functions::App<'_>,
    sources: &Sources,
    artifacts: &mut Artifacts,
    problems: &mut Problems,
) -> Result<(), minijinja::Error> {
    artifacts.text("README.md", readme(pipeline, app)?);
    for member in &app.members {
        let text = orchestrator::module(member.pipeline)?;
        artifacts.text(format!("app/{}.py", member.module), text);
    }
    functions::write(pipeline, app, sources, artifacts, problems)?;
    training::add(pipeline, sources, artifacts);
    serving::add(pipeline, artifacts);
    Ok(())
}

fn readme(pipeline: &Pipeline, app: &functions::App<'_>) -> Result<String, minijinja::Error> {
    let required = pipeline
        .params
        .iter()
        .filter(|param| param.default.is_none() && !matches!(param.ty, Type::Optional(_)));
    let example: serde_json::Map<String, serde_json::Value> = required
        .map(|param| (param.name.clone(), infra::example_value(&param.ty)))
        .collect();
    let steps = || app.members.iter().flat_map(|member| &member.pipeline.steps);
    environment()?.get_template("readme")?.render(context! {
        name => &pipeline.name,
        description => pipeline.description.as_deref().map(str::trim),
        orchestrator => names::orchestrator(pipeline),
        location => pipeline.targets.azure.location.as_deref().unwrap_or("westeurope"),
        items => names::items_orchestrator(pipeline),
        delivers_events => infra::delivers_events(pipeline, &app.starters),
        new_objects => app.starters.iter().any(|starter| matches!(starter.trigger.kind, TriggerKind::ObjectCreated { .. })),
        listens => pipeline.triggers.iter().find_map(|trigger| match &trigger.kind {
            TriggerKind::Topic { topic } => Some(topic),
            TriggerKind::ObjectCreated { .. } | TriggerKind::Schedule { .. } | TriggerKind::Http => None,
        }),
        requests => app
            .starters
            .iter()
            .find(|starter| matches!(starter.trigger.kind, TriggerKind::Http))
            .map(|starter| (&starter.name, functions::route(pipeline, starter))),
        for_each => steps().any(|step| step.for_each.is_some()),
        group_timeout => steps().any(|step| step.timeout.is_some() && matches!(step.kind, Kind::Group(_))),
        approvals => steps().any(|step| matches!(step.kind, Kind::Approval(_))),
        trainings => trainings(pipeline),
        endpoints => endpoints(pipeline),
        serves_frameworks => serving::builds(pipeline),
        jobs => steps().any(|step| matches!(step.kind, Kind::Job(_))),
        monitors => steps().any(|step| matches!(step.kind, Kind::Monitor(_))),
        drifts => monitoring::drifts(pipeline),
        children => app.members.len() > 1,
        topics => pipeline.topics.iter().map(|topic| topic.id.clone()).collect::<Vec<_>>(),
        secrets => pipeline.secrets.iter().map(|secret| secret.replace('_', "-")).collect::<Vec<_>>(),
        example => serde_json::Value::Object(example).to_string(),
    })
}

/// The packages of code that jobs of the workspace run, each once.
fn trainings(pipeline: &Pipeline) -> Vec<String> {
    let mut packages: Vec<String> = Vec::new();
    for (_, _, train) in training::all(pipeline) {
        if !packages.contains(&train.package) {
            packages.push(train.package.clone());
        }
    }
    if training::predicts(pipeline) {
        packages.push(training::PREDICTING_PACKAGE.to_owned());
    }
    packages
}

/// The names of endpoints, each once.
fn endpoints(pipeline: &Pipeline) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, _, endpoint) in serving::all(pipeline) {
        if !names.contains(&endpoint.name) {
            names.push(endpoint.name.clone());
        }
    }
    names
}

/// The project's template environment with the templates of this target.
fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = package::environment()?;
    environment.add_template(
        "function_app",
        include_str!("../../../targets/azure/function_app.py.j2"),
    )?;
    environment.add_template("pipeline", include_str!("../../../targets/azure/pipeline.py.j2"))?;
    environment.add_template("readme", include_str!("../../../targets/azure/README.md.j2"))?;
    Ok(environment)
}

#[cfg(test)]
mod tests;
