//! Which variables carry outputs and statuses, and what they are called where.
//!
//! A branch of a Parallel state, and an item of a Map state, is a scope of its own: it reads the variables of the scopes around it, sets none of
//! them, and sets none of the same name (Step Functions Developer Guide, "Passing data between states with
//! variables"). What is read outside leaves by the branch's `Output`, and has another name inside.

use std::collections::{BTreeMap, BTreeSet};

use super::failure;
use super::layout::{Layout, Node};
use super::lists;
use super::workflow::{bounded, retry};
use crate::expr::{Expr, ExprKind, Local, Template, jsonata::Names};
use crate::model::{Fallback, Kind, Pipeline, Step, StepIx, StepRead, Wait, identifier, step_reads};

/// The scope of the state machine itself.
pub const ROOT: usize = 0;

/// A variable's name has at most 80 characters: so much of a path, and room for what is added to it.
const BASE: usize = 60;

/// What of a step is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carried {
    /// Its output.
    Output,
    /// Whether it ran.
    Status,
    /// The error that its `catch` caught, or null.
    Error,
}

impl Carried {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Output, Self::Status, Self::Error];
}

/// Who reads a value.
#[derive(Clone, Copy, Debug, Default)]
struct Readers {
    /// The outermost scope in which it is read; None: it is not.
    home: Option<usize>,
    /// Greatest position of a reader.
    last: usize,
}

/// Scopes, positions and readers of all steps.
#[derive(Debug)]
pub struct Variables<'a> {
    pipeline: &'a Pipeline,
    layout: &'a Layout,
    index: BTreeMap<&'a str, StepIx>,
    /// What the names of a step's variables begin with.
    base: Vec<String>,
    parent: Vec<usize>,
    depth: Vec<usize>,
    scope: Vec<usize>,
    position: Vec<usize>,
    placed: usize,
    readers: Vec<[Readers; 3]>,
    /// The scopes of the items of a `for_each`, and of attempts that a Parallel state repeats.
    items: BTreeMap<StepIx, usize>,
    attempts: BTreeMap<StepIx, usize>,
    /// The scopes of groups that run as executions of their own.
    bounds: BTreeMap<StepIx, usize>,
    /// Steps whose items run as executions of their own, and the scopes of those items.
    distributed: BTreeSet<StepIx>,
    isolated: BTreeMap<usize, StepIx>,
    locals: BTreeSet<(StepIx, Local)>,
}

impl<'a> Variables<'a> {
    /// Reads the plan once.
    pub fn new(pipeline: &'a Pipeline, layout: &'a Layout) -> Self {
        let count = pipeline.steps.len();
        let index = pipeline
            .indices()
            .map(|ix| (pipeline.step(ix).path.as_str(), ix))
            .collect();
        let mut variables = Self {
            pipeline,
            layout,
            index,
            base: pipeline.indices().map(|ix| base(&pipeline.step(ix).path, ix)).collect(),
            parent: vec![ROOT],
            depth: vec![0],
            scope: vec![ROOT; count],
            position: vec![0; count],
            placed: 0,
            readers: vec![[Readers::default(); 3]; count],
            items: BTreeMap::new(),
            attempts: BTreeMap::new(),
            bounds: BTreeMap::new(),
            distributed: lists::distributed(pipeline),
            isolated: BTreeMap::new(),
            locals: BTreeSet::new(),
        };
        variables.node(&layout.root, ROOT);
        for (_, template) in &pipeline.root.outputs {
            variables.template(template, ROOT);
        }
        variables
    }

    fn enter(&mut self, round: usize) -> usize {
        let inner = self.parent.len();
        self.parent.push(round);
        self.depth.push(self.depth[round] + 1);
        inner
    }

    fn node(&mut self, node: &Node, scope: usize) {
        match node {
            Node::Run(ix) => self.step(*ix, scope),
            Node::Seq(nodes) => nodes.iter().for_each(|node| self.node(node, scope)),
            Node::If { guard, then } => {
                for ran in &guard.ran {
                    self.add(*ran, Carried::Status, scope);
                }
                if let (true, Some(when)) = (guard.when, &self.pipeline.step(guard.step).when) {
                    self.note(when, scope);
                }
                self.node(then, scope);
            }
            Node::Part { node, .. } => {
                let inner = self.enter(scope);
                self.node(node, inner);
            }
            Node::Par(nodes) => {
                for node in nodes {
                    let inner = self.enter(scope);
                    self.node(node, inner);
                }
            }
        }
    }

