//! Another pipeline: an execution of its own, awaited.

use serde_json::Value;

use crate::model::{ChildCall, Step};

use super::Failure;
use super::call;
use super::run::{self, Failed, Shared, Stop};
use super::scope::{Execution, Scope};
use super::step::bounded;

/// Evaluates the params once, then runs the pipeline until it succeeds or the attempts are used up.
pub async fn with_retries(
    shared: &Shared<'_, '_>,
    step: &Step,
    call: &ChildCall,
    scope: &Scope<'_>,
) -> Result<Value, Stop> {
    let params = run::value(&call.params, "params", &step.path, scope)?;
    let params = run::fitting(params, "input", &step.path)?;
    let label = scope.label(&step.path);
    call::retried(shared, &step.retry, &label, async |_| {
        let outputs = bounded(step, once(shared, step, call, &label, &params)).await?;
        run::fitting(outputs, "output", &step.path)
    })
    .await
}

async fn once(
    shared: &Shared<'_, '_>,
    step: &Step,
    call: &ChildCall,
    label: &str,
    params: &Value,
) -> Result<Value, Stop> {
    let host = shared.host;
    let execution = Execution {
        id: format!("{}-{}", host.options.run_id, host.next_child()),
        started_at: super::time(jiff::Timestamp::now()),
        prefix: format!("{}.", shared.path(&step.path)),
        label: format!("{label}."),
    };
    let child = Shared {
        pipeline: shared.pipeline.child(call.child),
        execution: &execution,
        host,
    };
    let params = params.as_object().cloned().unwrap_or_default();
    match run::whole(&child, params).await {
        Ok(outputs) => Ok(Value::Object(outputs)),
        Err(Stop::Failed(Failed { failure, detail })) => Err(Stop::Failed(Failed {
            failure: Failure {
                step: format!("{}.{}", step.path, failure.step),
                ..failure
            },
            detail,
        })),
        Err(host) => Err(host),
    }
}
