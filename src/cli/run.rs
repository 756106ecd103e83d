//! `mlpipe run`

use std::io::Read;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::engine::{self, Options, Outcome, RunStatus, interpreter::WORK_FOLDER, params::PARAM_MISMATCH};
use crate::expr::Type;
use crate::model::Pipeline;
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
    let buckets = match bucket_folders(&loaded.pipeline, &loaded.folder) {
        Ok(buckets) => buckets,
        Err(message) => {
            output::failure(&message, format);
            return Exit::BadInput;
        }
    };
    let now = jiff::Timestamp::now();
    let options = Options {
        folder: loaded.folder.clone(),
        params,
        buckets,
        run_id: format!("run-{}-{}", now.strftime("%Y%m%dt%H%M%S"), std::process::id()),
        started_at: now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        no_wait: args.no_wait,
    };
    let mut progress = Progress::new(&loaded.pipeline);
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
