//! The nesting of `Seq` and `Par` over a DAG, without conditions.
//!
//! A set of steps that falls apart runs side by side. One that has a point where all that is before must end
//! before all that is after runs one after the other. What has neither shape cannot be nested without a step
//! waiting for more than it needs: there `search` looks for the cut of least makespan, and the waits are noted.

use super::Note;
use super::search::{self, Part};
use crate::model::StepIx;

/// Control flow without conditions.
#[derive(Debug, PartialEq)]
pub enum Tree {
    /// One step.
    Step(usize),
    /// In order.
    Seq(Vec<Tree>),
    /// Side by side.
    Par(Vec<Tree>),
}

impl Tree {
    /// The same tree with other numbers: step `i` becomes `steps[i]`.
    pub fn renumbered(self, steps: &[usize]) -> Self {
        let all = |items: Vec<Self>| items.into_iter().map(|item| item.renumbered(steps)).collect();
        match self {
            Self::Step(slot) => Self::Step(steps[slot]),
            Self::Seq(items) => Self::Seq(all(items)),
            Self::Par(items) => Self::Par(all(items)),
        }
    }

    /// What comes one after the other, as a list.
    pub fn flat(self) -> Vec<Self> {
        match self {
            Self::Seq(items) => items,
            other => vec![other],
        }
    }

    /// Sorts branches by their first step in the file, which this gives.
    fn in_file_order(&mut self) -> usize {
        match self {
            Self::Step(step) => *step,
            Self::Seq(items) => items.iter_mut().map(Self::in_file_order).min().unwrap_or(0),
            Self::Par(items) => {
                let mut keyed: Vec<_> = std::mem::take(items)
                    .into_iter()
                    .map(|mut item| (item.in_file_order(), item))
                    .collect();
                keyed.sort_by_key(|(first, _)| *first);
                let first = keyed.first().map_or(0, |(first, _)| *first);
                items.extend(keyed.into_iter().map(|(_, item)| item));
                first
            }
        }
    }

    /// Calls `f` with each two trees of which one comes right after the other.
    fn each_join(&self, f: &mut impl FnMut(&Self, &Self)) {
        match self {
            Self::Step(_) => {}
            Self::Seq(items) => {
                items.iter().for_each(|item| item.each_join(f));
                for (first, second) in items.iter().zip(items.iter().skip(1)) {
                    f(first, second);
                }
            }
            Self::Par(items) => items.iter().for_each(|item| item.each_join(f)),
        }
    }

    /// The steps at one end of it, which is that of the item of each `Seq` that `side` picks.
    fn ends(&self, found: &mut Vec<usize>, side: fn(&[Self]) -> Option<&Self>) {
        match self {
            Self::Step(step) => found.push(*step),
            Self::Seq(items) => side(items).into_iter().for_each(|item| item.ends(found, side)),
            Self::Par(items) => items.iter().for_each(|item| item.ends(found, side)),
        }
    }
}

/// The tree over the steps of a block, and the waits that it adds. Steps are numbered from 0 within the block:
/// `before` is what each follows, `order` honours every edge, `seconds` are expected durations.
pub fn structure(before: Vec<Vec<usize>>, order: &[usize], seconds: &[f64]) -> (Tree, Vec<Note>) {
    let count = before.len();
    let mut after = vec![Vec::new(); count];
    for (step, earlier) in before.iter().enumerate() {
        for &from in earlier {
            after[from].push(step);
        }
    }
    let mut position = vec![0; count];
    for (at, step) in order.iter().enumerate() {
        position[*step] = at;
    }
    let mut planner = Planner {
        before,
        after,
        position,
        seconds,
        member: vec![0; count],
        slot: vec![0; count],
        sets: 0,
    };
    let mut tree = planner.set(order.to_vec());
    tree.in_file_order();
    let notes = waits(&planner.before, &tree, seconds);
    (tree, notes)
}

struct Planner<'a> {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    position: Vec<usize>,
    seconds: &'a [f64],
    /// The number of the last set that each step was marked a member of.
    member: Vec<usize>,
    /// Its place in that set.
    slot: Vec<usize>,
    sets: usize,
}

