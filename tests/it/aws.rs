//! What a stack on AWS is made of where a pipeline has several state machines.
//!
//! `UPDATE=1 cargo test` writes the pipeline in parts anew that the conformance tests run.

use std::collections::BTreeSet;
use std::path::Path;

use mlpipe::check::Input;
use mlpipe::diagnostics::Problems;
use mlpipe::plan;
use mlpipe::targets::{Artifacts, Sources, aws};
use serde_json::Value;

use crate::support::{Disk, files, root};

/// So many bytes a definition.
const MOST: usize = 14_000;

#[test]
fn the_fixture_in_parts_is_current() {
    let folder = root().join("tests/conformance/aws/fixtures/parts");
    let mut sources = Sources::default();
    let steps = std::fs::read(folder.join("functions/steps.py")).expect("the functions");
    let package = [("steps.py".to_owned(), steps)].into_iter().collect();
    sources.folders.insert("functions".to_owned(), package);
    let artifacts = compiled(&folder, &sources, MOST);
    let built = folder.join("aws");
    if std::env::var_os("UPDATE").is_some() {
        let _ = std::fs::remove_dir_all(&built);
        for (path, bytes) in &artifacts.files {
            let file = built.join(path);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(file, bytes).expect("a file");
        }
    }
    let is_source = |path: &Path| path.components().all(|part| part.as_os_str() != "__pycache__");
    let there: BTreeSet<_> = files(&built, &is_source).into_iter().collect();
    let made: BTreeSet<_> = artifacts.files.keys().map(|path| built.join(path)).collect();
    assert_eq!(there, made);
    for (path, bytes) in &artifacts.files {
        assert_eq!(std::fs::read(built.join(path)).expect("a file"), *bytes, "{path}");
    }
    let parts = artifacts.files.keys().filter(|path| path.starts_with("part."));
    assert!(parts.count() > 3, "the fixture is not in parts");
}

fn compiled(folder: &Path, sources: &Sources, most: usize) -> Artifacts {
    let text = std::fs::read_to_string(folder.join("pipeline.yaml")).expect("the pipeline");
    let mut problems = Problems::new();
    let document = mlpipe::syntax::read(&text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let files = Disk(folder.to_owned());
    let pipeline = mlpipe::check::check(&document, &Input::new(&text, &files), &mut problems);
    let pipeline = pipeline.unwrap_or_else(|| panic!("{problems:?}"));
    let artifacts = aws::compile_within(&pipeline, &plan::plan(&pipeline), sources, most);
    artifacts.unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn each_pipeline_is_one_state_machine_that_starts_what_it_runs() {
    let folder = root().join("tests/corpus/child-nested");
    let artifacts = compiled(&folder, &Sources::default(), usize::MAX);
    let template: Value = serde_yaml::from_slice(&artifacts.files["template.yaml"]).expect("YAML");
    let used = |id: &str| -> Vec<String> {
        let properties = &template["Resources"][id]["Properties"];
        let used = properties["DefinitionSubstitutions"].as_object().expect("an object");
        used.keys().cloned().collect()
    };
    assert_eq!(used("StateMachine"), ["MiddleStateMachineArn", "AddStateMachineArn"]);
    assert_eq!(
        used("MiddleStateMachine"),
        ["AddStateMachineArn", "FailsStateMachineArn"]
    );
    // Both have functions of their own, in folders of their own.
    assert_eq!(used("AddStateMachine"), ["AddAFunctionArn"]);
    assert_eq!(
        used("FailsStateMachine"),
        ["FailsCheckFunctionArn", "FailsDoneFunctionArn"]
    );
    let code = |id: &str| template["Resources"][id]["Properties"]["CodeUri"].clone();
    assert_ne!(code("AddAFunction"), code("FailsDoneFunction"));
    // The machine of `middle` may start those two, and no other.
    let may = &template["Resources"]["MiddleStateMachine"]["Properties"]["Policies"][0]["Statement"][0];
    assert_eq!(may["Action"], serde_json::json!(["states:StartExecution"]));
    let machines = serde_json::json!([{ "Ref": "AddStateMachine" }, { "Ref": "FailsStateMachine" }]);
    assert_eq!(may["Resource"], machines);
    let readme = String::from_utf8_lossy(&artifacts.files["README.md"]).into_owned();
    assert!(readme.contains(
        "`pipeline.fails.asl.json` | the state machine of the pipeline `fails`, started by `pipeline.middle.asl.json`"
    ));
}

#[test]
fn an_approval_is_published_with_its_token_by_the_machine_that_may() {
    let folder = root().join("tests/corpus/approval-step-timeout");
    let artifacts = compiled(&folder, &Sources::default(), usize::MAX);
    let definition: Value = serde_json::from_slice(&artifacts.files[aws::DEFINITION]).expect("JSON");
    let task = &definition["States"]["gate"]["Branches"][0]["States"]["Attempt of gate"];
    // The step's hour is less than the approval's day.
    assert_eq!(task["TimeoutSeconds"], 3600);
    assert_eq!(
        task["Arguments"]["Message"]["token"],
        "{% $states.context.Task.Token %}"
    );
    let template: Value = serde_yaml::from_slice(&artifacts.files["template.yaml"]).expect("YAML");
    let topic = &template["Resources"]["ApprovalsTopic"];
    assert_eq!(topic["Properties"]["KmsMasterKeyId"], "alias/aws/sns");
    let may = &template["Resources"]["StateMachine"]["Properties"]["Policies"][0]["Statement"][0];
    let publish =
        serde_json::json!({ "Effect": "Allow", "Action": ["sns:Publish"], "Resource": [{ "Ref": "ApprovalsTopic" }] });
    assert_eq!(*may, publish);
    assert_eq!(
        template["Outputs"]["ApprovalsTopicArn"]["Value"]["Ref"],
        "ApprovalsTopic"
    );
}
