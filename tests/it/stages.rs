//! Stages as a user meets them: what `--stage` changes on each command, what `validate` says without it, and what it prints.

use std::collections::BTreeMap;

use mlpipe::diagnostics::Problems;
use mlpipe::syntax::{Node, node, stages};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cli::{Project, code, files, stderr, stdout};
use crate::support::{good_pipelines, on_big_stack};

const BASE: &str = r#"mlpipe: v1
name: demo
params:
  n: { type: integer, default: 2 }
buckets:
  models: {}
triggers:
  - schedule: { cron: "0 3 * * *" }
steps:
  first:
    function: { handler: work.first }
    input: { n: "${{ params.n }}" }
  check: { wait: { duration: 1s }, needs: [first] }
outputs:
  n: ${{ steps.first.output }}
"#;

const STAGES: &str = r#"
stages:
  dev:
    triggers: null
    steps: { check: null }
  prod:
    name: demo-prod
    params: { n: { default: 5 } }
    buckets: { models: { versioning: true } }
    steps:
      first: { function: { memory: 1GB } }
      last: { function: { handler: work.last }, needs: [check] }
"#;

/// What `prod` makes of it, written by hand.
const PROD: &str = r#"mlpipe: v1
name: demo-prod
params:
  n: { type: integer, default: 5 }
buckets:
  models: { versioning: true }
triggers:
  - schedule: { cron: "0 3 * * *" }
steps:
  first:
    function: { handler: work.first, memory: 1GB }
    input: { n: "${{ params.n }}" }
  check: { wait: { duration: 1s }, needs: [first] }
  last: { function: { handler: work.last }, needs: [check] }
outputs:
  n: ${{ steps.first.output }}
"#;

const WORK: &str = "def first(input):\n    return input['n']\n\n\ndef last(input):\n    return 'last'\n";

fn project(stages: &str) -> Project {
    Project::new(&format!("{BASE}{stages}"), WORK)
}

fn run_outputs(project: &Project, arguments: &[&str]) -> Value {
    project.outcome(arguments, 0)["outputs"].clone()
}

#[test]
fn run_takes_the_stage_and_without_one_the_file_as_it_is() {
    let project = project(STAGES);
    assert_eq!(run_outputs(&project, &[]), json!({ "n": 2 }));
    assert_eq!(run_outputs(&project, &["--stage", "dev"]), json!({ "n": 2 }));
    assert_eq!(run_outputs(&project, &["--stage", "prod"]), json!({ "n": 5 }));
    assert_eq!(
        run_outputs(&project, &["--stage", "prod", "--param", "n=7"]),
        json!({ "n": 7 })
    );
}

