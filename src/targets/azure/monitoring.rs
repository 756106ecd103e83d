//! Watching endpoints: schedules of Azure Machine Learning that look for drift, which the step makes, and timers of the app that read the
//! endpoint's metrics.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts::RESOURCES;
use super::infra::{self, JOBS_IDENTITY_ID, role, role_of};
use super::layout::Py;
use super::limits::AzureProblem;
use super::serving;
use super::training::{ARTIFACTS, STORAGE, WORKSPACE, WORKSPACE_ID};
use crate::diagnostics::Problems;
use crate::expr::python;
use crate::model::{Cron, DriftMetric, Kind, Monitor, Pipeline, Step};

/// The function that hears of drift.
pub const DRIFT_FUNCTION: &str = "drift_detected";
const TOPIC_ID: &str = "resourceId('Microsoft.EventGrid/systemTopics', concat('ml-', variables('suffix')))";

/// `targets/azure/monitoring.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// When it was read from its sources: `2026-11-25`.
    pub date: String,
    /// Addresses.
    pub sources: Vec<String>,
    instance: String,
    runtime: String,
    preprocessor: String,
    metrics: IndexMap<String, Metrics>,
    default: Metrics,
}

/// The service's metrics for a metric of the language.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metrics {
    numerical: String,
    categorical: String,
    #[serde(default)]
    root: bool,
}

/// The file.
pub static FACTS: LazyLock<Facts> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/azure/monitoring.yaml")).unwrap_or_default());

impl Facts {
    fn metrics(&self, metric: Option<DriftMetric>) -> Option<&Metrics> {
        match metric {
            None => Some(&self.default),
            Some(metric) => self.metrics.get(metric.name()),
        }
    }
}

/// Steps that watch, with their pipelines.
pub fn all(pipeline: &Pipeline) -> impl Iterator<Item = (&Pipeline, &Step, &Monitor)> {
    pipeline.family().into_iter().flat_map(|member| {
        member.steps.iter().filter_map(move |step| match &step.kind {
            Kind::Monitor(monitor) => Some((member, step, monitor.as_ref())),
            _ => None,
        })
    })
}

/// Whether drift is looked for.
pub fn drifts(pipeline: &Pipeline) -> bool {
    all(pipeline).any(|(_, _, monitor)| monitor.drift.is_some())
}

/// What of the monitors Azure Machine Learning does not take.
pub fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for step in &pipeline.steps {
        let Kind::Monitor(monitor) = &step.kind else { continue };
        let metric = monitor.drift.and_then(|drift| drift.metric);
        if let Some(metric) = metric
            && FACTS.metrics(Some(metric)).is_none()
        {
            let known: Vec<&str> = FACTS.metrics.keys().map(String::as_str).collect();
            problems.push(AzureProblem::DriftMetric {
                step: step.path.clone(),
                metric: metric.name(),
                known: known.join(", "),
                span: step.span,
            });
        }
    }
}

/// The name of a step's schedule.
fn schedule_name(member: &Pipeline, step: &Step) -> String {
    format!("{}-{}", member.name, step.path.replace('.', "__"))
}

/// How far back a look for drift goes: whole days, about as long as from look to look.
fn window(cron: &Cron) -> &'static str {
    match (
        cron.day_of_month.as_str(),
        cron.month.as_str(),
        cron.day_of_week.as_str(),
    ) {
        ("*", "*", "*") => "P1D",
        ("*", "*", _) => "P7D",
        _ => "P31D",
    }
}

/// What of a monitor never changes, as the step reads it.
pub fn fields(member: &Pipeline, step: &Step, monitor: &Monitor) -> Vec<(Option<&'static str>, Py)> {
    let setting = python::string_literal(&serving::endpoint_setting(&monitor.endpoint));
    let mut fields = vec![
        (Some("name"), Py::string(&schedule_name(member, step))),
        (Some("title"), Py::string(&monitor.endpoint)),
        (Some("endpoint"), Py::Text(format!("os.environ[{setting}]"))),
    ];
    let drift = monitor
        .drift
        .and_then(|drift| Some((drift, FACTS.metrics(drift.metric)?)));
    if let Some((drift, metrics)) = drift {
        let threshold = if metrics.root {
            drift.threshold.sqrt()
        } else {
            drift.threshold
        };
        let value = json!({
            "schedule": monitor.schedule.to_string(),
            "window": window(&monitor.schedule),
            "instance": FACTS.instance,
            "runtime": FACTS.runtime,
            "preprocessor": FACTS.preprocessor,
            "numerical": metrics.numerical,
            "categorical": metrics.categorical,
            "threshold": threshold,
        });
        fields.push((Some("drift"), Py::value(&value)));
    }
    fields
}

/// Timers that look at latency and errors.
pub struct Watch<'a> {
    /// What is watched.
    pub monitor: &'a Monitor,
    /// `watch`: the step.
    pub step: &'a Step,
    /// Its pipeline.
    pub member: &'a Pipeline,
}

/// Those with a bound that the app looks at.
pub fn watches(pipeline: &Pipeline) -> Vec<Watch<'_>> {
    let bounded =
        all(pipeline).filter(|(_, _, monitor)| monitor.latency_p95_ms.is_some() || monitor.error_rate.is_some());
    let watches = bounded.map(|(member, step, monitor)| Watch { monitor, step, member });
    watches.collect()
}

