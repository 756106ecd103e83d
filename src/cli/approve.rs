//! `mlpipe approve`

use serde_json::json;

use crate::engine::approval::{self, Request};
use crate::syntax::suggest;

use super::run::{approval_folder, runs_folder};
use super::{Exit, Format, load, output};

/// Arguments of `mlpipe approve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline file that is running.
    file: std::path::PathBuf,
    /// The approval, as the run names it: `gate`, `shards[2].gate`. Leave it out to list what waits.
    step: Option<String>,
    /// The run, where several wait.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Say no.
    #[arg(long)]
    reject: bool,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Who answers; your user name where nothing is written.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Answers an approval of a local run, or lists what waits.
pub fn run(args: &Args, format: Format) -> Exit {
    let folder = load::folder(&args.file);
    let waiting: Vec<(String, Request)> = runs(&runs_folder(&folder))
        .into_iter()
        .filter(|run| args.run.as_ref().is_none_or(|wanted| wanted == run))
        .flat_map(|run| {
            let requests = approval::waiting(&approval_folder(&folder, &run));
            requests.into_iter().map(move |request| (run.clone(), request))
        })
        .collect();
    let Some(step) = &args.step else {
        return list(&waiting, format);
    };
    let matching: Vec<&(String, Request)> = waiting.iter().filter(|(_, request)| request.step == *step).collect();
    let run = match matching.as_slice() {
        [(run, _)] => run,
        [] => {
            let steps = waiting.iter().map(|(_, request)| request.step.as_str());
            let help = if waiting.is_empty() {
                "nothing waits for an answer".to_owned()
            } else {
                suggest::help(step, steps, "approvals")
            };
            output::failure(
                &format!("no approval `{step}` waits beside `{}`: {help}", args.file.display()),
                format,
            );
            return Exit::BadInput;
        }
        several => {
            let runs: Vec<&str> = several.iter().map(|(run, _)| run.as_str()).collect();
            output::failure(
                &format!(
                    "`{step}` waits in several runs; name one with `--run`: {}",
                    runs.join(", ")
                ),
                format,
            );
            return Exit::BadUsage;
        }
    };
    let by = args.by.clone().or_else(approval::user);
    let answer = approval::answer(!args.reject, by.as_deref(), args.comment.as_deref());
    if let Err(message) = approval::file_answer(&approval_folder(&folder, run), step, &answer) {
        output::failure(&message, format);
        return Exit::BadInput;
    }
    match format {
        Format::Text => {
            let what = if args.reject { "rejected" } else { "approved" };
            output::stdout(&format!("{what} `{step}` of {run}\n"));
        }
        Format::Json => output::json(&json!({ "run": run, "step": step, "answer": answer })),
    }
    Exit::Done
}

fn list(waiting: &[(String, Request)], format: Format) -> Exit {
    match format {
        Format::Text if waiting.is_empty() => output::stdout("nothing waits for an answer\n"),
        Format::Text => {
            for (run, request) in waiting {
                output::stdout(&format!("{run}  {}  {}\n", request.step, request.message));
            }
        }
        Format::Json => {
            let records = waiting
                .iter()
                .map(|(run, request)| json!({ "run": run, "step": request.step, "message": request.message }));
            output::json(&json!({ "waiting": records.collect::<Vec<_>>() }));
        }
    }
    Exit::Done
}

/// Runs that keep something beside the file, the oldest first.
fn runs(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
