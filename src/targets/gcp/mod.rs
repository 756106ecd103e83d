//! Google Cloud: a Workflows definition, Cloud Run functions, Terraform JSON.

mod calls;
mod frames;
mod functions;
mod helpers;
mod infra;
mod inputs;
mod limits;
mod names;
mod readme;
mod routines;
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
    let mut problems = Problems::new();
    let environment = names::environment(pipeline);
    let unwritable = |detail: String| {
        let mut problems = Problems::new();
        problems.push(limits::GcpProblem::Unwritable { detail });
        problems
    };
    let workflow = workflow::workflow(pipeline, plan, &environment).map_err(|error| unwritable(error.to_string()))?;
    limits::check_sources(pipeline, sources, &mut problems);
    limits::check_workflow(&workflow, &mut problems);
    if problems.has_errors() {
        return Err(problems);
    }
    let mut artifacts = Artifacts::default();
    artifacts.text("workflow.yaml", workflow);
    artifacts.json("main.tf.json", &infra::terraform(pipeline, &environment));
    let written = functions::functions(pipeline, sources, &mut artifacts)
        .and_then(|()| readme::text(pipeline).map(|text| artifacts.text("README.md", text)));
    written.map_err(|error| unwritable(error.to_string()))?;
    Ok(artifacts)
}
