//! What a step has a managed service do: a container, run to its end.

use serde_json::{Map, Value, json};

use super::Writer;
use crate::model::{Job, Step as Source, identifier};
use crate::targets::gcp::jobs;
use crate::targets::gcp::names::step_name;
use crate::targets::gcp::steps::{Action, Body, Call, Step, expression};

impl Writer<'_> {
    /// Runs a container with its words and variables, and gives null.
    pub(super) fn job(&mut self, step: &Source, job: &Job, result: Option<&str>, out: &mut Vec<Step>) {
        let path = step.path.as_str();
        let name = step_name(path);
        let id = identifier(path);
        let mut printer = self.printer();
        let mut words = Vec::new();
        for (index, word) in jobs::arguments(job).iter().enumerate() {
            words.push(printer.string_template(word, &format!("{id}_word_{}", index + 1)));
        }
        let mut variables = Vec::new();
        for (variable, value) in &job.env {
            let value = printer.string_template(value, &format!("{id}_env_{}", identifier(variable)));
            variables.push(json!({ "name": variable, "value": value }));
        }
        let mut overrides = Map::new();
        if !words.is_empty() {
            overrides.insert("args".to_owned(), words.into());
        }
        if !variables.is_empty() {
            overrides.insert("env".to_owned(), variables.into());
        }
        let values = job.command.iter().chain(job.env.iter().map(|(_, value)| value));
        let sure = values.into_iter().all(|template| template.is_text());
        let container = self.variables.taken.name(&format!("{id}_container"));
        let assign = Action::Assign(vec![(container.clone(), Value::Object(overrides))]);
        if sure {
            out.push(Step::new(&name, assign));
        } else {
            let inner = Step::new(self.steps.name(&format!("evaluate_{id}_container")), assign);
            let action = self.attempt(path, "job", Body::Steps(vec![inner]));
            out.push(Step::new(&name, action));
        }
        let service = self.member.jobs.get(path).map_or("", |service| &service.name);
        self.library.helpers.insert("run_container");
        let run = Call::new(
            "run_container",
            [
                ("job", json!(service)),
                ("container", expression(&container)),
                ("step", json!(path)),
                ("seconds", self.within(step.attempt_timeout())),
            ],
        );
        let mut except = self.out_of_time(&name);
        let action = if except.is_empty() {
            Action::Call(run)
        } else {
            let other = Action::Raise(expression("e"));
            except.push(Step::new(self.steps.name(&format!("{id}_failed")), other));
            Action::Try {
                body: Body::Call(run),
                retry: None,
                except: Some(("e".to_owned(), except)),
            }
        };
        out.push(Step::new(self.steps.name(&format!("{id}_run")), action));
        self.give(&name, result, Value::Null, out);
    }
}
