//! The plan as state machines: where a definition would be larger than Step Functions takes, parts of it become state
//! machines of their own, which its executions start.
//!
//! A part is a run of what comes one after the other, or of branches side by side. An execution of a part has a history
//! of its own, so that the 25,000 events of one execution are each part's, too. Where parts begin depends on the names of
//! the steps there, not on how many come before: one more step moves the borders next to it.

use std::collections::BTreeMap;

use crate::model::{Kind, Pipeline, StepIx};
use crate::plan::{self, Guard, Plan};

use super::workflow::Weights;
use super::workflow::bounded::is_bounded;

/// A piece of control flow: of the plan, or a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Runs one step.
    Run(StepIx),
    /// One after the other.
    Seq(Vec<Node>),
    /// Side by side.
    Par(Vec<Node>),
    /// Runs `then` where the guard holds.
    If {
        /// The condition.
        guard: Guard,
        /// What runs.
        then: Box<Node>,
    },
    /// A state machine of its own.
    Part {
        /// The path of its first step, with a number where another part begins there too.
        id: String,
        /// What runs.
        node: Box<Node>,
    },
}

impl Node {
    fn of(node: &plan::Node) -> Self {
        let all = |nodes: &[plan::Node]| nodes.iter().map(Self::of).collect();
        match node {
            plan::Node::Run(ix) => Self::Run(*ix),
            plan::Node::Seq(nodes) => Self::Seq(all(nodes)),
            plan::Node::Par(nodes) => Self::Par(all(nodes)),
            plan::Node::If { guard, then } => Self::If {
                guard: guard.clone(),
                then: Box::new(Self::of(then)),
            },
        }
    }

    /// All steps in it, in order of appearance; not those in groups.
    pub fn steps(&self) -> Vec<StepIx> {
        let mut found = Vec::new();
        let mut stack = vec![self];
        while let Some(node) = stack.pop() {
            match node {
                Self::Run(step) => found.push(*step),
                Self::Seq(nodes) | Self::Par(nodes) => stack.extend(nodes.iter().rev()),
                Self::If { then: node, .. } | Self::Part { node, .. } => stack.push(node),
            }
        }
        found
    }

    fn first(&self) -> StepIx {
        let mut node = self;
        loop {
            node = match node {
                Self::Run(step) => return *step,
                Self::Seq(nodes) | Self::Par(nodes) => match nodes.first() {
                    Some(first) => first,
                    None => return StepIx(0),
                },
                Self::If { then: node, .. } | Self::Part { node, .. } => node,
            };
        }
    }

    fn parts<'n>(&'n self, found: &mut Vec<&'n str>) {
        match self {
            Self::Run(_) => {}
            Self::Seq(nodes) | Self::Par(nodes) => nodes.iter().for_each(|node| node.parts(found)),
            Self::If { then, .. } => then.parts(found),
            Self::Part { id, node } => {
                found.push(id);
                node.parts(found);
            }
        }
    }
}

/// The state machine of a pipeline and of everything in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The steps at the top.
    pub root: Node,
    /// Per group: the steps in it.
    pub groups: BTreeMap<StepIx, Node>,
}

impl Layout {
    /// All in one, but for groups that are executions of their own anyway.
    pub fn whole(plan: &Plan) -> Self {
        Self {
            root: Node::of(&plan.root),
            groups: plan.groups.iter().map(|(ix, node)| (*ix, Node::of(node))).collect(),
        }
    }

    /// The ids of all parts.
    pub fn parts(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.root.parts(&mut found);
        self.groups.values().for_each(|node| node.parts(&mut found));
        found
    }
}

/// Bytes of what a guard, a branch and the call of a part add to a definition, about.
const GUARD: usize = 1_000;
const BRANCH: usize = 600;
const CALL: usize = 2_500;

/// The pipeline in parts, so that no definition has more than `most` bytes. Where even a single step is larger, so is its
/// definition.
pub fn split(pipeline: &Pipeline, whole: &Layout, weights: &Weights, most: usize) -> Layout {
    let mut splitter = Splitter {
        pipeline,
        groups: whole.groups.clone(),
        weights: weights.steps.clone(),
        most,
    };
    // The inner ones first: what stands round them then knows their weight.
    for ix in pipeline.indices().rev() {
        if !is_bounded(pipeline.step(ix)) {
            continue;
        }
        if let Some(node) = splitter.groups.remove(&ix) {
            let node = splitter.fit(node, most.saturating_sub(CALL));
            splitter.groups.insert(ix, node);
        }
    }
    let root = splitter.fit(whole.root.clone(), most.saturating_sub(weights.frame));
    let mut layout = Layout {
        root,
        groups: splitter.groups,
    };
    let mut taken = BTreeMap::new();
    name(pipeline, &mut layout.root, &mut taken);
    for node in layout.groups.values_mut() {
        name(pipeline, node, &mut taken);
    }
    layout
}

/// Gives the parts their ids.
fn name(pipeline: &Pipeline, node: &mut Node, taken: &mut BTreeMap<StepIx, usize>) {
    let first = node.first();
    match node {
        Node::Run(_) => {}
        Node::Seq(nodes) | Node::Par(nodes) => nodes.iter_mut().for_each(|node| name(pipeline, node, taken)),
        Node::If { then, .. } => name(pipeline, then, taken),
        Node::Part { id, node } => {
            let number = taken.entry(first).or_insert(0);
            *number += 1;
            let path = &pipeline.step(first).path;
            *id = if *number == 1 {
                path.clone()
            } else {
                // No step's path ends so.
                format!("{path}.{number}")
            };
            name(pipeline, node, taken);
        }
    }
}

