//! A pipeline in parts on AWS, as the conformance tests run it. `UPDATE=1 cargo test` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use mlpipe::plan;
use mlpipe::targets::{Sources, aws};

use crate::support::{Disk, files, root, validate};

/// So many bytes a definition.
const MOST: usize = 14_000;

#[test]
fn the_fixture_in_parts_is_current() {
    let folder = root().join("tests/conformance/aws/fixtures/parts");
    let text = std::fs::read_to_string(folder.join("pipeline.yaml")).expect("the pipeline");
    let (pipeline, problems) = validate(&text, &Disk(folder.clone()));
    let pipeline = pipeline.unwrap_or_else(|| panic!("{problems:?}"));
    let mut sources = Sources::default();
    let steps = std::fs::read(folder.join("functions/steps.py")).expect("the functions");
    let package = [("steps.py".to_owned(), steps)].into_iter().collect();
    sources.folders.insert("functions".to_owned(), package);
    let artifacts = aws::compile_within(&pipeline, &plan::plan(&pipeline), &sources, MOST);
    let artifacts = artifacts.unwrap_or_else(|problems| panic!("{problems:?}"));
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
