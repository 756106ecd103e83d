//! Every snippet of the documentation runs, and gives what stands under it.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{copy_folder, root};

/// Each pipeline of a page with what it gives: `{error: …}` where it fails.
fn snippets(page: &str) -> Vec<(String, Value)> {
    let pair = regex::Regex::new(r"(?ms)^```yaml\n(mlpipe: v1[^\n]*\n.*?)^```\n```json\n(.*?)^```$")
        .expect("a regular expression");
    let found: Vec<(String, Value)> = pair
        .captures_iter(page)
        .map(|found| {
            let expected = serde_json::from_str(&found[2]).unwrap_or_else(|error| panic!("{error} in {}", &found[2]));
            (found[1].to_owned(), expected)
        })
        .collect();
    let written = page.matches("```yaml\n").count();
    assert_eq!(
        found.len(),
        written,
        "each snippet is a pipeline with what it gives under it"
    );
    found
}

#[test]
fn snippets_of_the_language_run() {
    let page = std::fs::read_to_string(root().join("docs/language.md")).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    let functions = folder.path().join("functions");
    std::fs::create_dir(&functions).expect("a folder");
    std::fs::copy(root().join("docs/functions/demo.py"), functions.join("demo.py")).expect("the handlers");
    let parts = folder.path().join("parts");
    std::fs::create_dir(&parts).expect("a folder");
    let part = std::fs::read_to_string(root().join("docs/parts/add.yaml")).expect("the other pipeline");
    assert!(page.contains(&part), "the page shows docs/parts/add.yaml");
    std::fs::write(parts.join("add.yaml"), part).expect("a file");
    let training = folder.path().join("training");
    std::fs::create_dir(&training).expect("a folder");
    let script = std::fs::read_to_string(root().join("docs/training/fit.py")).expect("the script");
    assert!(page.contains(&script), "the page shows docs/training/fit.py");
    std::fs::write(training.join("fit.py"), script).expect("a file");
    copy_folder(&root().join("docs/lake"), &folder.path().join("lake"));
    for (pipeline, expected) in snippets(&page) {
        let file = folder.path().join("pipeline.yaml");
        std::fs::write(&file, &pipeline).expect("a file");
        let done = Command::new(env!("CARGO_BIN_EXE_mlpipe"))
            // The scripts import nothing of their frameworks.
            .env("MLPIPE_PYTHON", "python3")
            .args(["run", "--no-wait", "--format", "json"])
            .arg(&file)
            .output()
            .expect("mlpipe runs");
        let record: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{pipeline}\n{}", String::from_utf8_lossy(&done.stdout)));
        let given = match &record["error"] {
            Value::Null => record["outputs"].clone(),
            error => json!({ "error": error }),
        };
        assert_eq!(given, expected, "{pipeline}\n{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// A new key of the language gets its place on the page.
#[test]
fn every_key_is_described() {
    let page = std::fs::read_to_string(root().join("docs/language.md")).expect("the page");
    let schema = mlpipe::syntax::schema::pipeline();
    let definitions = schema["$defs"].as_object().expect("definitions");
    let objects = std::iter::once(schema).chain(definitions.values());
    for key in objects.flat_map(|object| {
        object["properties"]
            .as_object()
            .into_iter()
            .flat_map(|keys| keys.keys())
    }) {
        // What only one cloud needs is described with the clouds.
        let apart = [
            "targets", "aws", "gcp", "azure", "local", "region", "project", "location",
        ];
        let word = regex::Regex::new(&format!(r"\b{}\b", regex::escape(key))).expect("a regular expression");
        assert!(
            apart.contains(&key.as_str()) || word.is_match(&page),
            "`{key}` is not described"
        );
    }
}
