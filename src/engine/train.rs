//! Training as processes: one a worker, each with the variables that a cloud would give it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::expr::Template;
use crate::model::{Step, Train};
use crate::targets::package;

use super::Event;
use super::interpreter::{self, WORK_FOLDER};
use super::process::{self, Ended};
use super::run::{self, Shared, Stop};
use super::scope::Scope;
use super::worker::OnLine;

const STARTER: &str = include_str!("../../targets/local/train.py");

/// What the launcher says came of the script.
#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    metrics: Value,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    name: String,
    message: String,
}

/// One attempt.
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
        let uri = run::text(uri, "train", &step.path, scope)?;
        let folder = uri
            .strip_prefix("file://")
            .map(PathBuf::from)
            .filter(|path| path.exists());
        let Some(folder) = folder else {
            let message = format!("channel `{channel}`: there is nothing at {uri}");
            return Err(Stop::failed("DataNotFound", &message, &step.path));
        };
        channels.push((channel.clone(), folder));
    }
    let label = scope.label(&step.path);
    shared.count(&step.path);
    shared.tell(Event::Started { step: &label, attempt });
    let host = shared.host;
    let work = std::path::absolute(&host.options.folder)
        .map_err(|error| Stop::Host(error.to_string()))?
        .join(WORK_FOLDER);
    let model = work.join("models").join(&shared.execution.id).join(&label);
    let job = Job {
        source: host.options.folder.join(&train.source),
        folder: host.options.folder.clone(),
        entrypoint: train.entrypoint.clone(),
        arguments,
        channels,
        model: model.clone(),
        workers: train.machines.compute.count,
        limit: Duration::from_secs(step.attempt_timeout()),
    };
    let on_line = host.lines_of(&label);
    let began = Instant::now();
    let outcome = tokio::task::spawn_blocking(move || job.run(&on_line))
        .await
        .map_err(|error| Stop::Host(error.to_string()))?
        .map_err(Stop::Host)?;
    let failed = |name: &str, message: &str| Err(Stop::failed(name, message, &step.path));
    match outcome {
        None => Err(Stop::timeout(&step.path)),
        Some(Outcome {
            error: Some(Problem { name, message }),
            ..
        }) => failed(&name, &message),
        Some(Outcome { metrics, error: None }) => {
            shared.tell(Event::Succeeded {
                step: &label,
                seconds: began.elapsed().as_secs_f64(),
            });
            let output = json!({
                "job_name": format!("{}-{}", shared.execution.id, step.path.replace('.', "-")),
                "model_uri": format!("file://{}", model.display()),
                "metrics": metrics,
            });
            run::fitting(output, "output", &step.path)
        }
    }
}

/// What a training needs of the host.
struct Job {
    source: PathBuf,
    folder: PathBuf,
    entrypoint: String,
    arguments: Vec<String>,
    channels: Vec<(String, PathBuf)>,
    model: PathBuf,
    workers: u32,
    limit: Duration,
}

impl Job {
    /// None where it ran too long.
    fn run(self, on_line: &OnLine) -> Result<Option<Outcome>, String> {
        let say = |error: std::io::Error| format!("cannot stage the training: {error}");
        let staged = tempfile::Builder::new()
            .prefix("mlpipe-train-")
            .tempdir()
            .map_err(say)?;
        std::fs::write(staged.path().join("train.py"), STARTER).map_err(say)?;
        std::fs::write(staged.path().join(package::TRAINING_MODULE), package::TRAINING).map_err(say)?;
        // What an earlier attempt left would pass for this one's.
        let _ = std::fs::remove_dir_all(&self.model);
        std::fs::create_dir_all(&self.model).map_err(say)?;
        let mut environment = vec![
            ("MLPIPE_MODEL_DIR".to_owned(), self.model.clone()),
            ("MLPIPE_METRICS".to_owned(), staged.path().join("metrics.json")),
        ];
        for (channel, path) in &self.channels {
            let folder = channel_folder(path, staged.path(), channel).map_err(say)?;
            environment.push((format!("MLPIPE_DATA_{}", channel.to_ascii_uppercase()), folder));
        }
        let python = interpreter::for_source(&self.folder, &self.source, &mut |line| on_line(line))?;
        let source = std::path::absolute(&self.source).map_err(say)?;
        let result = staged.path().join("result.json");
        let port = free_port().map_err(say)?;
        let commands = (0..self.workers).map(|rank| {
            let mut command = Command::new(&python);
            command
                .arg(staged.path().join("train.py"))
                .arg(source.join(&self.entrypoint))
                .arg(&result)
                .args(&self.arguments)
                .envs(environment.iter().map(|(name, path)| (name, path)))
                .current_dir(&source);
            if self.workers > 1 {
                command
                    .env("RANK", rank.to_string())
                    .env("WORLD_SIZE", self.workers.to_string())
                    .env("MASTER_ADDR", "127.0.0.1")
                    .env("MASTER_PORT", port.to_string());
            }
            command
        });
        let ended = process::run(commands.collect(), self.limit, on_line)?;
        let said = std::fs::read_to_string(&result).ok();
        let outcome: Option<Outcome> = said.and_then(|text| serde_json::from_str(&text).ok());
        Ok(match (ended, outcome) {
            (Ended::Late, _) => None,
            (Ended::Well, Some(outcome)) => Some(outcome),
            (Ended::Badly(_), Some(outcome)) if outcome.error.is_some() => Some(outcome),
            (Ended::Well | Ended::Badly(_), _) => Some(Outcome {
                metrics: Value::Null,
                error: Some(Problem {
                    name: "WorkerCrashed".to_owned(),
                    message: "the training ended without an answer".to_owned(),
                }),
            }),
        })
    }
}

/// The channel's folder: what the URI names, or a folder with the one file that it names.
fn channel_folder(path: &Path, staged: &Path, channel: &str) -> std::io::Result<PathBuf> {
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let folder = staged.join("data").join(channel);
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(path, folder.join(path.file_name().unwrap_or_default()))?;
    Ok(folder)
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A scalar as a command line carries it: as `string()` writes it.
fn scalar(template: &Template, step: &str, scope: &Scope<'_>) -> Result<String, Stop> {
    let value = run::value(template, "train", step, scope)?;
    crate::expr::eval::string(&value).ok_or_else(|| Stop::expression("train", "it is no scalar", step))
}
