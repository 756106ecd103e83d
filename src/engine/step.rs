//! A step that is not skipped, from the outside in: `for_each`, `catch`, `repeat`, `retry`, `timeout`, its kind.

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::desk::{Desk, Notification};
use crate::expr::eval::unix_seconds;
use crate::expr::{Env, Expr, Local, eval};
use crate::model::{Fallback, ForEach, Kind, Notify, Repeat, Step, StepIx, Wait};

use super::Event;
use super::approval;
use super::block;
use super::call::{self, Call};
use super::child;
use super::endpoint;
use super::job;
use super::run::{self, Shared, Stop};
use super::scope::{self, Ended, Layer, Scope};
use super::train;

/// Runs a step with all its modifiers but `when`.
pub async fn run(shared: &Shared<'_, '_>, ix: StepIx, scope: &Scope<'_>) -> Result<Ended, Stop> {
    let step = shared.pipeline.step(ix);
    match &step.for_each {
        None => {
            let (output, error) = caught(shared, step, scope).await?;
            Ok(Ended::Succeeded { output, error })
        }
        Some(for_each) => Ok(Ended::Succeeded {
            output: items(shared, step, for_each, scope).await?,
            error: Value::Null,
        }),
    }
}

async fn items(shared: &Shared<'_, '_>, step: &Step, for_each: &ForEach, scope: &Scope<'_>) -> Result<Value, Stop> {
    let list = match run::value(&for_each.list, "for_each", &step.path, scope)? {
        Value::Array(list) => list,
        _ => return Err(Stop::expression("for_each", "it is not a list", &step.path)),
    };
    let at_once = for_each.max_concurrency.map_or(usize::MAX, |max| max as usize);
    let bound = at_once.min(list.len()).max(1);
    let mut outputs = vec![Value::Null; list.len()];
    let mut running = stream::iter(list.into_iter().enumerate())
        .map(|(index, item)| async move {
            let scope = scope.with(Layer::Local(&step.path, Local::Item, item));
            let scope = scope.with(Layer::Local(&step.path, Local::Index, json!(index)));
            caught(shared, step, &scope).await.map(|(output, _)| (index, output))
        })
        .buffer_unordered(bound);
    while let Some(result) = running.next().await {
        let (index, output) = result?;
        if let Some(place) = outputs.get_mut(index) {
            *place = output;
        }
    }
    run::fitting(Value::Array(outputs), "output", &step.path)
}

/// The output and what was caught, as `steps.X.error` tells it.
async fn caught(shared: &Shared<'_, '_>, step: &Step, scope: &Scope<'_>) -> Result<(Value, Value), Stop> {
    let failed = match repeated(shared, step, scope).await {
        Ok(output) => return Ok((output, Value::Null)),
        Err(Stop::Failed(failed)) => failed,
        Err(host) => return Err(host),
    };
    let name = &failed.failure.name;
    let Some(catch) = step.catch.iter().find(|catch| run::matches(&catch.on, name)) else {
        return Err(Stop::Failed(failed));
    };
    shared.tell(Event::Caught {
        step: &scope.label(&step.path),
        failure: &failed.failure,
        detail: &failed.detail,
    });
    let told = scope::told(&failed.failure);
    let scope = scope.with(Layer::Error(&failed.failure));
    let output = match &catch.fallback {
        Fallback::Output(template) => run::value(template, "catch", &step.path, &scope)?,
        Fallback::Do(ix) => attempts(shared, shared.pipeline.step(*ix), &scope).await?,
    };
    Ok((run::fitting(output, "output", &step.path)?, told))
}

async fn repeated(shared: &Shared<'_, '_>, step: &Step, scope: &Scope<'_>) -> Result<Value, Stop> {
    let Some(Repeat { until, max, delay }) = &step.repeat else {
        return attempts(shared, step, scope).await;
    };
    let mut previous = Value::Null;
    for count in 1..=*max {
        let body = scope.with(Layer::Local(&step.path, Local::Previous, previous));
        let output = attempts(shared, step, &body).await?;
        let judged = scope.with(Layer::Local(&step.path, Local::Output, output.clone()));
        if condition(Some(until), "until", &step.path, &judged)? {
            return Ok(output);
        }
        previous = output;
        if count < *max && *delay > 0 {
            shared.wait(*delay as f64, &scope.label(&step.path), None).await;
        }
    }
    let runs = if *max == 1 { "run" } else { "runs" };
    let message = format!("`until` was still false after {max} {runs}");
    Err(Stop::failed("RepeatLimit", &message, &step.path))
}

/// The kind, tried as often as `retry` says. Boxed: groups make it recursive.
fn attempts<'f>(
    shared: &'f Shared<'_, '_>,
    step: &'f Step,
    scope: &'f Scope<'_>,
) -> LocalBoxFuture<'f, Result<Value, Stop>> {
    Box::pin(async move {
        if let Kind::Function(function) = &step.kind {
            let call = Call {
                name: &step.path,
                function,
                timeout: step.attempt_timeout(),
            };
            return call::with_retries(shared, &call, &step.input, &step.retry, scope).await;
        }
        if let Kind::Pipeline(call) = &step.kind {
            return child::with_retries(shared, step, call, scope).await;
        }
        let label = scope.label(&step.path);
        call::retried(shared, &step.retry, &label, async |attempt| {
            once(shared, step, attempt, scope).await
        })
        .await
    })
}

