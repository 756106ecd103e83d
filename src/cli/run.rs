//! `mlpipe run`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::engine::approval::{self, Approvals};
use crate::engine::{self, Options, Outcome, RunStatus, interpreter::WORK_FOLDER, params::PARAM_MISMATCH};
use crate::expr::Type;
use crate::model::{Kind, Pipeline};
use crate::syntax::suggest;

use super::progress::Progress;
use super::secrets::Secrets;
use super::{Exit, Format, load, output};

/// Arguments of `mlpipe run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: load::PipelineFile,
    /// A param; repeat it for several. Text for a string param, JSON for any other.
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// A JSON file with an object of params, `-` for stdin; `--param` goes before it.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// The answer to an approval, beforehand: `yes`, `no`, or JSON as an approver sends it, null for none; repeat it for several.
    #[arg(long, value_name = "STEP=ANSWER")]
    answer: Vec<String>,
    /// Do not sleep in `wait` steps and between attempts.
    #[arg(long)]
    no_wait: bool,
}

/// Runs the pipeline; its outputs go to stdout as JSON, its progress to stderr.
pub fn run(args: &Args, format: Format) -> Exit {
    let loaded = match load::load(&args.pipeline, format) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    if format == Format::Text && !loaded.problems.is_empty() {
        output::problems(&loaded.problems, &loaded.file, format);
    }
    let params = match read_params(args, &loaded.pipeline) {
        Ok(params) => params,
        Err(message) => {
            output::failure(&message, format);
            return Exit::BadInput;
        }
    };
    let given = match given_answers(&args.answer, &loaded.pipeline) {
        Ok(given) => given,
        Err(message) => {
            output::failure(&message, format);
            return Exit::BadUsage;
        }
    };
    let buckets = match bucket_folders(&loaded.pipeline, &loaded.folder) {
        Ok(buckets) => buckets,
        Err(message) => {
            output::failure(&message, format);
            return Exit::BadInput;
        }
    };
    let now = jiff::Timestamp::now();
    let run_id = format!("run-{}-{}", now.strftime("%Y%m%dt%H%M%S"), std::process::id());
    let options = Options {
        folder: loaded.folder.clone(),
        params,
        buckets,
        run_id: run_id.clone(),
        started_at: engine::time(now),
        no_wait: args.no_wait,
        approvals: Approvals {
            given,
            folder: Some(approval_folder(&loaded.folder, &run_id)),
            terminal: std::io::stdin().is_terminal().then(approval::terminal),
        },
    };
    let mut progress = Progress::new(&loaded.pipeline, &args.pipeline.path());
    let outcome = engine::run(&loaded.pipeline, &options, &mut |event| progress.event(&event));
    progress.finish();
    match outcome {
        Ok(outcome) => report(outcome, &Secrets::of(&loaded.pipeline), format),
        Err(message) => {
            output::failure(&message, format);
            Exit::BadInput
        }
    }
}

fn report(outcome: Outcome, secrets: &Secrets, format: Format) -> Exit {
    match (format, &outcome.outputs, &outcome.error) {
        (Format::Json, ..) => output::json(&secrets.blot_value(json!(outcome))),
        (Format::Text, Some(outputs), _) => output::json(&secrets.blot_value(json!(outputs))),
        (Format::Text, None, Some(error)) => {
            let line = format!("failed: {} in `{}`: {}\n", error.name, error.step, error.message);
            output::stderr(&secrets.blot(&line));
            if error.name == PARAM_MISMATCH {
                output::stderr("help: give params with `--param NAME=VALUE`\n");
            }
        }
        (Format::Text, None, None) => {}
    }
    match (outcome.status, &outcome.error) {
        (RunStatus::Succeeded, _) => Exit::Done,
        (RunStatus::Failed, Some(error)) if error.name == PARAM_MISMATCH => Exit::BadInput,
        (RunStatus::Failed, _) => Exit::PipelineFailed,
    }
}

