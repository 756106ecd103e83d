//! Conditions on the tree: who is skipped when, with one condition for all that follow the same skip.

use std::collections::BTreeSet;

use crate::model::{Join, Pipeline, StepIx};

use super::structure::Tree;
use super::{Guard, Node};

/// Adds the conditions. `ran` are the skippable steps round the block that surely ran.
pub fn guarded(pipeline: &Pipeline, tree: Tree, ran: &BTreeSet<StepIx>) -> Node {
    node(pipeline, tree, &mut ran.clone())
}

/// `ran` are the skippable steps that surely ran before; those that surely ran with this node are added.
fn node(pipeline: &Pipeline, tree: Tree, ran: &mut BTreeSet<StepIx>) -> Node {
    match tree {
        Tree::Step(step) => one(pipeline, StepIx(step), ran, Vec::new()),
        Tree::Seq(items) => Node::Seq(sequence(pipeline, items, ran)),
        Tree::Par(branches) => {
            // A branch knows nothing of its neighbours; what follows knows of all of them.
            let before = ran.clone();
            let mut nodes = Vec::with_capacity(branches.len());
            for branch in branches {
                let mut inner = before.clone();
                nodes.push(node(pipeline, branch, &mut inner));
                ran.append(&mut inner);
            }
            Node::Par(nodes)
        }
    }
}

fn sequence(pipeline: &Pipeline, items: Vec<Tree>, ran: &mut BTreeSet<StepIx>) -> Vec<Node> {
    let mut nodes = Vec::with_capacity(items.len());
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        match item {
            Tree::Step(step) => {
                let step = StepIx(step);
                let mut followers = Vec::new();
                if guard(pipeline, step, ran).is_some() {
                    while let Some(next) = items.next_if(|next| follows(pipeline, next, step)) {
                        followers.push(next);
                    }
                }
                nodes.push(one(pipeline, step, ran, followers));
            }
            other => nodes.push(node(pipeline, other, ran)),
        }
    }
    nodes
}

/// A step, and what is skipped with it.
fn one(pipeline: &Pipeline, step: StepIx, ran: &mut BTreeSet<StepIx>, followers: Vec<Tree>) -> Node {
    let Some(guard) = guard(pipeline, step, ran) else {
        if pipeline.step(step).may_skip {
            ran.insert(step);
        }
        return Node::Run(step);
    };
    let then = if followers.is_empty() {
        Node::Run(step)
    } else {
        let mut known = ran.clone();
        known.insert(step);
        known.extend(&pipeline.step(step).implied);
        let mut nodes = vec![Node::Run(step)];
        nodes.extend(sequence(pipeline, followers, &mut known));
        Node::Seq(nodes)
    };
    Node::If {
        guard,
        then: Box::new(then),
    }
}

/// The condition under which a step runs, where the steps of `ran` surely ran; None where it always does.
fn guard(pipeline: &Pipeline, step: StepIx, ran: &BTreeSet<StepIx>) -> Option<Guard> {
    let this = pipeline.step(step);
    let skippable = |need: &StepIx| pipeline.step(*need).may_skip && !ran.contains(need);
    let needs: Vec<StepIx> = match this.join {
        Join::All => this.needs.iter().copied().filter(skippable).collect(),
        Join::Any if this.needs.iter().all(skippable) => this.needs.clone(),
        Join::Any => Vec::new(),
    };
    let when = this.when.is_some();
    (when || !needs.is_empty()).then_some(Guard {
        step,
        ran: needs,
        join: this.join,
        when,
    })
}

/// True where every step of the tree is skipped whenever `step` is.
fn follows(pipeline: &Pipeline, tree: &Tree, step: StepIx) -> bool {
    match tree {
        Tree::Step(next) => pipeline.step(StepIx(*next)).implied.contains(&step),
        Tree::Seq(items) | Tree::Par(items) => items.iter().all(|item| follows(pipeline, item, step)),
    }
}
