//! Every example on every target, as the files that a user gets. `UPDATE=1 cargo test` writes them anew.

use std::path::Path;
use std::process::Command;

#[test]
fn every_example_compiles_to_its_snapshot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut examples: Vec<_> = std::fs::read_dir(root.join("examples"))
        .expect("examples/ is there")
        .map(|entry| entry.expect("a readable entry").file_name())
        .collect();
    examples.sort();
    assert!(examples.len() >= 2, "examples/ has lost its examples");
    for example in examples {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlpipe"));
        command
            .current_dir(root)
            .arg("compile")
            .arg(Path::new("examples").join(&example).join("pipeline.yaml"))
            .arg("--output")
            .arg(Path::new("snapshots").join(&example));
        if std::env::var_os("UPDATE").is_none() {
            command.arg("--check");
        }
        let output = command.output().expect("mlpipe runs");
        assert!(
            output.status.success(),
            "{}\n{}{}",
            example.to_string_lossy(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
