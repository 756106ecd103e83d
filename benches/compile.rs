//! Cold compiles, from the file's text to all artifacts: both examples, and chains of 1,000 and 10,000 steps, per target.
//!
//! Growth is the ratio of the two chains: at most 13 for ten times the steps. Quotas are left out: no cloud takes the long one.

#![allow(clippy::expect_used, missing_docs)]

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::thread;

use criterion::Criterion;
use indexmap::IndexMap;
use mlpipe::check::handlers::AllThere;
use mlpipe::diagnostics::Problems;
use mlpipe::targets::{Artifacts, Sources, Target};
use mlpipe::{check, plan, syntax};

/// As the command's: long chains nest deeply in memory.
const STACK_BYTES: usize = 512 * 1024 * 1024;

fn chain(steps: usize) -> String {
    let mut text = String::from("mlpipe: v1\nname: chain\nsteps:\n  s0: { function: { handler: work.handler } }\n");
    for i in 1..steps {
        let before = i - 1;
        writeln!(
            text,
            "  s{i}: {{ function: {{ handler: work.handler }}, input: {{ n: \"${{{{ steps.s{before}.output }}}}\" }} }}"
        )
        .expect("a string takes all");
    }
    text
}

fn compile(text: &str, target: Target) -> Artifacts {
    let mut problems = Problems::new();
    let document = syntax::read(text, &mut problems).expect("a document");
    let pipeline = check::check(&document, &check::Input::new(text, &AllThere), &mut problems).expect("a pipeline");
    let plan = plan::plan(&pipeline);
    let sources = Sources {
        folders: IndexMap::new(),
    };
    // The artifacts of a chain beyond a quota are measured all the same, up to the refusal.
    target.compile(&pipeline, &plan, &sources).unwrap_or_default()
}

fn benches() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let example = |name: &str| std::fs::read_to_string(examples.join(name).join("pipeline.yaml")).expect("an example");
    let inputs = [
        ("hello", example("hello")),
        ("new-object", example("new-object")),
        ("chain-1000", chain(1_000)),
        ("chain-10000", chain(10_000)),
    ];
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for target in Target::ALL {
        let mut group = criterion.benchmark_group(target.name());
        for (name, text) in &inputs {
            group.bench_function(*name, |bencher| bencher.iter(|| compile(black_box(text), target)));
        }
        group.finish();
    }
    criterion.final_summary();
}

fn main() {
    thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(benches)
        .expect("a thread")
        .join()
        .expect("no panic");
}
