//! `mlpipe validate`

use serde_json::json;

use crate::check::Input;
use crate::diagnostics::{Problems, render};
use crate::targets::Target;
use crate::validate::validate;

use super::{Exit, Format, load, output};

/// Arguments of `mlpipe validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: load::PipelineFile,
    /// Check the quotas of this cloud; repeat it for several, leave it out for all.
    #[arg(long, value_enum)]
    target: Vec<Target>,
    /// Print the pipeline, with the stage laid over it, where it is valid.
    #[arg(long)]
    print: bool,
}

/// Checks the file and the quotas of each target: with the stage chosen, or without a stage and with each.
pub fn run(args: &Args, format: Format) -> Exit {
    let (file, folder) = match load::read(&args.pipeline.path(), format) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let targets = if args.target.is_empty() {
        Target::ALL.to_vec()
    } else {
        args.target.clone()
    };
    let mut problems = Problems::new();
    let disk = load::Disk { folder: &folder };
    let stage = args.pipeline.stage.as_deref();
    let input = Input {
        text: file.text(),
        file: &load::file_name(&args.pipeline.path()),
        stage,
        files: &disk,
    };
    let found = validate(&input, &targets, &mut problems);
    let valid = !problems.has_errors();
    let printed = found.tree.filter(|_| args.print && valid);
    match format {
        Format::Text => {
            output::problems(&problems, &file, format);
            if let Some(tree) = printed {
                match tree.to_yaml() {
                    Ok(text) => output::stdout(&text),
                    Err(error) => {
                        output::failure(&error.to_string(), format);
                        return Exit::BadInput;
                    }
                }
            } else if let Some(pipeline) = found.pipeline.filter(|_| valid) {
                let steps = pipeline.steps.len();
                let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
                let stages = match (stage, found.stages.as_slice()) {
                    (Some(stage), _) => format!(" with stage {stage}"),
                    (None, []) => String::new(),
                    (None, stages) => format!(", also with stage {}", stages.join(", ")),
                };
                output::stdout(&format!(
                    "{} is valid{stages}: {steps} {}, checked for {}\n",
                    args.pipeline.file.display(),
                    if steps == 1 { "step" } else { "steps" },
                    names.join(", ")
                ));
            }
        }
        Format::Json => {
            let mut report = json!({ "valid": valid });
            if let Some(pipeline) = &found.pipeline {
                report["name"] = json!(pipeline.name);
                report["steps"] = pipeline.steps.iter().map(|step| step.id.as_str()).collect();
            }
            report["stages"] = match stage {
                Some(stage) => json!([stage]),
                None => json!(found.stages),
            };
            if let Some(tree) = printed {
                report["pipeline"] = tree.to_json();
            }
            report["problems"] = json!(render::records(&problems, &file));
            output::json(&report);
        }
    }
    if valid { Exit::Done } else { Exit::BadInput }
}
