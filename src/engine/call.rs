//! A function: attempts, waits between them, and the worker that runs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::expr::Template;
use crate::model::{FunctionCall, Retry};

use super::Event;
use super::run::{self, Failed, Shared, Stop};
use super::scope::Scope;
use super::worker::Answer;

/// A function of a step.
pub struct Call<'a> {
    /// The step's path.
    pub name: &'a str,
    pub function: &'a FunctionCall,
    /// Bound of one attempt, in seconds.
    pub timeout: u64,
}

/// Evaluates the input once, then runs the function until it gives a value or its attempts are used up.
pub async fn with_retries(
    shared: &Shared<'_, '_>,
    call: &Call<'_>,
    input: &Template,
    retry: &Retry,
    scope: &Scope<'_>,
) -> Result<Value, Stop> {
    let label = scope.label(call.name);
    let input = run::value(input, "input", call.name, scope)?;
    let input = run::fitting(input, "input", call.name)?;
    retried(shared, retry, &label, async |attempt| {
        once(shared, call, &label, &input, attempt).await
    })
    .await
}

/// Runs `body` until it gives a value or its attempts are used up.
pub async fn retried(
    shared: &Shared<'_, '_>,
    retry: &Retry,
    label: &str,
    body: impl AsyncFn(u32) -> Result<Value, Stop>,
) -> Result<Value, Stop> {
    let mut attempt = 1;
    loop {
        match body(attempt).await {
            Err(Stop::Failed(failed)) if attempt < retry.attempts && run::retries(&retry.on, &failed.failure.name) => {
                attempt += 1;
                let seconds = retry.wait_before(attempt);
                shared.wait(seconds, label, Some(&failed.failure.name)).await;
            }
            other => return other,
        }
    }
}

async fn once(
    shared: &Shared<'_, '_>,
    call: &Call<'_>,
    label: &str,
    input: &Value,
    attempt: u32,
) -> Result<Value, Stop> {
    let Some(pool) = shared.host.pools.get(&call.function.package).map(Arc::clone) else {
        return Err(Stop::Host(format!("no workers for `{}`", call.function.source)));
    };
    let permit = shared.host.room.acquire().await;
    shared.count(call.name);
    shared.tell(Event::Started { step: label, attempt });
    let on_line = shared.host.lines_of(label);
    let envelope = json!({
        "run_id": shared.execution.id, "step": call.name, "attempt": attempt, "input": input,
    });
    let timeout = Duration::from_secs(call.timeout);
    let began = Instant::now();
    let answer = tokio::task::spawn_blocking(move || pool.call(&envelope, timeout, &on_line)).await;
    drop(permit);
    let (answer, lines) = answer
        .map_err(|error| Stop::Host(error.to_string()))?
        .map_err(Stop::Host)?;
    let failed = |name: &str, message: &str| match Stop::failed(name, message, call.name) {
        Stop::Failed(failed) => Stop::Failed(Failed {
            detail: lines,
            ..failed
        }),
        host => host,
    };
    match answer {
        Answer::Output(output) => {
            shared.tell(Event::Succeeded {
                step: label,
                seconds: began.elapsed().as_secs_f64(),
            });
            Ok(output)
        }
        Answer::Error { name, message } => Err(failed(&name, &message)),
        Answer::Crashed => Err(failed("WorkerCrashed", "the function ended without an answer")),
        Answer::TimedOut => Err(failed("timeout", "the attempt ran longer than its timeout")),
    }
}
