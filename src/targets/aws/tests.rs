//! The state machine of small pipelines.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use crate::check::handlers::Files;
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::targets::{Artifacts, Sources};
use crate::{check, plan, syntax};

struct Handlers;

impl Files for Handlers {
    fn is_folder(&self, path: &str) -> bool {
        path == "functions"
    }

    fn read(&self, path: &str) -> Option<String> {
        (path == "functions/h.py").then(|| "def handler(input, context):\n    return {}\n".to_owned())
    }

    fn python_files(&self, _: &str) -> Vec<String> {
        vec!["h.py".to_owned()]
    }
}

const HEAD: &str = "mlpipe: v1\nname: churn\ndefaults: { function: { source: functions } }\n";

fn pipeline(text: &str) -> Pipeline {
    let text = format!("{HEAD}{text}");
    let mut problems = Problems::new();
    let document = syntax::read(&text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    check::check(&document, &text, &Handlers, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

fn artifacts(text: &str) -> Artifacts {
    let pipeline = pipeline(text);
    let plan = plan::plan(&pipeline);
    let mut sources = Sources::default();
    sources.folders.insert("functions".to_owned(), IndexMap::new());
    super::compile(&pipeline, &plan, &sources).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn file(artifacts: &Artifacts, path: &str) -> String {
    String::from_utf8(artifacts.files[path].clone()).unwrap()
}

fn definition(text: &str) -> Value {
    serde_json::from_str(&file(&artifacts(text), super::DEFINITION)).unwrap()
}

fn names(definition: &Value) -> Vec<String> {
    definition["States"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_chain_is_one_state_a_step() {
    let definition = definition(
        "steps:
  a: { function: { handler: h.handler }, output: { n: integer } }
  b: { function: { handler: h.handler }, input: { n: '${{ steps.a.output.n }}' } }
  c: { function: { handler: h.handler }, input: { m: '${{ steps.b.output.m }}' } }
outputs: { last: '${{ steps.c.output }}', first: '${{ steps.a.output.n }}', deep: '${{ steps.c.output.x.y }}' }
",
    );
    assert_eq!(names(&definition), ["a", "b", "c", "Failed", "Fail"]);
    assert_eq!(definition["StartAt"], "a");
    let last = &definition["States"]["c"];
    assert_eq!(last["End"], true);
    assert_eq!(last["Output"]["last"], "{% $states.result.Payload %}");
    assert_eq!(last["Output"]["first"], "{% $a.n %}");
    // Input and outputs may both fail: the cause tells which did.
    let catch = last["Catch"][0]["Output"].as_str().unwrap();
    assert!(
        catch.contains(" for the field 'Output") && catch.contains("cannot evaluate `outputs`"),
        "{catch}"
    );
    // What only the outputs of the same state read needs no variable.
    assert_eq!(definition["States"]["b"]["Assign"]["b"], "{% $states.result.Payload %}");
    assert_eq!(last["Assign"], Value::Null);
}

/// Names that the states of a scope assign, with those of inner scopes apart.
fn check_scopes(states: &Value, outer: &BTreeSet<String>, seen: &mut BTreeSet<String>) {
    let mut own = BTreeSet::new();
    let states = states.as_object().unwrap();
    for (name, state) in states {
        assert!(seen.insert(name.clone()), "two states are called {name}");
        assert!(name.chars().count() <= 80, "{name}");
        let rules = state["Choices"].as_array().into_iter().flatten();
        for part in rules.chain([state]) {
            own.extend(
                part["Assign"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone()),
            );
        }
        let targets = state["Choices"].as_array().into_iter().flatten();
        let targets = targets.chain(state["Catch"].as_array().into_iter().flatten());
        for next in targets.chain([state]).filter_map(|part| part["Next"].as_str()) {
            assert!(states.contains_key(next), "{name} leads to {next}");
        }
    }
    assert!(own.is_disjoint(outer), "{own:?} {outer:?}");
    let all: BTreeSet<String> = own.union(outer).cloned().collect();
    for state in states.values() {
        for branch in state["Branches"].as_array().into_iter().flatten() {
            check_scopes(&branch["States"], &all, seen);
        }
    }
}

#[test]
fn inner_scopes_assign_no_outer_name() {
    let definition = definition(
        "params: { go: boolean, any: any }
steps:
  a: { function: { handler: h.handler } }
  b: { when: '${{ params.go }}', needs: [a], function: { handler: h.handler } }
  b2: { needs: [b], function: { handler: h.handler }, input: '${{ steps.b.output }}' }
  c: { needs: [a], when: '${{ params.any }}', function: { handler: h.handler } }
  c1: { needs: [c], function: { handler: h.handler } }
  c2: { needs: [c], wait: { duration: 5s } }
  sum: { needs: [b2, c1, c2], join: any, function: { handler: h.handler }, input: '${{ steps.c1.output }}' }
  no: { needs: [c2], when: '${{ steps.b.status == ''skipped'' }}', fail: { error: E, message: 'm ${{ params.any }}' } }
on_failure: { function: { handler: h.handler }, input: '${{ params.go }}' }
outputs: { b: '${{ steps.b.output }}', s: '${{ steps.c1.status }}', x: '${{ steps.sum.output }}' }
",
    );
    check_scopes(&definition["States"], &BTreeSet::new(), &mut BTreeSet::new());
}

#[test]
fn retries_say_what_is_not_the_default() {
    let definition = definition(
        "steps:
  a:
    function: { handler: h.handler }
    retry: { attempts: 4, delay: 5s, backoff: 2, max_delay: 8s, on: [all] }
  b:
    needs: [a]
    function: { handler: h.handler }
    retry: { attempts: 2, delay: 3s, backoff: 1.5, max_delay: 60s, on: [NotYet, timeout, ExpressionError] }
  c:
    needs: [b]
    function: { handler: h.handler }
    retry: { attempts: 3, delay: 9s, max_delay: 9s, on: [NotYet] }
",
    );
    let retry = |step: &str| definition["States"][step]["Retry"].to_string();
    assert_eq!(
        retry("a"),
        r#"[{"ErrorEquals":["States.QueryEvaluationError"],"MaxAttempts":0},{"ErrorEquals":["States.ALL"],"IntervalSeconds":5,"MaxAttempts":3,"BackoffRate":2,"MaxDelaySeconds":8}]"#
    );
    assert_eq!(
        retry("b"),
        r#"[{"ErrorEquals":["NotYet","States.Timeout","Sandbox.Timedout"],"IntervalSeconds":3,"MaxAttempts":1,"BackoffRate":1.5}]"#
    );
    assert_eq!(
        retry("c"),
        r#"[{"ErrorEquals":["NotYet"],"IntervalSeconds":9,"MaxAttempts":2,"BackoffRate":1}]"#
    );
}

#[test]
fn the_template_is_read_the_same_by_another_reader() {
    let artifacts = artifacts(
        "description: 'yes: a # b'
params: { key: string }
buckets: { raw: {}, old: { existing: { aws: acme-old } } }
secrets: { on: {} }
triggers:
  - object_created: { bucket: raw, prefix: in/, suffix: .csv }
    params: { key: '<${{ trigger.uri }}>' }
  - schedule: { cron: '0 3 * * *' }
    params: { key: k }
steps:
  a: { function: { handler: h.handler }, input: '${{ buckets.old.name }}' }
",
    );
    let template: Value = serde_yaml::from_str(&file(&artifacts, "template.yaml")).unwrap();
    assert_eq!(template["Description"], "yes: a # b");
    let machine = &template["Resources"]["StateMachine"]["Properties"];
    assert_eq!(machine["DefinitionSubstitutions"]["OldBucketName"], "acme-old");
    let events = &machine["Events"];
    let rule = &events["RawObjectCreated"]["Properties"];
    assert_eq!(rule["Pattern"]["detail"]["object"]["key"][0]["wildcard"], "in/*.csv");
    assert_eq!(
        rule["InputTransformer"]["InputTemplate"],
        r#"{"key": "\u003cs3://<bucket>/<key>\u003e"}"#
    );
    assert_eq!(
        events["Schedule"]["Properties"]["ScheduleExpression"],
        "cron(0 3 * * ? *)"
    );
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    assert_eq!(variables["MLPIPE_SECRET_ON"]["Ref"], "OnSecret");
    assert!(artifacts.files.contains_key("functions/functions/mlpipe_adapter.py"));
}

#[test]
fn quotas_are_checked() {
    let pipeline = pipeline(
        "steps:
  a: { function: { handler: h.handler, timeout: 1h, memory: 16GB } }
",
    );
    let codes: Vec<String> = super::check(&pipeline)
        .sorted()
        .iter()
        .map(|problem| problem.code())
        .collect();
    assert_eq!(codes, ["MLP0700", "MLP0701"]);
}
