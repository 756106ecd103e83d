use indexmap::IndexMap;
use serde_json::json;

use super::*;
use crate::check::handlers::Files;
use crate::targets::Sources;

const PIPELINE: &str = "
mlpipe: v1
name: full
params:
  key: { type: string }
buckets:
  raw: { expire_after: 30d }
  x: {}
  models: { versioning: true }
  archive: { existing: { azure: acmestore/archive } }
secrets: { api_key: {} }
triggers:
  - object_created: { bucket: raw, prefix: in/, suffix: '[x].csv' }
    params: { key: '${{ trigger.key }}' }
  - object_created: { bucket: archive }
    params: { key: '${{ trigger.uri }}' }
steps:
  import:
    function: { handler: train.run, source: a, memory: 600MB, timeout: 45m }
  host:
    function: { handler: train.run, source: b }
  full:
    needs: [import, host]
    join: any
    function: { handler: train.run, source: a }
outputs: { a: 1 }
";

struct Folders;

impl Files for Folders {
    fn is_folder(&self, _: &str) -> bool {
        true
    }
    fn read(&self, _: &str) -> Option<String> {
        Some("def run(input): pass".to_owned())
    }
    fn python_files(&self, _: &str) -> Vec<String> {
        vec!["train.py".to_owned()]
    }
}

fn pipeline(text: &str) -> Pipeline {
    let mut problems = Problems::new();
    let document = crate::syntax::read(text, &mut problems).expect("the document");
    let pipeline = crate::check::check(&document, text, &Folders, &mut problems);
    pipeline.unwrap_or_else(|| panic!("{problems:?}"))
}

fn sources(requirements: [&str; 2]) -> Sources {
    let folder = |requirements: &str| {
        let files = [("requirements.txt", requirements), ("train.py", "")];
        files
            .into_iter()
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .collect::<IndexMap<_, _>>()
    };
    let [a, b] = requirements;
    let folders = [("a".to_owned(), folder(a)), ("b".to_owned(), folder(b))];
    Sources {
        folders: folders.into_iter().collect(),
    }
}

fn artifacts(requirements: [&str; 2]) -> Result<Artifacts, Problems> {
    let pipeline = pipeline(PIPELINE);
    compile(&pipeline, &crate::plan::plan(&pipeline), &sources(requirements))
}

fn text(artifacts: &Artifacts, path: &str) -> String {
    String::from_utf8(artifacts.files[path].clone()).expect("UTF-8")
}

fn codes(problems: &Problems) -> Vec<String> {
    problems.sorted().iter().map(|problem| problem.code()).collect()
}

#[test]
fn names_of_steps_that_python_or_azure_reserve() {
    let artifacts = artifacts(["", ""]).expect("artifacts");
    let app = text(&artifacts, "app/function_app.py");
    for part in [
        "activity=\"import\")\ndef import_(envelope):",
        "activity=\"host\")\ndef host_(envelope):",
        "input_name=\"envelope\")\ndef full(envelope):",
        "orchestration=\"full\")\ndef full_(context",
    ] {
        assert!(app.contains(part), "{part} is not in\n{app}");
    }
}

#[test]
fn one_list_of_requirements() {
    let artifacts = artifacts(["fsspec\nnumpy==1.26\n", "numpy==1.26\n-r more.txt\n"]).expect("artifacts");
    let expected = "fsspec\nnumpy==1.26\n-r b/more.txt\nazure-functions>=1.21,<2\nazure-functions-durable>=1.3,<2\n\
                    azure-identity\nazure-keyvault-secrets\nadlfs\n";
    assert_eq!(text(&artifacts, "app/requirements.txt"), expected);
}

#[test]
fn requirements_that_cannot_live_together() {
    let problems = super::tests::artifacts(["numpy==1.26", "NumPy==2.0"]).expect_err("a problem");
    assert_eq!(codes(&problems), ["MLP0745"]);
}

#[test]
fn the_template_names_what_it_needs() {
    let artifacts = artifacts(["", ""]).expect("artifacts");
    let template: serde_json::Value = serde_json::from_slice(&artifacts.files["main.json"]).expect("JSON");
    let resources = template["resources"].as_array().expect("a list");
    let of = |kind: &str| -> Vec<&serde_json::Value> {
        resources.iter().filter(|resource| resource["type"] == kind).collect()
    };
    let containers: Vec<&str> = of("Microsoft.Storage/storageAccounts/blobServices/containers")
        .iter()
        .filter_map(|container| container["name"].as_str())
        .collect();
    let names = [
        "hostStorage'), '/default/deployments",
        "dataStorage'), '/default/raw",
        "dataStorage'), '/default/data-x",
    ];
    for name in names {
        assert!(
            containers.iter().any(|container| container.contains(name)),
            "{name}: {containers:?}"
        );
    }
    // Versions are a matter of the whole account: buckets that keep none lose theirs after a day.
    let rules = &of("Microsoft.Storage/storageAccounts/managementPolicies")[0]["properties"]["policy"]["rules"];
    assert_eq!(
        rules[0]["definition"]["actions"]["version"]["delete"]["daysAfterCreationGreaterThan"],
        1
    );
    assert_eq!(rules[1]["name"], "expire-data-x");
    assert_eq!(rules.as_array().map(Vec::len), Some(2));
    let filter = &of("Microsoft.EventGrid/systemTopics/eventSubscriptions")[0]["properties"]["filter"];
    assert_eq!(
        filter["subjectBeginsWith"],
        "/blobServices/default/containers/raw/blobs/in/"
    );
    assert_eq!(filter["subjectEndsWith"], "[[x].csv");
    assert_eq!(of("Microsoft.Resources/deployments").len(), 2);
    let scale = &of("Microsoft.Web/sites")[0]["properties"]["functionAppConfig"]["scaleAndConcurrency"];
    assert_eq!(scale["instanceMemoryMB"], 2048);
    let host: serde_json::Value = serde_json::from_slice(&artifacts.files["app/host.json"]).expect("JSON");
    assert_eq!(host["functionTimeout"], "00:46:00");
    assert_eq!(host["extensions"]["durableTask"], json!({"hubName": "Full"}));
}

#[test]
fn quotas() {
    let text = PIPELINE
        .replace("memory: 600MB", "memory: 5GB, runtime: python3.11")
        .replace("source: b", "source: azure")
        .replace("acmestore/archive", "acmestore/a--b")
        .replace("  x: {}", "  x--y: {}");
    let problems = check(&pipeline(&text));
    let mut codes = codes(&problems);
    codes.sort();
    codes.dedup();
    assert_eq!(codes, ["MLP0740", "MLP0742", "MLP0743", "MLP0744", "MLP0746"]);
}
