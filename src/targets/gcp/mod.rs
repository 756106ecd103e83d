//! Google Cloud: a Workflows definition, Cloud Run functions, Terraform JSON.

mod calls;
mod family;
mod frames;
pub mod frameworks;
mod functions;
mod helpers;
mod infra;
mod inputs;
mod jobs;
mod limits;
mod monitoring;
mod names;
mod parts;
mod readme;
mod routines;
mod scopes;
mod serving;
mod slices;
mod steps;
#[cfg(test)]
mod tests;
mod training;
mod workflow;

use std::collections::BTreeSet;

use super::{Artifacts, Sources};
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::plan::Plan;
use family::Family;

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
    let family = Family::new(pipeline, plan);
    let unwritable = |detail: String| {
        let mut problems = Problems::new();
        problems.push(limits::GcpProblem::Unwritable { detail });
        problems
    };
    let mut workflows = Vec::new();
    let mut taken: BTreeSet<String> = family.members.iter().map(|member| member.workflow.clone()).collect();
    for member in &family.members {
        let written =
            workflow::workflows(&family, member, limit, &taken).map_err(|error| unwritable(error.to_string()))?;
        limits::check_sources(member.pipeline, sources, &mut problems);
        let texts: Vec<&str> = written
            .parts
            .iter()
            .map(|part| &part.text)
            .chain([&written.text])
            .map(String::as_str)
            .collect();
        let variables = texts.iter().map(|text| member.environment.read_by(text).len());
        limits::check_environment(variables.max().unwrap_or(0), &mut problems);
        limits::check_workflow(texts.iter().map(|text| text.len()).max().unwrap_or(0), &mut problems);
        taken.extend(written.parts.iter().map(|part| part.name.clone()));
        workflows.push(written);
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let mut artifacts = Artifacts::default();
    if let Some(root) = workflows.first() {
        artifacts.text("workflow.yaml", root.text.as_str());
    }
    artifacts.json("main.tf.json", &infra::terraform(&family, &workflows));
    for (member, workflows) in family.members.iter().zip(&workflows) {
        if !member.folder.is_empty() {
            artifacts.text(infra::workflow_file(member), workflows.text.as_str());
        }
        for part in &workflows.parts {
            artifacts.text(infra::part_file(member, part), part.text.as_str());
        }
    }
    for member in &family.members {
        functions::functions(member.pipeline, sources, &mut artifacts)
            .map_err(|error| unwritable(error.to_string()))?;
    }
    for member in &family.members {
        training::add(member.pipeline, sources, &mut artifacts);
    }
    let readme = readme::text(&family, &workflows).map_err(|error| unwritable(error.to_string()))?;
    artifacts.text("README.md", readme);
    Ok(artifacts)
}
