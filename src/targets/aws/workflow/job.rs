//! A container, run to its end by AWS Batch.

use serde_json::{Value, json};

use super::finish::{Finish, Given, Piece};
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced, constant_code};
use crate::model::{Job, StepIx, identifier};
use crate::targets::aws::failure;
use crate::targets::aws::jobs::QUEUE_ARN;
use crate::targets::aws::states::{State, Task};

/// The call that submits a job and waits for its end.
const SUBMIT: &str = "arn:aws:states:::batch:submitJob.sync";
/// Batch stops a container no sooner (API reference, JobTimeout).
const SHORTEST: u64 = 60;
/// Of a job (API reference, SubmitJob).
const NAME_CHARACTERS: usize = 128;

impl Writer<'_> {
    /// Runs the container.
    pub(super) fn job(&mut self, ix: StepIx, job: &Job, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let step = self.pipeline.step(ix);
        let path = &step.path;
        let failed = scope.catch();
        let mut catch = vec![
            failure::expression_catcher("job", path, &failed),
            failure::timeout_catcher(path, &failed),
        ];
        catch.extend(failure::catchers(path, &failed));
        if let Some(all) = catch.last_mut() {
            all.output = Some(Value::String(braced(&ended(path))));
        }
        let done = self.done(finish, scope, &Given::code("null"));
        let index = scope.states.len();
        let exits = done.exits(index);
        let mut overrides = serde_json::Map::new();
        if !job.command.is_empty() {
            let words = job.command.iter().map(|word| self.text_code(word, scope));
            overrides.insert("Command".to_owned(), words.collect());
        }
        if !job.env.is_empty() {
            let variables = job.env.iter();
            let variables =
                variables.map(|(name, value)| json!({ "Name": name, "Value": self.text_code(value, scope) }));
            overrides.insert("Environment".to_owned(), variables.collect());
        }
        let title = format!("{}-{}", self.pipeline.name, identifier(path));
        let definition = self.placeholders.jobs.get(path).map(String::as_str);
        let mut arguments = json!({
            "JobName": title.chars().take(NAME_CHARACTERS).collect::<String>(),
            "JobDefinition": jsonata::placeholder(definition.unwrap_or_default()),
            "JobQueue": jsonata::placeholder(QUEUE_ARN),
            "Timeout": { "AttemptDurationSeconds": step.attempt_timeout().max(SHORTEST) },
        });
        if !overrides.is_empty() {
            arguments["ContainerOverrides"] = Value::Object(overrides);
        }
        let task = Task {
            comment: self.comment(ix),
            resource: SUBMIT,
            arguments,
            timeout_seconds: Some(step.attempt_timeout()),
            catch,
            assign: done.assign,
            output: done.output,
            then: done.then,
            ..Task::default()
        };
        scope.states.insert(name.to_owned(), State::Task(task));
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }
}

/// How a job failed: its cause is what DescribeJobs tells of it, with an exit code where the container ran.
fn ended(path: &str) -> String {
    let caught = failure::CAUGHT;
    let job_failed = failure::known(
        Value::from("JobFailed"),
        Value::from("the container ended with an error"),
        path,
    );
    format!(
        "$contains({caught}.Cause, 'duration exceeded timeout') ? {} \
         : {caught}.Error = 'States.TaskFailed' and $contains({caught}.Cause, '\"ExitCode\"') ? {} : {}",
        constant_code(&failure::timeout(path)),
        constant_code(&job_failed),
        constant_code(&failure::unavailable(path)),
    )
}
