//! The way of a failure: from where it is caught to the end of the execution.
//!
//! Every failure travels as the input of the next state: `{Error, Cause, Step}` as Step Functions reports it, or
//! `{Error, Message, Step}` where the message is known. The state `Failed` turns cloud names into ours, once.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::states::{Catcher, Fail, Pass, State, Then};
use crate::expr::jsonata::{braced, constant_code, string_literal};
use crate::model::OnError;

/// Turns what was caught into the failure that the handler and the caller see.
pub const FAILED: &str = "Failed";
/// The end of a failed execution.
pub const FAIL: &str = "Fail";

/// Name in the cloud, our name, our message (Step Functions Developer Guide, "Handling errors"; Lambda's runtime errors).
const KNOWN: [(&str, &str, &str); 5] = [
    ("States.Timeout", "timeout", TIMEOUT),
    ("Sandbox.Timedout", "timeout", TIMEOUT),
    (
        "States.DataLimitExceeded",
        "PayloadTooLarge",
        "input is larger than 256 KiB",
    ),
    (
        "States.QueryEvaluationError",
        "ExpressionError",
        "cannot evaluate `input`",
    ),
    ("Lambda.Unknown", "WorkerCrashed", CRASHED),
];
const TIMEOUT: &str = "the attempt ran longer than its timeout";
const CRASHED: &str = "the function ended without an answer";
const UNAVAILABLE: &str = "the service could not be reached";

/// Caught errors of a step go to `next`. `States.ALL` stands alone and last, and does not cover `States.DataLimitExceeded`.
pub fn catchers(step: &str, next: &str) -> Vec<Catcher> {
    EVERY
        .into_iter()
        .map(|name| Catcher {
            error_equals: vec![name.to_owned()],
            output: Some(Value::String(braced(&with_step(step)))),
            next: next.to_owned(),
            ..Catcher::default()
        })
        .collect()
}

/// Every error that can be caught, each in a Catcher of its own.
pub const EVERY: [&str; 2] = [DATA_LIMIT, "States.ALL"];
/// An input, an output or a set of variables of more than 256 KiB.
pub const DATA_LIMIT: &str = "States.DataLimitExceeded";
/// An expression that fails, or gives nothing.
pub const QUERY_ERROR: &str = "States.QueryEvaluationError";

/// The error output of a Catch with its step.
pub fn with_step(step: &str) -> String {
    format!("$merge([$states.errorOutput, {{'Step': {}}}])", string_literal(step))
}

/// Where an expression that only a Parallel state can catch fails.
pub fn expression_catcher(what: &str, step: &str, next: &str) -> Catcher {
    Catcher {
        error_equals: vec![QUERY_ERROR.to_owned()],
        output: Some(expression_error(what, step)),
        next: next.to_owned(),
        ..Catcher::default()
    }
}

/// Where an attempt runs too long.
pub fn timeout_catcher(step: &str, next: &str) -> Catcher {
    Catcher {
        error_equals: vec!["States.Timeout".to_owned()],
        output: Some(timeout(step)),
        next: next.to_owned(),
        ..Catcher::default()
    }
}

/// Where what a step gives is larger than Step Functions carries.
pub fn size_catcher(step: &str, next: &str) -> Catcher {
    Catcher {
        error_equals: vec![DATA_LIMIT.to_owned()],
        output: Some(too_large(step)),
        next: next.to_owned(),
        ..Catcher::default()
    }
}

/// The failure of a step whose output is larger than Step Functions carries.
pub fn too_large(step: &str) -> Value {
    known(
        Value::from("PayloadTooLarge"),
        Value::from("output is larger than 256 KiB"),
        step,
    )
}

/// The failure of a call whose input is larger than Step Functions carries.
pub fn input_too_large(step: &str) -> Value {
    known(
        Value::from("PayloadTooLarge"),
        Value::from("input is larger than 256 KiB"),
        step,
    )
}

/// The failure of a call that the service did not take.
pub fn unavailable(step: &str) -> Value {
    known(Value::from("ServiceUnavailable"), Value::from(UNAVAILABLE), step)
}

