//! The DAG turned into structured control flow, for the clouds that only have nested branches (AWS, Google).

mod guard;
pub mod structure;
#[cfg(test)]
mod tests;

use crate::check::graph;
use crate::expr::Expr;
use crate::model::{Join, Kind, Pipeline, StepIx, StepRead, step_reads};

/// What a function is expected to take where nothing is written, in seconds.
const FUNCTION_SECONDS: f64 = 10.0;

/// The plan of a checked pipeline.
pub fn plan(pipeline: &Pipeline) -> Plan {
    let after: Vec<_> = pipeline.steps.iter().map(|step| step.after.clone()).collect();
    // A checked pipeline has no cycle; without one there is an order.
    let order = graph::order(&after).unwrap_or_default();
    let seconds: Vec<f64> = pipeline.indices().map(|ix| expected_seconds(pipeline, ix)).collect();
    let (tree, notes) = structure::structure(pipeline, &order, &seconds);
    let root = guard::guarded(pipeline, tree);
    let reads = reads(pipeline, &root);
    Plan { root, notes, reads }
}

/// How long a step is expected to take.
pub fn expected_seconds(pipeline: &Pipeline, ix: StepIx) -> f64 {
    let step = pipeline.step(ix);
    step.expect_seconds.unwrap_or(match step.kind {
        Kind::Function(_) => FUNCTION_SECONDS,
        Kind::Wait { seconds } => seconds as f64,
        Kind::Fail { .. } => 0.0,
    })
}

fn reads(pipeline: &Pipeline, root: &Node) -> Vec<Reads> {
    let mut reads = vec![Reads::default(); pipeline.steps.len()];
    let index: std::collections::BTreeMap<&str, usize> = pipeline
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| (step.id.as_str(), i))
        .collect();
    let mut note = |expr: &Expr| {
        for (id, what) in step_reads(expr) {
            let Some(&i) = index.get(id) else { continue };
            match what {
                StepRead::Output => reads[i].output = true,
                StepRead::Status => reads[i].status |= pipeline.steps[i].may_skip,
                StepRead::Error => {}
            }
        }
    };
    for step in &pipeline.steps {
        step.each_expr(&mut note);
    }
    for (_, template) in &pipeline.outputs {
        template.each_expr(&mut note);
    }
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        match node {
            Node::Run(_) => {}
            Node::Seq(nodes) | Node::Par(nodes) => stack.extend(nodes),
            Node::If { guard, then } => {
                for step in &guard.ran {
                    reads[step.0].status = true;
                }
                stack.push(then);
            }
        }
    }
    reads
}

/// Structured control flow over all steps of a pipeline, in an order that honours every edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The whole pipeline; an empty `Seq` for one without steps.
    pub root: Node,
    /// Where the structure makes a step wait for what it does not need.
    pub notes: Vec<Note>,
    /// Per step (by index): what later nodes read of it.
    pub reads: Vec<Reads>,
}

/// A piece of control flow.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Runs one step, unconditionally.
    Run(StepIx),
    /// One after the other.
    Seq(Vec<Node>),
    /// Side by side; at least two branches. None of a branch's steps reads or follows a step of another branch.
    Par(Vec<Node>),
    /// Runs `then` where the guard holds; else all steps in it are skipped.
    If {
        /// The condition.
        guard: Guard,
        /// What runs.
        then: Box<Node>,
    },
}

/// When the first step of an [`Node::If`] is not skipped. The other steps in the node follow its skip.
/// The order of evaluation: `ran` first; `when` only where `ran` holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// The step whose skipping this decides, and whose `when` is evaluated.
    pub step: StepIx,
    /// Steps that may have been skipped by now and that this one needs; empty: no such condition.
    pub ran: Vec<StepIx>,
    /// All of `ran`, or any of it.
    pub join: Join,
    /// True: the step's `when` is part of the condition.
    pub when: bool,
}

/// What is read of a step after it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Its output, by an expression of a step or of `outputs`.
    pub output: bool,
    /// Whether it ran, by a [`Guard::ran`] or by `steps.X.status`; only ever true of a step that may be skipped.
    pub status: bool,
}

/// The structure makes `step` wait for `waits_for`, which it does not need.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The step that waits.
    pub step: StepIx,
    /// What it waits for.
    pub waits_for: Vec<StepIx>,
    /// How much later it starts, in expected seconds.
    pub seconds: f64,
}

impl Node {
    /// All steps in it, in order of appearance.
    pub fn steps(&self) -> Vec<StepIx> {
        let mut found = Vec::new();
        let mut stack = vec![self];
        while let Some(node) = stack.pop() {
            match node {
                Self::Run(step) => found.push(*step),
                Self::Seq(nodes) | Self::Par(nodes) => stack.extend(nodes.iter().rev()),
                Self::If { then, .. } => stack.push(then),
            }
        }
        found
    }
}
