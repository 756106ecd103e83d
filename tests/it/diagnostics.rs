//! Every case in `tests/diagnostics/` with what mlpipe says about it: `snapshots/diagnostics/<case>.snap`.
//!
//! `INSTA_UPDATE=always cargo test` writes them anew.

use std::collections::BTreeSet;

use insta::Settings;
use mlpipe::check::Input;
use mlpipe::diagnostics::Problems;
use mlpipe::plan::plan;
use mlpipe::targets::{Sources, Target};

use crate::support::{AllThere, Disk, codes, files, on_big_stack, rendered, root, validate};

/// Codes that no file of a reasonable size shows.
const WITHOUT_A_CASE: &[(&str, &str)] = &[
    ("MLP0702", "every runtime of the language is one of Lambda's"),
    (
        "MLP0705",
        "a template of 1 MB has more than 500 resources first: MLP0706",
    ),
    ("MLP0719", "a bug of mlpipe"),
    (
        "MLP0723",
        "every runtime of the language is one of Cloud Run functions'",
    ),
    ("MLP0739", "a bug of mlpipe"),
    ("MLP0741", "every runtime of the language is one of Flex Consumption's"),
    ("MLP0759", "a bug of mlpipe"),
];

/// Codes whose message sometimes says all: what is there, and what is taken.
const SAYS_ALL: [&str; 3] = ["MLP0321", "MLP0325", "MLP0330"];

fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots/diagnostics"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// Folders of `tests/diagnostics/`.
fn cases() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("tests/diagnostics"))
        .expect("the cases")
        .flatten()
        .filter(|entry| entry.path().join("pipeline.yaml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn cases_are_explained() {
    on_big_stack(|| {
        settings().bind(|| {
            for name in cases() {
                let folder = root().join("tests/diagnostics").join(&name);
                let text = std::fs::read_to_string(folder.join("pipeline.yaml")).expect("a pipeline");
                let problems = all_problems(&text, &folder);
                assert!(!problems.is_empty(), "{name}: nothing to say");
                insta::assert_snapshot!(
                    name.clone(),
                    format!("SOURCE\n{text}\nPROBLEMS\n{}", rendered(&problems, &text))
                );
            }
        });
    });
}

/// What `validate` finds, and where it finds no error, what `compile` adds.
fn all_problems(text: &str, folder: &std::path::Path) -> Problems {
    let (pipeline, mut problems) = validate(text, &Disk(folder.to_owned()));
    if let Some(pipeline) = pipeline.filter(|_| !problems.has_errors()) {
        let mut sources = Sources::default();
        for function in pipeline.functions() {
            let source = &function.call.source;
            let below = folder.join(source);
            let read = files(&below, &|_| true).into_iter().map(|path| {
                let name = path
                    .strip_prefix(&below)
                    .expect("a file below")
                    .to_string_lossy()
                    .into_owned();
                (name, std::fs::read(&path).expect("a file"))
            });
            sources.folders.insert(source.clone(), read.collect());
        }
        let plan = plan(&pipeline);
        for target in Target::ALL {
            if let Err(found) = target.compile(&pipeline, &plan, &sources) {
                problems.extend(found);
            }
        }
    }
    problems
}

/// Too large a file is written here, not committed.
#[test]
fn a_file_that_is_too_large() {
    let text = format!("mlpipe: v1\n#{}\n", "x".repeat(8 * 1024 * 1024));
    let (_, problems) = validate(&text, &AllThere);
    settings().bind(|| {
        let source = "mlpipe: v1\n#x… (8 MiB)\n";
        insta::assert_snapshot!(
            "too-large",
            format!("SOURCE\n{source}\nPROBLEMS\n{}", rendered(&problems, source))
        );
    });
}

/// A stage is asked for on the command line.
#[test]
fn stages_that_are_not_there() {
    let head = "mlpipe: v1\nname: p\nsteps: { a: { wait: { duration: 5s } } }\n";
    let text = format!("{head}stages:\n  dev: {{}}\n  prod: {{}}\n");
    settings().bind(|| {
        for (name, text, stage) in [
            ("no-such-stage", text.as_str(), "test"),
            ("no-such-stage-near", &text, "prd"),
            ("no-stages", head, "prod"),
        ] {
            let mut problems = Problems::new();
            let input = Input {
                stage: Some(stage),
                ..Input::new(text, &AllThere)
            };
            let found = mlpipe::validate::validate(&input, &Target::ALL, &mut problems);
            assert!(found.pipeline.is_none());
            insta::assert_snapshot!(
                name,
                format!(
                    "SOURCE with --stage {stage}\n{text}\nPROBLEMS\n{}",
                    rendered(&problems, text)
                )
            );
        }
    });
}

/// Quotas that only long pipelines pass: the steps are written here.
#[test]
fn pipelines_that_are_too_long() {
    on_big_stack(|| {
        let functions = |count: usize, input: usize| {
            let input = "x".repeat(input);
            let steps: String = (0..count)
                .map(|i| format!("  s{i}: {{ function: {{ handler: work.handler }}, input: [{input}] }}\n"))
                .collect();
            format!("mlpipe: v1\nname: p\nsteps:\n{steps}")
        };
        settings().bind(|| {
            let buckets: String = (0..850).map(|i| format!("  b{i}: {{}}\n")).collect();
            let generated = [
                ("many-functions", "1500 function steps\n", functions(1_500, 0)),
                (
                    "large-inputs",
                    "2 function steps, each with an input of 1200000 characters\n",
                    functions(2, 1_200_000),
                ),
                (
                    "large-input",
                    "a function step with an input of 1200000 characters\n",
                    functions(1, 1_200_000),
                ),
                (
                    "many-buckets",
                    "850 buckets\n",
                    format!("mlpipe: v1\nname: p\nbuckets:\n{buckets}steps:\n  a: {{ wait: {{ duration: 5s }} }}\n"),
                ),
            ];
            // How large the files are is their own matter.
            let size = regex::Regex::new(r": \d+\n").expect("a regular expression");
            for (name, source, text) in generated {
                let said = rendered(&compile_all(&text), source);
                let said = size.replace_all(&said, ": …\n");
                insta::assert_snapshot!(name, format!("SOURCE\n{source}\nPROBLEMS\n{said}"));
            }
        });
    });
}

fn compile_all(text: &str) -> Problems {
    let (pipeline, mut problems) = validate(text, &AllThere);
    if let Some(pipeline) = pipeline {
        let plan = plan(&pipeline);
        for target in Target::ALL {
            if let Err(found) = target.compile(&pipeline, &plan, &Sources::default()) {
                problems.extend(found);
            }
        }
    }
    problems
}

#[test]
fn every_code_is_shown() {
    let mut shown = BTreeSet::new();
    let mut names = BTreeSet::new();
    for path in files(&root().join("snapshots/diagnostics"), &|path| {
        path.extension().is_some_and(|e| e == "snap")
    }) {
        names.insert(path.file_stem().expect("a name").to_string_lossy().into_owned());
        let text = std::fs::read_to_string(&path).expect("a snapshot");
        let said = text.split_once("\nPROBLEMS\n").map_or("", |(_, said)| said);
        shown.extend(said.lines().filter(|line| line.starts_with("MLP")).map(str::to_owned));
    }
    let excepted = |code: &str| WITHOUT_A_CASE.iter().any(|(excepted, _)| *excepted == code);
    let missing: Vec<String> = codes()
        .into_iter()
        .filter(|code| !shown.contains(code) && !excepted(code))
        .collect();
    assert!(missing.is_empty(), "write a case in tests/diagnostics/ for {missing:?}");
    let needless: Vec<&str> = WITHOUT_A_CASE
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| shown.contains(*code))
        .collect();
    assert!(needless.is_empty(), "these have a case: {needless:?}");
    let written_here = [
        "too-large",
        "many-functions",
        "large-inputs",
        "large-input",
        "many-buckets",
        "no-such-stage",
        "no-such-stage-near",
        "no-stages",
    ]
    .map(str::to_owned);
    let known: BTreeSet<String> = cases().into_iter().chain(written_here).collect();
    let stale: Vec<&String> = names.difference(&known).collect();
    assert!(stale.is_empty(), "no case has the snapshots {stale:?}");
}

