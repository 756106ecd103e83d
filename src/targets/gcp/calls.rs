//! Calls of functions: the request, when it is repeated, and the subworkflows that a large workflow shares.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::steps::{Action, Body, Call, Case, Retry as RetryBlock, Routine, Step, Then, expression};
use crate::expr::workflows::{Library, quote};
use crate::model::{OnError, Retry};

/// What the steps share, in order of first use.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// Subworkflows that call, by name.
    policies: IndexMap<String, Retry>,
    /// Subworkflows that decide on a retry, by name.
    predicates: IndexMap<String, (Vec<OnError>, Of)>,
    /// True where the execution at hand may be one of a part: then the run's id is an argument.
    pub in_parts: bool,
}

/// What a retry sees of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// What a call of a function raised.
    Call,
    /// What a step raised: `{name, message, step}`.
    Step,
}

/// What a function receives.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The step's id.
    pub step: Value,
    /// From 1.
    pub attempt: Value,
    /// The step's input.
    pub input: Value,
}

const PLAIN: &str = "call_function";
const RETRYING: &str = "call_with_retry";

impl Calls {
    /// Without any.
    pub fn new(in_parts: bool) -> Self {
        Self {
            in_parts,
            ..Self::default()
        }
    }

    /// The name of the subworkflow that calls by a policy.
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

    /// The `retry` of a step; None for a single attempt.
    pub fn retry(&mut self, retry: &Retry, of: Of) -> Option<RetryBlock> {
        (retry.attempts > 1).then(|| RetryBlock {
            predicate: self.predicate(&retry.on, of),
            max_retries: retry.attempts.saturating_sub(1),
            initial_delay: retry.delay,
            max_delay: retry.max_delay,
            multiplier: retry.backoff,
        })
    }

    fn predicate(&mut self, on: &[OnError], of: Of) -> String {
        let known = |(list, other): &(Vec<OnError>, Of)| list.as_slice() == on && *other == of;
        if let Some((name, _)) = self.predicates.iter().find(|(_, predicate)| known(predicate)) {
            return name.clone();
        }
        let wanted = match on {
            [OnError::Transient] => "is_transient",
            [OnError::Timeout] => "is_timeout",
            on if on.contains(&OnError::All) => "is_any_error",
            _ => "is_retried",
        };
        let mut name = wanted.to_owned();
        let mut number = 2;
        while self.predicates.contains_key(&name) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        self.predicates.insert(name.clone(), (on.to_vec(), of));
        name
    }

    /// The subworkflows.
    pub fn routines(&mut self, library: &mut Library) -> Vec<Routine> {
        let policies = self.policies.clone();
        let mut routines: Vec<Routine> = policies
            .iter()
            .map(|(name, retry)| {
                library.helpers.insert("fail_step");
                call_routine(name, self.retry(retry, Of::Call), self.in_parts)
            })
            .collect();
        routines.extend(self.predicates.iter().map(|(name, (on, of))| {
            library.helpers.insert(match of {
                Of::Call => "call_error",
                Of::Step => "step_error",
            });
            predicate_routine(name, on, *of)
        }));
        routines
    }
}

fn predicate_routine(name: &str, on: &[OnError], of: Of) -> Routine {
    let mut steps = vec![read_error(of)];
    if of == Of::Step {
        // A group that ran out of time takes no part in the retries within it.
        steps.push(Step::new(
            "out_of_time",
            Action::Switch(vec![Case {
                condition: "map.get(e, \"deadline\") != null".to_owned(),
                then: Then::Return(json!(false)),
            }]),
        ));
    }
    if on.contains(&OnError::All) {
        let condition = match of {
            Of::Call => "error.name != \"ExpressionError\"",
            Of::Step => "not (error.name in [\"ExpressionError\", \"ParamMismatch\"])",
        };
        steps.push(Step::new("answer", Action::Return(expression(condition))));
    } else {
        let names: Vec<&str> = on.iter().flat_map(OnError::names).collect();
        let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
        let mut list = format!("[{}]", quoted.join(", "));
        if list.len() > 300 {
            let names = names.into_iter().map(Value::from).collect();
            steps.push(Step::new("list", Action::Assign(vec![("retried".to_owned(), names)])));
            list = "retried".to_owned();
        }
        steps.push(Step::new(
            "answer",
            Action::Return(expression(format!("error.name in {list}"))),
        ));
    }
    Routine {
        name: name.to_owned(),
        comment: "True for the errors that are tried again.".to_owned(),
        params: vec!["e".to_owned()],
        steps,
    }
}

/// A subworkflow that calls a function by a policy.
fn call_routine(name: &str, retry: Option<RetryBlock>, in_parts: bool) -> Routine {
    let mut steps = Vec::new();
    let attempt = if retry.is_some() {
        expression("attempt")
    } else {
        json!(1)
    };
    let envelope = Envelope {
        step: expression("step"),
        attempt,
        input: expression("input"),
    };
    let mut call = post(expression("url"), expression("timeout"), envelope);
    call.result = Some("response".to_owned());
    if let (Some(Value::Object(body)), false) = (call.args.get_mut("body"), in_parts) {
        body.insert(
            "run_id".to_owned(),
            expression("sys.get_env(\"GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID\")"),
        );
    }
    let body = if retry.is_some() {
        steps.push(Step::new(
            "init",
            Action::Assign(vec![("attempt".to_owned(), json!(0))]),
        ));
        let count = Action::Assign(vec![("attempt".to_owned(), expression("attempt + 1"))]);
        Body::Steps(vec![Step::new("count", count), Step::new("post", Action::Call(call))])
    } else {
        Body::Call(call)
    };
    steps.push(Step::new(
        "attempts",
        Action::Try {
            body,
            retry,
            except: Some((
                "e".to_owned(),
                vec![Step::new("fail", Action::Call(fail_step(expression("step"))))],
            )),
        },
    ));
    steps.push(Step::new("done", Action::Return(expression("response.body"))));
    Routine {
        name: name.to_owned(),
        comment: "Calls the function of a step.".to_owned(),
        params: ["step", "url", "timeout", "input"]
            .into_iter()
            .chain(in_parts.then_some("run_id"))
            .map(str::to_owned)
            .collect(),
        steps,
    }
}

/// The request to a function.
pub fn post(url: Value, timeout: impl Into<Value>, envelope: Envelope) -> Call {
    let body = json!({
        "run_id": expression("run_id"),
        "step": envelope.step,
        "attempt": envelope.attempt,
        "input": envelope.input,
    });
    Call::new(
        "http.post",
        [
            ("url", url),
            ("auth", json!({ "type": "OIDC" })),
            ("timeout", timeout.into()),
            ("body", body),
        ],
    )
}

/// The call that fails with what was caught.
pub fn fail_step(step: Value) -> Call {
    Call::new("fail_step", [("step", step), ("e", expression("e"))])
}

/// `error`: the name and message of what was caught.
fn read_error(of: Of) -> Step {
    let helper = match of {
        Of::Call => "call_error",
        Of::Step => "step_error",
    };
    let call = Call {
        result: Some("error".to_owned()),
        ..Call::new(helper, [("e", expression("e"))])
    };
    Step::new("read_error", Action::Call(call))
}
