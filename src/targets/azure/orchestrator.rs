//! `mlpipe_pipeline.py`: the pipeline as Python reads it, for the runtime in `mlpipe_dag.py`.

use std::collections::BTreeSet;

use minijinja::context;

use super::layout::Py;
use super::names::{self, Place};
use crate::expr::{Template, Type, python};
use crate::model::{Handler, Join, Kind, ON_FAILURE, OnError, Param, Pipeline, Retry, Step, StepIx, Wait};

/// The module's text.
pub fn module(pipeline: &Pipeline) -> Result<String, minijinja::Error> {
    let retries = Retries::shared(pipeline);
    let mut fields = vec![(Some("steps"), steps(pipeline, &retries))];
    if let Some(handler) = &pipeline.on_failure {
        fields.push((Some("on_failure"), on_failure(handler, &retries)));
    }
    if !pipeline.root.outputs.is_empty() {
        let outputs = Py::Dict(
            pipeline
                .root
                .outputs
                .iter()
                .map(|(name, value)| (python::string_literal(name), Py::template(value)))
                .collect(),
        );
        let constant = pipeline
            .root
            .outputs
            .iter()
            .all(|(_, value)| matches!(value, Template::Constant(_)));
        fields.push((
            Some("outputs"),
            if constant {
                outputs
            } else {
                Py::Lambda("", Box::new(outputs))
            },
        ));
    }
    let body = Py::Call("Pipeline".to_owned(), fields).render(4, "return ".len());
    let params = Py::List(pipeline.params.iter().map(param).collect()).render(0, "PARAMS = ".len());
    let (buckets, reads_environment) = buckets(pipeline);
    let retries = retries.constants();
    let text = format!("{body}\n{params}\n{buckets}\n{retries}");
    let uses = |name: &str| text.contains(name);
    let imported = |names: &[&str]| {
        let used: Vec<&str> = names.iter().copied().filter(|name| uses(&format!("{name}("))).collect();
        used.join(", ")
    };
    super::environment()?.get_template("pipeline")?.render(context! {
        name => python::string_literal(&pipeline.name),
        title => &pipeline.name,
        description => pipeline.description.as_deref().map(docstring),
        uses_expr => uses("expr."),
        dag_names => imported(&["Bucket", "Fail", "Function", "Pipeline", "Retry", "Wait"]),
        params_names => imported(&["Optional", "Param"]),
        reads_environment,
        params,
        buckets,
        retries,
        body,
    })
}

/// Text that may stand in a docstring.
fn docstring(text: &str) -> String {
    text.trim().replace('\\', "\\\\").replace('"', "\\\"")
}

fn comment(text: &str) -> Vec<String> {
    text.trim()
        .lines()
        .map(|line| line.replace(|c: char| c.is_control(), " "))
        .collect()
}

fn param(param: &Param) -> Py {
    let mut fields = vec![(None, Py::string(&param.name)), (None, type_of(&param.ty))];
    if let Some(default) = &param.default {
        fields.push((Some("default"), Py::value(default)));
    }
    if !param.allowed.is_empty() {
        fields.push((Some("enum"), Py::List(param.allowed.iter().map(Py::value).collect())));
    }
    for (name, bound) in [("minimum", param.minimum), ("maximum", param.maximum)] {
        if let Some(bound) = bound {
            fields.push((Some(name), number(bound)));
        }
    }
    let call = Py::Call("Param".to_owned(), fields);
    match &param.description {
        Some(description) => Py::Commented(comment(description), Box::new(call)),
        None => call,
    }
}

fn number(value: f64) -> Py {
    Py::value(&serde_json::Value::from(value))
}

/// A type as `mlpipe_params` reads it.
fn type_of(ty: &Type) -> Py {
    match ty {
        Type::Any | Type::Null | Type::Boolean | Type::Integer | Type::Number | Type::String => {
            Py::string(&ty.to_string())
        }
        Type::List(item) => Py::List(vec![type_of(item)]),
        Type::Object(fields) => Py::Dict(
            fields
                .iter()
                .map(|(name, ty)| (python::string_literal(name), type_of(ty)))
                .collect(),
        ),
        Type::Optional(inner) => Py::Call("Optional".to_owned(), vec![(None, type_of(inner))]),
    }
}

/// The buckets, and whether their accounts' names come from the environment.
fn buckets(pipeline: &Pipeline) -> (String, bool) {
    let mut reads_environment = false;
    let entries = pipeline
        .buckets
        .iter()
        .map(|bucket| {
            let (container, account) = match names::place(bucket) {
                Place::Made { container } => {
                    reads_environment = true;
                    (
                        Py::string(&container),
                        Py::Text(format!("os.environ[\"{ACCOUNT_SETTING}\"]")),
                    )
                }
                Place::Existing { account, container } => (Py::string(container), Py::string(account)),
            };
            let call = Py::Call("Bucket".to_owned(), vec![(None, container), (None, account)]);
            (python::string_literal(&bucket.id), call)
        })
        .collect();
    let text = Py::Dict(entries).render(0, WIDEST);
    (text, reads_environment)
}

