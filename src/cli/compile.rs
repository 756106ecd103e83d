//! `mlpipe compile`

use std::path::PathBuf;

use serde_json::json;

use crate::diagnostics::{Problems, render};
use crate::model::Pipeline;
use crate::plan::{Plan, plan};
use crate::targets::instances::chosen::chosen;
use crate::targets::{Artifacts, Target};

use super::{Exit, Format, load, output, write};

/// Arguments of `mlpipe compile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: load::PipelineFile,
    /// Compile for this cloud; repeat it for several, leave it out for all.
    #[arg(long, value_enum)]
    target: Vec<Target>,
    /// The folder to write to; each target gets a folder in it.
    #[arg(short, long, default_value = "build")]
    output: PathBuf,
    /// Write nothing; exit 1 and show the difference where the files on disk are not what would be written.
    #[arg(long, conflicts_with_all = ["stdout", "force"])]
    check: bool,
    /// Write nothing; print this one file, such as `workflow.asl.json`.
    #[arg(long, value_name = "FILE")]
    stdout: Option<String>,
    /// Say what each step runs on, and why.
    #[arg(short, long)]
    verbose: bool,
    /// Overwrite files that mlpipe did not write.
    #[arg(long)]
    force: bool,
}

/// Compiles every target in memory, then writes, compares or prints.
pub fn run(args: &Args, format: Format) -> Exit {
    let mut loaded = match load::load(&args.pipeline, format) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let sources = match load::sources(&loaded) {
        Ok(sources) => sources,
        Err(message) => {
            output::failure(&message, format);
            return Exit::BadInput;
        }
    };
    let mut targets = if args.target.is_empty() {
        Target::ALL.to_vec()
    } else {
        args.target.clone()
    };
    targets.dedup();
    let plan = plan(&loaded.pipeline);
    let mut compiled = Vec::new();
    let mut problems = Problems::new();
    for target in targets {
        let found = target.check(&loaded.pipeline);
        let refused = found.has_errors();
        problems.extend(found);
        if refused {
            continue;
        }
        match target.compile(&loaded.pipeline, &plan, &sources) {
            Ok(artifacts) => compiled.push((target, artifacts)),
            Err(found) => problems.extend(found),
        }
    }
    loaded.problems.extend(problems);
    if loaded.problems.has_errors() {
        output::problems(&loaded.problems, &loaded.file, format);
        return Exit::BadInput;
    }
    if format == Format::Text && !loaded.problems.is_empty() {
        output::problems(&loaded.problems, &loaded.file, format);
    }
    let notes = notes(&loaded.pipeline, &plan);
    if let Some(name) = &args.stdout {
        return print_one(&compiled, name, format);
    }
    if format == Format::Text && compiled.iter().any(|(target, _)| *target != Target::Azure) {
        notes.iter().for_each(|note| output::stderr(&format!("note: {note}\n")));
    }
    let machines: Vec<String> = compiled
        .iter()
        .flat_map(|(target, _)| chosen(&loaded.pipeline, *target))
        .map(|chosen| chosen.to_string())
        .collect();
    if args.verbose && format == Format::Text {
        machines.iter().for_each(|line| output::stderr(&format!("{line}\n")));
    }
    let trees: Vec<(PathBuf, &Artifacts)> = compiled
        .iter()
        .map(|(target, artifacts)| (args.output.join(target.name()), artifacts))
        .collect();
    let mut report = json!({
        "notes": notes,
        "machines": machines,
        "problems": render::records(&loaded.problems, &loaded.file),
    });
    if args.check {
        let differences: Vec<write::Difference> = trees
            .iter()
            .flat_map(|(folder, artifacts)| write::differences(folder, artifacts))
            .collect();
        match format {
            Format::Text => differences
                .iter()
                .for_each(|difference| output::stdout(&difference.diff)),
            Format::Json => {
                report["differences"] = json!(differences);
                output::json(&report);
            }
        }
        if differences.is_empty() {
            return Exit::Done;
        }
        if format == Format::Text {
            let count = differences.len();
            let (files, differ) = if count == 1 {
                ("file", "differs")
            } else {
                ("files", "differ")
            };
            output::stderr(&format!(
                "{count} {files} {differ}; run `mlpipe compile` without `--check` to write\n"
            ));
        }
        return Exit::BadInput;
    }
    match write::write(&trees, args.force) {
        Ok(written) => {
            match format {
                Format::Text => {
                    for (folder, artifacts) in &trees {
                        output::stdout(&format!("{}: {} files\n", folder.display(), artifacts.files.len()));
                    }
                    output::stdout(&format!(
                        "{} written, {} unchanged, {} removed\n",
                        written.written.len(),
                        written.unchanged,
                        written.removed.len()
                    ));
                }
                Format::Json => {
                    report["written"] = json!(written.written);
                    report["unchanged"] = json!(written.unchanged);
                    report["removed"] = json!(written.removed);
                    output::json(&report);
                }
            }
            Exit::Done
        }
        Err(message) => {
            output::failure(&message, format);
            Exit::BadInput
        }
    }
}

/// Prints the one file of that name; `aws/README.md` where several targets have it.
fn print_one(compiled: &[(Target, Artifacts)], name: &str, format: Format) -> Exit {
    let found: Vec<(String, &Vec<u8>)> = compiled
        .iter()
        .flat_map(|(target, artifacts)| {
            artifacts
                .files
                .iter()
                .map(|(path, bytes)| (format!("{}/{path}", target.name()), bytes))
        })
        .collect();
    let exact = |path: &str| path == name || path.split_once('/').is_some_and(|(_, rest)| rest == name);
    let matching: Vec<&(String, &Vec<u8>)> = found.iter().filter(|(path, _)| exact(path)).collect();
    match matching.as_slice() {
        [(_, bytes)] => {
            output::stdout(&String::from_utf8_lossy(bytes));
            Exit::Done
        }
        [] => {
            let all: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
            output::failure(
                &format!("no file `{name}` is written; these are:\n  {}", all.join("\n  ")),
                format,
            );
            Exit::BadUsage
        }
        several => {
            let all: Vec<&str> = several.iter().map(|(path, _)| path.as_str()).collect();
            output::failure(
                &format!("several targets write `{name}`; name one: {}", all.join(", ")),
                format,
            );
            Exit::BadUsage
        }
    }
}

/// The planner's notes in words.
fn notes(pipeline: &Pipeline, plan: &Plan) -> Vec<String> {
    plan.notes
        .iter()
        .map(|note| {
            let waits: Vec<String> = note
                .waits_for
                .iter()
                .map(|ix| format!("`{}`", pipeline.step(*ix).id))
                .collect();
            format!(
                "on aws and gcp, `{}` waits for {}, which it does not need: about {} s later than it could start",
                pipeline.step(note.step).id,
                waits.join(", "),
                note.seconds
            )
        })
        .collect()
}