impl Planner<'_> {
    /// `steps` are sorted by position.
    fn set(&mut self, steps: Vec<usize>) -> Tree {
        if let [only] = steps[..] {
            return Tree::Step(only);
        }
        let parts = self.components(&steps);
        if parts.len() > 1 {
            return Tree::Par(parts.into_iter().map(|part| self.set(part)).collect());
        }
        let parts = self.series(&steps);
        if parts.len() > 1 {
            return Tree::Seq(parts.into_iter().flat_map(|part| self.set(part).flat()).collect());
        }
        if steps.is_empty() {
            return Tree::Seq(Vec::new());
        }
        if steps.len() <= search::MOST {
            return self.searched(&steps);
        }
        let halves = self.halves(&steps);
        Tree::Seq(halves.into_iter().flat_map(|half| self.set(half).flat()).collect())
    }

    fn mark(&mut self, steps: &[usize]) -> usize {
        self.sets += 1;
        for (i, &step) in steps.iter().enumerate() {
            self.member[step] = self.sets;
            self.slot[step] = i;
        }
        self.sets
    }

    /// Parts without an edge between them, each sorted by position, in the order of their first step in the file.
    fn components(&mut self, steps: &[usize]) -> Vec<Vec<usize>> {
        let set = self.mark(steps);
        let mut part_of = std::collections::BTreeMap::new();
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for &root in steps {
            if part_of.contains_key(&root) {
                continue;
            }
            let mut stack = vec![root];
            let mut part = Vec::new();
            part_of.insert(root, parts.len());
            while let Some(step) = stack.pop() {
                part.push(step);
                for &next in self.before[step].iter().chain(&self.after[step]) {
                    if self.member[next] == set && !part_of.contains_key(&next) {
                        part_of.insert(next, parts.len());
                        stack.push(next);
                    }
                }
            }
            part.sort_by_key(|&step| self.position[step]);
            parts.push(part);
        }
        parts.sort_by_key(|part| part.iter().min().copied());
        parts
    }

    /// Cuts at every point where each last step before it leads straight to each first step after it.
    /// Such a cut shows in any order that honours the edges, so one sweep finds them all.
    fn series(&mut self, steps: &[usize]) -> Vec<Vec<usize>> {
        let set = self.mark(steps);
        let inside = |list: &[usize], member: &[usize]| -> Vec<usize> {
            list.iter().copied().filter(|&step| member[step] == set).collect()
        };
        let mut is_last = vec![false; steps.len()];
        let mut is_first = vec![false; steps.len()];
        let mut open = vec![0_usize; steps.len()];
        let slots = std::mem::take(&mut self.slot);
        let at = |step: usize| slots[step];
        let (mut lasts, mut firsts, mut links) = (0_usize, 0_usize, 0_usize);
        for &step in steps {
            open[at(step)] = inside(&self.before[step], &self.member).len();
            if open[at(step)] == 0 {
                is_first[at(step)] = true;
                firsts += 1;
            }
        }
        let mut parts = Vec::new();
        let mut part = Vec::new();
        for (done, &step) in steps.iter().enumerate() {
            let before = inside(&self.before[step], &self.member);
            let after = inside(&self.after[step], &self.member);
            is_first[at(step)] = false;
            firsts -= 1;
            links -= before.iter().filter(|&&earlier| is_last[at(earlier)]).count();
            for &earlier in &before {
                if is_last[at(earlier)] {
                    is_last[at(earlier)] = false;
                    lasts -= 1;
                    links -= inside(&self.after[earlier], &self.member)
                        .iter()
                        .filter(|&&next| is_first[at(next)])
                        .count();
                }
            }
            for &next in &after {
                open[at(next)] -= 1;
                if open[at(next)] == 0 {
                    is_first[at(next)] = true;
                    firsts += 1;
                    links += inside(&self.before[next], &self.member)
                        .iter()
                        .filter(|&&from| is_last[at(from)])
                        .count();
                }
            }
            is_last[at(step)] = true;
            lasts += 1;
            links += after.iter().filter(|&&next| is_first[at(next)]).count();
            part.push(step);
            if done + 1 < steps.len() && links == lasts * firsts {
                parts.push(std::mem::take(&mut part));
            }
        }
        parts.push(part);
        self.slot = slots;
        parts
    }

    /// Cuts a part that is too big to search: of the cuts by earliest end that leave both sides at least a quarter, the one
    /// with the least sum of critical paths. The quarter bounds the depth, and so the work.
    fn halves(&mut self, steps: &[usize]) -> [Vec<usize>; 2] {
        let set = self.mark(steps);
        let at = |step: usize| self.slot[step];
        let mut end = vec![0.0_f64; steps.len()];
        let mut tail = vec![0.0_f64; steps.len()];
        for &step in steps {
            let earlier = self.members(&self.before[step], set);
            end[at(step)] = self.seconds[step] + earlier.map(|from| end[at(from)]).fold(0.0, f64::max);
        }
        for &step in steps.iter().rev() {
            let later = self.members(&self.after[step], set);
            tail[at(step)] = self.seconds[step] + later.map(|next| tail[at(next)]).fold(0.0, f64::max);
        }
        // Steps come by position: the sort keeps that order among equals.
        let mut by_end = steps.to_vec();
        by_end.sort_by(|&a, &b| end[at(a)].total_cmp(&end[at(b)]));
        let (low, high) = (steps.len() / 4, steps.len() - steps.len() / 4);
        let mut best = (f64::INFINITY, low);
        let mut longest_after = 0.0_f64;
        for i in (low..by_end.len()).rev() {
            longest_after = longest_after.max(tail[at(by_end[i])]);
            let cost = end[at(by_end[i - 1])] + longest_after;
            if i <= high && cost < best.0 {
                best = (cost, i);
            }
        }
        let second = by_end.split_off(best.1);
        [by_end, second].map(|mut half| {
            half.sort_by_key(|&step| self.position[step]);
            half
        })
    }

    /// The best nesting of a small part that a search finds.
    fn searched(&mut self, steps: &[usize]) -> Tree {
        let set = self.mark(steps);
        let before: Vec<Vec<usize>> = steps
            .iter()
            .map(|&step| {
                self.members(&self.before[step], set)
                    .map(|from| self.slot[from])
                    .collect()
            })
            .collect();
        let seconds: Vec<f64> = steps.iter().map(|&step| self.seconds[step]).collect();
        Part::new(&before, &seconds).nested().renumbered(steps)
    }

    fn members<'s>(&'s self, list: &'s [usize], set: usize) -> impl Iterator<Item = usize> + 's {
        list.iter().copied().filter(move |&step| self.member[step] == set)
    }
}

