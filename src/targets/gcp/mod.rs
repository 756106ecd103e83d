//! Google Cloud: a Workflows definition, Cloud Run functions, Terraform JSON.

mod calls;
mod frames;
mod functions;
mod helpers;
mod infra;
mod inputs;
mod limits;
mod names;
mod parts;
mod readme;
mod routines;
mod scopes;
mod slices;
mod steps;
#[cfg(test)]
mod tests;
mod workflow;

use super::{Artifacts, Sources};
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::plan::Plan;

/// Quotas that the pipeline alone shows.
pub fn check(pipeline: &Pipeline) -> Problems {
    limits::check(pipeline)
}

/// The artifacts.
pub fn compile(pipeline: &Pipeline, plan: &Plan, sources: &Sources) -> Result<Artifacts, Problems> {
    compile_within(pipeline, plan, sources, limits::QUOTAS.workflow.source_bytes)
}

/// The artifacts, with workflows of no more than `limit` bytes where that can be done.
fn compile_within(pipeline: &Pipeline, plan: &Plan, sources: &Sources, limit: usize) -> Result<Artifacts, Problems> {
    let mut problems = Problems::new();
    let environment = names::environment(pipeline);
    let unwritable = |detail: String| {
        let mut problems = Problems::new();
        problems.push(limits::GcpProblem::Unwritable { detail });
        problems
    };
    let workflows =
        workflow::workflows(pipeline, plan, &environment, limit).map_err(|error| unwritable(error.to_string()))?;
    limits::check_sources(pipeline, sources, &mut problems);
    let texts = workflows.parts.iter().map(|part| &part.text).chain([&workflows.text]);
    limits::check_workflow(texts.map(String::len).max().unwrap_or(0), &mut problems);
    if problems.has_errors() {
        return Err(problems);
    }
    let mut artifacts = Artifacts::default();
    artifacts.text("workflow.yaml", workflows.text.as_str());
    artifacts.json(
        "main.tf.json",
        &infra::terraform(pipeline, &environment, &workflows.parts),
    );
    for part in workflows.parts {
        artifacts.text(infra::part_file(&part), part.text);
    }
    let written = functions::functions(pipeline, sources, &mut artifacts)
        .and_then(|()| readme::text(pipeline).map(|text| artifacts.text("README.md", text)));
    written.map_err(|error| unwritable(error.to_string()))?;
    Ok(artifacts)
}
