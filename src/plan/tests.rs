//! The plan holds what the graph says, whatever the graph.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Node, Plan, plan};
use crate::check::handlers::AllThere;
use crate::diagnostics::Problems;
use crate::model::{Pipeline, StepIx};

/// A pipeline of one line a step: `name: needs` with `?` behind the name of a conditional step.
fn pipeline(steps: &[(String, bool, Vec<String>)]) -> Pipeline {
    let mut text = String::from("mlpipe: v1\nname: p\nparams: { go: boolean }\nsteps:\n");
    for (name, conditional, needs) in steps {
        let when = if *conditional {
            ", when: \"${{ params.go }}\""
        } else {
            ""
        };
        let needs = needs.join(", ");
        text.push_str(&format!(
            "  {name}: {{ function: {{ handler: w.f }}, needs: [{needs}]{when} }}\n"
        ));
    }
    let mut problems = Problems::new();
    let document = crate::syntax::read(&text, &mut problems).unwrap();
    crate::check::check(&document, &crate::check::Input::new(&text, &AllThere), &mut problems).unwrap()
}

fn from_words(words: &[&str]) -> Pipeline {
    let steps: Vec<_> = words
        .iter()
        .map(|word| {
            let (name, needs) = word.split_once(':').unwrap();
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            (name.trim_end_matches('?').to_owned(), name.ends_with('?'), needs)
        })
        .collect();
    pipeline(&steps)
}

/// `a (b | c) ?d{d e}`: `Seq` by spaces, `Par` in parentheses, `If` in braces behind its step.
fn shown(pipeline: &Pipeline, node: &Node) -> String {
    let all = |nodes: &[Node], between: &str| {
        nodes
            .iter()
            .map(|node| shown(pipeline, node))
            .collect::<Vec<_>>()
            .join(between)
    };
    match node {
        Node::Run(step) => pipeline.step(*step).id.clone(),
        Node::Seq(nodes) => all(nodes, " "),
        Node::Par(nodes) => format!("({})", all(nodes, " | ")),
        Node::If { guard, then } => format!("?{}{{{}}}", pipeline.step(guard.step).id, shown(pipeline, then)),
    }
}

fn planned(words: &[&str]) -> (String, Plan) {
    let pipeline = from_words(words);
    let plan = plan(&pipeline);
    (shown(&pipeline, &plan.root), plan)
}

#[test]
fn series_parallel_graphs_keep_their_shape() {
    for (words, expected) in [
        (vec!["a:"], "a"),
        (vec!["a:", "b:a", "c:b"], "a b c"),
        (vec!["a:", "b:a", "c:a", "d:b c"], "a (b | c) d"),
        (vec!["a:", "b:"], "(a | b)"),
        // An edge that another path implies changes nothing.
        (vec!["a:", "b:a", "c:a b"], "a b c"),
        (vec!["a:", "b:a", "c:", "d:c"], "(a b | c d)"),
    ] {
        let (shape, plan) = planned(&words);
        assert_eq!(shape, expected);
        assert_eq!(plan.notes, []);
    }
}

#[test]
fn what_cannot_be_nested_waits_and_says_so() {
    let (shape, plan) = planned(&["a:", "b:", "c:a b", "d:b"]);
    assert_eq!(shape, "(a | b) (c | d)");
    assert_eq!(plan.notes.len(), 1);
    assert_eq!(
        (plan.notes[0].step, plan.notes[0].waits_for.as_slice()),
        (StepIx(3), [StepIx(0)].as_slice())
    );
}

#[test]
fn a_skip_costs_one_condition() {
    for (words, expected) in [
        (vec!["a?:", "b:a", "c:b"], "?a{a b c}"),
        (vec!["a?:", "b:a", "c:a", "d:b c"], "?a{a (b | c) d}"),
        (vec!["a?:", "b?:a", "c:b"], "?a{a ?b{b c}}"),
        // `c` follows no skip: it stays outside.
        (vec!["a:", "b?:a", "c:a"], "a (?b{b} | c)"),
    ] {
        assert_eq!(planned(&words).0, expected);
    }
}

