//! AWS: Step Functions and Lambda, in a SAM template.

pub mod failure;
pub mod functions;
pub mod infra;
pub mod layout;
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
use layout::Layout;
use limits::AwsProblem;
use workflow::Definitions;

/// The file of the state machine's definition.
pub const DEFINITION: &str = "workflow.asl.json";

/// Quotas that the pipeline alone shows.
pub fn check(pipeline: &Pipeline) -> Problems {
    limits::check(pipeline)
}

/// The artifacts; problems are quotas that only the finished files show.
pub fn compile(pipeline: &Pipeline, plan: &Plan, sources: &Sources) -> Result<Artifacts, Problems> {
    compile_within(pipeline, plan, sources, limits::QUOTAS.step_functions.definition_bytes)
}

/// Like [`compile()`], with another bound of a definition's bytes.
pub fn compile_within(pipeline: &Pipeline, plan: &Plan, sources: &Sources, most: usize) -> Result<Artifacts, Problems> {
    let mut problems = Problems::new();
    let mut artifacts = Artifacts::default();
    let (layout, machines) = machines(pipeline, plan, most);
    let names = infra::Names::new(pipeline, &layout);
    let template = infra::template(pipeline, &names, &machines);
    let resources = template.resource_count(pipeline.triggers.len());
    match serde_saphyr::to_string(&template) {
        Ok(text) => {
            let definitions = machines.iter().map(|(_, text)| text.as_str());
            limits::check_files(definitions, most, &text, resources, &mut problems);
            artifacts.text("template.yaml", text);
        }
        Err(error) => problems.push(AwsProblem::Unwritable {
            detail: error.to_string(),
        }),
    }
    for (file, definition) in &machines {
        artifacts.text(file.as_str(), definition.as_str());
    }
    functions::add(pipeline, sources, &mut artifacts, &mut problems);
    match readme::text(pipeline, &names, &machines) {
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

/// How often a split is tried, each time with less in a definition: weights leave indentation out.
const ROUNDS: u32 = 6;

/// The definitions by file, the pipeline's first, none larger than `most` as far as that can be.
fn machines(pipeline: &Pipeline, plan: &Plan, most: usize) -> (Layout, Vec<(String, String)>) {
    let written = |layout: &Layout, weigh: bool| {
        let names = infra::Names::new(pipeline, layout);
        workflow::definitions(pipeline, plan, layout, &names.placeholders(), weigh)
    };
    let texts = |definitions: &Definitions| -> Vec<(String, String)> {
        let main = (DEFINITION.to_owned(), text(&definitions.main));
        let inner = definitions.inner.iter();
        let inner = inner.map(|(file, definition)| (file.clone(), text(definition)));
        std::iter::once(main).chain(inner).collect()
    };
    let fit = |machines: &[(String, String)]| {
        let mut all = machines.iter();
        all.all(|(_, definition)| workflow::deployed_bytes(definition) <= most)
    };
    let whole = Layout::whole(plan);
    let mut found = texts(&written(&whole, false));
    if fit(&found) {
        return (whole, found);
    }
    let weights = written(&whole, true).weights;
    let mut layout = whole.clone();
    let mut room = most / 5 * 4;
    for _ in 0..ROUNDS {
        layout = layout::split(pipeline, &whole, &weights, room);
        found = texts(&written(&layout, false));
        if fit(&found) {
            break;
        }
        room = room / 4 * 3;
    }
    (layout, found)
}

/// The file of a definition.
fn text(definition: &states::Definition) -> String {
    // Our own typed values have string keys: they always are JSON.
    let text = serde_json::to_string_pretty(definition).unwrap_or_default();
    format!("{}\n", with_placeholders(&text))
}

#[cfg(test)]
mod tests;
