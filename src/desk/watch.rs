//! A monitor's look at what its endpoint was asked since it looked last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drift::{self, Feature};
use super::{Desk, MonitorRecord, Notification};

/// What a look found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unix seconds of the latest request that it saw, or of its own time where there was none.
    pub until: f64,
    /// When it looked: RFC 3339, UTC.
    pub time: String,
    /// How many requests it saw.
    pub requests: usize,
    /// Distance of each feature from the baseline.
    pub drift: BTreeMap<String, f64>,
    /// The latency's 95th percentile in milliseconds.
    pub p95_ms: Option<f64>,
    /// The share of requests that failed.
    pub error_rate: Option<f64>,
    /// What was told.
    pub alerts: Vec<String>,
}

/// A request as `serve.py` keeps it.
#[derive(Debug, Deserialize)]
struct Request {
    time: f64,
    instances: Option<Vec<Value>>,
    status: u16,
    ms: f64,
}

/// Looks, keeps what it found, and tells the topic of what is out of bounds. An `Err` is the host's fault.
pub fn look(desk: &Desk, monitor: &MonitorRecord, now: jiff::Timestamp) -> Result<Check, String> {
    let since = monitor.last.as_ref().map_or(f64::NEG_INFINITY, |last| last.until);
    let requests = requests(desk, &monitor.endpoint, since);
    let latest = requests.iter().map(|request| request.time).fold(since, f64::max);
    let mut check = Check {
        until: if latest.is_finite() {
            latest
        } else {
            now.as_millisecond() as f64 / 1000.0
        },
        time: crate::engine::time(now),
        requests: requests.len(),
        drift: drift_of(monitor, &requests)?,
        p95_ms: percentile(requests.iter().map(|request| request.ms).collect()),
        error_rate: error_rate(&requests),
        alerts: Vec::new(),
    };
    check.alerts = alerts(monitor, &check);
    for message in &check.alerts {
        desk.notify(&Notification {
            time: check.time.clone(),
            topic: monitor.alert.clone(),
            message: message.clone(),
            from: format!("{}.{}", monitor.pipeline, monitor.step),
        })?;
    }
    let looked = MonitorRecord {
        last: Some(check.clone()),
        ..monitor.clone()
    };
    desk.write_monitor(&looked)?;
    Ok(check)
}

fn requests(desk: &Desk, endpoint: &str, since: f64) -> Vec<Request> {
    let text = std::fs::read_to_string(desk.captured_file(endpoint)).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Request>(line).ok())
        .filter(|request| request.time > since)
        .collect()
}

/// Distance of each feature from the baseline, where the monitor has a bound for it.
fn drift_of(monitor: &MonitorRecord, requests: &[Request]) -> Result<BTreeMap<String, f64>, String> {
    let (Some(_), Some(file)) = (monitor.drift, &monitor.baseline) else {
        return Ok(BTreeMap::new());
    };
    let say = |detail: &dyn std::fmt::Display| format!("cannot read the baseline `{}`: {detail}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| say(&error))?;
    let features = drift::baseline(&text).map_err(|detail| say(&detail))?;
    let instances: Vec<&Value> = requests
        .iter()
        .filter_map(|request| request.instances.as_ref())
        .flatten()
        .collect();
    let distances = features.iter().enumerate().filter_map(|(at, feature)| {
        let values = instances.iter().filter_map(|instance| value_of(instance, at, feature));
        let distance = feature.distance(&values.collect::<Vec<_>>(), monitor.metric)?;
        Some((feature.name.clone(), distance))
    });
    Ok(distances.collect())
}

/// None where there were no requests.
fn error_rate(requests: &[Request]) -> Option<f64> {
    let failed = requests.iter().filter(|request| request.status >= 500).count();
    (!requests.is_empty()).then(|| failed as f64 / requests.len() as f64)
}

/// A feature of an instance: by its name in an object, by its place in a list.
fn value_of<'v>(instance: &'v Value, at: usize, feature: &Feature) -> Option<&'v Value> {
    match instance {
        Value::Object(fields) => fields.get(&feature.name),
        Value::Array(values) => values.get(at),
        single => (at == 0).then_some(single),
    }
}

/// The 95th, by the nearest rank.
fn percentile(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

fn alerts(monitor: &MonitorRecord, check: &Check) -> Vec<String> {
    let endpoint = &monitor.endpoint;
    let mut told = Vec::new();
    if let Some(bound) = monitor.drift {
        for (feature, distance) in check.drift.iter().filter(|(_, distance)| **distance > bound) {
            told.push(format!(
                "{endpoint}: `{feature}` drifted by {distance:.3}, more than {bound}"
            ));
        }
    }
    if let (Some(bound), Some(p95)) = (monitor.latency_p95_ms, check.p95_ms)
        && p95 > bound
    {
        told.push(format!(
            "{endpoint}: the 95th percentile of the latency is {p95:.0} ms, more than {bound} ms"
        ));
    }
    if let (Some(bound), Some(rate)) = (monitor.error_rate, check.error_rate)
        && rate > bound
    {
        told.push(format!(
            "{endpoint}: {:.1} % of the requests failed, more than {:.1} %",
            rate * 100.0,
            bound * 100.0
        ));
    }
    told
}
