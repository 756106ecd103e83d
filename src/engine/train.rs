//! Training and predictions for files: scripts that the launcher runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::expr::Template;
use crate::model::{BatchPredict, Step, Train};
use crate::targets::package;

use super::Event;
use super::interpreter::{WORK_FOLDER, Wanted};
use super::launched::{Answer, Script};
use super::run::{self, Shared, Stop};
use super::scope::Scope;

/// One attempt of a training.
pub async fn once(
    shared: &Shared<'_, '_>,
    step: &Step,
    train: &Train,
    attempt: u32,
    scope: &Scope<'_>,
) -> Result<Value, Stop> {
    let mut arguments = Vec::new();
    for (name, value) in &train.hyperparameters {
        arguments.push(format!("--{name}"));
        arguments.push(scalar(value, &step.path, scope)?);
    }
    let mut channels = Vec::new();
    for (channel, uri) in &train.data {
        channels.push((channel, run::text(uri, "train", &step.path, scope)?));
    }
    let options = shared.host.options;
    let label = scope.label(&step.path);
    begin(shared, step, attempt, &label);
    let channels = channels.into_iter().map(|(channel, uri)| {
        let folder = there(&uri, &format!("channel `{channel}`"), &step.path)?;
        Ok((channel.clone(), folder))
    });
    let channels = channels.collect::<Result<_, Stop>>()?;
    let model = std::path::absolute(&options.folder)
        .map_err(|error| Stop::Host(error.to_string()))?
        .join(WORK_FOLDER)
        .join("models")
        .join(&shared.execution.id)
        .join(&label);
    // What an earlier attempt left would pass for this one's.
    let _ = std::fs::remove_dir_all(&model);
    let source = options.folder.join(&train.source);
    let script = Script {
        folder: options.folder.clone(),
        wanted: Wanted::of(&train.runtime).with_requirements(&source),
        source: Some(source),
        entrypoint: train.entrypoint.clone(),
        own: Vec::new(),
        arguments,
        channels,
        made: ("MLPIPE_MODEL_DIR", model.clone()),
        what: "training",
        workers: train.machines.compute.count,
        limit: Duration::from_secs(step.attempt_timeout()),
    };
    let metrics = launch(shared, step, script, &label).await?;
    let output = json!({
        "job_name": job_name(shared, step),
        "model_uri": format!("file://{}", model.display()),
        "metrics": metrics,
    });
    run::fitting(output, "output", &step.path)
}

/// One attempt of predictions for files.
pub async fn predict(
    shared: &Shared<'_, '_>,
    step: &Step,
    batch: &BatchPredict,
    attempt: u32,
    scope: &Scope<'_>,
) -> Result<Value, Stop> {
    let text = |template: &Template| run::text(template, "batch_predict", &step.path, scope);
    let (model, input, output) = (text(&batch.model)?, text(&batch.input)?, text(&batch.output)?);
    let label = scope.label(&step.path);
    begin(shared, step, attempt, &label);
    let channels = vec![
        ("model".to_owned(), there(&model, "model", &step.path)?),
        ("input".to_owned(), there(&input, "input", &step.path)?),
    ];
    let Some(made) = output.strip_prefix("file://").map(PathBuf::from) else {
        return Err(Stop::failed(
            "DataNotFound",
            &format!("output: there is nothing at {output}"),
            &step.path,
        ));
    };
    let script = Script {
        folder: shared.host.options.folder.clone(),
        source: None,
        entrypoint: package::PREDICTING_MODULE.to_owned(),
        own: vec![
            (package::PREDICTING_MODULE, package::PREDICTING),
            (package::SERVING_MODULE, package::SERVING),
        ],
        wanted: Wanted::of(&batch.runtime),
        arguments: Vec::new(),
        channels,
        made: ("MLPIPE_OUTPUT_DIR", made),
        what: "job",
        workers: 1,
        limit: Duration::from_secs(step.attempt_timeout()),
    };
    let metrics = launch(shared, step, script, &label).await?;
    let output = json!({
        "job_name": job_name(shared, step),
        "output_uri": output,
        "predictions": metrics.get("predictions"),
    });
    run::fitting(output, "output", &step.path)
}

/// An attempt begins. On a cloud the job is there before anybody looks for its data.
fn begin(shared: &Shared<'_, '_>, step: &Step, attempt: u32, label: &str) {
    shared.count(&step.path);
    shared.tell(Event::Started { step: label, attempt });
}

/// Runs the script; gives its metrics.
async fn launch(shared: &Shared<'_, '_>, step: &Step, script: Script, label: &str) -> Result<Value, Stop> {
    let on_line = shared.host.lines_of(label);
    let began = Instant::now();
    let answer = tokio::task::spawn_blocking(move || script.run(&on_line))
        .await
        .map_err(|error| Stop::Host(error.to_string()))?
        .map_err(Stop::Host)?;
    match answer {
        None => Err(Stop::timeout(&step.path)),
        Some(Answer {
            error: Some(problem), ..
        }) => Err(Stop::failed(&problem.name, &problem.message, &step.path)),
        Some(Answer { metrics, error: None }) => {
            shared.tell(Event::Succeeded {
                step: label,
                seconds: began.elapsed().as_secs_f64(),
            });
            Ok(metrics)
        }
    }
}

fn job_name(shared: &Shared<'_, '_>, step: &Step) -> String {
    format!("{}-{}", shared.execution.id, step.path.replace('.', "-"))
}

/// The path of a `file://` URI, where something is there.
pub fn there(uri: &str, what: &str, step: &str) -> Result<PathBuf, Stop> {
    let path = uri.strip_prefix("file://").map(PathBuf::from);
    path.filter(|path| path.exists())
        .ok_or_else(|| Stop::failed("DataNotFound", &format!("{what}: there is nothing at {uri}"), step))
}

/// A scalar as a command line carries it: as `string()` writes it.
fn scalar(template: &Template, step: &str, scope: &Scope<'_>) -> Result<String, Stop> {
    let value = run::value(template, "train", step, scope)?;
    crate::expr::eval::string(&value).ok_or_else(|| Stop::expression("train", "it is no scalar", step))
}