    /// A step with all its modifiers, those in it first.
    fn step(&mut self, ix: StepIx, round: usize) {
        let step = self.pipeline.step(ix);
        self.scope[ix.0] = round;
        let mut scope = round;
        if let Some(for_each) = &step.for_each {
            self.template(&for_each.list, round);
            scope = self.enter(round);
            self.items.insert(ix, scope);
            if self.distributed.contains(&ix) {
                self.isolated.insert(scope, ix);
            }
        }
        self.attempt(ix, step, scope);
        if let Some(repeat) = &step.repeat {
            self.note(&repeat.until, scope);
        }
        for catch in &step.catch {
            match &catch.fallback {
                Fallback::Output(template) => self.template(template, scope),
                Fallback::Do(fallback) => {
                    self.scope[fallback.0] = scope;
                    self.attempt(*fallback, self.pipeline.step(*fallback), scope);
                }
            }
        }
        self.position[ix.0] = self.placed;
        self.placed += 1;
    }

    fn attempt(&mut self, ix: StepIx, step: &'a Step, round: usize) {
        let mut scope = round;
        if retry::is_around(step) {
            scope = self.enter(round);
            self.attempts.insert(ix, scope);
        }
        if bounded::is_bounded(step) {
            scope = self.enter(scope);
            self.bounds.insert(ix, scope);
        }
        self.template(&step.input, scope);
        match &step.kind {
            // Refused before.
            Kind::Monitor(_) => {}
            Kind::Endpoint(endpoint) => {
                for variant in &endpoint.variants {
                    self.template(&variant.model, scope);
                }
            }
            Kind::Function(_) | Kind::Wait(Wait::Duration(_)) => {}
            Kind::Wait(Wait::Until(time)) => self.template(time, scope),
            Kind::Fail { error, message } => {
                self.template(error, scope);
                self.template(message, scope);
            }
            Kind::Job(job) => {
                let variables = job.env.iter().map(|(_, value)| value);
                for template in job.command.iter().chain(variables) {
                    self.template(template, scope);
                }
            }
            Kind::Train(train) => {
                for (_, template) in train.hyperparameters.iter().chain(&train.data) {
                    self.template(template, scope);
                }
            }
            Kind::BatchPredict(batch) => {
                for template in [&batch.model, &batch.input, &batch.output] {
                    self.template(template, scope);
                }
            }
            Kind::Notify(notify) => self.template(&notify.message, scope),
            Kind::Approval(approval) => self.template(&approval.message, scope),
            // Before the first attempt.
            Kind::Pipeline(call) => self.template(&call.params, round),
            Kind::Group(block) => {
                let layout = self.layout;
                if let Some(node) = layout.groups.get(&ix) {
                    self.node(node, scope);
                }
                for (_, output) in &block.outputs {
                    self.template(output, scope);
                }
            }
        }
    }

    fn template(&mut self, template: &Template, scope: usize) {
        template.each_expr(&mut |expr| self.note(expr, scope));
    }

    fn note(&mut self, expr: &Expr, scope: usize) {
        for (path, what) in step_reads(expr) {
            let Some(&ix) = self.index.get(path) else { continue };
            let step = self.pipeline.step(ix);
            match what {
                StepRead::Output => self.add(ix, Carried::Output, scope),
                StepRead::Status if step.may_skip => self.add(ix, Carried::Status, scope),
                StepRead::Error if has_error(step) => self.add(ix, Carried::Error, scope),
                StepRead::Status | StepRead::Error => {}
            }
        }
        expr.walk(&mut |part| {
            if let ExprKind::Local(path, what) = &part.kind
                && let Some(&ix) = self.index.get(path.as_str())
            {
                self.locals.insert((ix, *what));
            }
        });
    }

