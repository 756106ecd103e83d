//! The nesting of a small part that is neither series nor parallel: a bounded search over its cuts.
//!
//! A connected part that has no series cut must be cut in two, one before the other, at the price of waits. Which cut
//! is best depends on how well both sides nest. The search ranks cuts by a lower bound, the sum of both sides'
//! critical paths, and nests the sides of the best few; what is known of a side is kept for the next cut that has it.

use std::collections::BTreeMap;

use super::structure::Tree;

/// The most steps of a part that is searched.
pub const MOST: usize = 64;

/// Up to this many cuts, all are looked at.
const ALL_CUTS: usize = 64;

/// How many of the best cuts are nested: at the top of a part, below that, and below that; then only the best.
const WIDTHS: [usize; 4] = [1, 3, 8, 24];

/// What limits the work on one part: the number of cuts looked at in depth, beyond which only the best is.
const BUDGET: usize = 3_000;

/// Steps of the part, a bit each. Each set here is convex: what lies between two of its steps is in it.
type Set = u64;

/// A part of a graph, its steps numbered in an order that honours every edge.
pub struct Part {
    /// The steps right before each; no edge that a path implies.
    before: Vec<Set>,
    /// The steps right after each.
    after: Vec<Set>,
    /// All steps before each.
    earlier: Vec<Set>,
    /// All steps after each.
    later: Vec<Set>,
    /// Durations in microseconds: whole numbers, so that sums in any order are equal.
    micros: Vec<u64>,
    known: BTreeMap<Set, Known>,
    budget: usize,
}

/// Of less makespan first; among equals, of fewer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    micros: u64,
    waits: u32,
}

/// The best cut found for a set.
#[derive(Clone, Copy)]
struct Known {
    cost: Cost,
    first: Set,
    /// How wide the search was.
    effort: usize,
}

impl Part {
    /// `before` holds, per step, the steps that it follows: each of a lower number. At most [`MOST`] steps.
    pub fn new(before: &[Vec<usize>], seconds: &[f64]) -> Self {
        let count = before.len();
        let mut earlier = vec![0; count];
        let mut direct = vec![0; count];
        for (step, list) in before.iter().enumerate() {
            for &from in list {
                earlier[step] |= bit(from) | earlier[from];
            }
            direct[step] = list
                .iter()
                .filter(|&&from| !list.iter().any(|&other| earlier[other] & bit(from) != 0))
                .fold(0, |set, &from| set | bit(from));
        }
        let mut after = vec![0; count];
        let mut later = vec![0; count];
        for step in 0..count {
            bits(direct[step]).for_each(|from| after[from] |= bit(step));
            bits(earlier[step]).for_each(|from| later[from] |= bit(step));
        }
        Self {
            before: direct,
            after,
            earlier,
            later,
            micros: seconds.iter().map(|seconds| (seconds * 1e6).round() as u64).collect(),
            known: BTreeMap::new(),
            budget: BUDGET,
        }
    }

    /// The best nesting found.
    pub fn nested(&mut self) -> Tree {
        let all = (0..self.before.len()).fold(0, |set, step| set | bit(step));
        self.cost(all, WIDTHS.len() - 1);
        self.tree(all)
    }

    /// What the best nesting found for a set costs.
    fn cost(&mut self, set: Set, effort: usize) -> Cost {
        if set & (set - 1) == 0 {
            return Cost {
                micros: self.micros[set.trailing_zeros() as usize],
                waits: 0,
            };
        }
        let parts = self.components(set);
        if parts.len() > 1 {
            return parts.into_iter().fold(NOTHING, |sum, part| {
                let cost = self.cost(part, effort);
                Cost {
                    micros: sum.micros.max(cost.micros),
                    waits: sum.waits + cost.waits,
                }
            });
        }
        let parts = self.series(set);
        if parts.len() > 1 {
            return parts
                .into_iter()
                .fold(NOTHING, |sum, part| sum.plus(self.cost(part, effort)));
        }
        self.prime(set, effort).cost
    }

    /// A set that has to be cut.
    fn prime(&mut self, set: Set, effort: usize) -> Known {
        let known = self.known.get(&set).copied();
        let effort = if self.budget == 0 { 0 } else { effort };
        if let Some(known) = known
            && known.effort >= effort
        {
            return known;
        }
        let (cuts, all) = self.cuts(set);
        let width = if all && effort > 0 { usize::MAX } else { WIDTHS[effort] };
        let mut best = known;
        for (bound, first) in cuts.into_iter().take(width) {
            if best.is_some_and(|best| best.cost <= bound) {
                continue;
            }
            if effort > 0 {
                self.budget = self.budget.saturating_sub(1);
            }
            let below = if all { effort } else { effort.saturating_sub(1) };
            let cost = self.cut_cost(set, first, below);
            if best.is_none_or(|best| cost < best.cost) {
                best = Some(Known { cost, first, effort });
            }
        }
        let mut best = best.unwrap_or(Known {
            cost: NOTHING,
            first: bit(set.trailing_zeros() as usize),
            effort,
        });
        best.effort = effort;
        self.known.insert(set, best);
        best
    }

    fn cut_cost(&mut self, set: Set, first: Set, effort: usize) -> Cost {
        let one = self.cost(first, effort);
        let two = self.cost(set & !first, effort);
        let mut sum = one.plus(two);
        sum.waits += self.waits(first, set & !first);
        sum
    }

