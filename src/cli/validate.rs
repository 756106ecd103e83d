//! `mlpipe validate`

use std::path::PathBuf;

use serde_json::json;

use crate::diagnostics::render;
use crate::targets::Target;

use super::{Exit, Format, load, output};

/// Arguments of `mlpipe validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline file.
    file: PathBuf,
    /// Check the quotas of this cloud; repeat it for several, leave it out for all.
    #[arg(long, value_enum)]
    target: Vec<Target>,
}

/// Checks the file, then the quotas of each target.
pub fn run(args: &Args, format: Format) -> Exit {
    let mut loaded = match load::load(&args.file, format) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let targets = if args.target.is_empty() {
        Target::ALL.to_vec()
    } else {
        args.target.clone()
    };
    for target in &targets {
        let found = target.check(&loaded.pipeline);
        loaded.problems.extend(found);
    }
    let exit = if loaded.problems.has_errors() {
        Exit::BadInput
    } else {
        Exit::Done
    };
    match format {
        Format::Text => {
            output::problems(&loaded.problems, &loaded.file, format);
            if exit == Exit::Done {
                let steps = loaded.pipeline.steps.len();
                let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
                output::stdout(&format!(
                    "{} is valid: {steps} {}, checked for {}\n",
                    args.file.display(),
                    if steps == 1 { "step" } else { "steps" },
                    names.join(", ")
                ));
            }
        }
        Format::Json => output::json(&json!({
            "valid": exit == Exit::Done,
            "name": loaded.pipeline.name,
            "steps": loaded.pipeline.steps.iter().map(|step| &step.id).collect::<Vec<_>>(),
            "problems": render::records(&loaded.problems, &loaded.file),
        })),
    }
    exit
}