/// Wider than any line: a list that is always broken.
const WIDEST: usize = 1000;

/// The app setting with the name of the storage account of the buckets.
pub const ACCOUNT_SETTING: &str = "MLPIPE_STORAGE_ACCOUNT";

fn steps(pipeline: &Pipeline, retries: &Retries<'_>) -> Py {
    Py::List(
        pipeline
            .steps
            .iter()
            .map(|step| step_of(pipeline, step, retries))
            .collect(),
    )
}

fn step_of(pipeline: &Pipeline, step: &Step, retries: &Retries<'_>) -> Py {
    let ids = |steps: &mut dyn Iterator<Item = StepIx>| -> Vec<Py> {
        steps.map(|ix| Py::string(&pipeline.step(ix).id)).collect()
    };
    let mut fields = vec![(None, Py::string(&step.id))];
    let needed: BTreeSet<StepIx> = step.needs.iter().copied().collect();
    let needs = ids(&mut step.needs.iter().copied());
    if !needs.is_empty() {
        fields.push((Some("needs"), Py::List(needs)));
    }
    let after = ids(&mut step.after.iter().copied().filter(|ix| !needed.contains(ix)));
    if !after.is_empty() {
        fields.push((Some("after"), Py::List(after)));
    }
    if step.join == Join::Any {
        fields.push((Some("join"), Py::string("any")));
    }
    if let Some(when) = &step.when {
        fields.push((Some("when"), Py::Lambda("", Box::new(Py::expr(when)))));
    }
    let name = match &step.kind {
        Kind::Function(_) => {
            if let Some(input) = input(&step.input, "") {
                fields.push((Some("input"), input));
            }
            fields.push((Some("timeout"), Py::Text(step.attempt_timeout().to_string())));
            fields.extend(retries.field(&step.retry));
            "Function"
        }
        Kind::Wait(Wait::Duration(seconds)) => {
            fields.push((Some("seconds"), Py::Text(seconds.to_string())));
            "Wait"
        }
        // `pending` keeps these away.
        Kind::Wait(Wait::Until(_)) | Kind::Group(_) => "Wait",
        Kind::Fail { error, message } => {
            fields.push((Some("error"), lazy(error, "")));
            fields.push((Some("message"), lazy(message, "")));
            "Fail"
        }
    };
    let call = Py::Call(name.to_owned(), fields);
    match &step.description {
        Some(description) => Py::Commented(comment(description), Box::new(call)),
        None => call,
    }
}

fn on_failure(handler: &Handler, retries: &Retries<'_>) -> Py {
    let mut fields = vec![(None, Py::string(ON_FAILURE))];
    if let Some(input) = input(&handler.input, "error") {
        fields.push((Some("input"), input));
    }
    fields.push((Some("timeout"), Py::Text(handler.attempt_timeout().to_string())));
    fields.extend(retries.field(&handler.retry));
    Py::Call("Function".to_owned(), fields)
}

/// The input of a function; None where it is null.
fn input(template: &Template, parameters: &'static str) -> Option<Py> {
    match template {
        Template::Constant(serde_json::Value::Null) => None,
        template => Some(lazy(template, parameters)),
    }
}

/// A constant as it is, anything else as a function.
fn lazy(template: &Template, parameters: &'static str) -> Py {
    match template {
        Template::Constant(value) => Py::value(value),
        template => Py::Lambda(parameters, Box::new(Py::template(template))),
    }
}

/// Retries that several steps have in common become constants.
struct Retries<'a> {
    shared: Vec<&'a Retry>,
}

impl<'a> Retries<'a> {
    fn shared(pipeline: &'a Pipeline) -> Self {
        let steps = pipeline
            .steps
            .iter()
            .filter(|step| matches!(step.kind, Kind::Function(_)))
            .map(|step| &step.retry);
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

    fn constants(&self) -> String {
        let lines = self.shared.iter().enumerate().map(|(place, retry)| {
            let name = Self::name(place);
            format!("{name} = {}\n", call_of(retry).render(0, name.len() + 3))
        });
        lines.collect()
    }
}

fn call_of(retry: &Retry) -> Py {
    let on = retry.on.iter().map(|on| {
        Py::string(match on {
            OnError::All => "all",
            OnError::Transient => "transient",
            OnError::Timeout => "timeout",
            OnError::Name(name) => name,
        })
    });
    let fields = vec![
        (Some("attempts"), Py::Text(retry.attempts.to_string())),
        (Some("delay"), Py::Text(retry.delay.to_string())),
        (Some("backoff"), number(retry.backoff)),
        (Some("max_delay"), Py::Text(retry.max_delay.to_string())),
        (Some("on"), Py::List(on.collect())),
    ];
    Py::Call("Retry".to_owned(), fields)
}
