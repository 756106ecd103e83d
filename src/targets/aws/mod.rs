//! AWS: Step Functions and Lambda, in a SAM template.

pub mod failure;
pub mod functions;
pub mod infra;
pub mod limits;
pub mod lists;
pub mod params;
pub mod readme;
pub mod states;
pub mod triggers;
pub mod variables;
pub mod workflow;

use super::{Artifacts, Sources};
use crate::diagnostics::Problems;
use crate::expr::jsonata::with_placeholders;
use crate::model::Pipeline;
use crate::plan::Plan;
use limits::AwsProblem;

/// The file of the state machine's definition.
pub const DEFINITION: &str = "workflow.asl.json";

/// Quotas that the pipeline alone shows.
pub fn check(pipeline: &Pipeline) -> Problems {
    limits::check(pipeline)
}

/// The artifacts; problems are quotas that only the finished files show.
pub fn compile(pipeline: &Pipeline, plan: &Plan, sources: &Sources) -> Result<Artifacts, Problems> {
    let mut problems = Problems::new();
    let mut artifacts = Artifacts::default();
    let names = infra::Names::new(pipeline);
    let definitions = workflow::definitions(pipeline, plan, &names.placeholders());
    let definition = text(&definitions.main);
    let groups: Vec<(String, String)> = definitions
        .groups
        .iter()
        .map(|(path, definition)| (path.clone(), text(definition)))
        .collect();
    let template = infra::template(pipeline, &names, &definition, &groups);
    let resources = template.resource_count(pipeline.triggers.len());
    match serde_saphyr::to_string(&template) {
        Ok(text) => {
            let definitions = groups.iter().map(|(_, text)| text).chain([&definition]);
            limits::check_files(definitions, &text, resources, &mut problems);
            artifacts.text("template.yaml", text);
        }
        Err(error) => problems.push(AwsProblem::Unwritable {
            detail: error.to_string(),
        }),
    }
    artifacts.text(DEFINITION, definition);
    for (path, definition) in groups {
        artifacts.text(workflow::bounded::file(&path), definition);
    }
    functions::add(pipeline, sources, &mut artifacts, &mut problems);
    match readme::text(pipeline, &names) {
        Ok(text) => artifacts.text("README.md", text),
        Err(error) => problems.push(AwsProblem::Unwritable {
            detail: error.to_string(),
        }),
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(artifacts)
}

/// The file of a definition.
fn text(definition: &states::Definition) -> String {
    // Our own typed values have string keys: they always are JSON.
    let text = serde_json::to_string_pretty(definition).unwrap_or_default();
    format!("{}\n", with_placeholders(&text))
}

#[cfg(test)]
mod tests;
