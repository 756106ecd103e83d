//! `mlpipe_pipeline.py`: the pipeline as Python reads it, for the runtime in `mlpipe_dag.py`.

use minijinja::context;

use super::layout::Py;
use super::names::{self, Place};
use super::steps::{self, Retries};
use crate::expr::{Type, python};
use crate::model::{Param, Pipeline};

/// The module's text.
pub fn module(pipeline: &Pipeline) -> Result<String, minijinja::Error> {
    let retries = Retries::shared(pipeline);
    let mut fields = vec![(Some("steps"), steps::list(pipeline, &pipeline.root.steps, &retries))];
    if let Some(handler) = &pipeline.on_failure {
        fields.push((Some("on_failure"), steps::on_failure(handler, &retries)));
    }
    fields.extend(steps::outputs(&pipeline.root));
    let body = Py::Call("Pipeline".to_owned(), fields).render(4, "return ".len());
    let params = Py::List(pipeline.params.iter().map(param).collect()).render(0, "PARAMS = ".len());
    let (buckets, reads_environment) = buckets(pipeline);
    let topics = topics(pipeline);
    let retries = retries.constants();
    let text = format!("{body}\n{params}\n{buckets}\n{topics}\n{retries}");
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
        dag_names => imported(&[
            "Approval", "BatchPredict", "Bucket", "Catch", "Child", "Endpoint", "Fail", "ForEach", "Function", "Group", "Job", "Monitor", "Notify", "Pipeline", "Repeat", "Retry", "Topic", "Train",
            "Wait",
        ]),
        params_names => imported(&["Optional", "Param"]),
        loops => uses("ForEach(") || uses("Repeat("),
        reads_environment,
        reads_os => uses("os.environ["),
        topics => (!pipeline.topics.is_empty()).then_some(topics),
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

/// Text as the lines of a comment.
pub fn comment(text: &str) -> Vec<String> {
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

/// A number as JSON has it.
pub fn number(value: f64) -> Py {
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

/// The topics: main.json makes them, and tells their names to the app.
fn topics(pipeline: &Pipeline) -> String {
    let topics = pipeline.topics.iter().map(|topic| {
        let settings =
            names::topic_settings(topic).map(|setting| (None, Py::Text(format!("os.environ[\"{setting}\"]"))));
        let call = Py::Call("Topic".to_owned(), settings.into());
        (python::string_literal(&topic.id), call)
    });
    Py::Dict(topics.collect()).render(0, WIDEST)
}

/// Wider than any line: a list that is always broken.
const WIDEST: usize = 1000;

/// The app setting with the name of the storage account of the buckets.
pub const ACCOUNT_SETTING: &str = "MLPIPE_STORAGE_ACCOUNT";
