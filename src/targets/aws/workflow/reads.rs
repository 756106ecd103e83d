//! What the states of an execution of its own read of the execution that starts it.

use std::collections::BTreeSet;

use super::{Scope, Writer};
use crate::expr::jsonata::Names;
use crate::expr::{Expr, ExprKind};
use crate::model::{StepIx, StepRead, step_reads};
use crate::targets::aws::layout::Node;

impl Writer<'_> {
    /// What the steps in a group read round it, and what its outputs do: paths as in the scope round it.
    pub(super) fn reads_of_group(&self, ix: StepIx, round: &Scope) -> BTreeSet<String> {
        let mut inside = self.with_inner(BTreeSet::from([ix]));
        // What the group itself is given is given from outside.
        inside.remove(&ix);
        let mut reads = Reads::new(inside, self, round);
        reads.group(ix);
        reads.found
    }

    /// What an item of a `for_each` reads round the list.
    pub(super) fn reads_of_item(&self, ix: StepIx, round: &Scope) -> BTreeSet<String> {
        let inside = self.with_inner(BTreeSet::from([ix]));
        let mut reads = Reads::new(inside, self, round);
        let step = self.pipeline.step(ix);
        let list = step.for_each.as_ref().map(|for_each| &for_each.list);
        // That is evaluated outside.
        let mut outside: Vec<&Expr> = Vec::new();
        if let Some(list) = list {
            list.each_expr(&mut |expr| outside.push(expr));
        }
        reads.step(ix, &outside);
        reads.found
    }

    /// What a part reads round it.
    pub(super) fn reads_of_part(&self, node: &Node, round: &Scope) -> BTreeSet<String> {
        let inside = self.with_inner(node.steps().into_iter().collect());
        let mut reads = Reads::new(inside, self, round);
        reads.node(node);
        reads.found
    }

    /// The steps, and those in them.
    fn with_inner(&self, mut steps: BTreeSet<StepIx>) -> BTreeSet<StepIx> {
        // A step comes before those in it.
        for inner in self.pipeline.indices() {
            let parent = self.pipeline.step(inner).parent;
            if parent.is_some_and(|parent| steps.contains(&parent)) {
                steps.insert(inner);
            }
        }
        steps
    }
}

/// The names of the variables that hold what is read.
pub(super) fn variables(reads: &BTreeSet<String>) -> BTreeSet<String> {
    let names = reads.iter().filter_map(|path| path.strip_prefix('$'));
    names
        .map(|name| name.split('.').next().unwrap_or(name).to_owned())
        .collect()
}

struct Reads<'r, 'a> {
    inside: BTreeSet<StepIx>,
    writer: &'r Writer<'a>,
    round: &'r Scope,
    found: BTreeSet<String>,
}

impl<'r, 'a> Reads<'r, 'a> {
    fn new(inside: BTreeSet<StepIx>, writer: &'r Writer<'a>, round: &'r Scope) -> Self {
        Self {
            inside,
            writer,
            round,
            found: BTreeSet::new(),
        }
    }

    fn add(&mut self, path: String) {
        if path.starts_with('$') {
            self.found.insert(path);
        }
    }

    fn is_inside(&self, path: &str) -> bool {
        let step = self.writer.variables.find(path);
        step.is_some_and(|ix| self.inside.contains(&ix))
    }

    fn expr(&mut self, expr: &Expr) {
        let reach = self.writer.reach(self.round, &[]);
        let mut paths: Vec<String> = Vec::new();
        for (step, what) in step_reads(expr) {
            if self.is_inside(step) {
                continue;
            }
            match what {
                StepRead::Output => paths.push(reach.output(step)),
                StepRead::Status => paths.extend(reach.status(step)),
                StepRead::Error => paths.extend(reach.step_error(step)),
            }
        }
        expr.walk(&mut |part| match &part.kind {
            ExprKind::Local(step, what) if !self.is_inside(step) => paths.push(reach.local(step, *what)),
            ExprKind::Param(_) => paths.push(reach.params().to_owned()),
            _ => {}
        });
        for path in paths {
            self.add(path);
        }
    }

    /// The steps of a group, and its outputs.
    fn group(&mut self, ix: StepIx) {
        let layout = self.writer.layout;
        if let Some(node) = layout.groups.get(&ix) {
            self.node(node);
        }
        for (_, output) in self.writer.outputs_of(Some(ix)) {
            output.each_expr(&mut |expr| self.expr(expr));
        }
    }

    /// A step with those in it, but for its `when` and what is evaluated elsewhere.
    fn step(&mut self, ix: StepIx, elsewhere: &[&Expr]) {
        let pipeline = self.writer.pipeline;
        let step = pipeline.step(ix);
        let when = step.when.as_ref();
        step.each_expr(&mut |expr| {
            let mut elsewhere = elsewhere.iter().copied().chain(when);
            if !elsewhere.any(|other| std::ptr::eq(other, expr)) {
                self.expr(expr);
            }
        });
        for fallback in step.fallbacks() {
            pipeline.step(fallback).each_expr(&mut |expr| self.expr(expr));
        }
        self.group(ix);
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Run(ix) => self.step(*ix, &[]),
            Node::Part { node, .. } => self.node(node),
            Node::Seq(nodes) | Node::Par(nodes) => nodes.iter().for_each(|node| self.node(node)),
            Node::If { guard, then } => {
                let pipeline = self.writer.pipeline;
                for ran in guard.ran.iter().filter(|ran| !self.inside.contains(ran)) {
                    let reach = self.writer.reach(self.round, &[]);
                    let status = reach.status(&pipeline.step(*ran).path);
                    self.found.extend(status.filter(|path| path.starts_with('$')));
                }
                let when = pipeline.step(guard.step).when.as_ref();
                when.filter(|_| guard.when).into_iter().for_each(|when| self.expr(when));
                self.node(then);
            }
        }
    }
}
