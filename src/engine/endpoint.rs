//! Endpoints and monitors on the desk: records that `mlpipe serve` serves and checks.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::desk::{self, Desk, EndpointRecord, MonitorRecord, VariantRecord};
use crate::model::{Endpoint, Monitor, Runtime, Step};

use super::Event;
use super::run::{self, Shared, Stop};
use super::scope::Scope;
use super::train::there;

/// One attempt to bring an endpoint into service, or to update it.
pub fn once(
    shared: &Shared<'_, '_>,
    step: &Step,
    endpoint: &Endpoint,
    attempt: u32,
    scope: &Scope<'_>,
) -> Result<Value, Stop> {
    let mut variants = Vec::new();
    for variant in &endpoint.variants {
        let model = run::text(&variant.model, "endpoint", &step.path, scope)?;
        variants.push((variant, model));
    }
    let label = scope.label(&step.path);
    shared.count(&step.path);
    shared.tell(Event::Started { step: &label, attempt });
    let began = Instant::now();
    let mut records = Vec::new();
    for (variant, model) in variants {
        let folder = model
            .strip_prefix("file://")
            .map(Path::new)
            .filter(|path| path.is_dir());
        let serves = match endpoint.runtime {
            Runtime::Framework(..) => folder.is_some_and(desk::holds_model),
            Runtime::Image(_) => folder.is_some(),
        };
        if !serves {
            let message = format!("the endpoint `{}` did not come into service", endpoint.name);
            return Err(Stop::failed("EndpointFailed", &message, &step.path));
        }
        records.push(VariantRecord {
            name: variant.name.clone(),
            model,
            weight: variant.weight,
        });
    }
    let record = EndpointRecord {
        name: endpoint.name.clone(),
        framework: match &endpoint.runtime {
            Runtime::Framework(framework, version) => Some((framework.name().to_owned(), version.clone())),
            Runtime::Image(_) => None,
        },
        variants: records,
        captured: endpoint.captured,
    };
    desk_of(shared).write_endpoint(&record).map_err(Stop::Host)?;
    shared.tell(Event::Succeeded {
        step: &label,
        seconds: began.elapsed().as_secs_f64(),
    });
    Ok(json!({
        "endpoint_name": endpoint.name,
        "url": format!("http://127.0.0.1:{}/invocations", desk::PORT),
    }))
}

/// One attempt to set up a monitor.
pub fn watch(shared: &Shared<'_, '_>, step: &Step, monitor: &Monitor, scope: &Scope<'_>) -> Result<Value, Stop> {
    let baseline = match &monitor.baseline {
        None => None,
        Some(uri) => {
            let uri = run::text(uri, "monitor", &step.path, scope)?;
            Some(there(&uri, "baseline", &step.path)?)
        }
    };
    let record = MonitorRecord {
        pipeline: shared.pipeline.name.clone(),
        step: step.path.clone(),
        endpoint: monitor.endpoint.clone(),
        baseline,
        schedule: monitor.schedule.to_string(),
        drift: monitor.drift.map(|drift| drift.threshold),
        metric: monitor
            .drift
            .and_then(|drift| drift.metric)
            .unwrap_or(desk::METRIC)
            .into(),
        latency_p95_ms: monitor.latency_p95_ms,
        error_rate: monitor.error_rate,
        alert: monitor.alert.clone(),
        last: None,
    };
    desk_of(shared).write_monitor(&record).map_err(Stop::Host)?;
    shared.tell(Event::Succeeded {
        step: &scope.label(&step.path),
        seconds: 0.0,
    });
    Ok(Value::Null)
}

fn desk_of(shared: &Shared<'_, '_>) -> Desk {
    Desk::beside(&shared.host.options.folder)
}