    /// Cuts worth a look with their lower bounds, the best first; true where these are all.
    fn cuts(&self, set: Set) -> (Vec<(Cost, Set)>, bool) {
        let (mut firsts, all) = match self.all_cuts(set) {
            Some(firsts) => (firsts, true),
            None => (self.some_cuts(set), false),
        };
        firsts.sort_unstable();
        firsts.dedup();
        let mut cuts: Vec<_> = firsts
            .into_iter()
            .filter(|&first| first != 0 && first != set)
            .map(|first| {
                let second = set & !first;
                let bound = Cost {
                    micros: self.critical(first) + self.critical(second),
                    waits: self.waits(first, second),
                };
                (bound, first)
            })
            .collect();
        cuts.sort_unstable();
        (cuts, all)
    }

    /// Every set of steps that is closed towards the start, unless there are too many.
    fn all_cuts(&self, set: Set) -> Option<Vec<Set>> {
        let mut found = std::collections::BTreeSet::from([0]);
        let mut fresh = vec![0];
        while let Some(first) = fresh.pop() {
            for step in bits(set & !first) {
                if self.before[step] & set & !first == 0 && found.insert(first | bit(step)) {
                    if found.len() > ALL_CUTS + 2 {
                        return None;
                    }
                    fresh.push(first | bit(step));
                }
            }
        }
        Some(found.into_iter().collect())
    }

    /// By time, from both ends: what can have ended by a time, what must have started; and round each step, what
    /// is before it and what is not after it.
    fn some_cuts(&self, set: Set) -> Vec<Set> {
        let ends = self.ends(set);
        let tails = self.tails(set);
        let mut firsts = Vec::new();
        for step in bits(set) {
            let (end, tail) = (ends[step], tails[step]);
            let start = end - self.micros[step];
            let rest = tail - self.micros[step];
            let chosen = |f: &dyn Fn(usize) -> bool| bits(set).filter(|&s| f(s)).fold(0, |sum, s| sum | bit(s));
            firsts.push(chosen(&|other| ends[other] <= end));
            firsts.push(chosen(&|other| ends[other] - self.micros[other] <= start));
            firsts.push(chosen(&|other| tails[other] > tail));
            firsts.push(chosen(&|other| tails[other] - self.micros[other] > rest));
            firsts.push(self.earlier[step] & set);
            firsts.push((self.earlier[step] | bit(step)) & set);
            firsts.push(set & !self.later[step]);
            firsts.push(set & !self.later[step] & !bit(step));
        }
        firsts.retain(|&first| bits(first).all(|step| self.before[step] & set & !first == 0));
        firsts
    }

    /// How many pairs of steps a cut makes wait that have no edge.
    fn waits(&self, first: Set, second: Set) -> u32 {
        let lasts = bits(first)
            .filter(|&step| self.after[step] & first == 0)
            .fold(0, |set, step| set | bit(step));
        bits(second)
            .filter(|&step| self.before[step] & second == 0)
            .map(|step| (lasts & !self.before[step]).count_ones())
            .sum()
    }

    fn critical(&self, set: Set) -> u64 {
        let ends = self.ends(set);
        bits(set).map(|step| ends[step]).max().unwrap_or(0)
    }

    /// When each step can end.
    fn ends(&self, set: Set) -> [u64; MOST] {
        let mut ends = [0; MOST];
        for step in bits(set) {
            ends[step] = self.micros[step] + bits(self.before[step] & set).map(|from| ends[from]).max().unwrap_or(0);
        }
        ends
    }

    /// How long each step and what follows it takes.
    fn tails(&self, set: Set) -> [u64; MOST] {
        let mut tails = [0; MOST];
        let mut left = set;
        while left != 0 {
            let step = 63 - left.leading_zeros() as usize;
            left &= !bit(step);
            tails[step] = self.micros[step] + bits(self.after[step] & set).map(|next| tails[next]).max().unwrap_or(0);
        }
        tails
    }

    /// Parts without an edge between them.
    fn components(&self, set: Set) -> Vec<Set> {
        let mut parts = Vec::new();
        let mut left = set;
        while left != 0 {
            let mut part = 0;
            let mut fresh = left & left.wrapping_neg();
            while fresh != 0 {
                part |= fresh;
                fresh = bits(fresh).fold(0, |sum, step| sum | self.before[step] | self.after[step]) & set & !part;
            }
            parts.push(part);
            left &= !part;
        }
        parts
    }

    /// Parts of which each is wholly before the next. Such a cut shows in any order that honours the edges.
    fn series(&self, set: Set) -> Vec<Set> {
        let mut parts = Vec::new();
        let mut second = 0;
        let mut common = Set::MAX;
        let mut left = set;
        let mut last = set;
        while left != 0 {
            let step = 63 - left.leading_zeros() as usize;
            left &= !bit(step);
            second |= bit(step);
            common &= self.earlier[step];
            if left & !common == 0 {
                parts.push(second & last);
                last = left;
                second = 0;
            }
        }
        parts.reverse();
        parts
    }

    fn tree(&self, set: Set) -> Tree {
        if set & (set - 1) == 0 {
            return Tree::Step(set.trailing_zeros() as usize);
        }
        let parts = self.components(set);
        if parts.len() > 1 {
            return Tree::Par(parts.into_iter().map(|part| self.tree(part)).collect());
        }
        let mut parts = self.series(set);
        if parts.len() == 1
            && let Some(known) = self.known.get(&set)
        {
            parts = vec![known.first, set & !known.first];
        }
        Tree::Seq(parts.into_iter().flat_map(|part| self.tree(part).flat()).collect())
    }
}

const NOTHING: Cost = Cost { micros: 0, waits: 0 };

impl Cost {
    fn plus(self, other: Self) -> Self {
        Self {
            micros: self.micros + other.micros,
            waits: self.waits + other.waits,
        }
    }
}

fn bit(step: usize) -> Set {
    1 << step
}

/// The steps of a set, lowest first.
fn bits(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (set != 0).then(|| {
            let step = set.trailing_zeros() as usize;
            set &= set - 1;
            step
        })
    })
}
