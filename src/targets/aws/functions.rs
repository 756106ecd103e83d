//! The code: the user's folders, each with the adapter beside it.

use super::limits::AwsProblem;
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::targets::package::{CORE_MODULE, copy_sources, core_module, packages, requirements};
use crate::targets::{Artifacts, Sources};

const ADAPTER: &str = include_str!("../../../targets/aws/adapter.py");

/// Adds `functions/<package>/…`.
pub fn add(pipeline: &Pipeline, sources: &Sources, artifacts: &mut Artifacts, problems: &mut Problems) {
    for package in packages(pipeline) {
        let folder = format!("functions/{}", package.name);
        let user = copy_sources(&package, sources, &folder, artifacts);
        artifacts.text(format!("{folder}/mlpipe_adapter.py"), ADAPTER);
        match core_module(&package.functions, &pipeline.secrets) {
            Ok(core) => artifacts.text(format!("{folder}/{CORE_MODULE}"), core),
            Err(error) => problems.push(AwsProblem::Unwritable {
                detail: error.to_string(),
            }),
        }
        artifacts.text(format!("{folder}/requirements.txt"), requirements(&user, "s3fs", &[]));
    }
}