    fn add(&mut self, ix: StepIx, what: Carried, scope: usize) {
        let met = self.meeting(self.scope[ix.0], scope);
        let depth = &self.depth;
        let readers = &mut self.readers[ix.0][what as usize];
        readers.last = readers.last.max(self.placed);
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

    /// The scope of a branch or a part: the one right within `round` that has the step in it.
    pub fn branch(&self, round: usize, step: StepIx) -> usize {
        let mut scope = self.scope[step.0];
        while self.depth[scope] > self.depth[round] + 1 {
            scope = self.parent[scope];
        }
        scope
    }

    /// The scope of the items of a `for_each`.
    pub fn items(&self, ix: StepIx) -> usize {
        self.items.get(&ix).copied().unwrap_or(ROOT)
    }

    /// The scope of an attempt that a Parallel state repeats.
    pub fn attempts(&self, ix: StepIx) -> usize {
        self.attempts.get(&ix).copied().unwrap_or(ROOT)
    }

    /// The scope of a group that runs as an execution of its own.
    pub fn bounds(&self, ix: StepIx) -> usize {
        self.bounds.get(&ix).copied().unwrap_or(ROOT)
    }

    /// The step of a path.
    pub fn find(&self, path: &str) -> Option<StepIx> {
        self.index.get(path).copied()
    }

    /// True where the items of the step run as executions of their own.
    pub fn is_distributed(&self, ix: StepIx) -> bool {
        self.distributed.contains(&ix)
    }

    /// Where `scope` is in an execution of an item that cannot see what `home` holds: the variable that brings it along.
    fn outside(&self, home: usize, scope: usize) -> Option<String> {
        let mut at = scope;
        loop {
            if self.depth[home] >= self.depth[at] {
                return None;
            }
            if let Some(ix) = self.isolated.get(&at) {
                return Some(self.private(*ix, OUTSIDE));
            }
            at = self.parent[at];
        }
    }

    /// The scope round a scope; the outermost is its own.
    pub fn round(&self, scope: usize) -> usize {
        self.parent[scope]
    }

    /// True where some expression reads that name of the step.
    pub fn reads(&self, ix: StepIx, what: Local) -> bool {
        self.locals.contains(&(ix, what))
    }

    /// True where the item and its position are read only by the call of a function that is the first state of the item.
    pub fn reads_item_at_once(&self, ix: StepIx) -> bool {
        !self.is_distributed(ix) && reads_item_at_once(self.pipeline.step(ix), self.pipeline)
    }

    /// A variable that only the states of the step itself use.
    pub fn private(&self, ix: StepIx, what: &str) -> String {
        format!("{}{what}", self.base[ix.0])
    }

    /// The name of the variable that carries it in a scope round the step; None where it is not read there or further out.
    pub fn name(&self, ix: StepIx, what: Carried, scope: usize) -> Option<String> {
        let home = self.readers[ix.0][what as usize].home?;
        let levels = self.depth[scope].checked_sub(self.depth[home])?;
        let base = &self.base[ix.0];
        let base = match what {
            Carried::Output if reserved(base) => format!("{base}Output"),
            Carried::Output => base.clone(),
            Carried::Status => format!("{base}Status"),
            Carried::Error => format!("{base}Error"),
        };
        Some(match levels {
            0 => base,
            1 => format!("{base}Inner"),
            _ => format!("{base}Inner{levels}"),
        })
    }

    /// What leaves a branch or a part: read in the scope round it, or further out. In order of the steps' places.
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

/// What the names of the variables of a step begin with: its path, cut where it is long.
fn base(path: &str, ix: StepIx) -> String {
    let base = identifier(path);
    if base.len() <= BASE {
        return base;
    }
    format!("{}Step{}", base.get(..BASE - 12).unwrap_or_default(), ix.0)
}

/// True where `steps.X.error` may be more than null.
fn has_error(step: &Step) -> bool {
    !step.catch.is_empty() && step.for_each.is_none()
}

/// True where the item and its position are read only by the call of a function that is the first state of the item.
fn reads_item_at_once(step: &Step, pipeline: &Pipeline) -> bool {
    let mut later = false;
    let mut note = |expr: &Expr| {
        expr.walk(&mut |part| later |= matches!(&part.kind, ExprKind::Local(path, _) if *path == step.path));
    };
    for catch in &step.catch {
        match &catch.fallback {
            Fallback::Output(template) => template.each_expr(&mut note),
            Fallback::Do(fallback) => pipeline.step(*fallback).each_expr(&mut note),
        }
    }
    !later && step.repeat.is_none() && matches!(step.kind, Kind::Function(_))
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
            | "base64decode"
            | "base64encode"
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
    /// Placeholder texts of the topics' names.
    pub topics: &'v BTreeMap<String, String>,
    /// The failure that the expression sees.
    pub error: &'v str,
    /// Where the pipeline's execution is known.
    pub execution: &'v str,
    /// Where its params are.
    pub params: &'v str,
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
            Some(name) => self.variable(met, &name),
            None => "null".to_owned(),
        }
    }

