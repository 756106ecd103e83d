//! The plan with its places: which steps run in which branch, what must be declared before, and what branches share.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::names::Variables;
use crate::expr::{Expr, Type};
use crate::model::{ON_FAILURE, Pipeline, StepIx, StepRead, step_reads};
use crate::plan::{Guard, Node, Plan};

/// A place: the main routine, a branch, or what a condition guards.
pub type Frame = usize;

/// The main routine.
pub const ROOT: Frame = 0;

/// A step with its places.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The step.
    pub ix: StepIx,
    /// The loop over its items.
    pub items: Option<Loop>,
    /// The steps of a group.
    pub block: Option<Tree>,
}

/// A loop over the items of a list.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    /// The place of a turn.
    pub frame: Frame,
    /// Its number among the parallel steps.
    pub id: usize,
    /// True where turns run side by side.
    pub parallel: bool,
}

/// The plan, with numbers for its parallel steps and branches.
#[derive(Clone, Debug)]
pub enum Tree {
    /// One step.
    Run(Box<Unit>),
    /// In order.
    Seq(Vec<Tree>),
    /// Side by side.
    Par {
        /// Its number.
        id: usize,
        /// Its branches.
        branches: Vec<(Frame, Tree)>,
    },
    /// Guarded.
    If {
        /// The condition.
        guard: Guard,
        /// What runs.
        then: Box<Tree>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Place {
    parent: Frame,
    depth: usize,
    /// The parallel step of which this is a branch; None: a condition.
    par: Option<usize>,
}

/// Where variables must be declared, and which are shared.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Variables to declare at the start of a place, with their first values.
    pub declared: BTreeMap<Frame, Vec<Declared>>,
    /// Variables that the branches of a parallel step assign for others.
    pub shared: BTreeMap<usize, Vec<String>>,
    /// Outputs that nothing reads any more when a step has run: their memory is freed.
    pub freed: BTreeMap<StepIx, Vec<String>>,
}

/// A variable to declare.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// What it starts as.
    pub first: First,
}

/// What a variable starts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// An output: null.
    Null,
    /// A status: `skipped`.
    Skipped,
    /// A count of attempts: 0.
    Zero,
}

/// Where something is read.
#[derive(Clone, Copy, Debug)]
struct Read {
    frame: Frame,
    /// The step that reads it; None: a condition, or the pipeline's outputs.
    by: Option<StepIx>,
}

#[derive(Debug)]
struct Builder<'a> {
    pipeline: &'a Pipeline,
    plan: &'a Plan,
    places: Vec<Place>,
    /// Where each step's body runs.
    runs: Vec<Frame>,
    /// Where each step ends: round the loop over its items.
    ends: Vec<Frame>,
    /// Where each step's condition is evaluated.
    guards: Vec<Frame>,
    /// Where the statuses that conditions read are read.
    status_reads: Vec<(StepIx, Frame)>,
    /// The order of the steps in the file that is written.
    order: Vec<usize>,
    pars: usize,
    ran: usize,
}

/// The plan with its places.
pub fn layout(pipeline: &Pipeline, plan: &Plan, variables: &Variables) -> (Tree, Layout) {
    let mut builder = Builder {
        pipeline,
        plan,
        places: vec![Place {
            parent: ROOT,
            depth: 0,
            par: None,
        }],
        runs: vec![ROOT; pipeline.steps.len()],
        ends: vec![ROOT; pipeline.steps.len()],
        guards: vec![ROOT; pipeline.steps.len()],
        status_reads: Vec::new(),
        order: vec![0; pipeline.steps.len()],
        pars: 0,
        ran: 0,
    };
    let tree = builder.tree(&plan.root, ROOT);
    let layout = builder.variables(pipeline, variables);
    (tree, layout)
}

