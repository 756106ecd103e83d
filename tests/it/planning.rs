//! How close plans come to the critical path and to the best nesting there is.

use crate::graphs::{Chance, Spread, kinds};

#[test]
fn the_report() {
    report(20);
}

pub fn report(count: usize) {
    let mut all = Vec::new();
    for (name, graphs) in kinds(count) {
        let now = std::time::Instant::now();
        let ratios: Vec<f64> = graphs.iter().map(|graph| graph.planned() / graph.critical()).collect();
        let t = now.elapsed() / graphs.len() as u32;
        all.extend(&ratios);
        println!("{name:28} {}  {t:?}", Spread::of(ratios));
    }
    println!("{:28} {}", "all", Spread::of(all));
    let mut chance = Chance(3);
    let mut ratios = Vec::new();
    for _ in 0..200 {
        let size = 4 + chance.below(4);
        let degree = 1.0 + chance.below(3) as f64 * 0.5;
        let graph = chance.any_dag(size, degree);
        ratios.push(graph.planned() / graph.optimal());
    }
    println!("{:28} {}", "to the optimum, <= 7 steps", Spread::of(ratios));
}

#[test]
fn series_parallel_graphs_take_their_critical_path() {
    let mut chance = Chance(1);
    for _ in 0..300 {
        let size = 1 + chance.below(120);
        let graph = chance.series_parallel(size);
        assert_eq!(graph.planned(), graph.critical(), "{graph:?}");
    }
}
