//! Drafts to steps: block by block, each step after all that it reads, so that the type of every name is known.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostics::Problems;
use crate::expr::check::{LocalName, Scope, StepScope, Steps, object_template};
use crate::expr::{Template, Type, template_type};
use crate::model::{Block, Kind, Step, StepIx};

use super::blocks::Blocks;
use super::children::Children;
use super::modifiers;
use super::steps::{self, DraftKind};
use super::templates::Parsed;

/// What the graph says, per step.
pub struct Graph {
    /// Its place in an order that honours every edge and has a step before those in it.
    pub position: Vec<usize>,
    /// All of its block that must have ended before it.
    pub after: Vec<BTreeSet<StepIx>>,
    /// Some run of its block skips it.
    pub may_skip: Vec<bool>,
    /// Skippable steps that surely ran whenever it runs.
    pub implied: Vec<BTreeSet<StepIx>>,
}

/// Types all steps. None where one has a problem.
pub fn check(
    blocks: &Blocks,
    graph: &Graph,
    children: &Children,
    outputs: &[(String, Option<Parsed>)],
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<(Vec<Step>, Block)> {
    let mut typing = Typing {
        blocks,
        graph,
        children,
        steps: blocks.drafts.iter().map(|_| None).collect(),
        problems,
    };
    let place = Place {
        locals: Vec::new(),
        unreachable: BTreeMap::new(),
    };
    let root = typing.block(&blocks.root, None, outputs, &place, None, scope);
    let steps = typing.steps.into_iter().collect::<Option<_>>();
    Some((steps?, root?.0))
}

struct Typing<'a, 'p> {
    blocks: &'a Blocks,
    graph: &'a Graph,
    children: &'a Children,
    steps: Vec<Option<Step>>,
    problems: &'p mut Problems,
}

/// What the steps of a block have round them.
#[derive(Clone)]
struct Place {
    locals: Vec<LocalName>,
    unreachable: BTreeMap<String, &'static str>,
}

impl Typing<'_, '_> {
    /// The block and the type of its outputs.
    fn block(
        &mut self,
        steps: &[StepIx],
        within: Option<StepIx>,
        outputs: &[(String, Option<Parsed>)],
        place: &Place,
        outer: Option<&Steps<'_>>,
        base: &Scope<'_>,
    ) -> Option<(Block, Type)> {
        let mut known = Steps {
            own: steps
                .iter()
                .map(|ix| {
                    let draft = &self.blocks.drafts[ix.0];
                    let scope = StepScope {
                        path: draft.path.clone(),
                        output: Type::Any,
                        may_skip: self.graph.may_skip[ix.0],
                    };
                    (draft.id.clone(), scope)
                })
                .collect(),
            inner: self.blocks.inner(steps),
            outer,
        };
        let mut order = steps.to_vec();
        order.sort_by_key(|ix| self.graph.position[ix.0]);
        for ix in order {
            let ty = self.step(ix, &known, place, base);
            if let Some(step) = known.own.get_mut(&self.blocks.drafts[ix.0].id) {
                step.output = ty;
            }
        }
        let scope = Scope {
            steps: Some(&known),
            locals: place.locals.clone(),
            unreachable: place.unreachable.clone(),
            ran: within.map(|ix| self.ran(ix)).unwrap_or_default(),
            ..base.clone()
        };
        let outputs: Vec<Option<(String, Template)>> = outputs
            .iter()
            .map(|(name, parsed)| Some((name.clone(), parsed.as_ref()?.check(&scope, self.problems)?)))
            .collect();
        let outputs: Vec<(String, Template)> = outputs.into_iter().collect::<Option<_>>()?;
        let ty = template_type(&object_template(outputs.clone()));
        let steps = steps.to_vec();
        Some((Block { steps, outputs }, ty))
    }

    /// Paths of the steps that surely ran whenever this one runs.
    fn ran(&self, ix: StepIx) -> BTreeSet<String> {
        let implied = self.graph.implied[ix.0].iter();
        implied.map(|step| self.blocks.drafts[step.0].path.clone()).collect()
    }

    /// Types a step and those in it; gives the type of its output where it ran.
    fn step(&mut self, ix: StepIx, known: &Steps<'_>, place: &Place, base: &Scope<'_>) -> Type {
        let draft = &self.blocks.drafts[ix.0];
        let mut scope = Scope {
            steps: Some(known),
            locals: place.locals.clone(),
            unreachable: place.unreachable.clone(),
            ran: self.ran(ix),
            own: Some(&draft.id),
            ..base.clone()
        };
        let when = draft
            .when
            .as_ref()
            .map(|when| steps::check_when(when, &mut scope, self.problems));
        let for_each = draft
            .for_each
            .as_ref()
            .map(|for_each| modifiers::check_for_each(for_each, &draft.path, &scope, self.problems));
        if let Some((_, locals)) = &for_each {
            scope.locals.extend(locals.clone());
        }
        let mut body = scope.clone();
        if draft.repeat.is_some() {
            body.locals.push(modifiers::previous(&draft.path, draft.kind_type()));
        }
        let mut ty = draft.kind_type();
        let group = match &draft.kind {
            DraftKind::Group { steps, outputs } => {
                let mut inner = Place {
                    locals: body.locals.clone(),
                    unreachable: place.unreachable.clone(),
                };
                inner
                    .unreachable
                    .insert(draft.id.clone(), "it is the group round this step");
                self.block(steps, Some(ix), outputs, &inner, Some(known), base)
                    .map(|(block, outputs)| {
                        ty = outputs;
                        Kind::Group(block)
                    })
            }
            _ => None,
        };
        let kind = steps::kind(draft, group, self.children, &body, self.problems);
        let input = steps::input(draft, &body, self.problems);
        let repeat = draft
            .repeat
            .as_ref()
            .map(|repeat| modifiers::check_repeat(repeat, &draft.path, &ty, &scope, self.problems));
        let catch = modifiers::check_catch(&draft.catch, &scope, self.problems);
        let ty = self.caught(ix, ty, catch.as_deref().unwrap_or_default(), known, &scope, place);
        let result = if draft.for_each.is_some() {
            Type::List(Box::new(ty))
        } else {
            ty
        };
        let finished = (|| {
            let mut step = steps::plain(draft, kind?, input?);
            step.when = when.map_or(Some(None), |when| when.map(Some))?;
            step.for_each = match for_each {
                None => None,
                Some((for_each, _)) => Some(for_each?),
            };
            step.repeat = match repeat {
                None => None,
                Some(repeat) => Some(repeat?),
            };
            step.catch = catch?.into_iter().map(|(catch, _)| catch).collect();
            step.needs.clone_from(&self.blocks.needs[ix.0]);
            step.after.clone_from(&self.graph.after[ix.0]);
            step.may_skip = self.graph.may_skip[ix.0];
            step.implied.clone_from(&self.graph.implied[ix.0]);
            Some(step)
        })();
        self.steps[ix.0] = finished;
        result
    }

    /// The type of the body's output or of what a `catch` puts in its place; types the steps of `do`.
    fn caught(
        &mut self,
        ix: StepIx,
        body: Type,
        catch: &[(crate::model::Catch, Option<Type>)],
        known: &Steps<'_>,
        scope: &Scope<'_>,
        place: &Place,
    ) -> Type {
        let draft = &self.blocks.drafts[ix.0];
        // A `fail` that is caught gives only what takes its place.
        let mut types: Vec<Type> = match draft.kind {
            DraftKind::Fail(_) if !draft.catch.is_empty() => Vec::new(),
            _ => vec![body],
        };
        types.extend(catch.iter().filter_map(|(_, ty)| ty.clone()));
        let mut inner = Place {
            locals: scope.locals.clone(),
            unreachable: place.unreachable.clone(),
        };
        inner
            .unreachable
            .insert(draft.id.clone(), "it is the step that failed: `error` tells why");
        let base = Scope {
            error: true,
            ran: BTreeSet::new(),
            ..scope.clone()
        };
        for fallback in self.blocks.drafts[ix.0].catch.iter().filter_map(|catch| catch.fallback) {
            types.push(self.step(fallback, known, &inner, &base));
        }
        types.into_iter().reduce(|a, b| a.join(&b)).unwrap_or(Type::Any)
    }
}