struct Splitter<'a> {
    pipeline: &'a Pipeline,
    groups: BTreeMap<StepIx, Node>,
    weights: Vec<usize>,
    /// Bytes of one definition.
    most: usize,
}

impl Splitter<'_> {
    fn weight(&self, node: &Node) -> usize {
        match node {
            Node::Run(ix) => self.weights[ix.0],
            Node::Seq(nodes) => self.weight_of(nodes, Whole::Seq),
            Node::Par(nodes) => self.weight_of(nodes, Whole::Par),
            Node::If { then, .. } => GUARD + self.weight(then),
            Node::Part { .. } => CALL,
        }
    }

    fn weight_of(&self, nodes: &[Node], whole: Whole) -> usize {
        let each = match whole {
            Whole::Seq => 0,
            Whole::Par => BRANCH,
        };
        nodes.iter().map(|node| self.weight(node) + each).sum()
    }

    /// The node with so many parts in it that it has at most `budget` bytes, as far as that can be.
    fn fit(&mut self, node: Node, budget: usize) -> Node {
        if self.weight(&node) <= budget {
            return node;
        }
        match node {
            Node::Run(ix) => {
                self.fit_step(ix, budget);
                Node::Run(ix)
            }
            Node::If { guard, then } => Node::If {
                guard,
                then: Box::new(self.fit(*then, budget.saturating_sub(GUARD))),
            },
            Node::Seq(nodes) => self.fit_all(nodes, budget, Whole::Seq),
            Node::Par(nodes) => self.fit_all(nodes, budget, Whole::Par),
            part @ Node::Part { .. } => part,
        }
    }

    /// The steps in a group that stands in its definition itself.
    fn fit_step(&mut self, ix: StepIx, budget: usize) {
        let step = self.pipeline.step(ix);
        if !matches!(step.kind, Kind::Group(_)) || is_bounded(step) {
            return;
        }
        let Some(node) = self.groups.remove(&ix) else { return };
        let before = self.weight(&node);
        let rest = self.weights[ix.0].saturating_sub(before);
        let node = self.fit(node, budget.saturating_sub(rest));
        self.weights[ix.0] = rest + self.weight(&node);
        self.groups.insert(ix, node);
    }

    fn fit_all(&mut self, nodes: Vec<Node>, budget: usize, whole: Whole) -> Node {
        let count = nodes.len();
        // Each has to fit a part of its own.
        let room = self.most.saturating_sub(CALL);
        let nodes: Vec<Node> = nodes.into_iter().map(|node| self.fit(node, room)).collect();
        if self.weight_of(&nodes, whole) <= budget {
            return one_or_all(nodes, whole);
        }
        let mut parts = Vec::new();
        for run in self.runs(nodes) {
            if self.weight_of(&run, whole) <= 2 * CALL {
                // A part would be no smaller.
                parts.extend(run);
                continue;
            }
            parts.push(match one_or_all(run, whole) {
                part @ Node::Part { .. } => part,
                run => Node::Part {
                    id: String::new(),
                    node: Box::new(run),
                },
            });
        }
        let fewer = parts.len() < count;
        let node = one_or_all(parts, whole);
        // Many parts may be too many again.
        if fewer { self.fit(node, budget) } else { node }
    }

    /// Runs of neighbours that a part each can hold. Among the places where a run may end, it ends where the name of the
    /// step that follows says so.
    fn runs(&self, nodes: Vec<Node>) -> Vec<Vec<Node>> {
        let most = self.most.saturating_sub(CALL) / 2;
        let least = most / 4;
        let mut left: Vec<(Node, usize)> = nodes
            .into_iter()
            .map(|node| {
                let weight = self.weight(&node);
                (node, weight)
            })
            .collect();
        let mut runs = Vec::new();
        while !left.is_empty() {
            let mut sum = 0;
            let mut end = left.len();
            let mut best: Option<(u64, usize)> = None;
            for (at, (node, weight)) in left.iter().enumerate() {
                if at > 0 && sum + weight > most {
                    end = best.map_or(at, |(_, at)| at);
                    break;
                }
                if at > 0 && sum >= least {
                    let hash = fingerprint(&self.pipeline.step(node.first()).path);
                    if best.is_none_or(|(least, _)| hash < least) {
                        best = Some((hash, at));
                    }
                }
                sum += weight;
            }
            let rest = left.split_off(end);
            runs.push(left.into_iter().map(|(node, _)| node).collect());
            left = rest;
        }
        runs
    }
}

/// What pieces are together.
#[derive(Clone, Copy)]
enum Whole {
    Seq,
    Par,
}

fn one_or_all(mut nodes: Vec<Node>, whole: Whole) -> Node {
    match (nodes.pop(), whole) {
        (Some(node), _) if nodes.is_empty() => node,
        (last, Whole::Seq) => Node::Seq(nodes.into_iter().chain(last).collect()),
        (last, Whole::Par) => Node::Par(nodes.into_iter().chain(last).collect()),
    }
}

/// FNV-1a: the same on every machine.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
