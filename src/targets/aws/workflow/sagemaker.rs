//! What states of SageMaker's jobs have alike: a job has a name before it runs, and is stopped where it runs too long.

use serde_json::{Value, json};

use super::finish::next;
use super::{Scope, Writer};
use crate::expr::jsonata::{braced, string_literal};
use crate::model::StepIx;
use crate::targets::aws::failure;
use crate::targets::aws::states::{Catcher, Pass, State, Task};
use crate::targets::aws::training;

/// The name of the job, which each of its states hands on.
pub(super) const NAME: &str = "$states.input.name";
/// Of the volume of each machine, in GB: no more than the local disk of those that have one, of which 125 GB is the smallest.
pub(super) const VOLUME: u32 = 100;

impl Writer<'_> {
    /// The state that names a step's job, before the state `then`; gives its own name.
    pub(super) fn name_job(&mut self, ix: StepIx, scope: &mut Scope, then: &str) -> String {
        let path = &self.pipeline.step(ix).path;
        let entry = self.name(&format!("Name of {path}"));
        let prefix = training::prefix(&self.pipeline.name, path);
        let begin = Pass {
            output: Some(json!({ "name": braced(&format!("{} & $uuid()", string_literal(&format!("{prefix}-")))) })),
            then: next(then),
            ..Pass::default()
        };
        scope.states.insert(entry.clone(), State::Pass(begin));
        entry
    }

    /// Tags by which a job is found, with the pipeline's labels.
    pub(super) fn tags(&self, path: &str, scope: &Scope) -> Value {
        let run = braced(&format!("{}.Name", scope.execution));
        let own = [
            ("pipeline", self.pipeline.name.clone()),
            ("run", run),
            ("step", path.to_owned()),
        ];
        let labels = self.pipeline.labels.iter();
        let labels = labels.filter(|(key, _)| own.iter().all(|(name, _)| name != key));
        let own_tags = own.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
        own_tags
            .chain(labels.map(|(key, value)| json!({ "Key": key, "Value": value })))
            .collect()
    }
}

/// Goes from a job that runs too long to the state that stops it.
pub(super) fn late(stop: &str) -> Catcher {
    Catcher {
        error_equals: vec!["States.Timeout".to_owned()],
        output: Some(json!("{% $states.input %}")),
        next: stop.to_owned(),
        ..Catcher::default()
    }
}

/// Stops a job by a call that takes its name as `parameter`; then the step has failed, whatever comes of the call.
pub(super) fn stop(resource: &'static str, parameter: &str, path: &str, failed: &str) -> State {
    State::Task(Task {
        resource,
        arguments: json!({ parameter: braced(NAME) }),
        catch: vec![Catcher {
            error_equals: vec!["States.ALL".to_owned()],
            output: Some(failure::timeout(path)),
            next: failed.to_owned(),
            ..Catcher::default()
        }],
        output: Some(failure::timeout(path)),
        then: next(failed),
        ..Task::default()
    })
}
