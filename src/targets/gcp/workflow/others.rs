//! What a step has others do: a person who approves, another pipeline.

use serde_json::{Value, json};

use super::Writer;
use crate::model::{Approval, ChildCall, Handler, Notify, ON_FAILURE, Step as Source, identifier};
use crate::targets::gcp::calls::{self, Of};
use crate::targets::gcp::family;
use crate::targets::gcp::names::step_name;
use crate::targets::gcp::steps::{Action, Body, Call, Step, expression};
use crate::targets::size;

/// How long an execution lasts at most: Workflows quotas, "Execution duration".
const YEAR: u64 = 31_536_000;

impl Writer<'_> {
    /// Publishes a message, and gives null.
    pub(super) fn notify(&mut self, step: &Source, notify: &Notify, result: Option<&str>, out: &mut Vec<Step>) {
        let name = step_name(&step.path);
        let publish = self.publish(&step.path, notify, out);
        // What is told of a step that is entered is its name: an evaluation before it has it already.
        let named = if notify.message.is_text() {
            name.clone()
        } else {
            self.steps.name(&format!("{name}_publish"))
        };
        out.push(Step::new(named, Action::Call(publish)));
        self.give(&name, result, Value::Null, out);
    }

    /// The call that publishes; what must be evaluated before goes to `out`.
    fn publish(&mut self, path: &str, notify: &Notify, out: &mut Vec<Step>) -> Call {
        let id = identifier(path);
        let mut message = self
            .printer()
            .string_template(&notify.message, &format!("{id}_message_text"));
        if !notify.message.is_text() {
            let variable = self.variables.taken.name(&format!("{id}_message"));
            let assign = Action::Assign(vec![(variable.clone(), message)]);
            let inner = Step::new(self.steps.name(&format!("evaluate_{id}_message")), assign);
            let action = self.attempt(path, "notify", Body::Steps(vec![inner]));
            out.push(Step::new(step_name(path), action));
            message = expression(variable);
        }
        self.library.helpers.insert("publish_text");
        let topic = family::topic(self.family.root, &notify.topic);
        let attributes = json!({ "pipeline": self.pipeline.name, "run": expression("run_id"), "step": path });
        let args = [
            ("topic", json!(topic)),
            ("message", message),
            ("attributes", attributes),
        ];
        Call::new("publish_text", args)
    }

    /// The steps of a failure handler that publishes. What they raise is for the caller to drop.
    pub(super) fn notify_of_failure(&mut self, handler: &Handler, notify: &Notify) -> Vec<Step> {
        let mut steps = Vec::new();
        let publish = self.publish(ON_FAILURE, notify, &mut steps);
        let name = self.steps.name(&format!("{ON_FAILURE}_publish"));
        let action = match self.calls.retry(&handler.retry, Of::Step) {
            None => Action::Call(publish),
            retry => Action::Try {
                body: Body::Call(publish),
                retry,
                except: None,
            },
        };
        steps.push(Step::new(name, action));
        steps
    }

    /// Asks through the topic, and waits for the answer.
    pub(super) fn approval(&mut self, step: &Source, approval: &Approval, result: Option<&str>, out: &mut Vec<Step>) {
        let path = step.path.as_str();
        let name = step_name(path);
        let id = identifier(path);
        let text = self
            .printer()
            .string_template(&approval.message, &format!("{id}_message_text"));
        let message = self.variables.taken.name(&format!("{id}_message"));
        let assign = Action::Assign(vec![(message.clone(), text)]);
        if approval.message.is_text() {
            out.push(Step::new(&name, assign));
        } else {
            let inner = Step::new(self.steps.name(&format!("evaluate_{id}_message")), assign);
            let action = self.attempt(path, "approval", Body::Steps(vec![inner]));
            out.push(Step::new(&name, action));
        }
        self.library.helpers.extend(["ask", "approval_answer", "fail_step"]);
        let callback = self.variables.taken.name(&format!("{id}_callback"));
        let topic = family::topic(self.family.root, &approval.topic);
        let request = json!({
            "pipeline": self.pipeline.name,
            "run": expression("run_id"),
            "step": path,
            "message": expression(&message),
        });
        let ask = Call {
            result: Some(callback.clone()),
            ..Call::new("ask", [("topic", json!(topic)), ("request", request)])
        };
        out.push(Step::new(self.steps.name(&format!("{id}_ask")), Action::Call(ask)));
        let answer = self.variables.taken.name(&format!("{id}_answer"));
        let wait = Call {
            result: Some(answer.clone()),
            ..Call::new(
                "events.await_callback",
                [
                    ("callback", expression(&callback)),
                    ("timeout", self.within(step.attempt_timeout())),
                ],
            )
        };
        let mut except = self.out_of_time(&name);
        let failed = Action::Call(calls::fail_step(json!(path)));
        except.push(Step::new(self.steps.name(&format!("{id}_failed")), failed));
        out.push(Step::new(
            self.steps.name(&format!("{id}_answer")),
            Action::Try {
                body: Body::Call(wait),
                retry: None,
                except: Some(("e".to_owned(), except)),
            },
        ));
        let body = expression(format!("map.get({answer}, [\"http_request\", \"body\"])"));
        let read = Call {
            result: result.map(str::to_owned),
            ..Call::new("approval_answer", [("step", json!(path)), ("answer", body)])
        };
        out.push(Step::new(self.steps.name(&format!("{id}_output")), Action::Call(read)));
    }

    /// The params of another pipeline, evaluated once for all attempts; gives the variable with them.
    pub(super) fn params(&mut self, path: &str, call: &ChildCall, out: &mut Vec<Step>) -> String {
        let id = identifier(path);
        let value = self.printer().template(&call.params, &format!("{id}_params_value"));
        let params = self.variables.taken.name(&format!("{id}_params"));
        let assign = Action::Assign(vec![(params.clone(), value)]);
        if call.params.is_safe() {
            out.push(Step::new(step_name(path), assign));
        } else {
            let inner = Step::new(self.steps.name(&format!("evaluate_{id}_params")), assign);
            let action = self.attempt(path, "params", Body::Steps(vec![inner]));
            out.push(Step::new(step_name(path), action));
        }
        if !size::fits_value(&call.params) {
            self.fit_as(path, &params, "input", out);
        }
        params
    }

    /// Runs another pipeline as an execution of its own.
    pub(super) fn child(
        &mut self,
        step: &Source,
        call: &ChildCall,
        params: &str,
        result: Option<&str>,
        out: &mut Vec<Step>,
    ) {
        let path = step.path.as_str();
        let id = identifier(path);
        let child = self.pipeline.child(call.child);
        let fits = size::fits(&child.root.outputs);
        let variable = match result {
            Some(variable) => Some(variable.to_owned()),
            None => (!fits).then(|| self.variables.taken.name(&format!("{id}_outputs"))),
        };
        let mut args = vec![
            ("workflow", json!(self.family.workflow(child))),
            ("step", json!(path)),
            ("value", expression(params)),
        ];
        let mut helper = "run_pipeline";
        if step.timeout.is_some() || !self.deadlines.is_empty() {
            helper = "run_pipeline_within";
            args.push(("seconds", self.within(step.attempt_timeout().min(YEAR))));
        }
        self.library.helpers.extend([helper, "fail_call"]);
        let run = Call {
            result: variable.clone(),
            ..Call::new(helper, args)
        };
        let mut except = self.out_of_time(&id);
        let failed = Call::new("fail_call", [("step", json!(path)), ("e", expression("e"))]);
        except.push(Step::new(
            self.steps.name(&format!("{id}_failed")),
            Action::Call(failed),
        ));
        out.push(Step::new(
            self.steps.name(&format!("{id}_run")),
            Action::Try {
                body: Body::Call(run),
                retry: None,
                except: Some(("e".to_owned(), except)),
            },
        ));
        if let (false, Some(variable)) = (fits, variable) {
            self.fit(path, &variable, out);
        }
    }
}
