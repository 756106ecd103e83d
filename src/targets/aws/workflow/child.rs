//! Another pipeline: an execution of its state machine, which is the same whoever starts it.
//!
//! Its execution fails where the pipeline does. Of that the task that waits for it tells no more than a cause that holds
//! the input too, and is cut where it is long: the execution has a name that is known beforehand, and is described.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::bounded::START;
use super::finish::{Exit, Finish, Given, Piece, next};
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced};
use crate::model::{ChildCall, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::member::child_file;
use crate::targets::aws::states::{Catcher, Parallel, Pass, Retrier, State, Task};
use crate::targets::aws::variables::{EXECUTION, PARAMS};
use crate::targets::size;

impl Writer<'_> {
    /// A state that evaluates the params, where that may fail: it comes before all attempts. With its index.
    pub(super) fn params_of(&mut self, ix: StepIx, call: &ChildCall, scope: &mut Scope) -> Option<(String, usize)> {
        if call.params.is_safe() && size::fits_value(&call.params) {
            return None;
        }
        let path = &self.pipeline.step(ix).path;
        let value = jsonata::template(&call.params, &self.reach(scope, &[]));
        let mut parallel = self.evaluated("params", path, value, scope);
        parallel.catch.push(Catcher {
            output: Some(failure::input_too_large(path)),
            ..failure::size_catcher(path, &scope.catch())
        });
        let name = self.name(&format!("Params of {path}"));
        let index = scope.states.len();
        let params = self.variables.private(ix, PARAMS);
        let state = Parallel {
            assign: IndexMap::from([(params, json!("{% $states.result[0] %}"))]),
            output: Some(json!({})),
            ..parallel
        };
        scope.states.insert(name.clone(), State::Parallel(state));
        Some((name, index))
    }

    /// Runs the other pipeline once.
    pub(super) fn child(
        &mut self,
        ix: StepIx,
        call: &ChildCall,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        let path = &step.path;
        let child = &pipeline.child(call.child).name;
        let execution = self.variables.private(ix, EXECUTION);
        let entry = self.name(&format!("Name of {path}"));
        let begin = Pass {
            assign: IndexMap::from([(execution.clone(), json!("{% $uuid() %}"))]),
            output: Some(json!({})),
            then: next(name),
            ..Pass::default()
        };
        let input = if call.params.is_safe() && size::fits_value(&call.params) {
            jsonata::template(&call.params, &self.reach(scope, &[]))
        } else {
            Value::String(braced(&format!("${}", self.variables.private(ix, PARAMS))))
        };
        let failed = scope.catch();
        let ended = self.name(&format!("Failure of {path}"));
        let machine = self.machine_arn(&child_file(child));
        let large = failure::size_catcher(path, &failed);
        let done = self.done(finish, scope, &Given::code("$states.result.Output"));
        let task = Task {
            comment: Some(self.comment(ix).unwrap_or_else(|| format!("The pipeline {child}"))),
            resource: START,
            arguments: json!({
                "StateMachineArn": machine,
                "Name": braced(&format!("${execution}")),
                "Input": input,
            }),
            timeout_seconds: step.timeout,
            retry: Vec::new(),
            catch: vec![
                failure::timeout_catcher(path, &failed),
                large,
                Catcher {
                    error_equals: vec!["States.ALL".to_owned()],
                    output: Some(json!({})),
                    next: ended.clone(),
                    ..Catcher::default()
                },
            ],
            assign: done.assign,
            output: done.output,
            then: done.then,
        };
        scope.states.insert(entry.clone(), State::Pass(begin));
        let index = scope.states.len();
        let ends = task.then.end;
        scope.states.insert(name.to_owned(), State::Task(task));
        let describe = self.described(path, &machine, &execution, &failed);
        scope.states.insert(ended, State::Task(describe));
        Piece {
            entry: Some(entry),
            exits: if ends { Vec::new() } else { vec![Exit::Next(index)] },
        }
    }

    /// Asks how the execution ended. "The results are best effort and may not reflect very recent updates" (API
    /// reference, DescribeExecution): it is asked again while it seems to run.
    fn described(&self, path: &str, machine: &str, execution: &str, failed: &str) -> Task {
        let mut catch = failure::catchers(path, failed);
        for catcher in &mut catch {
            catcher.output = Some(failure::unavailable(path));
        }
        let arn = format!("$replace('{machine}', ':stateMachine:', ':execution:') & ':' & ${execution}");
        Task {
            comment: Some("The error of the other pipeline".to_owned()),
            resource: "arn:aws:states:::aws-sdk:sfn:describeExecution",
            arguments: json!({ "ExecutionArn": braced(&arn) }),
            retry: vec![
                Retrier {
                    // It never started.
                    error_equals: vec!["Sfn.ExecutionDoesNotExistException".to_owned()],
                    interval_seconds: None,
                    max_attempts: 0,
                    backoff_rate: None,
                    max_delay_seconds: None,
                },
                Retrier {
                    error_equals: vec!["States.ALL".to_owned()],
                    interval_seconds: Some(1),
                    max_attempts: 10,
                    backoff_rate: Some(json!(2)),
                    max_delay_seconds: Some(30),
                },
            ],
            catch,
            output: Some(Value::String(braced(&failure::of_child("$states.result", path)))),
            then: next(failed),
            ..Task::default()
        }
    }
}
