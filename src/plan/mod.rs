//! The DAG turned into structured control flow, for the clouds that only have nested branches (AWS, Google).

mod guard;
mod search;
pub mod structure;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::check::graph;
use crate::expr::Expr;
use crate::model::{Block, Join, Kind, Pipeline, StepIx, StepRead, Wait, step_reads};

/// What a function is expected to take where nothing is written, in seconds.
const FUNCTION_SECONDS: f64 = 10.0;
/// What a container is expected to take.
const JOB_SECONDS: f64 = 5.0 * 60.0;
/// What training is expected to take.
const TRAIN_SECONDS: f64 = 30.0 * 60.0;
/// What an endpoint needs to come into service.
const ENDPOINT_SECONDS: f64 = 10.0 * 60.0;
/// What predictions for files are expected to take.
const BATCH_SECONDS: f64 = 10.0 * 60.0;
/// What setting up a monitor is expected to take.
const MONITOR_SECONDS: f64 = 60.0;
/// What an approval is expected to take.
const APPROVAL_SECONDS: f64 = 4.0 * 60.0 * 60.0;

/// The plan of a checked pipeline.
pub fn plan(pipeline: &Pipeline) -> Plan {
    let after: Vec<_> = pipeline
        .steps
        .iter()
        .map(|step| step.after.iter().copied().chain(step.parent).collect())
        .collect();
    // A checked pipeline has no cycle; without one there is an order.
    let order = graph::order(&after).unwrap_or_default();
    let children: Vec<Plan> = pipeline.children.iter().map(|child| plan(child)).collect();
    let mut planner = Planner {
        pipeline,
        position: vec![0; pipeline.steps.len()],
        slot: vec![0; pipeline.steps.len()],
        seconds: vec![0.0; pipeline.steps.len()],
        notes: Vec::new(),
        groups: BTreeMap::new(),
    };
    for (at, step) in order.iter().enumerate() {
        planner.position[step.0] = at;
    }
    // Those in a group before the group: how long they take is how long it takes.
    for ix in pipeline.indices().rev() {
        planner.seconds[ix.0] = match &pipeline.step(ix).kind {
            Kind::Group(block) => {
                let (node, seconds) = planner.block(block, &pipeline.step(ix).implied);
                planner.groups.insert(ix, node);
                pipeline.step(ix).expect_seconds.unwrap_or(seconds)
            }
            Kind::Pipeline(call) => {
                let child = children.get(call.child.0).map_or(0.0, |child| child.seconds);
                pipeline.step(ix).expect_seconds.unwrap_or(child)
            }
            _ => expected_seconds(pipeline, ix),
        };
    }
    let (root, seconds) = planner.block(&pipeline.root, &BTreeSet::new());
    let Planner { notes, groups, .. } = planner;
    let reads = reads(pipeline, std::iter::once(&root).chain(groups.values()));
    Plan {
        root,
        groups,
        notes,
        reads,
        seconds,
        children,
    }
}

/// The pipeline and all that it runs, each once with its plan: in the order of [`Pipeline::family`].
pub fn family<'a>(pipeline: &'a Pipeline, plan: &'a Plan) -> Vec<(&'a Pipeline, &'a Plan)> {
    let mut found = Vec::new();
    add_family(pipeline, plan, &mut found);
    found
}

fn add_family<'a>(pipeline: &'a Pipeline, plan: &'a Plan, found: &mut Vec<(&'a Pipeline, &'a Plan)>) {
    if found.iter().any(|(known, _)| known.name == pipeline.name) {
        return;
    }
    found.push((pipeline, plan));
    for (child, plan) in pipeline.children.iter().zip(&plan.children) {
        add_family(child, plan, found);
    }
}

