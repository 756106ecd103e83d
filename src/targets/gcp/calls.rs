//! The subworkflows that call functions: one for each distinct retry policy, and the predicates that they ask.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::steps::{Action, Body, Call, Retry as RetryBlock, Routine, Step, expression};
use crate::expr::workflows::{Library, quote};
use crate::model::{Retry, RetryOn};

/// The retry policies of a workflow, in order of first use.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    policies: IndexMap<String, Retry>,
}

const PLAIN: &str = "call_function";
const RETRYING: &str = "call_with_retry";

impl Calls {
    /// The name of the subworkflow for a policy.
    pub fn policy(&mut self, retry: &Retry) -> String {
        let retry = if retry.attempts > 1 { retry } else { &Retry::NONE };
        if let Some((name, _)) = self.policies.iter().find(|(_, known)| *known == retry) {
            return name.clone();
        }
        let retrying = self.policies.values().filter(|known| known.attempts > 1).count();
        let name = match (retry.attempts > 1, retrying) {
            (false, _) => PLAIN.to_owned(),
            (true, 0) => RETRYING.to_owned(),
            (true, count) => format!("{RETRYING}_{}", count + 1),
        };
        self.policies.insert(name.clone(), retry.clone());
        name
    }

    /// The subworkflows.
    pub fn routines(&self, library: &mut Library) -> Vec<Routine> {
        let mut predicates: IndexMap<String, Vec<RetryOn>> = IndexMap::new();
        let mut routines: Vec<Routine> = Vec::new();
        for (name, retry) in &self.policies {
            library.helpers.insert("call_error");
            routines.push(if retry.attempts > 1 {
                retrying(name, retry, predicate(&retry.on, &mut predicates))
            } else {
                plain(name)
            });
        }
        routines.extend(predicates.iter().map(|(name, on)| predicate_routine(name, on)));
        routines
    }
}

fn predicate(on: &[RetryOn], known: &mut IndexMap<String, Vec<RetryOn>>) -> String {
    if let Some((name, _)) = known.iter().find(|(_, list)| list.as_slice() == on) {
        return name.clone();
    }
    let wanted = match on {
        [RetryOn::Transient] => "is_transient".to_owned(),
        [RetryOn::Timeout] => "is_timeout".to_owned(),
        on if on.contains(&RetryOn::All) => "is_any_error".to_owned(),
        _ => "is_retried".to_owned(),
    };
    let mut name = wanted.clone();
    let mut number = 2;
    while known.contains_key(&name) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    known.insert(name.clone(), on.to_vec());
    name
}

fn predicate_routine(name: &str, on: &[RetryOn]) -> Routine {
    let steps = if on.contains(&RetryOn::All) {
        vec![Step::new("answer", Action::Return(Value::Bool(true)))]
    } else {
        let names: Vec<&str> = on
            .iter()
            .flat_map(|on| match on {
                RetryOn::All => vec![],
                RetryOn::Transient => vec!["WorkerCrashed", "ServiceUnavailable"],
                RetryOn::Timeout => vec!["timeout"],
                RetryOn::Name(name) => vec![name.as_str()],
            })
            .collect();
        let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
        let mut list = format!("[{}]", quoted.join(", "));
        let mut steps = vec![read_error()];
        if list.len() > 300 {
            let names = names.into_iter().map(Value::from).collect();
            steps.push(Step::new("list", Action::Assign(vec![("retried".to_owned(), names)])));
            list = "retried".to_owned();
        }
        steps.push(Step::new(
            "answer",
            Action::Return(expression(format!("error.name in {list}"))),
        ));
        steps
    };
    Routine {
        name: name.to_owned(),
        comment: "True for the errors that are tried again.".to_owned(),
        params: vec!["e".to_owned()],
        steps,
    }
}

fn plain(name: &str) -> Routine {
    let body = Body::Call(post(json!(1)));
    Routine {
        name: name.to_owned(),
        comment: "Calls the function of a step; fails with {name, message, step}.".to_owned(),
        params: params(),
        steps: vec![
            Step::new("attempt", attempt(body, None)),
            Step::new("done", Action::Return(expression("response.body"))),
        ],
    }
}

fn retrying(name: &str, retry: &Retry, predicate: String) -> Routine {
    let count = Step::new(
        "count",
        Action::Assign(vec![("attempt".to_owned(), expression("attempt + 1"))]),
    );
    let body = Body::Steps(vec![
        count,
        Step::new("post", Action::Call(post(expression("attempt")))),
    ]);
    let block = RetryBlock {
        predicate,
        max_retries: retry.attempts.saturating_sub(1),
        initial_delay: retry.delay,
        max_delay: retry.max_delay,
        multiplier: retry.backoff,
    };
    Routine {
        name: name.to_owned(),
        comment:
            "Calls the function of a step until it answers or may not be tried again; fails with {name, message, step}."
                .to_owned(),
        params: params(),
        steps: vec![
            Step::new("init", Action::Assign(vec![("attempt".to_owned(), json!(0))])),
            Step::new("attempts", attempt(body, Some(block))),
            Step::new("done", Action::Return(expression("response.body"))),
        ],
    }
}

fn params() -> Vec<String> {
    ["step", "url", "timeout", "input"].map(str::to_owned).to_vec()
}

fn post(attempt: Value) -> Call {
    let body = json!({
        "run_id": expression("sys.get_env(\"GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID\")"),
        "step": expression("step"),
        "attempt": attempt,
        "input": expression("input"),
    });
    Call {
        result: Some("response".to_owned()),
        ..Call::new(
            "http.post",
            [
                ("url", expression("url")),
                ("auth", json!({ "type": "OIDC" })),
                ("timeout", expression("timeout")),
                ("body", body),
            ],
        )
    }
}

/// `error`: the name and message of what was caught.
fn read_error() -> Step {
    let call = Call {
        result: Some("error".to_owned()),
        ..Call::new("call_error", [("e", expression("e"))])
    };
    Step::new("read_error", Action::Call(call))
}

fn attempt(body: Body, retry: Option<RetryBlock>) -> Action {
    let fail = Step::new(
        "fail",
        Action::Raise(json!({
            "name": expression("error.name"),
            "message": expression("error.message"),
            "step": expression("step"),
        })),
    );
    Action::Try {
        body,
        retry,
        error: "e".to_owned(),
        except: vec![read_error(), fail],
    }
}
