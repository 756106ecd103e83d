//! Containers: by Docker or Podman, or their command as a plain process where `targets.local.containers` says so.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::expr::Template;
use crate::model::{Containers, Job, PerCloud, Step};

use super::Event;
use super::process::{self, Ended};
use super::run::{self, Shared, Stop};
use super::scope::Scope;

/// What Docker and Podman exit with where the container did not run at all.
const NOT_RUN: i32 = 125;

/// One attempt.
pub async fn once(
    shared: &Shared<'_, '_>,
    step: &Step,
    job: &Job,
    attempt: u32,
    scope: &Scope<'_>,
) -> Result<Value, Stop> {
    let text = |template: &Template| run::text(template, "job", &step.path, scope);
    let words: Vec<String> = job.command.iter().map(text).collect::<Result<_, _>>()?;
    let env = job.env.iter().map(|(name, value)| Ok((name, text(value)?)));
    let env: Vec<(&String, String)> = env.collect::<Result<_, Stop>>()?;
    let label = scope.label(&step.path);
    shared.count(&step.path);
    shared.tell(Event::Started { step: &label, attempt });
    let host = shared.host;
    let name = format!("mlpipe-{}-{}", std::process::id(), host.next_child());
    let how = host.containers;
    let command = match how {
        Containers::Process => {
            let Some((program, arguments)) = words.split_first() else {
                return Err(Stop::Host(format!(
                    "`{}` has no `command`, and `targets.local.containers` says `process`",
                    step.path
                )));
            };
            let mut command = Command::new(program);
            command.args(arguments).envs(env).current_dir(&host.options.folder);
            command
        }
        Containers::Docker | Containers::Podman => {
            let mut command = Command::new(how.name());
            command.args(["run", "--rm", "--name", &name]);
            // A bucket's URI is a path: it is the same in the container.
            for folder in host.options.buckets.values() {
                command.arg("--volume").arg(format!("{0}:{0}", folder.display()));
            }
            for (name, value) in env {
                command.arg("--env").arg(format!("{name}={value}"));
            }
            command.arg(image(&job.image).unwrap_or_default()).args(words);
            command
        }
    };
    let on_line = host.lines_of(&label);
    let limit = Duration::from_secs(step.attempt_timeout());
    let began = Instant::now();
    let ended = tokio::task::spawn_blocking(move || {
        let ended = process::run(vec![command], limit, &on_line);
        if how != Containers::Process && matches!(ended, Ok(Ended::Late)) {
            // The client is gone; the container is not.
            let _ = Command::new(how.name())
                .args(["kill", &name])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
        ended
    });
    match ended
        .await
        .map_err(|error| Stop::Host(error.to_string()))?
        .map_err(Stop::Host)?
    {
        Ended::Well => {
            shared.tell(Event::Succeeded {
                step: &label,
                seconds: began.elapsed().as_secs_f64(),
            });
            Ok(Value::Null)
        }
        Ended::Badly(Some(NOT_RUN)) if how != Containers::Process => Err(Stop::Host(format!(
            "{} could not run the container of `{}`; `targets: {{ local: {{ containers: process }} }}` runs its command without one",
            how.name(),
            step.path
        ))),
        Ended::Badly(_) => Err(Stop::failed(
            "JobFailed",
            "the container ended with an error",
            &step.path,
        )),
        Ended::Late => Err(Stop::timeout(&step.path)),
    }
}

/// The one image, or the first of those that there are.
fn image(images: &PerCloud) -> Option<&str> {
    let all = [&images.aws, &images.gcp, &images.azure];
    all.into_iter().find_map(|image| image.as_deref())
}
