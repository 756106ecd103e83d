//! How close plans come to the critical path, and to the best nesting there is. `cargo bench --bench planning` measures more.

use mlpipe::plan::structure::{Tree, structure};
use proptest::prelude::*;

use crate::graphs::{Chance, Graph, Spread, kinds, small};

/// The tree and the notes, each as the step, what it waits for, and how long.
fn planned(edges: &[(usize, usize)], seconds: &[f64]) -> (Tree, Vec<(usize, Vec<usize>, f64)>) {
    let mut before = vec![Vec::new(); seconds.len()];
    for &(from, to) in edges {
        before[to].push(from);
    }
    let order: Vec<usize> = (0..seconds.len()).collect();
    let (tree, notes) = structure(before, &order, seconds);
    let notes = notes
        .into_iter()
        .map(|note| {
            (
                note.step.0,
                note.waits_for.iter().map(|step| step.0).collect(),
                note.seconds,
            )
        })
        .collect();
    (tree, notes)
}

fn seq<const N: usize>(items: [Tree; N]) -> Tree {
    Tree::Seq(items.into())
}

fn par<const N: usize>(items: [Tree; N]) -> Tree {
    Tree::Par(items.into())
}

use Tree::Step;

/// Steps 0 and 1 before 2, step 1 before 3: the smallest graph that cannot be nested as it is.
const N_SHAPE: [(usize, usize); 3] = [(0, 2), (1, 2), (1, 3)];

proptest! {
    #[test]
    fn series_parallel_graphs_take_their_critical_path(seed in any::<u64>(), size in 1_usize..150) {
        let graph = Chance(seed).series_parallel(size);
        prop_assert_eq!(graph.planned(), graph.critical());
        let (_, notes) = graph.structure();
        prop_assert_eq!(notes, []);
    }
}

#[test]
fn other_graphs_take_little_longer_than_their_critical_path() {
    let mut all = Vec::new();
    for (name, graphs) in kinds(8) {
        let ratios: Vec<f64> = graphs.iter().map(Graph::ratio).collect();
        all.extend(&ratios);
        let spread = Spread::of(ratios);
        assert!(spread.at(0.5) < 1.05, "{name}: {spread}");
    }
    let spread = Spread::of(all);
    assert!(spread.at(0.5) < 1.02 && spread.at(0.9) < 1.15, "{spread}");
}

#[test]
fn small_graphs_are_nested_as_well_as_they_can_be() {
    for graph in small(4..=7, 100) {
        assert_eq!(graph.planned(), graph.optimal(), "{graph:?}");
    }
}

#[test]
fn the_step_that_holds_up_least_is_waited_for() {
    // The long steps 0 and 3 run side by side: 0 waits for 1 rather than 3 for 0.
    let (tree, notes) = planned(&N_SHAPE, &[100.0, 1.0, 1.0, 100.0]);
    assert_eq!(tree, seq([Step(1), par([seq([Step(0), Step(2)]), Step(3)])]));
    assert_eq!(notes, [(0, vec![1], 1.0)]);
    // Here 3 can as well wait for 0.
    let (tree, notes) = planned(&N_SHAPE, &[10.0, 1.0, 100.0, 1.0]);
    assert_eq!(tree, seq([par([Step(0), Step(1)]), par([Step(2), Step(3)])]));
    assert_eq!(notes, [(3, vec![0], 9.0)]);
}

#[test]
fn of_equally_fast_nestings_the_one_with_fewer_waits_is_taken() {
    // Steps 0, 1 and 2 come before 3, and 2 before 4. All take 3 seconds if 4 comes after the three first steps, and
    // waits for two; or if it comes with them, and only 3 waits, for 4.
    let (tree, notes) = planned(&[(0, 3), (1, 3), (2, 3), (2, 4)], &[2.0, 2.0, 1.0, 1.0, 1.0]);
    assert_eq!(tree, seq([par([Step(0), Step(1), seq([Step(2), Step(4)])]), Step(3)]));
    assert_eq!(notes, [(3, vec![4], 0.0)]);
}

#[test]
fn a_change_elsewhere_leaves_a_part_as_it_was() {
    let seconds = [3.0, 2.0, 2.0, 3.0, 5.0, 5.0];
    let (alone, notes) = planned(&N_SHAPE, &seconds[..4]);
    let (beside, notes_beside) = planned(&[(0, 2), (1, 2), (1, 3), (4, 5)], &seconds);
    assert_eq!(beside, par([alone, seq([Step(4), Step(5)])]));
    assert_eq!(notes, notes_beside);
}

#[test]
fn a_part_too_big_to_search_is_planned_all_the_same() {
    for graph in [Chance(1).window_dag(1_000, 1.5, 30), Chance(2).any_dag(300, 2.0)] {
        let ratio = graph.ratio();
        assert!((1.0..1.5).contains(&ratio), "{ratio}");
    }
}
