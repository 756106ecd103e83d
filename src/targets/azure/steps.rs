//! The steps of a pipeline as calls of the classes in `mlpipe_dag.py`.

use std::collections::{BTreeMap, BTreeSet};

use super::jobs;
use super::layout::Py;
use super::monitoring;
use super::names;
use super::orchestrator::{comment, number};
use super::serving;
use super::training;
use crate::expr::{Expr, ExprKind, Template, python};
use crate::model::{
    Block, Catch, Fallback, Handler, HandlerAction, Join, Kind, ON_FAILURE, OnError, Pipeline, Retry, Step, StepIx,
    Wait,
};

/// The parameters of a function that sees nothing but what it stands in.
const PLAIN: &str = "";
/// Those of one that stands in a `catch` or in the failure handler.
const HANDLER: &str = "error";

type Fields = Vec<(Option<&'static str>, Py)>;

/// The steps of a block.
pub fn list(pipeline: &Pipeline, steps: &[StepIx], retries: &Retries<'_>) -> Py {
    let steps = steps
        .iter()
        .map(|ix| step(pipeline, pipeline.step(*ix), PLAIN, retries));
    Py::List(steps.collect())
}

/// What a block gives; None where that is nothing.
pub fn outputs(block: &Block) -> Option<(Option<&'static str>, Py)> {
    if block.outputs.is_empty() {
        return None;
    }
    let constant = block
        .outputs
        .iter()
        .all(|(_, value)| matches!(value, Template::Constant(_)));
    let fields = block
        .outputs
        .iter()
        .map(|(name, value)| (python::string_literal(name), Py::template(value)));
    let outputs = Py::Dict(fields.collect());
    let value = if constant {
        outputs
    } else {
        Py::Lambda(PLAIN, Box::new(outputs))
    };
    Some((Some("outputs"), value))
}

/// The failure handler.
pub fn on_failure(handler: &Handler, retries: &Retries<'_>) -> Py {
    let mut fields = vec![(None, Py::string(ON_FAILURE))];
    let name = match &handler.action {
        HandlerAction::Function { input: given, .. } => {
            fields.extend(input(given, HANDLER));
            fields.push(timeout(handler.attempt_timeout()));
            "Function"
        }
        HandlerAction::Notify(notify) => {
            fields.extend(message(&notify.topic, &notify.message, HANDLER));
            fields.extend(handler.timeout.map(timeout));
            "Notify"
        }
    };
    fields.extend(retries.field(&handler.retry));
    Py::Call(name.to_owned(), fields)
}

/// A step; its functions take `parameters`.
fn step(pipeline: &Pipeline, step: &Step, parameters: &'static str, retries: &Retries<'_>) -> Py {
    let mut fields = vec![(None, Py::string(&step.path))];
    fields.extend(order(pipeline, step));
    fields.extend(modifiers(pipeline, step, retries));
    let bound = step.timeout.map(timeout);
    let retry = retries.field(&step.retry);
    let name = match &step.kind {
        Kind::Function(_) => {
            fields.extend(input(&step.input, parameters));
            fields.push(timeout(step.attempt_timeout()));
            fields.extend(retry);
            "Function"
        }
        Kind::Wait(wait) => {
            fields.push(match wait {
                Wait::Duration(seconds) => (Some("seconds"), Py::Text(seconds.to_string())),
                Wait::Until(time) => (Some("until"), lazy(time, parameters)),
            });
            fields.extend(bound);
            fields.extend(retry);
            "Wait"
        }
        // Refused before.
        Kind::Monitor(monitor) => {
            fields.extend(monitoring::fields(pipeline, step, monitor));
            if let Some(baseline) = &monitor.baseline {
                fields.push((Some("baseline"), lazy(baseline, parameters)));
            }
            fields.extend(bound);
            fields.extend(retry);
            "Monitor"
        }
        Kind::Endpoint(endpoint) => {
            fields.extend(serving::fields(pipeline, step, endpoint));
            let models = endpoint.variants.iter().map(|variant| &variant.model);
            let by_name = endpoint
                .variants
                .iter()
                .map(|variant| (python::string_literal(&variant.name), Py::template(&variant.model)));
            let models = lazy_all(Py::Dict(by_name.collect()), models, parameters);
            fields.push((Some("models"), models));
            fields.push(timeout(step.attempt_timeout()));
            fields.extend(retry);
            "Endpoint"
        }
        Kind::Fail { error, message } => {
            fields.push((Some("error"), lazy(error, parameters)));
            fields.push((Some("message"), lazy(message, parameters)));
            fields.extend(retry);
            "Fail"
        }
        Kind::Job(job) => {
            let setting = python::string_literal(&jobs::setting(pipeline, step));
            fields.push((Some("job"), Py::Text(format!("os.environ[{setting}]"))));
            if !job.command.is_empty() {
                let words = Py::List(job.command.iter().map(Py::template).collect());
                fields.push((Some("command"), lazy_all(words, job.command.iter(), parameters)));
            }
            fields.extend(texts("env", &job.env, parameters));
            fields.push(timeout(step.attempt_timeout()));
            fields.extend(retry);
            "Job"
        }
        Kind::Train(train) => {
            fields.extend(training::fields(pipeline, step, train));
            fields.extend(texts("hyperparameters", &train.hyperparameters, parameters));
            fields.extend(texts("data", &train.data, parameters));
            fields.push(timeout(step.attempt_timeout()));
            fields.extend(retry);
            "Train"
        }
        Kind::BatchPredict(batch) => {
            fields.extend(training::job_fields(pipeline, step, &batch.runtime, &batch.machines));
            for (name, uri) in [
                ("model", &batch.model),
                ("input", &batch.input),
                ("output", &batch.output),
            ] {
                fields.push((Some(name), lazy(uri, parameters)));
            }
            fields.push(timeout(step.attempt_timeout()));
            fields.extend(retry);
            "BatchPredict"
        }
        Kind::Notify(notify) => {
            fields.extend(message(&notify.topic, &notify.message, parameters));
            fields.extend(bound);
            fields.extend(retry);
            "Notify"
        }
        Kind::Approval(approval) => {
            fields.extend(message(&approval.topic, &approval.message, parameters));
            fields.push(timeout(step.attempt_timeout()));
            fields.extend(retry);
            "Approval"
        }
        Kind::Pipeline(call) => {
            let child = names::orchestrator(pipeline.child(call.child));
            fields.push((Some("pipeline"), Py::string(&child)));
            fields.push((Some("params"), lazy(&call.params, parameters)));
            fields.extend(bound);
            fields.extend(retry);
            "Child"
        }
        Kind::Group(block) => {
            fields.extend(bound);
            fields.extend(retry);
            fields.push((Some("steps"), list(pipeline, &block.steps, retries)));
            fields.extend(outputs(block));
            "Group"
        }
    };
    let call = Py::Call(name.to_owned(), fields);
    match &step.description {
        Some(description) => Py::Commented(comment(description), Box::new(call)),
        None => call,
    }
}

/// What the step follows, and when it is skipped.
fn order(pipeline: &Pipeline, step: &Step) -> Fields {
    let paths = |steps: &mut dyn Iterator<Item = StepIx>| -> Vec<Py> {
        steps.map(|ix| Py::string(&pipeline.step(ix).path)).collect()
    };
    let mut fields = Vec::new();
    let needed: BTreeSet<StepIx> = step.needs.iter().copied().collect();
    let needs = paths(&mut step.needs.iter().copied());
    if !needs.is_empty() {
        fields.push((Some("needs"), Py::List(needs)));
    }
    let after = paths(&mut step.after.iter().copied().filter(|ix| !needed.contains(ix)));
    if !after.is_empty() {
        fields.push((Some("after"), Py::List(after)));
    }
    if step.join == Join::Any {
        fields.push((Some("join"), Py::string("any")));
    }
    if let Some(when) = &step.when {
        fields.push((Some("when"), Py::Lambda(PLAIN, Box::new(Py::expr(when)))));
    }
    fields
}

/// `for_each`, `catch` and `repeat`.
fn modifiers(pipeline: &Pipeline, step: &Step, retries: &Retries<'_>) -> Fields {
    let mut fields = Vec::new();
    if let Some(for_each) = &step.for_each {
        let mut parts = vec![(None, lazy(&for_each.list, PLAIN))];
        if let Some(most) = for_each.max_concurrency {
            parts.push((Some("max_concurrency"), Py::Text(most.to_string())));
        }
        parts.extend(Outside::of(pipeline, step).fields());
        fields.push((Some("for_each"), Py::Call("ForEach".to_owned(), parts)));
    }
    if !step.catch.is_empty() {
        let entries = step.catch.iter().map(|entry| catch(pipeline, entry, retries));
        fields.push((Some("catch"), Py::List(entries.collect())));
    }
    if let Some(repeat) = &step.repeat {
        let mut parts = vec![
            (None, Py::Lambda(PLAIN, Box::new(Py::expr(&repeat.until)))),
            (Some("max"), Py::Text(repeat.max.to_string())),
        ];
        if repeat.delay > 0 {
            parts.push((Some("delay"), Py::Text(repeat.delay.to_string())));
        }
        fields.push((Some("repeat"), Py::Call("Repeat".to_owned(), parts)));
    }
    fields
}

/// What the items of a `for_each` read of what is outside of them.
#[derive(Default)]
struct Outside {
    params: BTreeSet<String>,
    /// Per path: names of attributes.
    steps: BTreeMap<String, BTreeSet<&'static str>>,
}

impl Outside {
    fn of(pipeline: &Pipeline, step: &Step) -> Self {
        let mut outside = Self::default();
        // These two are evaluated before there are items.
        let item = Step {
            when: None,
            for_each: None,
            ..step.clone()
        };
        item.each_expr(&mut |expr| outside.note(pipeline, step, expr));
        let mut inner: Vec<StepIx> = within(&item).collect();
        while let Some(ix) = inner.pop() {
            let other = pipeline.step(ix);
            other.each_expr(&mut |expr| outside.note(pipeline, step, expr));
            inner.extend(within(other));
        }
        outside
    }

    fn note(&mut self, pipeline: &Pipeline, step: &Step, expr: &Expr) {
        let mut read = |path: &str, attribute| {
            let inside = path
                .strip_prefix(&step.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            if !inside {
                self.steps.entry(path.to_owned()).or_default().insert(attribute);
            }
        };
        expr.walk(&mut |part| match &part.kind {
            ExprKind::StepOutput(path) => read(path, "output"),
            ExprKind::StepStatus(path) => read(path, "status"),
            ExprKind::StepError(path) => read(path, "error"),
            ExprKind::Local(path, what) => read(path, python::local(*what)),
            ExprKind::Param(Some(name)) => {
                self.params.insert(name.clone());
            }
            ExprKind::Param(None) => self
                .params
                .extend(pipeline.params.iter().map(|param| param.name.clone())),
            _ => {}
        });
    }

    fn fields(&self) -> Fields {
        let mut fields = Vec::new();
        if !self.params.is_empty() {
            let names = self.params.iter().map(|name| Py::string(name));
            fields.push((Some("params"), Py::List(names.collect())));
        }
        if !self.steps.is_empty() {
            let steps = self.steps.iter().map(|(path, attributes)| {
                let names = attributes.iter().map(|name| Py::string(name));
                (python::string_literal(path), Py::List(names.collect()))
            });
            fields.push((Some("steps"), Py::Dict(steps.collect())));
        }
        fields
    }
}

/// The steps right below a step: in its group and in its `catch`.
fn within(step: &Step) -> impl Iterator<Item = StepIx> {
    let group = step.block().into_iter().flat_map(|block| &block.steps);
    group.copied().chain(step.fallbacks())
}

fn catch(pipeline: &Pipeline, catch: &Catch, retries: &Retries<'_>) -> Py {
    let fallback = match &catch.fallback {
        Fallback::Output(output) => (Some("output"), lazy(output, HANDLER)),
        Fallback::Do(ix) => (Some("do"), step(pipeline, pipeline.step(*ix), HANDLER, retries)),
    };
    Py::Call("Catch".to_owned(), vec![(None, errors(&catch.on)), fallback])
}

/// A message to a topic.
fn message(topic: &str, message: &Template, parameters: &'static str) -> Fields {
    let topic = format!("topics[{}]", python::string_literal(topic));
    vec![
        (Some("topic"), Py::Text(topic)),
        (Some("message"), lazy(message, parameters)),
    ]
}

fn timeout(seconds: u64) -> (Option<&'static str>, Py) {
    (Some("timeout"), Py::Text(seconds.to_string()))
}

/// The input of a function; None where it is null.
fn input(template: &Template, parameters: &'static str) -> Option<(Option<&'static str>, Py)> {
    match template {
        Template::Constant(serde_json::Value::Null) => None,
        template => Some((Some("input"), lazy(template, parameters))),
    }
}

/// A constant as it is, anything else as a function.
fn lazy(template: &Template, parameters: &'static str) -> Py {
    match template {
        Template::Constant(value) => Py::value(value),
        template => Py::Lambda(parameters, Box::new(Py::template(template))),
    }
}

/// Templates by name; None where there are none.
fn texts(
    field: &'static str,
    templates: &[(String, Template)],
    parameters: &'static str,
) -> Option<(Option<&'static str>, Py)> {
    if templates.is_empty() {
        return None;
    }
    let values = templates.iter().map(|(_, value)| value);
    let entries = templates
        .iter()
        .map(|(name, value)| (python::string_literal(name), Py::template(value)));
    Some((Some(field), lazy_all(Py::Dict(entries.collect()), values, parameters)))
}

/// What is made of templates: as it is where all are constant, else as a function.
fn lazy_all<'a>(py: Py, mut templates: impl Iterator<Item = &'a Template>, parameters: &'static str) -> Py {
    if templates.all(|template| matches!(template, Template::Constant(_))) {
        py
    } else {
        Py::Lambda(parameters, Box::new(py))
    }
}

/// Retries that several steps have in common become constants.
pub struct Retries<'a> {
    shared: Vec<&'a Retry>,
}

