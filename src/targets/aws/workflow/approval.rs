//! A person's answer: a message with a token, which whoever answers gives back.

use serde_json::{Value, json};

use super::finish::{Exit, Finish, Given, Piece, next};
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced};
use crate::model::{Approval, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::states::{Catcher, Parallel, State, Task};
use crate::targets::aws::variables::ANSWER;

/// The call that publishes and waits.
pub(in crate::targets::aws) const PUBLISH: &str = "arn:aws:states:::sns:publish.waitForTaskToken";

impl Writer<'_> {
    /// Asks, and waits for the answer.
    pub(super) fn approval(
        &mut self,
        ix: StepIx,
        approval: &Approval,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let step = self.pipeline.step(ix);
        let path = &step.path;
        let mut entry = name.to_owned();
        let message = if approval.message.is_safe() && approval.message.is_text() {
            jsonata::template(&approval.message, &self.reach(scope, &[]))
        } else {
            let message = self.text_code(&approval.message, scope);
            let parallel = self.evaluated("approval", path, message, scope);
            entry = self.name(&format!("Message of {path}"));
            let state = Parallel {
                output: Some(json!("{% $states.result[0] %}")),
                then: next(name),
                ..parallel
            };
            scope.states.insert(entry.clone(), State::Parallel(state));
            Value::String(braced(failure::INPUT))
        };
        let failed = scope.catch();
        let mut done = self.done(finish, scope, &Given::code(FITTING));
        if done.assign.is_empty() && !done.then.end {
            // So that an answer that is none fails here, as everywhere.
            let answer = self.variables.private(ix, ANSWER);
            done.assign.insert(answer, Value::String(braced(FITTING)));
        }
        let mut catch = vec![
            failure::timeout_catcher(path, &failed),
            Catcher {
                error_equals: vec![failure::QUERY_ERROR.to_owned()],
                output: Some(failure::known(
                    Value::from("InvalidOutput"),
                    Value::from("the answer is not an approval"),
                    path,
                )),
                next: failed.clone(),
                ..Catcher::default()
            },
        ];
        catch.extend(failure::catchers(path, &failed).into_iter().map(|catcher| Catcher {
            output: Some(failure::unavailable(path)),
            ..catcher
        }));
        let arn = self.placeholders.topic_arns.get(&approval.topic).map(String::as_str);
        let execution = &scope.execution;
        let task = Task {
            comment: self.comment(ix),
            resource: PUBLISH,
            arguments: json!({
                "TopicArn": jsonata::placeholder(arn.unwrap_or_default()),
                "Message": {
                    "pipeline": self.pipeline.name,
                    "run": braced(&format!("{execution}.Name")),
                    "step": path,
                    "message": message,
                    "token": "{% $states.context.Task.Token %}",
                },
            }),
            timeout_seconds: Some(step.attempt_timeout()),
            catch,
            assign: done.assign,
            output: done.output,
            then: done.then,
            ..Task::default()
        };
        let index = scope.states.len();
        let ends = task.then.end;
        scope.states.insert(name.to_owned(), State::Task(task));
        Piece {
            entry: Some(entry),
            exits: if ends { Vec::new() } else { vec![Exit::Next(index)] },
        }
    }
}

/// The output that an answer makes; raises where it is none.
const FITTING: &str = "($theAnswer := $states.result; \
     $theOne := function($text) { $type($text) in ['string', 'null'] ? $text : $error('no text') }; \
     $theBy := $type($theAnswer) = 'object' and $exists($theAnswer.by) ? $theOne($theAnswer.by) : null; \
     $theComment := $type($theAnswer) = 'object' and $exists($theAnswer.comment) ? $theOne($theAnswer.comment) : null; \
     $type($theAnswer) = 'object' and $type($theAnswer.approved) = 'boolean' \
     ? {'approved': $theAnswer.approved, 'by': $theBy, 'comment': $theComment} : $error('no approval'))";
