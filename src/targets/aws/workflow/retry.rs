//! `retry` as Retriers, and the Parallel state round an attempt that is no call.

use serde_json::json;

use crate::model::{Kind, OnError, Retry, Step};
use crate::targets::aws::failure;
use crate::targets::aws::states::Retrier;

/// True where a Parallel state has to stand round an attempt: only Task, Map and Parallel states are tried again.
pub fn is_around(step: &Step) -> bool {
    !matches!(step.kind, Kind::Function(_)) && !around(&step.retry).is_empty()
}

/// Retriers of a call: what fails before it is never tried again.
pub fn retriers(retry: &Retry) -> Vec<Retrier> {
    if retry.attempts < 2 {
        return Vec::new();
    }
    let mut names: Vec<String> = Vec::new();
    let mut all = false;
    for on in &retry.on {
        let more: Vec<&str> = match on {
            OnError::All => {
                all = true;
                Vec::new()
            }
            OnError::Transient => failure::UNAVAILABLE_NAMES
                .into_iter()
                .chain(failure::CRASHED_NAMES)
                .collect(),
            OnError::Timeout => failure::TIMEOUT_NAMES.to_vec(),
            OnError::Name(name) => match name.as_str() {
                // It is never tried again.
                "ExpressionError" => Vec::new(),
                "ServiceUnavailable" => failure::UNAVAILABLE_NAMES.to_vec(),
                "WorkerCrashed" => failure::CRASHED_NAMES.to_vec(),
                "timeout" => failure::TIMEOUT_NAMES.to_vec(),
                name => vec![name],
            },
        };
        for name in more {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    let hopeless = vec!["States.QueryEvaluationError".to_owned()];
    of_names(retry, names, all.then_some(hopeless))
}

/// Retriers of a call that only publishes: whatever it fails with but for its own expressions is the service.
pub fn publishing(retry: &Retry) -> Vec<Retrier> {
    let mut names = Vec::new();
    for on in &retry.on {
        let more: &[&str] = match on {
            OnError::All => &["States.TaskFailed", "States.Timeout"],
            OnError::Transient => &["States.TaskFailed"],
            OnError::Timeout => &["States.Timeout"],
            OnError::Name(name) if name == "ServiceUnavailable" => &["States.TaskFailed"],
            OnError::Name(name) if name == "timeout" => &["States.Timeout"],
            OnError::Name(_) => &[],
        };
        for name in more {
            if !names.iter().any(|known| known == name) {
                names.push((*name).to_owned());
            }
        }
    }
    if retry.attempts < 2 || names.is_empty() {
        return Vec::new();
    }
    let mut retriers = vec![never(vec![failure::QUERY_ERROR.to_owned()])];
    retriers.extend(of_names(retry, names, None));
    retriers
}

/// The rule that these errors are not tried again.
fn never(names: Vec<String>) -> Retrier {
    Retrier {
        error_equals: names,
        interval_seconds: None,
        max_attempts: 0,
        backoff_rate: None,
        max_delay_seconds: None,
    }
}

/// Retriers of an attempt in a branch, whose errors have the pipeline's names.
pub fn around(retry: &Retry) -> Vec<Retrier> {
    if retry.attempts < 2 {
        return Vec::new();
    }
    let (names, all) = failure::caught_names(&retry.on);
    let hopeless = ["ExpressionError", "ParamMismatch"]
        .into_iter()
        .map(str::to_owned)
        .filter(|name| !names.contains(name))
        .collect();
    of_names(retry, names, all.then_some(hopeless))
}

/// `MaxAttempts` counts retries, `attempts` tries. With `hopeless`, every error but those.
fn of_names(retry: &Retry, names: Vec<String>, hopeless: Option<Vec<String>>) -> Vec<Retrier> {
    let mut retriers = Vec::new();
    let mut names = names;
    if let Some(hopeless) = hopeless {
        if !hopeless.is_empty() {
            retriers.push(never(hopeless));
        }
        names = vec!["States.ALL".to_owned()];
    }
    if names.is_empty() {
        return retriers;
    }
    // All waits are the cap where the first is.
    let backoff = if retry.delay >= retry.max_delay {
        1.0
    } else {
        retry.backoff
    };
    let capped = backoff > 1.0 && retry.attempts > 2 && {
        let exponent = i32::try_from(retry.attempts - 2).unwrap_or(i32::MAX);
        retry.delay as f64 * backoff.powi(exponent) > retry.max_delay as f64
    };
    retriers.push(Retrier {
        error_equals: names,
        interval_seconds: Some(retry.delay.min(retry.max_delay)),
        max_attempts: retry.attempts - 1,
        backoff_rate: Some(if backoff.fract() == 0.0 && backoff < 1e9 {
            json!(backoff as u64)
        } else {
            json!(backoff)
        }),
        max_delay_seconds: capped.then_some(retry.max_delay),
    });
    retriers
}
