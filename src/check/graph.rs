//! The graph of the steps: order, cycles, what may be skipped, what surely ran.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::{Join, StepIx};

/// The steps in an order that honours every edge, the file's order where edges leave a choice; or the cycles, each from its first step round.
pub fn order(after: &[BTreeSet<StepIx>]) -> Result<Vec<StepIx>, Vec<Vec<StepIx>>> {
    let mut followers = vec![Vec::new(); after.len()];
    let mut open: Vec<usize> = after.iter().map(BTreeSet::len).collect();
    for (step, before) in after.iter().enumerate() {
        for earlier in before {
            followers[earlier.0].push(step);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..after.len()).filter(|&step| open[step] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(after.len());
    while let Some(Reverse(step)) = ready.pop() {
        order.push(StepIx(step));
        for &follower in &followers[step] {
            open[follower] -= 1;
            if open[follower] == 0 {
                ready.push(Reverse(follower));
            }
        }
    }
    if order.len() == after.len() {
        Ok(order)
    } else {
        Err(cycles(after))
    }
}

fn cycles(after: &[BTreeSet<StepIx>]) -> Vec<Vec<StepIx>> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(after.len(), after.len());
    for _ in after {
        graph.add_node(());
    }
    for (step, before) in after.iter().enumerate() {
        for earlier in before {
            graph.add_edge(NodeIndex::new(earlier.0), NodeIndex::new(step), ());
        }
    }
    let mut found: Vec<Vec<StepIx>> = tarjan_scc(&graph)
        .into_iter()
        .filter(|component| component.len() > 1)
        .filter_map(|component| {
            let members: BTreeSet<StepIx> = component.into_iter().map(|node| StepIx(node.index())).collect();
            shortest_round(*members.first()?, &members, after)
        })
        .collect();
    found.sort();
    found
}

/// The shortest way from `start` back to it, along edges of execution, within `members`.
fn shortest_round(start: StepIx, members: &BTreeSet<StepIx>, after: &[BTreeSet<StepIx>]) -> Option<Vec<StepIx>> {
    let mut came_from = vec![None; after.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(step) = queue.pop_front() {
        for &earlier in after[step.0].intersection(members) {
            if earlier == start {
                let mut round = vec![start];
                let mut at = step;
                while at != start {
                    round.push(at);
                    at = came_from[at.0]?;
                }
                return Some(round);
            }
            if came_from[earlier.0].is_none() {
                came_from[earlier.0] = Some(step);
                queue.push_back(earlier);
            }
        }
    }
    None
}

/// What decides over skips of a step.
pub struct SkipRule<'a> {
    /// Steps whose skip it follows.
    pub needs: &'a [StepIx],
    /// The step that it stands in: it runs only where that one runs.
    pub within: Option<StepIx>,
    /// How.
    pub join: Join,
    /// It has a `when`.
    pub conditional: bool,
    /// Steps that its `when` proves to have run.
    pub proven: BTreeSet<StepIx>,
}

/// Per step: whether some run of its block skips it, and which of the skippable steps surely ran whenever it runs.
/// `order` has a step before those that stand in it.
pub fn skips(order: &[StepIx], rules: &[SkipRule<'_>]) -> (Vec<bool>, Vec<BTreeSet<StepIx>>) {
    let mut may_skip = vec![false; rules.len()];
    let mut implied: Vec<BTreeSet<StepIx>> = vec![BTreeSet::new(); rules.len()];
    for &step in order {
        let rule = &rules[step.0];
        let skippable = |need: &&StepIx| may_skip[need.0];
        let by_needs = match rule.join {
            Join::All => rule.needs.iter().any(|need| skippable(&need)),
            Join::Any => !rule.needs.is_empty() && rule.needs.iter().all(|need| skippable(&need)),
        };
        let of_need = |need: &StepIx| {
            let mut ran = implied[need.0].clone();
            if may_skip[need.0] {
                ran.insert(*need);
            }
            ran
        };
        let mut ran = match (rule.join, rule.needs) {
            (Join::All, needs) => needs.iter().flat_map(of_need).collect(),
            (Join::Any, needs) => needs
                .iter()
                .map(of_need)
                .reduce(|a, b| a.intersection(&b).copied().collect())
                .unwrap_or_default(),
        };
        if let Some(outer) = rule.within {
            ran.extend(implied[outer.0].iter().copied());
        }
        ran.extend(rule.proven.iter().copied().filter(|step| may_skip[step.0]));
        may_skip[step.0] = by_needs || rule.conditional;
        implied[step.0] = ran;
    }
    (may_skip, implied)
}