/// One attempt of what is no function.
async fn once(shared: &Shared<'_, '_>, step: &Step, attempt: u32, scope: &Scope<'_>) -> Result<Value, Stop> {
    let label = scope.label(&step.path);
    match &step.kind {
        // `attempts` runs these.
        Kind::Function(_) | Kind::Pipeline(_) => Ok(Value::Null),
        Kind::Wait(Wait::Duration(seconds)) => {
            let bound = step.timeout.unwrap_or(u64::MAX);
            shared.wait((*seconds).min(bound) as f64, &label, None).await;
            if *seconds > bound {
                return Err(Stop::timeout(&step.path));
            }
            succeeded(shared, &label)
        }
        Kind::Wait(Wait::Until(time)) => {
            let time = run::value(time, "until", &step.path, scope)?;
            let seconds = seconds_until(&time).map_err(|detail| Stop::expression("until", detail, &step.path))?;
            let bound = step.timeout.map_or(f64::INFINITY, |timeout| timeout as f64);
            if seconds > 0.0 {
                shared.tell(Event::Waiting {
                    step: &label,
                    seconds: seconds.min(bound).round(),
                    after: None,
                });
                tokio::time::sleep(run::duration(seconds.min(bound))).await;
            }
            if seconds > bound {
                return Err(Stop::timeout(&step.path));
            }
            succeeded(shared, &label)
        }
        Kind::Fail { error, message } => {
            let name = run::text(error, "fail", &step.path, scope)?;
            let message = run::text(message, "fail", &step.path, scope)?;
            Err(Stop::failed(&name, &message, &step.path))
        }
        Kind::Job(job) => job::once(shared, step, job, attempt, scope).await,
        Kind::Train(train) => train::once(shared, step, train, attempt, scope).await,
        Kind::BatchPredict(batch) => train::predict(shared, step, batch, attempt, scope).await,
        Kind::Endpoint(endpoint) => endpoint::once(shared, step, endpoint, attempt, scope),
        Kind::Monitor(monitor) => endpoint::watch(shared, step, monitor, scope),
        Kind::Notify(message) => {
            notify(shared, message, &step.path, &label, scope)?;
            succeeded(shared, &label)
        }
        Kind::Approval(approval) => approval::ask(shared, step, approval, scope).await,
        Kind::Group(inner) => {
            let work = block::run(shared, inner, scope, &step.path);
            let outputs = bounded(step, work).await?;
            run::fitting(Value::Object(outputs), "output", &step.path)
        }
    }
}

/// Publishes a message.
pub fn notify(
    shared: &Shared<'_, '_>,
    notify: &Notify,
    step: &str,
    label: &str,
    scope: &Scope<'_>,
) -> Result<(), Stop> {
    let message = run::text(&notify.message, "notify", step, scope)?;
    shared.tell(Event::Notified {
        step: label,
        topic: &notify.topic,
        message: &message,
    });
    let notification = Notification {
        time: super::time(jiff::Timestamp::now()),
        topic: notify.topic.clone(),
        message: message.clone(),
        from: format!("{}.{step}", shared.pipeline.name),
    };
    let desk = Desk::beside(&shared.host.options.folder);
    desk.notify(&notification).map_err(Stop::Host)?;
    shared.publish(&notify.topic, message);
    Ok(())
}

/// One attempt of the work of a step, within its timeout.
pub async fn bounded<T>(step: &Step, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    match step.timeout {
        None => work.await,
        Some(seconds) => tokio::time::timeout(run::duration(seconds as f64), work)
            .await
            .unwrap_or_else(|_| Err(Stop::timeout(&step.path))),
    }
}

/// A step ended well, and gives nothing.
fn succeeded(shared: &Shared<'_, '_>, label: &str) -> Result<Value, Stop> {
    shared.tell(Event::Succeeded {
        step: label,
        seconds: 0.0,
    });
    Ok(Value::Null)
}

/// From now to a point in time: RFC 3339 text or Unix seconds.
fn seconds_until(time: &Value) -> Result<f64, &'static str> {
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    match time {
        Value::Number(number) => number.as_f64().map(|time| time - now).ok_or("it is not a time"),
        // RFC 3339 takes small letters too.
        Value::String(text) => unix_seconds(&text.to_ascii_uppercase())
            .map(|time| time - now)
            .ok_or("it is not a time like 2030-01-31T08:00:00Z"),
        _ => Err("it is neither a time nor a number"),
    }
}

/// The value of a condition; true where there is none.
pub fn condition(expr: Option<&Expr>, place: &str, step: &str, scope: &Scope<'_>) -> Result<bool, Stop> {
    match expr.map(|expr| eval(expr, scope as &dyn Env)) {
        None => Ok(true),
        Some(Ok(Value::Bool(value))) => Ok(value),
        Some(Ok(_)) => Err(Stop::expression(place, "it is not true or false", step)),
        Some(Err(error)) => Err(Stop::expression(place, &error.message, step)),
    }
}
