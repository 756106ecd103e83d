//! The nesting of `Seq` and `Par` over a DAG, without conditions.
//!
//! A set of steps that falls apart runs side by side. One that has a point where all that is before must end
//! before all that is after runs one after the other. What has neither shape cannot be nested without a step
//! waiting for more than it needs: there the cheapest cut is made, and noted.

use super::Note;
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
    /// The same tree with the number of each step in the pipeline.
    pub fn renumbered(self, steps: &[StepIx]) -> Self {
        let all = |items: Vec<Self>| items.into_iter().map(|item| item.renumbered(steps)).collect();
        match self {
            Self::Step(slot) => Self::Step(steps[slot].0),
            Self::Seq(items) => Self::Seq(all(items)),
            Self::Par(items) => Self::Par(all(items)),
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
        notes: Vec::new(),
    };
    let tree = planner.set(order.to_vec());
    let mut notes = planner.notes;
    measure(&planner.before, &tree, seconds, &mut notes);
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
    notes: Vec<Note>,
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
            return Tree::Seq(parts.into_iter().flat_map(|part| flat(self.set(part))).collect());
        }
        if steps.is_empty() {
            return Tree::Seq(Vec::new());
        }
        let (first, second) = self.cut(&steps);
        let mut items = flat(self.set(first));
        items.extend(flat(self.set(second)));
        Tree::Seq(items)
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

    /// The cut of least expected makespan among those by earliest start; notes who waits for what.
    fn cut(&mut self, steps: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let set = self.mark(steps);
        let at = |step: usize| self.slot[step];
        let mut start = vec![0.0_f64; steps.len()];
        let mut tail = vec![0.0_f64; steps.len()];
        for &step in steps {
            let earlier = self.members(&self.before[step], set);
            start[at(step)] = earlier.map(|p| start[at(p)] + self.seconds[p]).fold(0.0, f64::max);
        }
        for &step in steps.iter().rev() {
            let later = self.members(&self.after[step], set);
            tail[at(step)] = self.seconds[step] + later.map(|n| tail[at(n)]).fold(0.0, f64::max);
        }
        let mut by_start = steps.to_vec();
        by_start.sort_by(|&a, &b| {
            start[at(a)]
                .total_cmp(&start[at(b)])
                .then(self.position[a].cmp(&self.position[b]))
        });
        let mut longest_after = vec![0.0_f64; by_start.len() + 1];
        for (i, &step) in by_start.iter().enumerate().rev() {
            longest_after[i] = longest_after[i + 1].max(tail[at(step)]);
        }
        let mut best = (f64::INFINITY, 1);
        let mut finish = 0.0_f64;
        for (i, &step) in by_start.iter().enumerate().take(by_start.len() - 1) {
            finish = finish.max(start[at(step)] + self.seconds[step]);
            let cost = finish + longest_after[i + 1];
            if cost < best.0 {
                best = (cost, i + 1);
            }
        }
        let second = by_start.split_off(best.1);
        let (mut first, mut second) = (by_start, second);
        first.sort_by_key(|&step| self.position[step]);
        second.sort_by_key(|&step| self.position[step]);
        self.note(&first, &second, set);
        (first, second)
    }

    fn members<'s>(&'s self, list: &'s [usize], set: usize) -> impl Iterator<Item = usize> + 's {
        list.iter().copied().filter(move |&step| self.member[step] == set)
    }

    fn note(&mut self, first: &[usize], second: &[usize], set: usize) {
        let in_second = self.mark(second);
        // What is still marked with the old number is the first part.
        let lasts: Vec<usize> = first
            .iter()
            .copied()
            .filter(|&step| !self.after[step].iter().any(|&next| self.member[next] == set))
            .collect();
        for &step in second {
            if self.before[step]
                .iter()
                .any(|&earlier| self.member[earlier] == in_second)
            {
                continue;
            }
            let waits_for: Vec<StepIx> = lasts
                .iter()
                .copied()
                .filter(|last| !self.before[step].contains(last))
                .map(StepIx)
                .collect();
            if !waits_for.is_empty() {
                self.notes.push(Note {
                    step: StepIx(step),
                    waits_for,
                    seconds: 0.0,
                });
            }
        }
    }
}

fn flat(tree: Tree) -> Vec<Tree> {
    match tree {
        Tree::Seq(items) => items,
        other => vec![other],
    }
}

/// How much later than its own dependencies allow each noted step starts.
fn measure(before: &[Vec<usize>], tree: &Tree, seconds: &[f64], notes: &mut [Note]) {
    if notes.is_empty() {
        return;
    }
    let mut start = vec![0.0; seconds.len()];
    schedule(tree, 0.0, seconds, &mut start);
    for note in notes {
        let own = before[note.step.0]
            .iter()
            .map(|&earlier| start[earlier] + seconds[earlier])
            .fold(0.0, f64::max);
        note.seconds = (start[note.step.0] - own).max(0.0);
    }
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