impl Watch<'_> {
    /// The arguments of `mlpipe_monitor.Bounds`.
    pub fn bounds(&self) -> String {
        let mut fields = heard(self.member, self.step, self.monitor);
        let setting = python::string_literal(&serving::endpoint_setting(&self.monitor.endpoint));
        fields.push((Some("resource"), Py::Text(format!("os.environ[{setting}]"))));
        for (name, bound) in [
            ("latency_p95_ms", self.monitor.latency_p95_ms),
            ("error_rate", self.monitor.error_rate),
        ] {
            if let Some(bound) = bound {
                fields.push((Some(name), Py::value(&Value::from(bound))));
            }
        }
        Py::Call("mlpipe_monitor.Bounds".to_owned(), fields).render(4, "mlpipe_monitor.watch(timer, )".len())
    }
}

/// Who hears of it.
fn heard(member: &Pipeline, step: &Step, monitor: &Monitor) -> Vec<(Option<&'static str>, Py)> {
    vec![
        (Some("endpoint"), Py::string(&monitor.endpoint)),
        (Some("pipeline"), Py::string(&member.name)),
        (Some("step"), Py::string(&step.path)),
        (
            Some("topic"),
            Py::Text(format!("topics[{}]", python::string_literal(&monitor.alert))),
        ),
    ]
}

/// Who hears of drift, by the names of schedules.
pub fn drift_monitors(pipeline: &Pipeline) -> String {
    let monitors = all(pipeline).filter(|(_, _, monitor)| monitor.drift.is_some());
    let entries = monitors.map(|(member, step, monitor)| {
        let bounds = Py::Call("mlpipe_monitor.Bounds".to_owned(), heard(member, step, monitor));
        (python::string_literal(&schedule_name(member, step)), bounds)
    });
    Py::Dict(entries.collect()).render(4, "mlpipe_monitor.drifted(event, )".len())
}

/// The app's settings, beside those of the endpoints.
pub fn settings(pipeline: &Pipeline) -> Option<(String, String)> {
    drifts(pipeline).then(|| ("MLPIPE_ML_IDENTITY".to_owned(), format!("[{JOBS_IDENTITY_ID}]")))
}

/// The workspace's events of drift, and who may do what.
pub fn resources(pipeline: &Pipeline, app_id: &str) -> Vec<Value> {
    let roles = &RESOURCES.roles;
    let mut resources = Vec::new();
    if !watches(pipeline).is_empty() {
        resources.push(role(WORKSPACE_ID, &roles.monitoring_reader));
    }
    if drifts(pipeline) {
        let api = &RESOURCES.api_versions.event_grid;
        // The step writes a table's description of the baseline there.
        resources.push(role(
            &infra::container_id(STORAGE, ARTIFACTS),
            &roles.storage_blob_data_contributor,
        ));
        // What looks for drift runs as that identity, and leaves what it finds in containers that the workspace makes.
        resources.push(role_of(JOBS_IDENTITY_ID, WORKSPACE_ID, &roles.azureml_data_scientist));
        resources.push(role_of(
            JOBS_IDENTITY_ID,
            &infra::account_id(STORAGE),
            &roles.storage_blob_data_contributor,
        ));
        resources.push(json!({
            "type": "Microsoft.EventGrid/systemTopics",
            "apiVersion": api,
            "name": format!("[{WORKSPACE}]"),
            "location": "[parameters('location')]",
            "properties": {
                "source": format!("[{WORKSPACE_ID}]"),
                "topicType": "Microsoft.MachineLearningServices.Workspaces",
            },
            "dependsOn": [format!("[{WORKSPACE_ID}]")],
        }));
        // Microsoft Learn, "Integrate Azure Machine Learning model monitoring with Event Grid".
        let filter = json!({
            "includedEventTypes": ["Microsoft.MachineLearningServices.RunStatusChanged"],
            "advancedFilters": [{
                "operatorType": "StringContains",
                "key": "data.RunTags.azureml_modelmonitor_threshold_breached",
                "values": ["has failed due to one or more features violating metric thresholds"],
            }],
        });
        resources.push(json!({
            "condition": "[parameters('deliverEvents')]",
            "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
            "apiVersion": api,
            "name": format!("[concat({WORKSPACE}, '/drift')]"),
            "properties": infra::delivery(&format!("[concat({app_id}, '/functions/{DRIFT_FUNCTION}')]"), filter),
            "dependsOn": [format!("[{TOPIC_ID}]"), format!("[{app_id}]")],
        }));
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_parses_and_names_what_monitors_measure() {
        assert!(!FACTS.sources.is_empty() && FACTS.date.len() == 10);
        let numerical = |metric| FACTS.metrics(metric).map(|metrics| metrics.numerical.as_str());
        assert_eq!(numerical(None), Some("NormalizedWassersteinDistance"));
        assert_eq!(numerical(Some(DriftMetric::Psi)), Some("PopulationStabilityIndex"));
        assert_eq!(numerical(Some(DriftMetric::LInfinity)), None);
    }
}
