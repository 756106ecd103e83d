//! What every target ships for a source folder: the user's files, untouched, and the shared core of the adapter.

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};

use super::{Artifacts, Sources};
use crate::expr::Type;
use crate::model::{FunctionUse, Pipeline};

/// File name of the adapter's core in every package.
pub const CORE_MODULE: &str = "mlpipe_core.py";

/// File name of what runs a training script, beside a cloud's own launcher.
pub const TRAINING_MODULE: &str = "mlpipe_training.py";
/// Its text, the same on every target.
pub const TRAINING: &str = include_str!("../../targets/adapter/training.py");

/// File name of what loads models and predicts.
pub const SERVING_MODULE: &str = "mlpipe_serving.py";
/// Its text, the same on every target.
pub const SERVING: &str = include_str!("../../targets/adapter/serving.py");
/// File name of the script that predicts for files.
pub const PREDICTING_MODULE: &str = "mlpipe_predicting.py";
/// Its text, the same on every target.
pub const PREDICTING: &str = include_str!("../../targets/adapter/predicting.py");

/// How the names of the files that it writes end.
pub const PREDICTIONS: &str = ".predictions.jsonl";

/// A source folder and the functions that live in it.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    /// Folder name in the artifacts.
    pub name: &'a str,
    /// Folder as written in the pipeline file.
    pub source: &'a str,
    /// Its functions, in file order.
    pub functions: Vec<FunctionUse<'a>>,
}

/// The pipeline's packages, in the order of first use.
pub fn packages(pipeline: &Pipeline) -> Vec<Package<'_>> {
    let mut found: IndexMap<&str, Package<'_>> = IndexMap::new();
    for function in pipeline.functions() {
        found
            .entry(&function.call.package)
            .or_insert_with(|| Package {
                name: &function.call.package,
                source: &function.call.source,
                functions: Vec::new(),
            })
            .functions
            .push(function);
    }
    found.into_values().collect()
}

/// Copies the user's files of a package below `folder`, but for `requirements.txt`, whose text comes back.
pub fn copy_sources(package: &Package<'_>, sources: &Sources, folder: &str, artifacts: &mut Artifacts) -> String {
    let mut requirements = String::new();
    for (path, bytes) in sources.folders.get(package.source).into_iter().flatten() {
        if path == "requirements.txt" {
            requirements = String::from_utf8_lossy(bytes).into_owned();
        } else {
            artifacts.files.insert(format!("{folder}/{path}"), bytes.clone());
        }
    }
    requirements
}

/// The user's requirements and what the target adds, a line each. Where the user opens URIs with fsspec, the cloud's file system comes along.
pub fn requirements(user: &str, filesystem: &str, added: &[&str]) -> String {
    let mut lines: Vec<&str> = user.lines().map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let names = |line: &str, package: &str| {
        line.trim_start()
            .strip_prefix(package)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_'))
    };
    let uses_fsspec = lines.iter().any(|line| names(line, "fsspec"));
    let extra: Vec<&str> = added
        .iter()
        .copied()
        .chain(uses_fsspec.then_some(filesystem))
        .filter(|package| {
            let bare = package.split(['=', '<', '>', '~', '[']).next().unwrap_or(package);
            !lines.iter().any(|line| names(line, bare))
        })
        .collect();
    lines.extend(extra);
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

/// The text of [`CORE_MODULE`] for the functions of a package.
pub fn core_module(functions: &[FunctionUse<'_>], secrets: &[String]) -> Result<String, minijinja::Error> {
    let steps: Vec<Value> = functions
        .iter()
        .map(|function| {
            json!({
                "name": function.step,
                "module": function.call.module,
                "function": function.call.function,
                "timeout": function.attempt_timeout,
                "output": function.output.map_or_else(|| "None".to_owned(), type_literal),
                "secrets": python_list(secrets),
            })
        })
        .collect();
    environment()?
        .get_template("core")?
        .render(minijinja::Value::from(minijinja::value::Serde(
            &json!({ "steps": steps }),
        )))
}

/// A declared type as the adapter's core reads it: `"number"`, `["list", "string"]`, `["object", {"rows": "integer"}]`.
fn type_literal(ty: &Type) -> String {
    match ty {
        Type::Any | Type::Null | Type::Boolean | Type::Integer | Type::Number | Type::String => format!("\"{ty}\""),
        Type::List(item) => format!("[\"list\", {}]", type_literal(item)),
        Type::Optional(inner) => format!("[\"optional\", {}]", type_literal(inner)),
        Type::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, ty)| format!("{}: {}", Value::from(name.as_str()), type_literal(ty)))
                .collect();
            format!("[\"object\", {{{}}}]", fields.join(", "))
        }
    }
}

fn python_list(items: &[String]) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|item| Value::from(item.as_str()).to_string())
        .collect();
    format!("[{}]", items.join(", "))
}

/// A template environment with the project's settings: strict, and without stray blank lines.
pub fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.add_template("core", include_str!("../../targets/adapter/core.py.j2"))?;
    Ok(env)
}
