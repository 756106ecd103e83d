//! AWS: Step Functions and Lambda, in a SAM template.

pub mod failure;
pub mod functions;
pub mod infra;
pub mod limits;
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
    let definition = workflow::definition(pipeline, plan, &names.placeholders());
    // Our own typed values have string keys: they always are JSON.
    let definition = serde_json::to_string_pretty(&definition).unwrap_or_default();
    let definition = format!("{}\n", with_placeholders(&definition));
    let template = infra::template(pipeline, &names, &definition);
    let resources = template.resource_count(pipeline.triggers.len());
    match serde_saphyr::to_string(&template) {
        Ok(text) => {
            limits::check_files(&definition, &text, resources, &mut problems);
            artifacts.text("template.yaml", text);
        }
        Err(error) => problems.push(AwsProblem::Unwritable {
            detail: error.to_string(),
        }),
    }
    artifacts.text(DEFINITION, definition);
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

#[cfg(test)]
mod tests;
