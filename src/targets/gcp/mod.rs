//! Google Cloud: a Workflows definition, Cloud Run functions, Terraform JSON.

mod calls;
mod frames;
mod helpers;
mod inputs;
mod names;
mod steps;
mod workflow;

use super::{Artifacts, Sources};
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::plan::Plan;

/// Quotas that the pipeline alone shows.
pub fn check(_pipeline: &Pipeline) -> Problems {
    Problems::new()
}

/// The artifacts.
pub fn compile(pipeline: &Pipeline, plan: &Plan, _sources: &Sources) -> Result<Artifacts, Problems> {
    let mut artifacts = Artifacts::default();
    let environment = names::environment(pipeline);
    artifacts.text("workflow.yaml", workflow::workflow(pipeline, plan, &environment));
    Ok(artifacts)
}
