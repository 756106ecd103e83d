//! The steps of all blocks as one list of drafts: who stands where, whom a name means, what must end before what.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostics::Problems;
use crate::model::{StepIx, identifier};
use crate::syntax::document::{Document, Step};
use crate::syntax::scalars::Spanned;
use crate::syntax::span::Span;
use crate::syntax::suggest;

use super::children::Children;
use super::graph::SkipRule;
use super::problems::CheckProblem;
use super::steps::{self, Draft, DraftKind};
use super::templates::{Parsed, Source};

/// Steps of the document by id.
type Written = indexmap::IndexMap<Spanned<String>, Spanned<Step>>;

/// All drafts, and the shape of the nesting.
pub struct Blocks {
    /// A step before the steps in it, else in file order.
    pub drafts: Vec<Draft>,
    /// Per draft: where its id stands, or where the `do` is.
    pub spans: Vec<Span>,
    /// The steps at the top.
    pub root: Vec<StepIx>,
    /// Per draft: steps that it needs, of its own block.
    pub needs: Vec<Vec<StepIx>>,
    /// Per block owner (None: the root): its steps by id.
    index: BTreeMap<Option<StepIx>, BTreeMap<String, StepIx>>,
}

/// Drafts every step of the document.
pub fn draft(document: &Document, children: &Children, source: &Source<'_>, problems: &mut Problems) -> Blocks {
    let mut drafting = Drafting {
        document,
        children,
        source,
        problems,
        blocks: Blocks {
            drafts: Vec::new(),
            spans: Vec::new(),
            root: Vec::new(),
            needs: Vec::new(),
            index: BTreeMap::new(),
        },
        paths: BTreeMap::new(),
        written: Vec::new(),
    };
    let root = drafting.block(&document.steps, None, "", 0);
    // Only now is it known which names mean steps of other blocks.
    for (ix, id, step) in std::mem::take(&mut drafting.written) {
        drafting.blocks.needs[ix.0] = needs(
            id,
            step,
            drafting.blocks.drafts[ix.0].parent,
            &drafting.blocks,
            drafting.problems,
        );
    }
    let mut blocks = drafting.blocks;
    blocks.root = root;
    blocks
}

/// Deeper than this no pipeline is read; recursion stays small.
const MAX_DEPTH: usize = 16;

struct Drafting<'a> {
    document: &'a Document,
    children: &'a Children,
    source: &'a Source<'a>,
    problems: &'a mut Problems,
    blocks: Blocks,
    /// By path with `_` for `.` and `-`.
    paths: BTreeMap<String, (String, Span)>,
    /// What `needs` are still to be read from.
    written: Vec<(StepIx, &'a Spanned<String>, &'a Step)>,
}

impl<'a> Drafting<'a> {
    fn block(&mut self, written: &'a Written, owner: Option<StepIx>, prefix: &str, depth: usize) -> Vec<StepIx> {
        let mut found = Vec::with_capacity(written.len());
        for (id, step) in written {
            let path = format!("{prefix}{}", id.value);
            let ix = self.step(id, step, owner, path, depth);
            self.blocks.index.entry(owner).or_default().insert(id.value.clone(), ix);
            found.push(ix);
            self.written.push((ix, id, step));
        }
        found
    }

    fn add(&mut self, draft: Draft, span: Span) -> StepIx {
        let ix = StepIx(self.blocks.drafts.len());
        let flat = identifier(&draft.path);
        match self.paths.get(&flat) {
            // Two ids of one block that collide are reported with the ids.
            Some((other, first)) if draft.path.contains('.') || other.contains('.') => {
                self.problems.push(CheckProblem::IdsCollide {
                    id: draft.path.clone(),
                    other: other.clone(),
                    span,
                    first: *first,
                });
            }
            Some(_) => {}
            None => {
                self.paths.insert(flat, (draft.path.clone(), span));
            }
        }
        self.blocks.drafts.push(draft);
        self.blocks.spans.push(span);
        self.blocks.needs.push(Vec::new());
        ix
    }

    fn step(
        &mut self,
        id: &'a Spanned<String>,
        step: &'a Step,
        parent: Option<StepIx>,
        path: String,
        depth: usize,
    ) -> StepIx {
        let draft =
            steps::draft(self.document, self.children, self.source, id, step, self.problems).at(path.clone(), parent);
        let ix = self.add(draft, id.span);
        if let Some(inner) = &step.steps {
            let mut block = Vec::new();
            if inner.is_empty() {
                self.problems.push(CheckProblem::EmptyGroup {
                    step: id.value.clone(),
                    span: id.span,
                });
            } else if depth == MAX_DEPTH {
                self.problems.push(CheckProblem::TooDeep {
                    limit: MAX_DEPTH,
                    span: id.span,
                });
            } else {
                block = self.block(inner, Some(ix), &format!("{path}."), depth + 1);
            }
            let outputs = step.outputs.iter().flat_map(|outputs| &outputs.value);
            let outputs = outputs
                .map(|(name, node)| (name.value.clone(), self.source.parse(node, self.problems)))
                .collect();
            self.blocks.drafts[ix.0].kind = DraftKind::Group { steps: block, outputs };
        }
        let mut count = 0;
        for (at, catch) in step.catch.iter().enumerate() {
            let Some(fallback) = &catch.fallback else { continue };
            count += 1;
            let name = if count == 1 {
                "do".to_owned()
            } else {
                format!("do{count}")
            };
            let named = Spanned {
                value: name.clone(),
                span: self.source.first_line(fallback.span),
            };
            let draft = steps::draft(
                self.document,
                self.children,
                self.source,
                &named,
                &fallback.as_step(),
                self.problems,
            )
            .at(format!("{path}.{name}"), Some(ix));
            let fallback = self.add(draft, named.span);
            if let Some(catch) = self.blocks.drafts[ix.0].catch.get_mut(at) {
                catch.fallback = Some(fallback);
            }
        }
        ix
    }
}

