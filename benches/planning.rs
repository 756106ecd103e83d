//! Planning: how much longer than the critical path plans take over random graphs, then how long planning takes.
//!
//! The growth from 1,000 to 10,000 steps is to be near linear. The figures in `docs/planning.md` are from here.

#![allow(clippy::print_stdout, missing_docs)]

#[allow(clippy::panic, dead_code)]
#[path = "../tests/it/graphs.rs"]
mod graphs;

use std::hint::black_box;

use criterion::Criterion;
use graphs::{Chance, Graph, Spread, kinds, small};

fn report() {
    println!("makespan / critical path, graphs of 5 to 60 steps, 167 of each kind");
    let mut all = Vec::new();
    for (name, graphs) in kinds(167) {
        let ratios: Vec<f64> = graphs.iter().map(Graph::ratio).collect();
        all.extend(&ratios);
        println!("  {name:28}{}", Spread::of(ratios));
    }
    println!("  {:28}{}", "all", Spread::of(all));
    let mut chance = Chance(5);
    let ratios = (0..1_000).map(|_| {
        let size = 5 + chance.below(56);
        chance.series_parallel(size).ratio()
    });
    println!("  {:28}{}", "series-parallel", Spread::of(ratios.collect()));
    println!("makespan / best makespan there is, by steps");
    for (sizes, count) in [(4..=7, 250), (8..=11, 50)] {
        let name = format!("{} to {}", sizes.start(), sizes.end());
        let graphs = small(sizes, count);
        let ratios = graphs.iter().map(|graph| graph.planned() / graph.optimal());
        println!("  {name:28}{}", Spread::of(ratios.collect()));
    }
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    if !std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        report();
    }
    let mut group = criterion.benchmark_group("plan");
    for count in [1_000, 10_000] {
        let inputs = [
            ("near", Chance(5).window_dag(count, 1.5, 30)),
            ("any", Chance(5).any_dag(count, 1.5)),
            ("series-parallel", Chance(5).series_parallel(count)),
        ];
        for (name, graph) in &inputs {
            let edges: usize = graph.before.iter().map(Vec::len).sum();
            let ratio = graph.ratio();
            println!("plan/{name}-{count}: {edges} edges, makespan / critical path {ratio:.3}");
            group.bench_function(format!("{name}-{count}"), |bencher| {
                bencher.iter(|| black_box(graph).structure());
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