    /// A variable of a scope round this one.
    fn variable(&self, home: usize, name: &str) -> String {
        match self.variables.outside(home, self.scope) {
            Some(outside) => format!("${outside}.{name}"),
            None => format!("${name}"),
        }
    }

    fn step(&self, path: &str) -> Option<(StepIx, &Step)> {
        let ix = *self.variables.index.get(path)?;
        Some((ix, self.variables.pipeline.step(ix)))
    }
}

impl Names for Reach<'_, '_> {
    fn output(&self, step: &str) -> String {
        self.reach(step, Carried::Output)
    }

    fn status(&self, step: &str) -> Option<String> {
        let (_, declared) = self.step(step)?;
        declared.may_skip.then(|| self.reach(step, Carried::Status))
    }

    fn step_error(&self, step: &str) -> Option<String> {
        let (_, declared) = self.step(step)?;
        has_error(declared).then(|| self.reach(step, Carried::Error))
    }

    fn local(&self, step: &str, what: Local) -> String {
        let Some((ix, step)) = self.step(step) else {
            return "null".to_owned();
        };
        let home = self.variables.items.get(&ix).copied();
        let home = home.unwrap_or(self.variables.scope[ix.0]);
        let private = |name: &str| self.variable(home, &self.variables.private(ix, name));
        let item = |written: Option<&str>, name: &str| match written {
            Some(written) if self.variables.reads_item_at_once(ix) => {
                format!("{}.{written}", failure::INPUT)
            }
            _ => private(name),
        };
        let for_each = step.for_each.as_ref();
        match what {
            Local::Item => item(for_each.map(|for_each| for_each.item.as_str()), ITEM),
            Local::Index => item(for_each.map(|for_each| for_each.index.as_str()), INDEX),
            // The run that just ended, and so the one before where the next has not.
            Local::Previous | Local::Output => private(RESULT),
        }
    }

    fn params(&self) -> &str {
        self.params
    }

    fn error(&self) -> &str {
        self.error
    }

    fn execution(&self) -> &str {
        self.execution
    }

    fn bucket_name(&self, id: &str) -> String {
        self.buckets.get(id).cloned().unwrap_or_default()
    }

    fn topic_name(&self, id: &str) -> String {
        self.topics.get(id).cloned().unwrap_or_default()
    }

    fn pipeline(&self) -> &str {
        &self.variables.pipeline.name
    }
}

/// The variable of an item of `for_each`.
pub const ITEM: &str = "Item";
/// The variable of its position.
pub const INDEX: &str = "Index";
/// The variable of what a run of `repeat` gave.
pub const RESULT: &str = "Result";
/// The variable of how many runs of `repeat` there were.
pub const RUNS: &str = "Runs";
/// The variable of the failure that a `catch` caught.
pub const FAILURE: &str = "Failure";
/// The variable of what an item in an execution of its own reads of the execution that started it.
pub const OUTSIDE: &str = "Outside";
/// The variable of another pipeline's params.
pub const PARAMS: &str = "Params";
/// The variable of the name of another pipeline's execution.
pub const EXECUTION: &str = "Execution";
/// The variable of an answer that nothing reads.
pub const ANSWER: &str = "Answer";
/// The variable that bounds the outputs of a `for_each`.
pub const LIST: &str = "List";
