//! What a step has a managed service do: a container, a training or predictions, run to their end.

use serde_json::{Map, Value, json};

use super::Writer;
use crate::expr::ast::TextPart;
use crate::expr::{Template, eval};
use crate::model::{BatchPredict, Endpoint, Job, Runtime, Step as Source, Train, identifier};
use crate::targets::gcp::names::step_name;
use crate::targets::gcp::steps::{Action, Body, Call, Step, expression};
use crate::targets::gcp::{jobs, serving, training};

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
        self.run_managed(&id, &name, run, out);
        self.give(&name, result, Value::Null, out);
    }

    /// Trains with its arguments and data, and gives the job's name, the model and the metrics.
    pub(super) fn train(&mut self, step: &Source, train: &Train, result: Option<&str>, out: &mut Vec<Step>) {
        let path = step.path.as_str();
        let name = step_name(path);
        let id = identifier(path);
        let mut printer = self.printer();
        let mut words = Vec::new();
        let mut sure = train.data.iter().all(|(_, uri)| uri.is_text());
        for (parameter, value) in &train.hyperparameters {
            words.push(json!(format!("--{parameter}")));
            let text = text_of(value);
            sure &= text.is_text();
            words.push(printer.template(&text, &format!("{id}_{}", identifier(parameter))));
        }
        let mut data = Vec::new();
        for (channel, uri) in &train.data {
            let value = printer.string_template(uri, &format!("{id}_data_{channel}"));
            data.push(json!({ "name": format!("MLPIPE_CHANNEL_{channel}"), "value": value }));
        }
        data.extend(pins(&train.runtime));
        let mut job = training::job(self.family.root, self.pipeline, step, train);
        job["arguments"] = words.into();
        job["data"] = data.into();
        let given = self.variables.taken.name(&format!("{id}_training"));
        self.give_job(path, "train", (&given, job, sure), out);
        let trained = self.variables.taken.name(&format!("{id}_trained"));
        self.run_training(step, &given, &trained, out);
        self.fit(path, &trained, out);
        self.give(&name, result, expression(&trained), out);
    }

    /// Predicts for the files of a folder, and gives the job's name, where the predictions are, and how many.
    pub(super) fn batch(&mut self, step: &Source, batch: &BatchPredict, result: Option<&str>, out: &mut Vec<Step>) {
        let path = step.path.as_str();
        let name = step_name(path);
        let id = identifier(path);
        let mut printer = self.printer();
        let texts = [
            ("MLPIPE_CHANNEL_model", &batch.model),
            ("MLPIPE_CHANNEL_input", &batch.input),
            ("MLPIPE_OUTPUT", &batch.output),
        ];
        let mut data = Vec::new();
        for (variable, text) in texts {
            let value = printer.string_template(text, &format!("{id}_{}", variable.to_ascii_lowercase()));
            data.push(json!({ "name": variable, "value": value }));
        }
        let sure = texts.iter().all(|(_, text)| text.is_text());
        data.extend(pins(&batch.runtime));
        let mut job = training::batch(self.family.root, self.pipeline, step, batch);
        job["data"] = data.into();
        let given = self.variables.taken.name(&format!("{id}_batch"));
        self.give_job(path, "batch_predict", (&given, job, sure), out);
        let ended = self.variables.taken.name(&format!("{id}_ended"));
        self.run_training(step, &given, &ended, out);
        let predicted = self.variables.taken.name(&format!("{id}_predicted"));
        let output = json!({
            "job_name": expression(format!("{ended}.job_name")),
            // As the job was given it, third of its variables.
            "output_uri": expression(format!("{given}.data[2].value")),
            "predictions": expression(format!("map.get({ended}.metrics, \"predictions\")")),
        });
        let assign = Action::Assign(vec![(predicted.clone(), output)]);
        out.push(Step::new(self.steps.name(&format!("{id}_told")), assign));
        self.fit(path, &predicted, out);
        self.give(&name, result, expression(&predicted), out);
    }

    /// Keeps what a custom job is given: a variable, its value, and whether evaluating it cannot fail.
    fn give_job(
        &mut self,
        path: &str,
        construct: &str,
        (variable, job, sure): (&str, Value, bool),
        out: &mut Vec<Step>,
    ) {
        let assign = Action::Assign(vec![(variable.to_owned(), job)]);
        let action = if sure {
            assign
        } else {
            let inner = Step::new(self.steps.name(&format!("evaluate_{variable}")), assign);
            self.attempt(path, construct, Body::Steps(vec![inner]))
        };
        out.push(Step::new(step_name(path), action));
    }

    /// Runs a custom job to its end.
    fn run_training(&mut self, step: &Source, given: &str, result: &str, out: &mut Vec<Step>) {
        self.library.helpers.insert("run_training");
        let mut run = Call::new(
            "run_training",
            [
                ("training", expression(given)),
                ("step", json!(step.path)),
                ("seconds", self.within(step.attempt_timeout())),
            ],
        );
        run.result = Some(result.to_owned());
        self.run_managed(&identifier(&step.path), &step_name(&step.path), run, out);
    }

    /// Brings an endpoint into service, and gives its name and address.
    pub(super) fn endpoint(&mut self, step: &Source, endpoint: &Endpoint, result: Option<&str>, out: &mut Vec<Step>) {
        let path = step.path.as_str();
        let name = step_name(path);
        let id = identifier(path);
        let mut printer = self.printer();
        let mut models = Vec::new();
        for variant in &endpoint.variants {
            let variable = format!("{id}_model_{}", identifier(&variant.name));
            models.push(printer.string_template(&variant.model, &variable));
        }
        let sure = endpoint.variants.iter().all(|variant| variant.model.is_text());
        let given = self.variables.taken.name(&format!("{id}_endpoint"));
        let value = serving::endpoint(self.family.root, self.pipeline, step, endpoint, models);
        let assign = Action::Assign(vec![(given.clone(), value)]);
        if sure {
            out.push(Step::new(&name, assign));
        } else {
            let inner = Step::new(self.steps.name(&format!("evaluate_{id}_endpoint")), assign);
            let action = self.attempt(path, "endpoint", Body::Steps(vec![inner]));
            out.push(Step::new(&name, action));
        }
        self.library.helpers.insert("run_endpoint");
        if matches!(endpoint.runtime, Runtime::Framework(..)) {
            self.library.helpers.insert("serving_code");
        }
        let mut run = Call::new(
            "run_endpoint",
            [
                ("endpoint", expression(&given)),
                ("step", json!(path)),
                ("seconds", self.within(step.attempt_timeout())),
            ],
        );
        let served = self.variables.taken.name(&format!("{id}_served"));
        run.result = Some(served.clone());
        self.run_managed(&id, &name, run, out);
        self.give(&name, result, expression(&served), out);
    }

    /// Gives null: the deployment has the policies that watch the endpoint, by the name that it will have.
    pub(super) fn monitor(&mut self, step: &Source, result: Option<&str>, out: &mut Vec<Step>) {
        let name = step_name(&step.path);
        // Each step shows in the workflow, and a retry must hold something.
        let variable = match result {
            Some(result) => result.to_owned(),
            None => self
                .variables
                .taken
                .name(&format!("{}_monitor", identifier(&step.path))),
        };
        let mut watched = Step::new(&name, Action::Assign(vec![(variable, Value::Null)]));
        watched.comment = "Alert policies of the deployment watch the endpoint.".to_owned();
        out.push(watched);
    }

    /// The call of what waits for a service: where it fails late, it is the group that ran out of time.
    fn run_managed(&mut self, id: &str, name: &str, run: Call, out: &mut Vec<Step>) {
        let mut except = self.out_of_time(name);
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
    }
}

/// The variable with what pip installs, where there is something.
fn pins(runtime: &Runtime) -> Option<Value> {
    let pins = training::pins(runtime);
    (!pins.is_empty()).then(|| json!({ "name": "MLPIPE_REQUIREMENTS", "value": pins.join(" ") }))
}

/// A scalar as a command line carries it: as `string()` writes it.
fn text_of(value: &Template) -> Template {
    match value {
        Template::Constant(value) => Template::Constant(eval::string(value).unwrap_or_default().into()),
        Template::Expr(expr) => Template::Text(vec![TextPart::Expr(expr.clone())]),
        Template::Text(_) | Template::List(_) | Template::Object(_) => value.clone(),
    }
}