/// How long a step is expected to take; groups and other pipelines take as long as their steps do, which this does not know.
pub fn expected_seconds(pipeline: &Pipeline, ix: StepIx) -> f64 {
    let step = pipeline.step(ix);
    step.expect_seconds.unwrap_or(match &step.kind {
        Kind::Function(_) => FUNCTION_SECONDS,
        Kind::Wait(Wait::Duration(seconds)) => *seconds as f64,
        Kind::Job(_) => JOB_SECONDS,
        Kind::Train(_) => TRAIN_SECONDS,
        Kind::Endpoint(_) => ENDPOINT_SECONDS,
        Kind::BatchPredict(_) => BATCH_SECONDS,
        Kind::Monitor(_) => MONITOR_SECONDS,
        // A person takes hours at best.
        Kind::Approval(approval) => (approval.timeout as f64).min(APPROVAL_SECONDS),
        Kind::Wait(Wait::Until(_)) | Kind::Fail { .. } | Kind::Notify(_) | Kind::Pipeline(_) | Kind::Group(_) => 0.0,
    })
}

struct Planner<'a> {
    pipeline: &'a Pipeline,
    position: Vec<usize>,
    /// A step's number within the block at hand.
    slot: Vec<usize>,
    seconds: Vec<f64>,
    notes: Vec<Note>,
    groups: BTreeMap<StepIx, Node>,
}

impl Planner<'_> {
    /// The plan of a block, and how long it is expected to take.
    fn block(&mut self, block: &Block, ran: &BTreeSet<StepIx>) -> (Node, f64) {
        let steps = &block.steps;
        for (slot, ix) in steps.iter().enumerate() {
            self.slot[ix.0] = slot;
        }
        let before = steps
            .iter()
            .map(|ix| {
                self.pipeline
                    .step(*ix)
                    .after
                    .iter()
                    .map(|from| self.slot[from.0])
                    .collect()
            })
            .collect();
        let seconds: Vec<f64> = steps.iter().map(|ix| self.seconds[ix.0]).collect();
        let mut order: Vec<usize> = (0..steps.len()).collect();
        order.sort_by_key(|&slot| self.position[steps[slot].0]);
        let (tree, notes) = structure::structure(before, &order, &seconds);
        let ends = structure::schedule(&tree, 0.0, &seconds, &mut vec![0.0; steps.len()]);
        self.notes.extend(notes.into_iter().map(|note| Note {
            step: steps[note.step.0],
            waits_for: note.waits_for.iter().map(|slot| steps[slot.0]).collect(),
            seconds: note.seconds,
        }));
        let numbers: Vec<usize> = steps.iter().map(|ix| ix.0).collect();
        (guard::guarded(self.pipeline, tree.renumbered(&numbers), ran), ends)
    }
}

fn reads<'n>(pipeline: &Pipeline, nodes: impl Iterator<Item = &'n Node>) -> Vec<Reads> {
    let mut reads = vec![Reads::default(); pipeline.steps.len()];
    let index: BTreeMap<&str, usize> = pipeline
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| (step.path.as_str(), i))
        .collect();
    let mut note = |expr: &Expr| {
        for (path, what) in step_reads(expr) {
            let Some(&i) = index.get(path) else { continue };
            match what {
                StepRead::Output => reads[i].output = true,
                StepRead::Status => reads[i].status |= pipeline.steps[i].may_skip,
                StepRead::Error => reads[i].error |= !pipeline.steps[i].catch.is_empty(),
            }
        }
    };
    for step in &pipeline.steps {
        step.each_expr(&mut note);
    }
    for (_, template) in &pipeline.root.outputs {
        template.each_expr(&mut note);
    }
    let mut stack: Vec<&Node> = nodes.collect();
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

/// Structured control flow over all steps of a pipeline, block by block, in an order that honours every edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The steps at the top; an empty `Seq` for a pipeline without steps.
    pub root: Node,
    /// Per group: the steps in it. A step's modifiers stay with the step; [`Node::Run`] stands for all of them.
    pub groups: BTreeMap<StepIx, Node>,
    /// Where the structure makes a step wait for what it does not need.
    pub notes: Vec<Note>,
    /// Per step (by index): what later nodes read of it.
    pub reads: Vec<Reads>,
    /// How long it is expected to take.
    pub seconds: f64,
    /// The plans of the pipelines that it runs, in the order of [`Pipeline::children`].
    pub children: Vec<Plan>,
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
    /// The error that its `catch` caught, by an expression; only ever true of a step that has a `catch`.
    pub error: bool,
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