/// Random graphs: each step may need any of those before it.
fn graphs() -> impl Strategy<Value = Vec<(String, bool, Vec<String>)>> {
    prop::collection::vec(
        (any::<bool>(), prop::collection::vec(any::<prop::sample::Index>(), 0..4)),
        1..25,
    )
    .prop_map(|steps| {
        steps
            .into_iter()
            .enumerate()
            .map(|(i, (conditional, needs))| {
                let needs: BTreeSet<usize> = needs
                    .into_iter()
                    .filter(|_| i > 0)
                    .map(|need| need.index(i.max(1)))
                    .collect();
                (
                    format!("s{i}"),
                    conditional && i % 3 == 0,
                    needs.iter().map(|need| format!("s{need}")).collect(),
                )
            })
            .collect()
    })
}

/// When each step starts and ends, a unit a step.
fn times(node: &Node, at: u32, found: &mut BTreeMap<StepIx, (u32, u32)>) -> u32 {
    match node {
        Node::Run(step) => {
            assert!(found.insert(*step, (at, at + 1)).is_none(), "a step is planned twice");
            at + 1
        }
        Node::Seq(nodes) => nodes.iter().fold(at, |at, node| times(node, at, found)),
        Node::Par(nodes) => nodes.iter().map(|node| times(node, at, found)).max().unwrap_or(at),
        Node::If { then, .. } => times(then, at, found),
    }
}

/// The guards that stand between the root and each step.
fn guards(node: &Node, above: &[StepIx], found: &mut BTreeMap<StepIx, Vec<StepIx>>) {
    match node {
        Node::Run(step) => {
            found.insert(*step, above.to_vec());
        }
        Node::Seq(nodes) | Node::Par(nodes) => nodes.iter().for_each(|node| guards(node, above, found)),
        Node::If { guard, then } => {
            let mut inner = above.to_vec();
            inner.push(guard.step);
            inner.extend(&guard.ran);
            guards(then, &inner, found);
        }
    }
}

proptest! {
    #[test]
    fn every_step_comes_once_and_after_all_that_it_follows(steps in graphs()) {
        let pipeline = pipeline(&steps);
        let plan = plan(&pipeline);
        let mut found = BTreeMap::new();
        times(&plan.root, 0, &mut found);
        prop_assert_eq!(found.len(), pipeline.steps.len());
        for ix in pipeline.indices() {
            for earlier in &pipeline.step(ix).after {
                prop_assert!(found[earlier].1 <= found[&ix].0, "{:?} before {:?} in {:?}", ix, earlier, plan.root);
            }
        }
    }

    /// A step runs under its own condition and that of each skippable step that it needs, and under no other.
    #[test]
    fn every_step_is_guarded_by_its_needs_and_nothing_else(steps in graphs()) {
        let pipeline = pipeline(&steps);
        let plan = plan(&pipeline);
        let mut found: BTreeMap<StepIx, Vec<StepIx>> = BTreeMap::new();
        guards(&plan.root, &[], &mut found);
        for ix in pipeline.indices() {
            let step = pipeline.step(ix);
            let above: BTreeSet<StepIx> = found[&ix].iter().copied().collect();
            let mut allowed = step.implied.clone();
            allowed.insert(ix);
            prop_assert!(above.is_subset(&allowed), "{:?} is guarded by {:?}", step.id, above);
            prop_assert_eq!(step.when.is_some() && !above.contains(&ix), false);
            for need in step.needs.iter().filter(|need| pipeline.step(**need).may_skip) {
                let known = |ran: &StepIx| above.iter().any(|g| g == ran || pipeline.step(*g).implied.contains(ran));
                let with_it = known(need) || found[need].iter().all(known);
                prop_assert!(with_it, "{:?} does not follow the skip of {:?}", step.id, need);
            }
        }
    }
}
