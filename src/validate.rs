//! All that can be said of a file: its form, its meaning and the quotas of the clouds, without a stage and with each.

use crate::check::{self, Input};
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::syntax::{self, Node, Staged};
use crate::targets::Target;

/// What there is of a file that was validated.
#[derive(Debug, Default)]
pub struct Validated {
    /// The names of the stages that were laid over it, in file order.
    pub stages: Vec<String>,
    /// The file without stages, or with the one chosen; None where it is no YAML or has no such stage.
    pub tree: Option<Node>,
    /// What that means; None where a problem of its own keeps it from compiling.
    pub pipeline: Option<Pipeline>,
}

/// Validates the file with the stage chosen; where none is, without a stage and with each of them.
pub fn validate(input: &Input<'_>, targets: &[Target], problems: &mut Problems) -> Validated {
    let stage = input.stage;
    let Some(staged) = syntax::parse(input.text, problems) else {
        return Validated::default();
    };
    let Some(tree) = staged.select(stage, problems) else {
        return Validated::default();
    };
    let pipeline = variant(&tree, input, targets, problems);
    let mut stages = Vec::new();
    if stage.is_none() {
        for name in staged.names() {
            problems.extend_for_stage(name, with_stage(&staged, name, input, targets));
            stages.push(name.to_owned());
        }
    }
    Validated {
        stages,
        tree: Some(tree),
        pipeline,
    }
}

fn with_stage(staged: &Staged, name: &str, input: &Input<'_>, targets: &[Target]) -> Problems {
    let input = Input {
        stage: Some(name),
        ..*input
    };
    let mut problems = Problems::new();
    if let Some(tree) = staged.select(Some(name), &mut problems) {
        variant(&tree, &input, targets, &mut problems);
    }
    problems
}

/// One pipeline of the file: form, meaning, then the quotas.
fn variant(tree: &Node, input: &Input<'_>, targets: &[Target], problems: &mut Problems) -> Option<Pipeline> {
    let mut found = Problems::new();
    let pipeline = check_tree(tree, input, &mut found);
    if let Some(pipeline) = &pipeline {
        for target in targets {
            found.extend(target.check(pipeline));
        }
    }
    problems.extend(found);
    pipeline
}

/// What a tree means; None, and problems, where it has an error of its own.
pub fn check_tree(tree: &Node, input: &Input<'_>, problems: &mut Problems) -> Option<Pipeline> {
    let document = syntax::document(tree, problems)?;
    let pipeline = check::check(&document, input, problems)?;
    (!problems.has_errors()).then_some(pipeline)
}
