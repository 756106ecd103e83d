//! Which variables carry outputs and statuses, and what they are called where.
//!
//! A branch of a Parallel state is a scope of its own: it reads the variables of the scopes around it, sets none of
//! them, and sets none of the same name (Step Functions Developer Guide, "Passing data between states with
//! variables"). What is read outside leaves by the branch's `Output`, and has another name inside.

use std::collections::BTreeMap;

use crate::expr::{Expr, Local, jsonata::Names};
use crate::model::{Pipeline, StepIx, StepRead, step_reads};
use crate::plan::Node;

/// The scope of the state machine itself.
pub const ROOT: usize = 0;

/// What of a step is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carried {
    /// Its output.
    Output,
    /// Whether it ran.
    Status,
}

impl Carried {
    /// Both, in the order in which they are written.
    pub const ALL: [Self; 2] = [Self::Output, Self::Status];
}

/// Who reads a value.
#[derive(Clone, Copy, Debug, Default)]
struct Readers {
    /// The outermost scope in which it is read; None: it is not.
    home: Option<usize>,
    /// Greatest position of a reader.
    last: usize,
}

/// Scopes, positions and readers of all steps. Scopes are numbered as a walk of the plan meets them.
#[derive(Debug)]
pub struct Variables<'a> {
    pipeline: &'a Pipeline,
    index: BTreeMap<&'a str, StepIx>,
    parent: Vec<usize>,
    depth: Vec<usize>,
    scope: Vec<usize>,
    position: Vec<usize>,
    order: Vec<StepIx>,
    readers: Vec<[Readers; 2]>,
}

impl<'a> Variables<'a> {
    /// Reads the plan once.
    pub fn new(pipeline: &'a Pipeline, root: &Node) -> Self {
        let count = pipeline.steps.len();
        let index = pipeline
            .indices()
            .map(|ix| (pipeline.step(ix).id.as_str(), ix))
            .collect();
        let mut variables = Self {
            pipeline,
            index,
            parent: vec![ROOT],
            depth: vec![0],
            scope: vec![ROOT; count],
            position: vec![0; count],
            order: Vec::with_capacity(count),
            readers: vec![[Readers::default(); 2]; count],
        };
        variables.place(root, ROOT);
        let mut next = ROOT;
        variables.read(root, ROOT, &mut next);
        for (_, template) in &pipeline.root.outputs {
            template.each_expr(&mut |expr| variables.note(expr, ROOT, usize::MAX));
        }
        variables
    }

    fn place(&mut self, node: &Node, scope: usize) {
        match node {
            Node::Run(ix) => {
                self.scope[ix.0] = scope;
                self.position[ix.0] = self.order.len();
                self.order.push(*ix);
            }
            Node::Seq(nodes) => nodes.iter().for_each(|node| self.place(node, scope)),
            Node::If { then, .. } => self.place(then, scope),
            Node::Par(nodes) => {
                for node in nodes {
                    let inner = self.parent.len();
                    self.parent.push(scope);
                    self.depth.push(self.depth[scope] + 1);
                    self.place(node, inner);
                }
            }
        }
    }

    fn read(&mut self, node: &Node, scope: usize, next: &mut usize) {
        let pipeline = self.pipeline;
        match node {
            Node::Run(ix) => {
                let step = pipeline.step(*ix);
                let position = self.position[ix.0];
                let mut note = |expr| self.note(expr, scope, position);
                step.input.each_expr(&mut note);
                if let crate::model::Kind::Fail { error, message } = &step.kind {
                    error.each_expr(&mut note);
                    message.each_expr(&mut note);
                }
            }
            Node::Seq(nodes) => nodes.iter().for_each(|node| self.read(node, scope, next)),
            Node::If { guard, then } => {
                let position = self.position[guard.step.0];
                for ran in &guard.ran {
                    self.add(*ran, Carried::Status, scope, position);
                }
                if let (true, Some(when)) = (guard.when, &pipeline.step(guard.step).when) {
                    self.note(when, scope, position);
                }
                self.read(then, scope, next);
            }
            Node::Par(nodes) => {
                for node in nodes {
                    *next += 1;
                    let inner = *next;
                    self.read(node, inner, next);
                }
            }
        }
    }

    fn note(&mut self, expr: &Expr, scope: usize, position: usize) {
        for (id, what) in step_reads(expr) {
            let Some(&ix) = self.index.get(id) else { continue };
            match what {
                StepRead::Output => self.add(ix, Carried::Output, scope, position),
                StepRead::Status if self.pipeline.step(ix).may_skip => self.add(ix, Carried::Status, scope, position),
                StepRead::Status | StepRead::Error => {}
            }
        }
    }

    fn add(&mut self, ix: StepIx, what: Carried, scope: usize, position: usize) {
        let met = self.meeting(self.scope[ix.0], scope);
        let depth = &self.depth;
        let readers = &mut self.readers[ix.0][what as usize];
        readers.last = readers.last.max(position);
        match readers.home {
            Some(home) if depth[home] <= depth[met] => {}
            _ => readers.home = Some(met),
        }
    }

