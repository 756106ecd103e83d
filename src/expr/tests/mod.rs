//! Tables of expressions: to values, to types, to problems.

mod check;
mod eval;
mod fuzz;
mod parse;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::ast::{ErrorField, RunField, TriggerField};
use super::*;

/// What the tests' expressions read.
pub(super) struct World {
    params: Value,
    outputs: BTreeMap<&'static str, Value>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            params: json!({
                "n": 7, "x": 2.5, "s": "héllo", "flag": true, "xs": [3, 1, 2], "names": ["a", "b"],
                "o": {"a": 1, "b": null}, "maybe": null, "any": {"deep": [{"k": 1.0}], "list": [1]},
            }),
            outputs: BTreeMap::from([
                ("a", json!({"rows": 10, "shards": ["p", "q"], "note": null})),
                ("my-step", json!({"v": 1})),
                ("free", json!({"f": {"g": 1.0}, "list": [1, "a"]})),
            ]),
        }
    }
}

impl Env for World {
    fn params(&self) -> &Value {
        &self.params
    }
    fn output(&self, step: &str) -> Option<&Value> {
        self.outputs.get(step)
    }
    fn status(&self, step: &str) -> Option<&str> {
        Some(if self.outputs.contains_key(step) {
            "succeeded"
        } else {
            "skipped"
        })
    }
    fn error_of(&self, _: &str) -> Option<&Value> {
        None
    }
    fn local(&self, _: &str, _: Local) -> Option<&Value> {
        None
    }
    fn bucket_uri(&self, id: &str) -> Option<&str> {
        (id == "raw").then_some("s3://acme-raw")
    }
    fn bucket_name(&self, id: &str) -> Option<&str> {
        (id == "raw").then_some("acme-raw")
    }
    fn topic_name(&self, id: &str) -> Option<&str> {
        (id == "alerts").then_some("acme-alerts")
    }
    fn run(&self, field: RunField) -> &str {
        match field {
            RunField::Id => "run-1",
            RunField::Name => "churn",
            RunField::StartedAt => "2026-11-24T00:00:00Z",
        }
    }
    fn error(&self, field: ErrorField) -> Option<&str> {
        Some(match field {
            ErrorField::Name => "E",
            ErrorField::Message => "boom",
            ErrorField::Step => "a",
        })
    }
    fn trigger(&self, field: TriggerField) -> Option<&str> {
        Some(match field {
            TriggerField::Key => "k.csv",
            TriggerField::Bucket => "acme-raw",
            TriggerField::Uri => "s3://acme-raw/k.csv",
        })
    }
}

fn object(fields: &[(&str, Type)]) -> Type {
    Type::Object(fields.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect())
}

fn list(item: Type) -> Type {
    Type::List(Box::new(item))
}

/// The declarations of the tests' pipeline.
pub(super) struct Names {
    params: IndexMap<String, Type>,
    steps: Steps<'static>,
}

impl Names {
    pub(super) fn new() -> Self {
        let params = [
            ("n", Type::Integer),
            ("x", Type::Number),
            ("s", Type::String),
            ("flag", Type::Boolean),
            ("xs", list(Type::Number)),
            ("names", list(Type::String)),
            ("o", object(&[("a", Type::Integer), ("b", Type::String.optional())])),
            ("maybe", Type::String.optional()),
            ("any", Type::Any),
        ];
        let output = object(&[
            ("rows", Type::Integer),
            ("shards", list(Type::String)),
            ("note", Type::String.optional()),
        ]);
        let steps = Steps::at_the_top([
            ("a", output.clone(), false),
            ("b", output.clone(), true),
            ("free", Type::Any, false),
            ("my-step", object(&[("v", Type::Integer)]), false),
            ("later", Type::Any, false),
            ("me", Type::Any, false),
        ]);
        Self {
            params: params.map(|(name, ty)| (name.to_owned(), ty)).into(),
            steps,
        }
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            params: Some(&self.params),
            steps: Some(&self.steps),
            own: Some("me"),
            unreachable: BTreeMap::from([("later".to_owned(), "it runs after this step")]),
            buckets: &["raw"],
            run: true,
            ..Scope::default()
        }
    }
}

/// Parses at offset 0 and checks; all problems.
pub(super) fn checked(text: &str, scope: &Scope) -> (Option<Expr>, Vec<ExprProblem>) {
    match parse(text, Place::exact(0, text.len())) {
        Ok(syntax) => {
            let mut problems = Vec::new();
            let expr = super::check(&syntax, scope, &mut problems);
            (expr, problems)
        }
        Err(problems) => (None, problems),
    }
}

/// `MLP0322 "rows + 'a'": message (help)`: the code, the text under the first label, the message and the help of each problem.
pub(super) fn said(text: &str, problems: &[ExprProblem]) -> Vec<String> {
    use miette::Diagnostic;
    problems
        .iter()
        .map(|problem| {
            let code = problem.code().map(|code| code.to_string()).unwrap_or_default();
            let under = problem
                .labels()
                .and_then(|mut labels| labels.next())
                .map(|label| {
                    let start = label.offset();
                    text.get(start..start + label.len()).unwrap_or("?").to_owned()
                })
                .unwrap_or_default();
            let help = problem.help().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{code} [{under}] {problem}{help}")
        })
        .collect()
}
