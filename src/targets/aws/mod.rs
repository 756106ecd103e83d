//! AWS: Step Functions and Lambda, in a SAM template.

pub mod failure;
pub mod frameworks;
pub mod functions;
pub mod infra;
pub mod jobs;
pub mod layout;
pub mod limits;
pub mod lists;
pub mod member;
pub mod messages;
pub mod monitoring;
pub mod params;
pub mod readme;
pub mod roles;
pub mod serving;
pub mod states;
pub mod training;
pub mod triggers;
pub mod variables;
pub mod workflow;

use super::{Artifacts, Sources};
use crate::diagnostics::Problems;
use crate::expr::jsonata::with_placeholders;
use crate::model::Pipeline;
use crate::plan::Plan;
use limits::AwsProblem;
use member::Member;
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
    let mut members = Member::family(pipeline, plan);
    let mut machines = Vec::new();
    for place in 0..members.len() {
        machines.extend(fit(&mut members, place, most));
    }
    let names = infra::Names::new(&members);
    if members.iter().any(|member| !member.layout.parts().is_empty()) {
        // Parts may have taken names from what was written before.
        machines = (0..members.len())
            .flat_map(|place| texts(&members[place], &written(&members, place, false)))
            .collect();
    }
    let template = infra::template(pipeline, &names, &machines);
    let resources = template.resource_count(&pipeline.triggers);
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
    for member in &members {
        functions::add(member.pipeline, sources, &mut artifacts, &mut problems);
        training::add(member.pipeline, sources, &mut artifacts);
        serving::add(member.pipeline, &mut artifacts);
    }
    match readme::text(&members, &names, &machines) {
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

/// The definitions of a pipeline, split into parts so that none is larger than `most`, as far as that can be.
fn fit(members: &mut [Member<'_>], place: usize, most: usize) -> Vec<(String, String)> {
    let write = |members: &[Member<'_>]| {
        let found = texts(&members[place], &written(members, place, false));
        let mut definitions = found.iter().map(|(_, definition)| definition);
        let fits = definitions.all(|definition| workflow::deployed_bytes(definition) <= most);
        (found, fits)
    };
    let (mut found, mut fits) = write(members);
    if fits {
        return found;
    }
    let weights = written(members, place, true).weights;
    let whole = members[place].layout.clone();
    let mut room = most / 5 * 4;
    for _ in 0..ROUNDS {
        members[place].layout = layout::split(members[place].pipeline, &whole, &weights, room);
        (found, fits) = write(members);
        if fits {
            break;
        }
        room = room / 4 * 3;
    }
    found
}

fn written(members: &[Member<'_>], place: usize, weigh: bool) -> Definitions {
    let names = infra::Names::new(members);
    workflow::definitions(&members[place], &names.placeholders(place), weigh)
}

/// The definitions by file, the pipeline's first.
fn texts(member: &Member<'_>, definitions: &Definitions) -> Vec<(String, String)> {
    let main = (member.file(), text(&definitions.main));
    let inner = definitions.inner.iter();
    let inner = inner.map(|(file, definition)| (file.clone(), text(definition)));
    std::iter::once(main).chain(inner).collect()
}

/// The file of a definition.
fn text(definition: &states::Definition) -> String {
    // Our own typed values have string keys: they always are JSON.
    let text = serde_json::to_string_pretty(definition).unwrap_or_default();
    format!("{}\n", with_placeholders(&text))
}

#[cfg(test)]
mod tests;
