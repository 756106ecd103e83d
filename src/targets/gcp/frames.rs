//! The plan with its places: which steps run in which branch, what must be declared before, and what branches share.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::names::Variables;
use crate::expr::Expr;
use crate::model::{Pipeline, StepIx, StepRead, step_reads};
use crate::plan::{Guard, Node, Plan};

/// How deep parallel steps nest: Workflows quotas, "Parallel nesting depth".
const NESTING: usize = 2;

/// A place: the main routine, a branch, or what a condition guards.
pub type Frame = usize;

/// The main routine.
pub const ROOT: Frame = 0;

/// The plan, with numbers for its parallel steps and branches.
#[derive(Clone, Debug)]
pub enum Tree {
    /// One step.
    Run(StepIx),
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
}

/// A variable to declare.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// A status starts as `skipped`, an output as null.
    pub status: bool,
}

#[derive(Debug)]
struct Builder {
    places: Vec<Place>,
    /// Where each step runs.
    runs: Vec<Frame>,
    /// Where each step's condition is evaluated.
    guards: Vec<Frame>,
    /// Where the statuses that conditions read are read.
    status_reads: Vec<(StepIx, Frame)>,
    pars: usize,
}

/// The plan with its places. Parallel steps deeper than Workflows nests them run one after the other: the order honours every edge.
pub fn layout(pipeline: &Pipeline, plan: &Plan, variables: &Variables) -> (Tree, Layout) {
    let mut builder = Builder {
        places: vec![Place {
            parent: ROOT,
            depth: 0,
            par: None,
        }],
        runs: vec![ROOT; pipeline.steps.len()],
        guards: vec![ROOT; pipeline.steps.len()],
        status_reads: Vec::new(),
        pars: 0,
    };
    let tree = builder.tree(&plan.root, ROOT, 0);
    let layout = builder.variables(pipeline, variables);
    (tree, layout)
}

impl Builder {
    fn tree(&mut self, node: &Node, frame: Frame, nesting: usize) -> Tree {
        match node {
            Node::Run(ix) => {
                if let Some(place) = self.runs.get_mut(ix.0) {
                    *place = frame;
                }
                Tree::Run(*ix)
            }
            Node::Seq(nodes) => Tree::Seq(nodes.iter().map(|node| self.tree(node, frame, nesting)).collect()),
            Node::Par(nodes) if nesting == NESTING => {
                Tree::Seq(nodes.iter().map(|node| self.tree(node, frame, nesting)).collect())
            }
            Node::Par(nodes) => {
                let id = self.pars;
                self.pars += 1;
                let branches = nodes
                    .iter()
                    .map(|node| {
                        let branch = self.place(frame, Some(id));
                        (branch, self.tree(node, branch, nesting + 1))
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
                    then: Box::new(self.tree(then, inside, nesting)),
                }
            }
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
            .map(|(index, step)| (step.id.as_str(), index))
            .collect();
        let mut outputs: Vec<Vec<Frame>> = vec![Vec::new(); pipeline.steps.len()];
        let mut statuses = outputs.clone();
        let mut note = |expr: &Expr, frame: Frame| {
            for (id, what) in step_reads(expr) {
                let reads = match what {
                    StepRead::Output => &mut outputs,
                    StepRead::Status => &mut statuses,
                    StepRead::Error => continue,
                };
                if let Some(frames) = index.get(id).and_then(|index| reads.get_mut(*index)) {
                    frames.push(frame);
                }
            }
        };
        for ((step, run), guard) in pipeline.steps.iter().zip(&self.runs).zip(&self.guards) {
            step.each_expr(&mut |expr| note(expr, *run));
            if let Some(when) = &step.when {
                note(when, *guard);
            }
        }
        for (_, output) in &pipeline.outputs {
            output.each_expr(&mut |expr| note(expr, ROOT));
        }
        for (ix, frame) in &self.status_reads {
            if let Some(frames) = statuses.get_mut(ix.0) {
                frames.push(*frame);
            }
        }
        let mut layout = Layout::default();
        for (position, step) in pipeline.steps.iter().enumerate() {
            let assigned = self.runs.get(position).copied().unwrap_or(ROOT);
            for (variable, reads, status) in [
                (variables.outputs.get(&step.id), outputs.get(position), false),
                (variables.statuses.get(&step.id), statuses.get(position), true),
            ] {
                if let (Some(variable), Some(reads)) = (variable, reads) {
                    self.declare(variable, assigned, reads, status, &mut layout);
                }
            }
        }
        layout
    }

    /// Declares a variable where the places that assign and read it meet.
    fn declare(&self, variable: &str, assigned: Frame, reads: &[Frame], status: bool, layout: &mut Layout) {
        let meeting = reads.iter().fold(assigned, |frame, read| self.meet(frame, *read));
        if meeting == assigned {
            return;
        }
        let mut at = assigned;
        while at != meeting {
            let Some(place) = self.places.get(at) else { return };
            if let Some(par) = place.par {
                layout.shared.entry(par).or_default().push(variable.to_owned());
            }
            at = place.parent;
        }
        // A condition has no place for declarations of its own.
        while at != ROOT
            && let Some(place) = self.places.get(at)
            && place.par.is_none()
        {
            at = place.parent;
        }
        layout.declared.entry(at).or_default().push(Declared {
            name: variable.to_owned(),
            status,
        });
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