#[test]
fn graph_takes_the_stage() {
    let project = project(STAGES);
    let nodes = |arguments: &[&str]| {
        let output = project.mlpipe(&[&["graph", "pipeline.yaml", "--format", "json"], arguments].concat());
        let graph: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let nodes = graph["nodes"].as_array().expect("nodes").iter();
        nodes
            .map(|node| node["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(nodes(&[]), ["first", "check"]);
    assert_eq!(nodes(&["--stage", "dev"]), ["first"]);
    assert_eq!(nodes(&["--stage", "prod"]), ["first", "check", "last"]);
}

fn compiled(project: &Project, arguments: &[&str], folder: &str) -> BTreeMap<String, String> {
    let output = project.mlpipe(&[&["compile", "pipeline.yaml", "-o", folder], arguments].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let names = files(&project.path(folder));
    names
        .into_iter()
        .map(|name| (name.clone(), project.read(&format!("{folder}/{name}"))))
        .collect()
}

#[test]
fn compile_writes_what_the_merged_file_compiles_to() {
    let project = project(STAGES);
    let staged = compiled(&project, &["--stage", "prod"], "staged");
    let base = compiled(&project, &[], "base");
    assert_ne!(staged, base);
    let output = project.mlpipe(&["compile", "pipeline.yaml", "--stage", "prod", "-o", "staged", "--check"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));

    project.write("pipeline.yaml", PROD);
    assert_eq!(compiled(&project, &[], "by-hand"), staged);
    project.write("pipeline.yaml", BASE);
    assert_eq!(
        compiled(&project, &[], "alone"),
        base,
        "stages leave no trace in the rest"
    );
}

#[test]
fn validate_prints_the_merged_pipeline() {
    let project = project(STAGES);
    let printed = |stage: &str| {
        let output = project.mlpipe(&["validate", "pipeline.yaml", "--stage", stage, "--print"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        stdout(&output)
    };
    let prod = printed("prod");
    let tree = |text: &str| {
        node::parse(text, &mut Problems::new())
            .expect("a tree")
            .to_json()
            .to_string()
    };
    assert_eq!(tree(&prod), tree(PROD), "the same keys in the same order");
    assert!(!printed("dev").contains("triggers"));

    let staged = compiled(&project, &["--stage", "prod"], "staged");
    project.write("pipeline.yaml", &prod);
    assert_eq!(compiled(&project, &[], "printed"), staged);

    let output = project.mlpipe(&["validate", "pipeline.yaml", "--print", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(report["pipeline"].to_string(), tree(PROD));
}

#[test]
fn validate_looks_at_every_stage() {
    let project = project(STAGES);
    let output = project.mlpipe(&["validate", "pipeline.yaml"]);
    assert_eq!(
        stdout(&output),
        "pipeline.yaml is valid, also with stage dev, prod: 2 steps, checked for aws, gcp, azure\n"
    );
    let output = project.mlpipe(&["validate", "pipeline.yaml", "--stage", "prod"]);
    assert_eq!(
        stdout(&output),
        "pipeline.yaml is valid with stage prod: 3 steps, checked for aws, gcp, azure\n"
    );
}

/// Line and stages of each problem.
fn problems(project: &Project, arguments: &[&str]) -> Vec<(String, u64, Value)> {
    let output = project.mlpipe(&[&["validate", "pipeline.yaml", "--format", "json"], arguments].concat());
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(report["valid"], code(&output) == 0);
    let found = report["problems"].as_array().expect("a list").iter();
    found
        .map(|problem| {
            let line = problem["labels"][0]["line"].as_u64().expect("a line");
            let code = problem["code"].as_str().expect("a code").to_owned();
            (code, line, problem["stages"].clone())
        })
        .collect()
}

#[test]
fn a_broken_stage_is_found_and_points_at_what_the_stage_wrote() {
    // Line 17 holds `stages`.
    let project = project("stages:\n  prod:\n    steps:\n      first:\n        function: { handler: work.frist }\n");
    let expected = ("MLP0603".to_owned(), 20, json!(["prod"]));
    assert_eq!(problems(&project, &[]), [expected]);
    assert_eq!(
        problems(&project, &["--stage", "prod"]),
        [("MLP0603".to_owned(), 20, Value::Null)]
    );
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml"])),
        0,
        "the file alone is sound"
    );
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml", "--stage", "prod"])),
        1
    );
}

#[test]
fn a_problem_is_said_once() {
    // Both stages leave `check` without what it needs; the file alone has a fault of its own.
    let stages = "stages:\n  dev: { steps: { first: null }, outputs: null }\n  prod: { steps: { first: null }, outputs: null }\n  extra: { name: demo-extra }\n";
    let project = project(stages);
    assert_eq!(
        problems(&project, &[]),
        [("MLP0203".to_owned(), 13, json!(["dev", "prod"]))]
    );

    project.write(
        "pipeline.yaml",
        &format!("{BASE}{stages}").replace("duration: 1s", "duration: 1 s"),
    );
    let found = problems(&project, &[]);
    assert_eq!(found[0], ("MLP0113".to_owned(), 13, Value::Null), "{found:?}");
    assert_eq!(found.iter().filter(|(code, ..)| code == "MLP0113").count(), 1);
}

#[test]
fn a_stage_that_is_not_there_is_pointed_out() {
    let project = project(STAGES);
    for command in ["validate", "compile", "run", "graph"] {
        let output = project.mlpipe(&[command, "pipeline.yaml", "--stage", "prd"]);
        assert_eq!(code(&output), 1);
        let said = stderr(&output);
        assert!(
            said.contains("MLP0120") && said.contains("did you mean `prod`?"),
            "{command}: {said}"
        );
    }
}

/// Values that YAML readers like to take for something else.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            " ",
            "~",
            "null",
            "true",
            "yes",
            "on",
            "1",
            "1.0",
            "-1",
            "0x1f",
            "0o7",
            "1e3",
            ".5",
            "1_000",
            "007",
            ".inf",
            ".nan",
            "<<",
            "=",
            "-",
            "- a",
            "? a",
            "a: b",
            "a #b",
            "#",
            "&a",
            "*a",
            "!a",
            "!!str a",
            "|",
            ">",
            "%",
            "@",
            "`",
            "\"",
            "'",
            "{a",
            "[a",
            "---",
            "...",
            "2026-11-25",
            "12:30:45",
            "a\nb",
            "a\n",
            "\na",
            "  a\n b\n",
            "a\t",
            "\ta",
            "a\r\nb",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{0}",
            "${{ a }}",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
        " {0,3}[a-z \n:#'\"-]{0,100}",
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        prop::num::f64::NORMAL
            .prop_filter("integers stay exact", |n| n.abs() < 9e15)
            .prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((texts(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// JSON is YAML, but for what the library does not read in it.
fn tree(value: &Value) -> Option<Node> {
    let mut problems = Problems::new();
    let node = node::parse(&value.to_string(), &mut problems)?;
    (problems.is_empty() && node.to_json() == *value).then_some(node)
}

fn reads_back(node: &Node) -> Result<(), String> {
    let text = node.to_yaml().map_err(|error| error.to_string())?;
    let mut problems = Problems::new();
    let again = node::parse(&text, &mut problems).ok_or_else(|| format!("{problems:?}\n{text}"))?;
    // Order is part of it.
    match (again.to_json().to_string(), node.to_json().to_string()) {
        (again, node) if again == node => Ok(()),
        (again, node) => Err(format!("{node}\nwritten\n{text}\nread\n{again}")),
    }
}

#[test]
fn what_is_printed_reads_back() {
    on_big_stack(|| {
        for path in good_pipelines() {
            let text = std::fs::read_to_string(&path).expect("a pipeline");
            let root = node::parse(&text, &mut Problems::new()).expect("a tree");
            let file = stages::Staged::of(root, &mut Problems::new());
            reads_back(file.base()).unwrap_or_else(|said| panic!("{}: {said}", path.display()));
        }
    });
}

proptest! {
    #[test]
    fn any_tree_reads_back(value in values()) {
        if let Some(node) = tree(&json!({ "value": value })) {
            prop_assert_eq!(reads_back(&node), Ok(()));
        }
    }
}
