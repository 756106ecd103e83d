//! Scripts that the launcher of trainings runs, as processes: one a worker, each with the variables that a cloud would give it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::targets::package;

use super::interpreter::{self, Wanted};
use super::process::{self, Ended};
use super::worker::OnLine;

const STARTER: &str = include_str!("../../targets/local/train.py");

/// What the launcher says came of the script.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// What the script measured.
    #[serde(default)]
    pub metrics: Value,
    /// Why it failed.
    pub error: Option<Problem>,
}

/// A script's failure.
#[derive(Debug, Deserialize)]
pub struct Problem {
    /// The error's name.
    pub name: String,
    /// The error's message.
    pub message: String,
}

/// What a script needs of the host.
pub struct Script {
    /// The folder of the pipeline file.
    pub folder: PathBuf,
    /// The folder of the code; None: the files of mlpipe's own are the code.
    pub source: Option<PathBuf>,
    /// The script, below the folder of the code.
    pub entrypoint: String,
    /// Files of mlpipe's own beside the launcher: names and texts.
    pub own: Vec<(&'static str, &'static str)>,
    /// What Python must have.
    pub wanted: Wanted,
    /// The script's arguments.
    pub arguments: Vec<String>,
    /// Channels and what they hold: folders or single files.
    pub channels: Vec<(String, PathBuf)>,
    /// The folder for what it makes, and the variable that names it.
    pub made: (&'static str, PathBuf),
    /// What it is, for messages.
    pub what: &'static str,
    /// Processes.
    pub workers: u32,
    /// Longest run.
    pub limit: Duration,
}

impl Script {
    /// None where it ran too long. An `Err` is the host's fault.
    pub fn run(self, on_line: &OnLine) -> Result<Option<Answer>, String> {
        let say = |error: std::io::Error| format!("cannot stage the script: {error}");
        let staged = tempfile::Builder::new()
            .prefix("mlpipe-train-")
            .tempdir()
            .map_err(say)?;
        let launcher = [("train.py", STARTER), (package::TRAINING_MODULE, package::TRAINING)];
        for (name, text) in launcher.iter().chain(&self.own) {
            std::fs::write(staged.path().join(name), text).map_err(say)?;
        }
        let (variable, made) = &self.made;
        std::fs::create_dir_all(made).map_err(say)?;
        let mut environment = vec![
            ((*variable).to_owned(), made.clone()),
            ("MLPIPE_METRICS".to_owned(), staged.path().join("metrics.json")),
        ];
        for (channel, path) in &self.channels {
            let folder = channel_folder(path, staged.path(), channel).map_err(say)?;
            environment.push((format!("MLPIPE_DATA_{}", channel.to_ascii_uppercase()), folder));
        }
        let python = interpreter::python(&self.folder, &self.wanted, &mut |line| on_line(line))?;
        let source = match &self.source {
            Some(source) => std::path::absolute(source).map_err(say)?,
            None => staged.path().to_owned(),
        };
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
        let answer: Option<Answer> = said.and_then(|text| serde_json::from_str(&text).ok());
        Ok(match (ended, answer) {
            (Ended::Late, _) => None,
            (Ended::Well, Some(answer)) => Some(answer),
            (Ended::Badly(_), Some(answer)) if answer.error.is_some() => Some(answer),
            (Ended::Well | Ended::Badly(_), _) => Some(Answer {
                metrics: Value::Null,
                error: Some(Problem {
                    name: "WorkerCrashed".to_owned(),
                    message: format!("the {} ended without an answer", self.what),
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