impl<'a> Retries<'a> {
    /// Those of this pipeline.
    pub fn shared(pipeline: &'a Pipeline) -> Self {
        let steps = pipeline.steps.iter().map(|step| &step.retry);
        let all = steps.chain(pipeline.on_failure.iter().map(|handler| &handler.retry));
        let mut seen: Vec<(&Retry, usize)> = Vec::new();
        for retry in all.filter(|retry| retry.attempts > 1) {
            if let Some((_, count)) = seen.iter_mut().find(|(other, _)| *other == retry) {
                *count += 1;
            } else if seen.len() < 100 {
                // Thousands of different retries are not worth a constant each.
                seen.push((retry, 1));
            }
        }
        let shared = seen
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|(retry, _)| retry)
            .collect();
        Self { shared }
    }

    fn name(place: usize) -> String {
        if place == 0 {
            "RETRY".to_owned()
        } else {
            format!("RETRY_{}", place + 1)
        }
    }

    fn field(&self, retry: &Retry) -> Option<(Option<&'static str>, Py)> {
        if retry.attempts <= 1 {
            return None;
        }
        let value = match self.shared.iter().position(|other| *other == retry) {
            Some(place) => Py::Text(Self::name(place)),
            None => call_of(retry),
        };
        Some((Some("retry"), value))
    }

    /// Their definitions, a line each.
    pub fn constants(&self) -> String {
        let lines = self.shared.iter().enumerate().map(|(place, retry)| {
            let name = Self::name(place);
            format!("{name} = {}\n", call_of(retry).render(0, name.len() + 3))
        });
        lines.collect()
    }
}

fn call_of(retry: &Retry) -> Py {
    let fields = vec![
        (Some("attempts"), Py::Text(retry.attempts.to_string())),
        (Some("delay"), Py::Text(retry.delay.to_string())),
        (Some("backoff"), number(retry.backoff)),
        (Some("max_delay"), Py::Text(retry.max_delay.to_string())),
        (Some("on"), errors(&retry.on)),
    ];
    Py::Call("Retry".to_owned(), fields)
}

/// Classes and names of errors.
fn errors(on: &[OnError]) -> Py {
    let names = on.iter().map(|on| {
        Py::string(match on {
            OnError::All => "all",
            OnError::Transient => "transient",
            OnError::Timeout => "timeout",
            OnError::Name(name) => name,
        })
    });
    Py::List(names.collect())
}