fn read_params(args: &Args, pipeline: &Pipeline) -> Result<Map<String, Value>, String> {
    let mut params = match &args.params {
        None => Map::new(),
        Some(path) => {
            let text = read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
            serde_json::from_str(&text)
                .map_err(|error| format!("`{}` is not a JSON object of params: {error}", path.display()))?
        }
    };
    for param in &args.param {
        let Some((name, text)) = param.split_once('=') else {
            return Err(format!("`--param {param}` is not `NAME=VALUE`"));
        };
        let Some(declared) = pipeline.params.iter().find(|declared| declared.name == name) else {
            let known = pipeline.params.iter().map(|declared| declared.name.as_str());
            return Err(format!(
                "the pipeline has no param `{name}`: {}",
                suggest::help(name, known, "params")
            ));
        };
        params.insert(name.to_owned(), value_of(text, &declared.ty));
    }
    Ok(params)
}

fn read(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Ok(text)
    } else {
        std::fs::read_to_string(path)
    }
}

/// Text stays text where the param takes a string; everything else is JSON, and text where it is not.
fn value_of(text: &str, ty: &Type) -> Value {
    match ty.unwrapped() {
        Type::String => Value::String(text.to_owned()),
        _ => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

/// Where the approvals of a run wait.
pub fn approval_folder(folder: &Path, run_id: &str) -> PathBuf {
    runs_folder(folder).join(run_id).join("approvals")
}

/// Where runs keep what others may see of them.
pub fn runs_folder(folder: &Path) -> PathBuf {
    folder.join(WORK_FOLDER).join("runs")
}

fn given_answers(written: &[String], pipeline: &Pipeline) -> Result<BTreeMap<String, Value>, String> {
    let mut known = Vec::new();
    approvals(pipeline, "", &mut known);
    let mut given = BTreeMap::new();
    for text in written {
        let Some((step, answer)) = text.split_once('=') else {
            return Err(format!("`--answer {text}` is not `STEP=ANSWER`"));
        };
        if !known.iter().any(|known| known == step) {
            let steps = known.iter().map(String::as_str);
            return Err(format!(
                "the pipeline has no approval `{step}`: {}",
                suggest::help(step, steps, "approvals")
            ));
        }
        let user = approval::user();
        let answer = match answer {
            "yes" => approval::answer(true, user.as_deref(), None),
            "no" => approval::answer(false, user.as_deref(), None),
            json => serde_json::from_str(json)
                .map_err(|error| format!("`--answer {text}`: neither `yes` nor `no` nor JSON: {error}"))?,
        };
        given.insert(step.to_owned(), answer);
    }
    Ok(given)
}

/// The paths of all approvals, those of the pipelines that it runs too.
fn approvals(pipeline: &Pipeline, prefix: &str, found: &mut Vec<String>) {
    for step in &pipeline.steps {
        let path = format!("{prefix}{}", step.path);
        match &step.kind {
            Kind::Approval(_) => found.push(path),
            Kind::Pipeline(call) => approvals(pipeline.child(call.child), &format!("{path}."), found),
            Kind::Function(_)
            | Kind::Wait(_)
            | Kind::Fail { .. }
            | Kind::Job(_)
            | Kind::Train(_)
            | Kind::Endpoint(_)
            | Kind::BatchPredict(_)
            | Kind::Monitor(_)
            | Kind::Notify(_)
            | Kind::Group(_) => {}
        }
    }
}

/// The folder of each bucket, made where it is missing. `MLPIPE_LOCAL_BUCKETS`, a JSON object, goes before the file.
fn bucket_folders(pipeline: &Pipeline, folder: &Path) -> Result<IndexMap<String, PathBuf>, String> {
    let overrides: Map<String, Value> = match std::env::var("MLPIPE_LOCAL_BUCKETS") {
        Ok(text) => serde_json::from_str(&text).map_err(|error| format!("MLPIPE_LOCAL_BUCKETS: {error}"))?,
        Err(_) => Map::new(),
    };
    let root = std::path::absolute(folder).map_err(|error| error.to_string())?;
    let mut folders = IndexMap::new();
    for bucket in &pipeline.buckets {
        let path = match overrides.get(&bucket.id).and_then(Value::as_str) {
            Some(path) => PathBuf::from(path),
            None => match pipeline.targets.local.buckets.get(&bucket.id) {
                Some(path) => root.join(path),
                None => root.join(WORK_FOLDER).join("buckets").join(&bucket.id),
            },
        };
        std::fs::create_dir_all(&path).map_err(|error| format!("cannot make `{}`: {error}", path.display()))?;
        folders.insert(bucket.id.clone(), path);
    }
    Ok(folders)
}
