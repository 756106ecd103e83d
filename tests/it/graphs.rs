//! Random graphs for tests and benchmarks of planning, and the best nesting of a small one by exhaustion.

use std::collections::BTreeMap;

use mlpipe::plan::structure::{schedule, structure};

/// A graph whose steps are numbered in an order that honours every edge.
#[derive(Clone, Debug)]
pub struct Graph {
    /// What each step follows.
    pub before: Vec<Vec<usize>>,
    /// Durations.
    pub seconds: Vec<f64>,
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn seconds(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| (1 + self.below(100)) as f64).collect()
    }

    /// Any step may follow any before it; `degree` is how many it follows on average, where there are that many.
    pub fn any_dag(&mut self, count: usize, degree: f64) -> Graph {
        self.window_dag(count, degree, count)
    }

    /// As `any_dag`, but a step follows only those at most `window` places before it.
    pub fn window_dag(&mut self, count: usize, degree: f64, window: usize) -> Graph {
        // Where the window is the whole graph, the mean number of steps before a step is half of it.
        let reach = if window < count {
            window as f64
        } else {
            count.saturating_sub(1).max(1) as f64 / 2.0
        };
        let per_million = (1e6 * degree / reach).min(1e6) as usize;
        let before = (0..count)
            .map(|step| {
                (step.saturating_sub(window)..step)
                    .filter(|_| self.below(1_000_000) < per_million)
                    .collect()
            })
            .collect();
        Graph {
            before,
            seconds: self.seconds(count),
        }
    }

    /// Layers of one to `width` steps; each step follows one or more of the layer before it, now and then one further up.
    pub fn layered_dag(&mut self, count: usize, width: usize) -> Graph {
        let mut before: Vec<Vec<usize>> = Vec::new();
        let mut layer = 0..0;
        while before.len() < count {
            let start = before.len();
            let size = (1 + self.below(width)).min(count - start);
            for _ in 0..size {
                let mut list = Vec::new();
                if !layer.is_empty() {
                    for _ in 0..1 + self.below(2) {
                        list.push(layer.start + self.below(layer.len()));
                    }
                    if self.below(4) == 0 {
                        list.push(self.below(layer.end));
                    }
                }
                list.sort_unstable();
                list.dedup();
                before.push(list);
            }
            layer = start..before.len();
        }
        Graph {
            before,
            seconds: self.seconds(count),
        }
    }

    /// A series-parallel graph, with some edges that a path implies.
    pub fn series_parallel(&mut self, count: usize) -> Graph {
        let mut before = vec![Vec::new(); count];
        self.nest(0, count, &mut before);
        for step in 2..count {
            if self.below(3) == 0 {
                let implied: Vec<usize> = before[step]
                    .iter()
                    .flat_map(|&from: &usize| before[from].clone())
                    .collect();
                before[step].extend(implied);
                before[step].sort_unstable();
                before[step].dedup();
            }
        }
        Graph {
            before,
            seconds: self.seconds(count),
        }
    }

    /// Gives the first and the last steps of what it built.
    fn nest(&mut self, start: usize, end: usize, before: &mut [Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
        if end - start == 1 {
            return (vec![start], vec![start]);
        }
        let middle = start + 1 + self.below(end - start - 1);
        let (mut firsts, mut lasts) = self.nest(start, middle, before);
        let (firsts_2, lasts_2) = self.nest(middle, end, before);
        if self.below(2) == 0 {
            for step in firsts_2 {
                before[step].extend(&lasts);
            }
            return (firsts, lasts_2);
        }
        firsts.extend(firsts_2);
        lasts.extend(lasts_2);
        (firsts, lasts)
    }
}

impl Graph {
    /// The longest path, in seconds.
    pub fn critical(&self) -> f64 {
        let mut end: Vec<f64> = Vec::new();
        for (step, before) in self.before.iter().enumerate() {
            let start = before.iter().map(|&from| end[from]).fold(0.0, f64::max);
            end.push(start + self.seconds[step]);
        }
        end.into_iter().fold(0.0, f64::max)
    }

    /// What the plan takes, in seconds.
    pub fn planned(&self) -> f64 {
        let order: Vec<usize> = (0..self.before.len()).collect();
        let (tree, _) = structure(self.before.clone(), &order, &self.seconds);
        let mut start = vec![f64::NAN; order.len()];
        let end = schedule(&tree, 0.0, &self.seconds, &mut start);
        for (step, before) in self.before.iter().enumerate() {
            for &from in before {
                assert!(
                    start[from] + self.seconds[from] <= start[step],
                    "{from} is not before {step}"
                );
            }
        }
        end
    }

    /// What the best nesting takes: of every set, the best of all cuts in two. For small graphs.
    pub fn optimal(&self) -> f64 {
        let all = (1_u32 << self.before.len()) - 1;
        self.best(all, &mut BTreeMap::new())
    }

    fn best(&self, set: u32, known: &mut BTreeMap<u32, f64>) -> f64 {
        if set.count_ones() == 1 {
            return self.seconds[set.trailing_zeros() as usize];
        }
        if let Some(&known) = known.get(&set) {
            return known;
        }
        let has = |set: u32, step: usize| set >> step & 1 == 1;
        let edges = |from: u32, to: u32| {
            self.before
                .iter()
                .enumerate()
                .any(|(step, before)| has(to, step) && before.iter().any(|&earlier| has(from, earlier)))
        };
        let mut best = f64::INFINITY;
        let mut one = (set - 1) & set;
        while one > 0 {
            let two = set & !one;
            if !edges(two, one) {
                let (a, b) = (self.best(one, known), self.best(two, known));
                best = best.min(if edges(one, two) { a + b } else { a.max(b) });
            }
            one = (one - 1) & set;
        }
        known.insert(set, best);
        best
    }
}

/// Makespans over critical paths, and the same in figures.
pub struct Spread(Vec<f64>);

impl Spread {
    /// Of these ratios.
    pub fn of(mut ratios: Vec<f64>) -> Self {
        ratios.sort_by(f64::total_cmp);
        Self(ratios)
    }

    /// The value that this share of the ratios does not exceed.
    pub fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }

    /// The share of ratios that are 1.
    pub fn ones(&self) -> f64 {
        self.0.iter().filter(|&&ratio| ratio <= 1.0).count() as f64 / self.0.len() as f64
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, p90, p99, most] = [0.5, 0.9, 0.99, 1.0].map(|share| self.at(share));
        let ones = self.ones() * 100.0;
        write!(
            f,
            "1.00 in {ones:3.0} %, median {median:.3}, 90 % {p90:.3}, 99 % {p99:.3}, most {most:.3}"
        )
    }
}

/// The kinds of random graphs of 5 to 60 steps that are measured: `count` graphs of each.
pub fn kinds(count: usize) -> Vec<(String, Vec<Graph>)> {
    let mut kinds = Vec::new();
    for degree in [1.0, 1.5, 2.0, 3.0] {
        let mut chance = Chance(7);
        let graphs = (0..count).map(|_| {
            let size = 5 + chance.below(56);
            chance.any_dag(size, degree)
        });
        kinds.push((format!("any DAG, {degree} edges a step"), graphs.collect()));
    }
    for width in [3, 6] {
        let mut chance = Chance(11);
        let graphs = (0..count).map(|_| {
            let size = 5 + chance.below(56);
            chance.layered_dag(size, width)
        });
        kinds.push((format!("layers of up to {width}"), graphs.collect()));
    }
    kinds
}