fn needs(
    id: &Spanned<String>,
    step: &Step,
    owner: Option<StepIx>,
    blocks: &Blocks,
    problems: &mut Problems,
) -> Vec<StepIx> {
    let index = blocks.index.get(&owner);
    let mut found = Vec::new();
    for need in &step.needs {
        match index.and_then(|index| index.get(need.value.as_str())) {
            _ if need.value == id.value => problems.push(CheckProblem::NeedsItself {
                name: need.value.clone(),
                span: need.span,
            }),
            Some(step) if found.contains(step) => problems.push(CheckProblem::NeededTwice {
                name: need.value.clone(),
                span: need.span,
            }),
            Some(step) => found.push(*step),
            None => problems.push(CheckProblem::UnknownStep {
                name: need.value.clone(),
                span: need.span,
                help: match owner.filter(|_| blocks.resolve(owner, &need.value).is_some()) {
                    Some(group) => format!(
                        "`needs` names steps of the same group: write it on `{}`",
                        blocks.drafts[group.0].id
                    ),
                    None => suggest::help(
                        &need.value,
                        index
                            .into_iter()
                            .flat_map(|index| index.keys().map(String::as_str))
                            .filter(|name| *name != id.value),
                        "steps",
                    ),
                },
            }),
        }
    }
    found
}

impl Blocks {
    /// Reports ids in groups that hide one of the blocks round them.
    pub fn check_hidden(&self, problems: &mut Problems) {
        for (ix, draft) in self.drafts.iter().enumerate() {
            let Some(owner) = draft.parent.filter(|_| !self.is_fallback(StepIx(ix))) else {
                continue;
            };
            let outer = self.drafts[owner.0].parent;
            if let Some(other) = self.resolve(outer, &draft.id) {
                problems.push(CheckProblem::HidesStep {
                    id: draft.id.clone(),
                    span: self.spans[ix],
                    first: self.spans[other.0],
                });
            }
        }
    }

    /// True for a step that is written in a `catch`.
    pub fn is_fallback(&self, ix: StepIx) -> bool {
        let parent = self.drafts[ix.0].parent;
        parent.is_some_and(|parent| {
            let fallbacks = self.drafts[parent.0].catch.iter();
            fallbacks.filter_map(|catch| catch.fallback).any(|step| step == ix)
        })
    }

    /// The step that a name means to an expression of the block of `owner`.
    pub fn resolve(&self, owner: Option<StepIx>, name: &str) -> Option<StepIx> {
        let mut owner = owner;
        loop {
            if let Some(step) = self.index.get(&owner).and_then(|index| index.get(name)) {
                return Some(*step);
            }
            owner = self.drafts[owner?.0].parent;
        }
    }

    /// Ids of steps in groups of a block, each with the group.
    pub fn inner(&self, steps: &[StepIx]) -> BTreeMap<String, String> {
        let groups = steps.iter().filter_map(|ix| match &self.drafts[ix.0].kind {
            DraftKind::Group { steps, .. } => Some((&self.drafts[ix.0].id, steps)),
            _ => None,
        });
        groups
            .flat_map(|(group, steps)| {
                let ids = steps.iter().map(|ix| self.drafts[ix.0].id.clone());
                ids.map(|id| (id, group.clone()))
            })
            .collect()
    }

    /// The block whose names the expressions of a step see.
    pub fn owner(&self, ix: StepIx) -> Option<StepIx> {
        let parent = self.drafts[ix.0].parent;
        match parent {
            Some(step) if self.is_fallback(ix) => self.drafts[step.0].parent,
            other => other,
        }
    }

    /// Per step: all of its block that must have ended before it. What a step in a group reads outside, the group follows.
    pub fn after(&self) -> Vec<BTreeSet<StepIx>> {
        let mut after: Vec<BTreeSet<StepIx>> = self.needs.iter().map(|needs| needs.iter().copied().collect()).collect();
        for (ix, draft) in self.drafts.iter().enumerate() {
            let ix = StepIx(ix);
            let owner = self.owner(ix);
            for name in draft.references() {
                self.link(ix, self.resolve(owner, &name), &mut after);
            }
            if let DraftKind::Group { outputs, .. } = &draft.kind {
                let mut names = Vec::new();
                let parsed = outputs.iter().filter_map(|(_, parsed)| parsed.as_ref());
                parsed.for_each(|parsed: &Parsed| parsed.references(&mut names));
                for name in names {
                    self.link(ix, self.resolve(Some(ix), &name), &mut after);
                }
            }
        }
        after
    }

    fn link(&self, from: StepIx, to: Option<StepIx>, after: &mut [BTreeSet<StepIx>]) {
        let Some(to) = to else { return };
        let block = self.drafts[to.0].parent;
        let mut at = from;
        while self.drafts[at.0].parent != block || self.is_fallback(at) {
            let Some(parent) = self.drafts[at.0].parent else { return };
            at = parent;
        }
        // A step that reads itself or the group round it is the expressions' problem, with its own span.
        if at != to {
            after[at.0].insert(to);
        }
    }

    /// What decides over skips of each step.
    pub fn skip_rules(&self) -> Vec<SkipRule<'_>> {
        self.drafts
            .iter()
            .enumerate()
            .map(|(ix, draft)| SkipRule {
                needs: &self.needs[ix],
                within: draft.parent,
                join: draft.join,
                conditional: draft.when.is_some(),
                proven: draft
                    .proven_by_when()
                    .iter()
                    .filter_map(|name| self.resolve(draft.parent, name))
                    .collect(),
            })
            .collect()
    }
}
