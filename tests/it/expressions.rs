//! One expression at a time: its value by the reference evaluator, and what each target's printer makes of it.
//!
//! `tests/conformance/expressions` runs the ignored test as its compiler: it reads lines `{"template", "params": {name: {type, value}}}` from the file
//! that `EXPRESSIONS_IN` names, and writes a line for each to `EXPRESSIONS_OUT`.

use std::io::{BufRead, BufReader, BufWriter, Write};

use mlpipe::expr::ast::{ErrorField, Local, RunField, TriggerField};
use mlpipe::expr::{Env, Function, Macro, eval_template, jsonata, python};
use mlpipe::plan;
use mlpipe::targets::{Sources, Target};
use serde_json::{Map, Value, json};

use crate::support::{AllThere, on_big_stack, root, validate};

/// An execution's params, and nothing else.
struct Params(Value);

impl Env for Params {
    fn params(&self) -> &Value {
        &self.0
    }
    fn output(&self, _: &str) -> Option<&Value> {
        None
    }
    fn status(&self, _: &str) -> Option<&str> {
        None
    }
    fn error_of(&self, _: &str) -> Option<&Value> {
        None
    }
    fn local(&self, _: &str, _: Local) -> Option<&Value> {
        None
    }
    fn bucket_uri(&self, _: &str) -> Option<&str> {
        None
    }
    fn bucket_name(&self, _: &str) -> Option<&str> {
        None
    }
    fn topic_name(&self, _: &str) -> Option<&str> {
        None
    }
    fn run(&self, _: RunField) -> &str {
        ""
    }
    fn error(&self, _: ErrorField) -> Option<&str> {
        None
    }
    fn trigger(&self, _: TriggerField) -> Option<&str> {
        None
    }
}

/// The params in `$params`.
struct Variables;

impl jsonata::Names for Variables {
    fn output(&self, step: &str) -> String {
        format!("${step}")
    }
    fn status(&self, _: &str) -> Option<String> {
        None
    }
    fn step_error(&self, _: &str) -> Option<String> {
        None
    }
    fn local(&self, step: &str, _: Local) -> String {
        format!("${step}")
    }
    fn params(&self) -> &str {
        "$params"
    }
    fn error(&self) -> &str {
        "$error"
    }
    fn bucket_name(&self, id: &str) -> String {
        id.to_owned()
    }
    fn topic_name(&self, id: &str) -> String {
        id.to_owned()
    }
    fn pipeline(&self) -> &str {
        "expression"
    }
}

/// The template of the output `value`, with what it gives and how it is printed; `{"refused": text}` where it does not compile.
fn answer(template: &Value, params: &Map<String, Value>) -> Value {
    let types: Map<String, Value> = params
        .iter()
        .map(|(name, param)| (name.clone(), param["type"].clone()))
        .collect();
    // JSON is YAML.
    let text = json!({
        "mlpipe": "v1",
        "name": "expression",
        "params": types,
        "steps": {"pause": {"wait": {"duration": "1s"}}},
        "outputs": {"value": template},
    })
    .to_string();
    let (pipeline, problems) = validate(&text, &AllThere);
    let Some(pipeline) = pipeline else {
        let said: Vec<String> = problems
            .sorted()
            .iter()
            .map(|problem| problem.diagnostic().to_string())
            .collect();
        return json!({"refused": said.join("; ")});
    };
    let workflow = match Target::Gcp.compile(&pipeline, &plan::plan(&pipeline), &Sources::default()) {
        Ok(artifacts) => String::from_utf8_lossy(&artifacts.files["workflow.yaml"]).into_owned(),
        Err(_) => return json!({"refused": "too large for Workflows"}),
    };
    let values: Map<String, Value> = params
        .iter()
        .map(|(name, param)| (name.clone(), param["value"].clone()))
        .collect();
    let (_, output) = &pipeline.root.outputs[0];
    let mut answer = json!({
        "jsonata": jsonata::template(output, &Variables),
        "workflows": workflow,
        "python": python::print_template(output),
    });
    match eval_template(output, &Params(Value::Object(values))) {
        Ok(value) => answer["value"] = value,
        Err(error) => answer["error"] = error.message.into(),
    }
    answer
}

#[test]
#[ignore = "the compiler of tests/conformance/expressions"]
fn driver() {
    let place = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} names a file"));
    let (input, output) = (place("EXPRESSIONS_IN"), place("EXPRESSIONS_OUT"));
    on_big_stack(move || {
        let lines = BufReader::new(std::fs::File::open(input).expect("the input")).lines();
        let mut out = BufWriter::new(std::fs::File::create(output).expect("the output"));
        for line in lines {
            let request: Value = serde_json::from_str(&line.expect("UTF-8")).expect("JSON");
            let params = request["params"].as_object().expect("params");
            writeln!(out, "{}", answer(&request["template"], params)).expect("a line");
        }
    });
}

/// The examples of `docs/expressions.md`: the name in the first cell, the expression, and its value; None is an error.
fn examples(page: &str) -> Vec<(String, String, Option<Value>)> {
    let row = regex::Regex::new(r"(?m)^\| (.*?) \|.*\| `([^`]+)` \| `([^`]+)` \|$").expect("a regular expression");
    row.captures_iter(page)
        .map(|found| {
            let plain = |at: usize| found[at].replace("\\|", "|");
            let value = match &found[3] {
                "ExpressionError" => None,
                json => Some(serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))),
            };
            (plain(1), plain(2), value)
        })
        .collect()
}

#[test]
fn examples_of_the_page_give_their_values() {
    let page = std::fs::read_to_string(root().join("docs/expressions.md")).expect("the page");
    let input = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let input: Value = serde_json::from_str(input.expect("the input")).expect("JSON");
    let params = input
        .as_object()
        .expect("params")
        .iter()
        .map(|(name, value)| (name.clone(), json!({"type": "any", "value": value})))
        .collect();
    let examples = examples(&page);
    // Head and rule are no examples.
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with('|'));
    let heads = page.lines().filter(|line| line.starts_with("|---")).count();
    assert_eq!(
        examples.len(),
        rows.count() - heads,
        "each row ends with an example and its value"
    );
    for (_, expression, expected) in examples {
        let answer = answer(&json!(format!("${{{{ {expression} }}}}")), &params);
        match expected {
            Some(expected) => assert_eq!(answer["value"], expected, "{expression}: {answer}"),
            None => assert!(answer["error"].is_string(), "{expression}: {answer}"),
        }
    }
}

#[test]
fn every_function_and_macro_has_an_example() {
    let page = std::fs::read_to_string(root().join("docs/expressions.md")).expect("the page");
    let functions = Function::ALL
        .into_iter()
        .map(|function| (format!("`{}(", function.name()), function.name()));
    let macros = Macro::ALL
        .into_iter()
        .map(|found| (format!("`list.{}(", found.name()), found.name()));
    let examples = examples(&page);
    for (form, name) in functions.chain(macros) {
        let own = |(first, expression, _): &&(String, String, Option<Value>)| {
            first.starts_with(&form) && expression.contains(&format!("{name}("))
        };
        assert!(examples.iter().any(|example| own(&example)), "`{name}` has no example");
    }
}
