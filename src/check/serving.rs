//! Steps that serve models and watch them: endpoints, predictions for files, monitors.

use crate::diagnostics::Problems;
use crate::expr::check::Scope;
use crate::expr::parse::{Syntax, Text};
use crate::expr::{Template, Type};
use crate::model::{
    Autoscale, BatchPredict, Cron, Drift, DriftMetric, Endpoint, Kind, Machines, Monitor, Runtime, Variant,
};
use crate::syntax::document::{self, Document};
use crate::syntax::scalars::Spanned;
use crate::syntax::suggest;

use super::managed::{self, check_one};
use super::problems::CheckProblem;
use super::steps::{known_topic, text_of};
use super::templates::Source;
use super::{triggers, written};

const DEFAULT_BATCH: u64 = 24 * 60 * 60;
const DEFAULT_TARGET: u32 = 100;
/// The variant of an endpoint that names none.
const MAIN: &str = "main";

/// An endpoint whose expressions were parsed.
pub struct EndpointDraft {
    name: String,
    runtime: Option<Runtime>,
    variants: Vec<VariantDraft>,
    autoscale: Option<Autoscale>,
    captured: bool,
}

struct VariantDraft {
    name: String,
    model: Option<Text>,
    machines: Machines,
    weight: f64,
}

/// Predictions for files whose expressions were parsed.
pub struct BatchDraft {
    model: Option<Text>,
    input: Option<Text>,
    output: Option<Text>,
    runtime: Option<Runtime>,
    machines: Machines,
    max_duration: u64,
}

/// A monitor whose expressions were parsed.
pub struct MonitorDraft {
    endpoint: String,
    baseline: Option<Option<Text>>,
    schedule: Option<Cron>,
    drift: Option<Drift>,
    latency_p95_ms: Option<f64>,
    error_rate: Option<f64>,
    alert: String,
}

/// `{ endpoint_name: string, url: string }`
pub fn endpoint_type() -> Type {
    object([("endpoint_name", Type::String), ("url", Type::String)])
}

/// `{ job_name: string, output_uri: string, predictions: integer }`
pub fn batch_type() -> Type {
    object([
        ("job_name", Type::String),
        ("output_uri", Type::String),
        ("predictions", Type::Integer),
    ])
}

fn object<const N: usize>(fields: [(&str, Type); N]) -> Type {
    Type::Object(fields.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect())
}

/// Reads an `endpoint`.
pub fn endpoint(
    document: &Document,
    source: &Source<'_>,
    endpoint: &document::Endpoint,
    problems: &mut Problems,
) -> EndpointDraft {
    let of_all = endpoint
        .model
        .as_ref()
        .map(|model| text_of(source, model, "`model` of an `endpoint`", problems));
    let alone = Spanned {
        value: MAIN.to_owned(),
        span: endpoint.name.span,
    };
    let plain = document::Variant::default();
    let written: Vec<(&Spanned<String>, &document::Variant)> = if endpoint.variants.is_empty() {
        vec![(&alone, &plain)]
    } else {
        endpoint.variants.iter().collect()
    };
    let mut variants = Vec::new();
    for (name, variant) in &written {
        if !is_variant_name(name) {
            problems.push(CheckProblem::BadVariantName {
                name: name.value.clone(),
                span: name.span,
            });
        }
        let own = variant
            .model
            .as_ref()
            .map(|model| text_of(source, model, "`model` of a variant", problems));
        let model = own.or_else(|| of_all.clone());
        if model.is_none() {
            problems.push(CheckProblem::VariantWithoutModel {
                name: name.value.clone(),
                span: name.span,
            });
        }
        variants.push(VariantDraft {
            name: name.value.clone(),
            model: model.flatten(),
            machines: managed::machines(&variant.compute, &variant.instance),
            weight: variant.weight.as_ref().map_or(1.0, |weight| weight.value),
        });
    }
    if variants.iter().all(|variant| variant.weight == 0.0) {
        let first = written.iter().find_map(|(_, variant)| variant.weight.as_ref());
        problems.push(CheckProblem::NoWeight {
            endpoint: endpoint.name.value.clone(),
            span: first.map_or(endpoint.name.span, |weight| weight.span),
        });
    }
    if let Some(scale) = &endpoint.autoscale
        && scale.min > scale.max
    {
        problems.push(CheckProblem::MinAboveMax {
            min: scale.min,
            max: scale.max,
            span: source.first_line(scale.span),
        });
    }
    let watched = |step: &written::Written<'_>| {
        step.monitor
            .is_some_and(|monitor| monitor.endpoint.value == endpoint.name.value)
    };
    EndpointDraft {
        name: endpoint.name.value.clone(),
        runtime: managed::runtime(endpoint.framework.as_ref(), endpoint.image.as_ref(), problems),
        variants,
        autoscale: endpoint.autoscale.as_ref().map(|scale| Autoscale {
            min: scale.min,
            max: scale.max.max(scale.min),
            target_invocations: scale.target_invocations.unwrap_or(DEFAULT_TARGET),
        }),
        captured: written::all(&document.steps).iter().any(watched),
    }
}

