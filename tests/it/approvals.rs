//! Approvals of a run on the desk: asked, listed, answered, and what a wrong answer meets.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::{Project, code, stderr, stdout};

const GATE: &str = r#"
mlpipe: v1
name: demo
topics: { approvals: {} }
steps:
  gate: { approval: { topic: approvals, message: "Publish ${{ run.name }}?", timeout: 1h } }
outputs: { gate: "${{ steps.gate.output }}" }
"#;

/// A run that nobody sits in front of.
fn started(project: &Project) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mlpipe"))
        .args(["run", "--format", "json"])
        .arg(project.path("pipeline.yaml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mlpipe starts")
}

/// What waits, once as many wait as are awaited.
fn waiting(project: &Project, count: usize) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let listed = project.mlpipe(&["approve", "pipeline.yaml", "--format", "json"]);
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
        let found = listed["waiting"].as_array().expect("a list").clone();
        if found.len() == count {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{found:?} wait, not {count}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn outputs(run: Child) -> Value {
    let done = run.wait_with_output().expect("the run ends");
    let record: Value = serde_json::from_slice(&done.stdout).expect("a record");
    record["outputs"]["gate"].clone()
}

#[test]
fn a_run_waits_until_somebody_answers_from_elsewhere() {
    let project = Project::new(GATE, "");
    let run = started(&project);
    let found = waiting(&project, 1);
    assert_eq!(found[0]["step"], "gate");
    assert_eq!(found[0]["message"], "Publish demo?");
    let wrong = project.mlpipe(&["approve", "pipeline.yaml", "gat"]);
    assert_eq!(code(&wrong), 1);
    assert!(stderr(&wrong).contains("did you mean `gate`?"), "{}", stderr(&wrong));
    let answered = project.mlpipe(&["approve", "pipeline.yaml", "gate", "--by", "ann", "--comment", "fine"]);
    assert_eq!(code(&answered), 0, "{}", stderr(&answered));
    assert!(stdout(&answered).starts_with("approved `gate` of run-"));
    let answer = json!({ "approved": true, "by": "ann", "comment": "fine" });
    assert_eq!(outputs(run), answer);
    // Nothing is left of it.
    assert!(
        !project
            .path(".mlpipe/runs")
            .read_dir()
            .is_ok_and(|mut runs| runs.next().is_some())
    );
    let late = project.mlpipe(&["approve", "pipeline.yaml", "gate"]);
    assert_eq!(code(&late), 1);
    assert!(
        stderr(&late).contains("nothing waits for an answer"),
        "{}",
        stderr(&late)
    );
}

#[test]
fn of_two_runs_one_is_named() {
    let project = Project::new(GATE, "");
    let (one, other) = (started(&project), started(&project));
    let found = waiting(&project, 2);
    let which = project.mlpipe(&["approve", "pipeline.yaml", "gate"]);
    assert_eq!(code(&which), 2);
    assert!(stderr(&which).contains("name one with `--run`"), "{}", stderr(&which));
    for run in &found {
        let run = run["run"].as_str().expect("an id");
        let no = project.mlpipe(&[
            "approve",
            "pipeline.yaml",
            "gate",
            "--run",
            run,
            "--reject",
            "--by",
            "bo",
        ]);
        assert_eq!(code(&no), 0, "{}", stderr(&no));
    }
    let answer = json!({ "approved": false, "by": "bo", "comment": null });
    assert_eq!((outputs(one), outputs(other)), (answer.clone(), answer));
}

#[test]
fn an_answer_beforehand_names_an_approval() {
    let project = Project::new(GATE, "");
    let run = |answer: &str| project.mlpipe(&["run", "pipeline.yaml", "--format", "json", "--answer", answer]);
    let yes: Value = serde_json::from_slice(&run("gate=yes").stdout).expect("a record");
    assert_eq!(yes["outputs"]["gate"]["approved"], true);
    for (answer, said) in [
        ("gat=yes", "did you mean `gate`?"),
        ("gate", "is not `STEP=ANSWER`"),
        ("gate=perhaps", "neither `yes` nor `no` nor JSON"),
    ] {
        let done = run(answer);
        assert_eq!(code(&done), 2, "{answer}");
        assert!(
            format!("{}{}", stderr(&done), stdout(&done)).contains(said),
            "{answer}: {}",
            stderr(&done)
        );
    }
}
