//! `functions/<package>/`: the user's files, the adapter's core, the HTTP entry point.

use crate::model::Pipeline;
use crate::targets::package::{self, CORE_MODULE};
use crate::targets::{Artifacts, Sources};

/// The HTTP entry point; its name is Google's rule for Python.
pub const ENTRY: &str = "main.py";
const ENTRY_TEXT: &str = include_str!("../../../targets/gcp/main.py");

/// Adds every package. The error is a fault of our own template.
pub fn functions(pipeline: &Pipeline, sources: &Sources, artifacts: &mut Artifacts) -> Result<(), minijinja::Error> {
    for package in package::packages(pipeline) {
        let folder = format!("functions/{}", package.name);
        let user = package::copy_sources(&package, sources, &folder, artifacts);
        artifacts.text(
            format!("{folder}/{CORE_MODULE}"),
            package::core_module(&package.functions, &pipeline.secrets)?,
        );
        artifacts.text(format!("{folder}/{ENTRY}"), ENTRY_TEXT);
        let mut added = vec!["functions-framework"];
        if !pipeline.secrets.is_empty() {
            added.push("google-cloud-secret-manager");
        }
        artifacts.text(
            format!("{folder}/requirements.txt"),
            package::requirements(&user, "gcsfs", &added),
        );
    }
    Ok(())
}