fn is_variant_name(name: &str) -> bool {
    name.len() <= 20
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Reads a `batch_predict`.
pub fn batch(source: &Source<'_>, batch: &document::BatchPredict, problems: &mut Problems) -> BatchDraft {
    BatchDraft {
        model: text_of(source, &batch.model, "`model` of a `batch_predict`", problems),
        input: text_of(source, &batch.input, "`input` of a `batch_predict`", problems),
        output: text_of(source, &batch.output, "`output` of a `batch_predict`", problems),
        runtime: managed::runtime(batch.framework.as_ref(), batch.image.as_ref(), problems),
        machines: managed::machines(&batch.compute, &batch.instance),
        max_duration: batch.max_duration.map_or(DEFAULT_BATCH, |duration| duration.seconds),
    }
}

/// Reads a `monitor`.
pub fn monitor(
    document: &Document,
    source: &Source<'_>,
    id: &Spanned<String>,
    monitor: &document::Monitor,
    problems: &mut Problems,
) -> MonitorDraft {
    known_topic(document, &monitor.alert, problems);
    known_endpoint(document, &monitor.endpoint, problems);
    let schedule = triggers::read_cron(&monitor.schedule).map_err(|problem| problems.push(problem));
    if let Some(drift) = monitor.drift.as_ref().filter(|_| monitor.baseline.is_none()) {
        problems.push(CheckProblem::DriftWithoutBaseline {
            span: source.first_line(drift.span),
        });
    }
    if monitor.drift.is_none() && monitor.latency.is_none() && monitor.error_rate.is_none() {
        problems.push(CheckProblem::NothingToWatch {
            step: id.value.clone(),
            span: id.span,
        });
    }
    let baseline = monitor.baseline.as_ref();
    MonitorDraft {
        endpoint: monitor.endpoint.value.clone(),
        baseline: baseline.map(|node| text_of(source, node, "`baseline` of a `monitor`", problems)),
        schedule: schedule.ok(),
        drift: monitor.drift.as_ref().map(|drift| Drift {
            threshold: drift.threshold,
            metric: drift.metric.as_ref().map(|metric| match metric.value {
                document::DriftMetric::JensenShannon => DriftMetric::JensenShannon,
                document::DriftMetric::Psi => DriftMetric::Psi,
                document::DriftMetric::LInfinity => DriftMetric::LInfinity,
            }),
        }),
        latency_p95_ms: monitor.latency.as_ref().map(|latency| latency.p95_ms),
        error_rate: monitor.error_rate,
        alert: monitor.alert.value.clone(),
    }
}

fn known_endpoint(document: &Document, name: &Spanned<String>, problems: &mut Problems) {
    let steps = written::all(&document.steps);
    let endpoints: Vec<&str> = steps
        .iter()
        .filter_map(|step| step.endpoint)
        .map(|endpoint| endpoint.name.value.as_str())
        .collect();
    if endpoints.contains(&name.value.as_str()) {
        return;
    }
    problems.push(CheckProblem::UnknownEndpoint {
        name: name.value.clone(),
        span: name.span,
        help: if endpoints.is_empty() {
            format!("add a step with `endpoint: {{ name: {}, … }}`", name.value)
        } else {
            suggest::help(&name.value, endpoints, "endpoints")
        },
    });
}

impl EndpointDraft {
    /// Calls `visit` for each expression.
    pub fn each(&self, visit: &mut dyn FnMut(&Syntax)) {
        let models = self.variants.iter().filter_map(|variant| variant.model.as_ref());
        models.flat_map(Text::exprs).for_each(visit);
    }

    /// Types it.
    pub fn kind(&self, scope: &Scope<'_>, problems: &mut Problems) -> Option<Kind> {
        let variants: Vec<Option<Variant>> = self
            .variants
            .iter()
            .map(|variant| {
                Some(Variant {
                    name: variant.name.clone(),
                    model: check_one(variant.model.as_ref(), "`model`", scope, problems)?,
                    machines: variant.machines.clone(),
                    weight: variant.weight,
                })
            })
            .collect();
        Some(Kind::Endpoint(Box::new(Endpoint {
            name: self.name.clone(),
            runtime: self.runtime.clone()?,
            variants: variants.into_iter().collect::<Option<_>>()?,
            autoscale: self.autoscale,
            captured: self.captured,
        })))
    }
}

impl BatchDraft {
    /// Calls `visit` for each expression.
    pub fn each(&self, visit: &mut dyn FnMut(&Syntax)) {
        let texts = [&self.model, &self.input, &self.output];
        texts.into_iter().flatten().flat_map(Text::exprs).for_each(visit);
    }

    /// Types it.
    pub fn kind(&self, scope: &Scope<'_>, problems: &mut Problems) -> Option<Kind> {
        let model = check_one(self.model.as_ref(), "`model`", scope, problems);
        let input = check_one(self.input.as_ref(), "`input`", scope, problems);
        let output = check_one(self.output.as_ref(), "`output`", scope, problems);
        Some(Kind::BatchPredict(Box::new(BatchPredict {
            model: model?,
            input: input?,
            output: output?,
            runtime: self.runtime.clone()?,
            machines: self.machines.clone(),
            max_duration: self.max_duration,
        })))
    }
}

impl MonitorDraft {
    /// Calls `visit` for each expression.
    pub fn each(&self, visit: &mut dyn FnMut(&Syntax)) {
        self.baseline.iter().flatten().flat_map(Text::exprs).for_each(visit);
    }

    /// Types it.
    pub fn kind(&self, scope: &Scope<'_>, problems: &mut Problems) -> Option<Kind> {
        let baseline: Option<Template> = match &self.baseline {
            None => None,
            Some(text) => Some(check_one(text.as_ref(), "`baseline`", scope, problems)?),
        };
        Some(Kind::Monitor(Box::new(Monitor {
            endpoint: self.endpoint.clone(),
            baseline,
            schedule: self.schedule.clone()?,
            drift: self.drift,
            latency_p95_ms: self.latency_p95_ms,
            error_rate: self.error_rate,
            alert: self.alert.clone(),
        })))
    }
}