/// One voice: lower case, no full stop, and a help that says what to type.
#[test]
fn problems_speak_with_one_voice() {
    on_big_stack(|| {
        const PROPER: [&str; 8] = ["Lambda", "Cloud", "Flex", "Google", "Azure", "AWS", "YAML", "Unix"];
        let mut faults = Vec::new();
        for name in cases() {
            let folder = root().join("tests/diagnostics").join(&name);
            let text = std::fs::read_to_string(folder.join("pipeline.yaml")).expect("a pipeline");
            for problem in all_problems(&text, &folder).sorted() {
                let message = problem.diagnostic().to_string();
                let help = problem.diagnostic().help().map(|help| help.to_string());
                let mut fault =
                    |what: &str| faults.push(format!("{name}: {}: {what}: {message} ({help:?})", problem.code()));
                for said in std::iter::once(&message).chain(help.as_ref()) {
                    let proper = PROPER.iter().any(|word| said.starts_with(word));
                    if said.starts_with(char::is_uppercase) && !proper {
                        fault("begins in upper case");
                    }
                    if said.ends_with(['.', '!']) {
                        fault("ends with a full stop");
                    }
                    for word in ["please", "invalid", "simply", "must not be"] {
                        if said.to_lowercase().contains(word) {
                            fault(word);
                        }
                    }
                    if said.matches('`').count() % 2 == 1 && !said.contains("```") {
                        fault("an open backtick");
                    }
                }
                if help.is_none() && !SAYS_ALL.contains(&problem.code().as_str()) {
                    fault("no help");
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    });
}