impl Builder<'_> {
    fn tree(&mut self, node: &Node, frame: Frame) -> Tree {
        match node {
            Node::Run(ix) => {
                let unit = self.unit(*ix, frame);
                Tree::Run(Box::new(unit))
            }
            Node::Seq(nodes) => Tree::Seq(nodes.iter().map(|node| self.tree(node, frame)).collect()),
            Node::Par(nodes) => {
                let id = self.pars;
                self.pars += 1;
                let branches = nodes
                    .iter()
                    .map(|node| {
                        let branch = self.place(frame, Some(id));
                        (branch, self.tree(node, branch))
                    })
                    .collect();
                Tree::Par { id, branches }
            }
            Node::If { guard, then } => {
                if let Some(place) = self.guards.get_mut(guard.step.0) {
                    *place = frame;
                }
                self.status_reads.extend(guard.ran.iter().map(|ix| (*ix, frame)));
                let inside = self.place(frame, None);
                Tree::If {
                    guard: guard.clone(),
                    then: Box::new(self.tree(then, inside)),
                }
            }
        }
    }

    fn unit(&mut self, ix: StepIx, frame: Frame) -> Unit {
        let (pipeline, plan) = (self.pipeline, self.plan);
        let step = pipeline.step(ix);
        let items = step.for_each.as_ref().map(|for_each| {
            let id = self.pars;
            self.pars += 1;
            let parallel = for_each.max_concurrency != Some(1);
            Loop {
                frame: self.place(frame, Some(id)),
                id,
                parallel,
            }
        });
        let body = items.map_or(frame, |items| items.frame);
        self.put(ix, body, frame);
        let block = plan.groups.get(&ix).map(|node| {
            let inside = self.place(body, None);
            self.tree(node, inside)
        });
        for fallback in step.fallbacks() {
            let inside = self.place(body, None);
            self.put(fallback, inside, inside);
        }
        Unit { ix, items, block }
    }

    fn put(&mut self, ix: StepIx, run: Frame, end: Frame) {
        self.ran += 1;
        if let (Some(runs), Some(ends), Some(order)) = (
            self.runs.get_mut(ix.0),
            self.ends.get_mut(ix.0),
            self.order.get_mut(ix.0),
        ) {
            *runs = run;
            *ends = end;
            *order = self.ran;
        }
    }

    fn place(&mut self, parent: Frame, par: Option<usize>) -> Frame {
        let depth = self.places.get(parent).map_or(0, |place| place.depth) + 1;
        self.places.push(Place { parent, depth, par });
        self.places.len() - 1
    }

    fn variables(&self, pipeline: &Pipeline, variables: &Variables) -> Layout {
        let index: IndexMap<&str, usize> = pipeline
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| (step.path.as_str(), index))
            .collect();
        let mut outputs: Vec<Vec<Read>> = vec![Vec::new(); pipeline.steps.len()];
        let mut statuses = outputs.clone();
        let mut errors = outputs.clone();
        let mut note = |expr: &Expr, read: Read| {
            for (id, what) in step_reads(expr) {
                let reads = match what {
                    StepRead::Output => &mut outputs,
                    StepRead::Status => &mut statuses,
                    StepRead::Error => &mut errors,
                };
                if let Some(reads) = index.get(id).and_then(|index| reads.get_mut(*index)) {
                    reads.push(read);
                }
            }
        };
        for ((position, step), (run, guard)) in pipeline
            .steps
            .iter()
            .enumerate()
            .zip(self.runs.iter().zip(&self.guards))
        {
            let by = Some(StepIx(position));
            step.each_expr(&mut |expr| note(expr, Read { frame: *run, by }));
            if let Some(when) = &step.when {
                note(
                    when,
                    Read {
                        frame: *guard,
                        by: None,
                    },
                );
            }
        }
        let last = Read { frame: ROOT, by: None };
        for (_, output) in &pipeline.root.outputs {
            output.each_expr(&mut |expr| note(expr, last));
        }
        for (ix, frame) in &self.status_reads {
            if let Some(reads) = statuses.get_mut(ix.0) {
                reads.push(Read {
                    frame: *frame,
                    by: None,
                });
            }
        }
        let mut layout = Layout::default();
        for (position, step) in pipeline.steps.iter().enumerate() {
            let assigned = self.ends.get(position).copied().unwrap_or(ROOT);
            if let (Some(variable), Some(reads)) = (variables.errors.get(&step.path), errors.get(position)) {
                self.declare(variable, assigned, reads, First::Null, &mut layout);
            }
            if let (Some(variable), Some(reads)) = (variables.statuses.get(&step.path), statuses.get(position)) {
                self.declare(variable, assigned, reads, First::Skipped, &mut layout);
            }
            if let (Some(variable), Some(reads)) = (variables.outputs.get(&step.path), outputs.get(position)) {
                let home = self.declare(variable, assigned, reads, First::Null, &mut layout);
                if step.output.as_ref().is_none_or(is_large) {
                    self.free(variable, home, reads, &mut layout);
                }
            }
            if let Some(variable) = variables.attempts.get(&step.path) {
                let home = self.home(self.runs.get(position).copied().unwrap_or(ROOT));
                layout.declared.entry(home).or_default().push(Declared {
                    name: variable.clone(),
                    first: First::Zero,
                });
            }
        }
        if let Some(variable) = variables.attempts.get(ON_FAILURE) {
            layout.declared.entry(ROOT).or_default().push(Declared {
                name: variable.clone(),
                first: First::Zero,
            });
        }
        layout
    }

    /// Frees an output behind the last step that reads it, where that runs in the place that the variable belongs to.
    fn free(&self, variable: &str, home: Frame, reads: &[Read], layout: &mut Layout) {
        let order = |ix: &StepIx| self.order.get(ix.0).copied().unwrap_or(0);
        let readers: Option<Vec<StepIx>> = reads.iter().map(|read| read.by).collect();
        let Some(last) = readers.and_then(|readers| readers.into_iter().max_by_key(order)) else {
            return;
        };
        if self.ends.get(last.0) == Some(&home) {
            layout.freed.entry(last).or_default().push(variable.to_owned());
        }
    }

    /// Declares a variable where the places that assign and read it meet; gives that place.
    fn declare(&self, variable: &str, assigned: Frame, reads: &[Read], first: First, layout: &mut Layout) -> Frame {
        let meeting = reads.iter().fold(assigned, |frame, read| self.meet(frame, read.frame));
        if meeting == assigned {
            return meeting;
        }
        let mut at = assigned;
        while at != meeting {
            let Some(place) = self.places.get(at) else { break };
            if let Some(par) = place.par {
                layout.shared.entry(par).or_default().push(variable.to_owned());
            }
            at = place.parent;
        }
        let name = variable.to_owned();
        let home = self.home(at);
        layout.declared.entry(home).or_default().push(Declared { name, first });
        meeting
    }

    /// The branch around a place, or the main routine: a condition has no room for declarations.
    fn home(&self, mut at: Frame) -> Frame {
        while at != ROOT
            && let Some(place) = self.places.get(at)
            && place.par.is_none()
        {
            at = place.parent;
        }
        at
    }

    fn meet(&self, mut a: Frame, mut b: Frame) -> Frame {
        while a != b {
            let (Some(left), Some(right)) = (self.places.get(a), self.places.get(b)) else {
                return ROOT;
            };
            if left.depth >= right.depth {
                a = left.parent;
            } else {
                b = right.parent;
            }
        }
        a
    }
}

/// True for what may hold much.
pub fn is_large(ty: &Type) -> bool {
    match ty {
        Type::Null | Type::Boolean | Type::Integer | Type::Number => false,
        Type::Optional(inner) => is_large(inner),
        Type::Object(fields) => fields.values().any(is_large),
        Type::Any | Type::String | Type::List(_) => true,
    }
}