    /// The innermost scope round both.
    fn meeting(&self, mut a: usize, mut b: usize) -> usize {
        while a != b {
            if self.depth[a] >= self.depth[b] {
                a = self.parent[a];
            } else {
                b = self.parent[b];
            }
        }
        a
    }

    /// The scope of a step.
    pub fn scope_of(&self, ix: StepIx) -> usize {
        self.scope[ix.0]
    }

    /// The scope round a scope; the outermost is its own.
    pub fn round(&self, scope: usize) -> usize {
        self.parent[scope]
    }

    /// The name of the variable that carries it in a scope round the step; None where it is not read there or further out.
    pub fn name(&self, ix: StepIx, what: Carried, scope: usize) -> Option<String> {
        let home = self.readers[ix.0][what as usize].home?;
        let levels = self.depth[scope].checked_sub(self.depth[home])?;
        let id = self.pipeline.step(ix).id.replace('-', "_");
        let base = match what {
            Carried::Output if reserved(&id) => format!("{id}Output"),
            Carried::Output => id,
            Carried::Status => format!("{id}Status"),
        };
        Some(match levels {
            0 => base,
            1 => format!("{base}Inner"),
            _ => format!("{base}Inner{levels}"),
        })
    }

    /// What leaves a branch: read in the scope round it, or further out. In order of the steps' places.
    pub fn exports(&self, steps: &[StepIx], round: usize) -> Vec<(StepIx, Carried)> {
        let mut found: Vec<(StepIx, Carried)> = Vec::new();
        for &ix in steps {
            for what in Carried::ALL {
                if self.name(ix, what, round).is_some() {
                    found.push((ix, what));
                }
            }
        }
        found
    }

    /// What must be set in `scope` where the steps are skipped: read after them all.
    pub fn skipped(&self, steps: &[StepIx], scope: usize) -> Vec<(StepIx, Carried)> {
        let end = steps.iter().map(|ix| self.position[ix.0]).max().unwrap_or(0);
        self.exports(steps, scope)
            .into_iter()
            .filter(|(ix, what)| self.readers[ix.0][*what as usize].last > end)
            .collect()
    }
}

/// Names that mean something else in a JSONata expression of ours or of Step Functions: a variable hides a function.
fn reserved(id: &str) -> bool {
    matches!(
        id,
        "params"
            | "failure"
            | "states"
            | "abs"
            | "append"
            | "assert"
            | "average"
            | "boolean"
            | "ceil"
            | "clone"
            | "contains"
            | "count"
            | "distinct"
            | "each"
            | "error"
            | "eval"
            | "exists"
            | "filter"
            | "floor"
            | "hash"
            | "join"
            | "keys"
            | "length"
            | "lookup"
            | "lowercase"
            | "map"
            | "match"
            | "max"
            | "merge"
            | "millis"
            | "min"
            | "not"
            | "now"
            | "number"
            | "pad"
            | "parse"
            | "partition"
            | "power"
            | "random"
            | "range"
            | "reduce"
            | "replace"
            | "reverse"
            | "round"
            | "shuffle"
            | "sift"
            | "single"
            | "sort"
            | "split"
            | "spread"
            | "sqrt"
            | "string"
            | "substring"
            | "sum"
            | "trim"
            | "type"
            | "uppercase"
            | "uuid"
            | "zip"
    )
}

/// How names are reached from a state of `scope`.
pub struct Reach<'v, 'a> {
    /// All variables.
    pub variables: &'v Variables<'a>,
    /// Where the expression stands.
    pub scope: usize,
    /// What this same state produces, and so no variable holds yet.
    pub own: &'v [(StepIx, Carried, String)],
    /// Placeholder texts of the buckets' names.
    pub buckets: &'v BTreeMap<String, String>,
}

impl Reach<'_, '_> {
    fn reach(&self, step: &str, what: Carried) -> String {
        let Some(&ix) = self.variables.index.get(step) else {
            return "null".to_owned();
        };
        if let Some((_, _, text)) = self.own.iter().find(|(own, of, _)| *own == ix && *of == what) {
            return text.clone();
        }
        let met = self.variables.meeting(self.variables.scope[ix.0], self.scope);
        match self.variables.name(ix, what, met) {
            Some(name) => format!("${name}"),
            None => "null".to_owned(),
        }
    }
}

impl Names for Reach<'_, '_> {
    fn output(&self, step: &str) -> String {
        self.reach(step, Carried::Output)
    }

    fn status(&self, step: &str) -> Option<String> {
        let ix = *self.variables.index.get(step)?;
        self.variables
            .pipeline
            .step(ix)
            .may_skip
            .then(|| self.reach(step, Carried::Status))
    }

    fn step_error(&self, _: &str) -> Option<String> {
        None
    }

    fn local(&self, _: &str, _: Local) -> String {
        "null".to_owned()
    }

    fn params(&self) -> &str {
        "$params"
    }

    fn error(&self) -> &str {
        "$failure"
    }

    fn bucket_name(&self, id: &str) -> String {
        self.buckets.get(id).cloned().unwrap_or_default()
    }

    fn pipeline(&self) -> &str {
        &self.variables.pipeline.name
    }
}