/// What the tree makes wait for what it does not need, and how much later than its own edges allow it starts.
fn waits(before: &[Vec<usize>], tree: &Tree, seconds: &[f64]) -> Vec<Note> {
    let mut start = vec![0.0; seconds.len()];
    schedule(tree, 0.0, seconds, &mut start);
    let mut notes = Vec::new();
    tree.each_join(&mut |first, second| {
        let (mut lasts, mut firsts) = (Vec::new(), Vec::new());
        first.ends(&mut lasts, |items| items.last());
        second.ends(&mut firsts, |items| items.first());
        for step in firsts {
            let waits_for: Vec<StepIx> = lasts
                .iter()
                .filter(|last| !before[step].contains(last))
                .map(|&last| StepIx(last))
                .collect();
            if waits_for.is_empty() {
                continue;
            }
            let own = before[step]
                .iter()
                .map(|&earlier| start[earlier] + seconds[earlier])
                .fold(0.0, f64::max);
            notes.push(Note {
                step: StepIx(step),
                waits_for,
                seconds: (start[step] - own).max(0.0),
            });
        }
    });
    notes
}

/// When each step of the tree starts, from `at` on; gives when all of it has ended.
pub fn schedule(tree: &Tree, at: f64, seconds: &[f64], start: &mut [f64]) -> f64 {
    match tree {
        Tree::Step(step) => {
            start[*step] = at;
            at + seconds[*step]
        }
        Tree::Seq(items) => items.iter().fold(at, |at, item| schedule(item, at, seconds, start)),
        Tree::Par(items) => items
            .iter()
            .map(|item| schedule(item, at, seconds, start))
            .fold(at, f64::max),
    }
}