/// The failure of an attempt that ran too long.
pub fn timeout(step: &str) -> Value {
    known(Value::from("timeout"), Value::from(TIMEOUT), step)
}

/// ``cannot evaluate `when` ``.
pub fn expression_error(what: &str, step: &str) -> Value {
    known(
        Value::from("ExpressionError"),
        Value::String(format!("cannot evaluate `{what}`")),
        step,
    )
}

/// A failure whose message is known.
pub fn known(error: Value, message: Value, step: &str) -> Value {
    json!({ "Error": error, "Message": message, "Step": step })
}

/// The message of a failure, which `source` holds: a Lambda function's is in the JSON text of its cause.
fn message(source: &str) -> String {
    format!(
        "$exists({source}.Message) ? {source}.Message \
         : $contains({source}.Cause, '\"errorMessage\"') and $substring({source}.Cause, -1) = '}}' \
         ? $parse({source}.Cause).errorMessage : $substring({source}.Cause, 0, 4096)"
    )
}

/// The error of a branch's failed end. Names of the service must not be raised again ("error names cannot begin with
/// the `States.` prefix").
const STEP_FAILED: &str = "StepFailed";

/// The failed end of a branch: its cause carries the failure out.
pub fn branch_fail() -> State {
    fail_with(json!(STEP_FAILED))
}

/// The failed end of an attempt: a Retry outside knows its error by name.
pub fn attempt_fail() -> State {
    let names: Vec<String> = KNOWN
        .iter()
        .filter(|(cloud, ..)| cloud.starts_with("States."))
        .map(|(cloud, name, _)| format!("{}: {}", string_literal(cloud), string_literal(name)))
        .collect();
    let names = format!("{{{}}}", names.join(", "));
    fail_with(Value::String(braced(&format!(
        "($knownErrors := {names}; $exists($lookup($knownErrors, {INPUT}.Error)) \
         ? $lookup($knownErrors, {INPUT}.Error) : {INPUT}.Error)"
    ))))
}

fn fail_with(error: Value) -> State {
    State::Fail(Fail {
        comment: None,
        error,
        cause: Value::String(braced(&format!("$string({})", record(INPUT)))),
    })
}

/// The failure in `source` with its message found.
pub fn record(source: &str) -> String {
    format!(
        "{{'Error': {source}.Error, 'Message': {}, 'Step': {source}.Step}}",
        message(source)
    )
}

/// The failure of an execution that `source` describes: what the failed end of a branch tells in its cause, or an error
/// of the service.
pub fn described(source: &str, step: &str) -> String {
    let step = string_literal(step);
    format!(
        "$exists({source}.Cause) and $substring({source}.Cause, 0, 9) = '{{\"Error\":' ? $parse({source}.Cause) \
         : {{'Error': {source}.Error, 'Cause': $exists({source}.Cause) ? {source}.Cause : '', 'Step': {step}}}"
    )
}

/// The failure of the execution of another pipeline that `source` describes, see [`fail`]; raises while it runs. One that
/// ended otherwise was ended from outside; or its outputs were too large, which nothing in it can catch.
pub fn of_child(source: &str, step: &str) -> String {
    let (large, unavailable) = (constant_code(&too_large(step)), constant_code(&unavailable(step)));
    let (limit, step) = (string_literal(DATA_LIMIT), string_literal(&format!("{step}.")));
    format!(
        "{source}.Status = 'RUNNING' ? $error('still running') \
         : $exists({source}.Cause) and $substring({source}.Cause, 0, 11) = '{{\"message\":' \
         ? ($theCause := $parse({source}.Cause); \
         {{'Error': {source}.Error, 'Message': $theCause.message, 'Step': {step} & $theCause.step}}) \
         : $exists({source}.Error) and {source}.Error = {limit} ? {large} : {unavailable}"
    )
}

