//! A message to a topic.

use serde_json::{Value, json};

use super::finish::{Finish, Given, Piece};
use super::untyped::untyped;
use super::{Scope, Writer};
use crate::expr::Template;
use crate::expr::jsonata::{self, braced};
use crate::model::{Handler, Notify, ON_FAILURE, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::states::{State, Task};
use crate::targets::aws::workflow::retry;

/// The call that publishes.
const PUBLISH: &str = "arn:aws:states:::sns:publish";

impl Writer<'_> {
    /// Publishes, and goes on.
    pub(super) fn notify(
        &mut self,
        ix: StepIx,
        notify: &Notify,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let step = self.pipeline.step(ix);
        let path = &step.path;
        let failed = scope.catch();
        let mut catch = Vec::new();
        if !notify.message.is_text() {
            catch.push(failure::expression_catcher("notify", path, &failed));
        }
        if step.timeout.is_some() {
            catch.push(failure::timeout_catcher(path, &failed));
        }
        catch.extend(failure::catchers(path, &failed));
        if let Some(all) = catch.last_mut() {
            // What else fails here is the service.
            all.output = Some(failure::unavailable(path));
        }
        let done = self.done(finish, scope, &Given::code("null"));
        let index = scope.states.len();
        let exits = done.exits(index);
        let task = Task {
            comment: self.comment(ix),
            timeout_seconds: step.timeout,
            catch,
            assign: done.assign,
            output: done.output,
            then: done.then,
            ..self.publish(path, notify, &notify.message, scope)
        };
        scope.states.insert(name.to_owned(), State::Task(task));
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }

    /// The message of the failure handler, but for what follows.
    pub(super) fn notify_of_failure(&self, handler: &Handler, notify: &Notify, scope: &Scope) -> Task {
        Task {
            timeout_seconds: handler.timeout,
            retry: retry::publishing(&handler.retry),
            ..self.publish(ON_FAILURE, notify, &untyped(&notify.message), scope)
        }
    }

    fn publish(&self, step: &str, notify: &Notify, message: &Template, scope: &Scope) -> Task {
        let arn = self.placeholders.topic_arns.get(&notify.topic).map(String::as_str);
        let text = |value: Value| json!({ "DataType": "String", "StringValue": value });
        Task {
            resource: PUBLISH,
            arguments: json!({
                "TopicArn": jsonata::placeholder(arn.unwrap_or_default()),
                "Message": self.text_code(message, scope),
                "MessageAttributes": {
                    "pipeline": text(Value::from(self.pipeline.name.as_str())),
                    "run": text(Value::String(braced(&format!("{}.Name", scope.execution)))),
                    "step": text(Value::from(step)),
                },
            }),
            ..Task::default()
        }
    }
}