/// The catcher of what [`branch_fail`] carries out.
pub fn branch_catchers(step: &str, next: &str) -> Vec<Catcher> {
    let mut catchers = catchers(step, next);
    if let Some(all) = catchers.last_mut() {
        all.output = Some(json!("{% $parse($states.errorOutput.Cause) %}"));
    }
    catchers
}

/// What the states round a failure's way receive.
pub const INPUT: &str = "$states.input";
/// What a Catcher sees.
pub const CAUGHT: &str = "$states.errorOutput";

/// The failure in `source` as the user knows it: `{name, message, step}`, in names of the pipeline. `step` is JSONata.
pub fn ours(source: &str, step: &str) -> String {
    let known: Vec<String> = KNOWN
        .iter()
        .map(|(cloud, name, message)| {
            format!(
                "{}: {{'name': {}, 'message': {}}}",
                string_literal(cloud),
                string_literal(name),
                string_literal(message)
            )
        })
        .collect();
    let pair = |name: &str, message: &str| {
        format!(
            "{{'name': {}, 'message': {}}}",
            string_literal(name),
            string_literal(message)
        )
    };
    format!(
        "($errorName := {source}.Error; $knownErrors := {{{}}}; \
         $ourError := $substring($errorName, 0, 8) = 'Runtime.' ? {} \
         : $exists($lookup($knownErrors, $errorName)) ? $lookup($knownErrors, $errorName) \
         : $substring($errorName, 0, 7) = 'Lambda.' ? {} \
         : {{'name': $errorName, 'message': '' & ({})}}; \
         $merge([$ourError, {{'step': {step}}}]))",
        known.join(", "),
        pair("WorkerCrashed", CRASHED),
        pair("ServiceUnavailable", UNAVAILABLE),
        message(source),
    )
}

/// `Failed`: sets `failure`.
pub fn failed(next: &str) -> State {
    let text = ours(INPUT, "$states.input.Step");
    State::Pass(Pass {
        comment: Some("Names of the cloud become names of the pipeline".to_owned()),
        assign: IndexMap::from([("failure".to_owned(), Value::String(braced(&text)))]),
        output: None,
        then: Then {
            next: Some(next.to_owned()),
            end: false,
        },
    })
}

/// `Fail`: the execution's error is the failure's name, its cause the rest.
pub fn fail() -> State {
    State::Fail(Fail {
        comment: None,
        error: json!("{% $failure.name %}"),
        cause: json!("{% $string({'message': $failure.message, 'step': $failure.step}) %}"),
    })
}

/// Errors of Lambda that another attempt may not meet (Step Functions Developer Guide, "Handle transient Lambda service exceptions").
pub const UNAVAILABLE_NAMES: [&str; 6] = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "ServiceUnavailable",
];

/// How a process that ended is reported.
pub const CRASHED_NAMES: [&str; 4] = [
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "WorkerCrashed",
];

/// How an attempt that ran too long is reported: by the state, by the function.
pub const TIMEOUT_NAMES: [&str; 2] = ["States.Timeout", "Sandbox.Timedout"];

/// How errors of `on` are called where they are caught, and whether it is all of them.
pub fn caught_names(on: &[OnError]) -> (Vec<String>, bool) {
    let mut names: Vec<String> = Vec::new();
    let mut all = false;
    for on in on {
        let more: Vec<&str> = match on {
            OnError::All => {
                all = true;
                Vec::new()
            }
            OnError::Transient => UNAVAILABLE_NAMES.into_iter().chain(CRASHED_NAMES).collect(),
            OnError::Timeout => timeouts(),
            OnError::Name(name) => match name.as_str() {
                "ExpressionError" => vec![name, QUERY_ERROR],
                "PayloadTooLarge" => vec![name, DATA_LIMIT],
                "ServiceUnavailable" => UNAVAILABLE_NAMES.to_vec(),
                "WorkerCrashed" => CRASHED_NAMES.to_vec(),
                "timeout" => timeouts(),
                name => vec![name],
            },
        };
        for name in more {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    (names, all)
}

fn timeouts() -> Vec<&'static str> {
    let mut names = TIMEOUT_NAMES.to_vec();
    names.push("timeout");
    names
}
