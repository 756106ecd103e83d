//! Steps that serve models and watch them.

use super::{Cron, Machines, Runtime};
use crate::expr::Template;

/// Longest that an endpoint may take to come into service, in seconds.
pub const ENDPOINT_SECONDS: u64 = 60 * 60;

/// An endpoint, created or updated in place; its output is `{ endpoint_name, url }`.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name in the file: `^[a-z][a-z0-9-]{0,19}$`. Equal names are one endpoint, in the whole family.
    pub name: String,
    /// What serves.
    pub runtime: Runtime,
    /// At least one, names distinct and like the endpoint's; the weights are not all zero.
    pub variants: Vec<Variant>,
    /// How many instances each variant has; None: as many as its machines say.
    pub autoscale: Option<Autoscale>,
    /// True where a step of the pipeline watches it, so that requests and answers are to be kept.
    pub captured: bool,
}

/// A model on instances of its own.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// The URI of its model: a template of type string.
    pub model: Template,
    /// What it runs on; `compute.count` instances.
    pub machines: Machines,
    /// Its share of the requests, against the other weights; at least 0.
    pub weight: f64,
}

/// How many instances a variant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoscale {
    /// At least 1.
    pub min: u32,
    /// At least `min`.
    pub max: u32,
    /// Requests a minute and instance.
    pub target_invocations: u32,
}

/// Predictions for all files of a folder; its output is `{ job_name, output_uri, predictions }`.
#[derive(Clone, Debug)]
pub struct BatchPredict {
    /// The model's URI: a template of type string.
    pub model: Template,
    /// The URI of the folder with the instances: a template of type string.
    pub input: Template,
    /// The URI of the folder for the predictions: a template of type string.
    pub output: Template,
    /// What it runs in.
    pub runtime: Runtime,
    /// What it runs on.
    pub machines: Machines,
    /// Longest run, in seconds.
    pub max_duration: u64,
}

/// Watching an endpoint; its output is null.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// The endpoint's name; a step of the file creates it.
    pub endpoint: String,
    /// The URI of the baseline, a CSV file with a header: a template of type string. There is one where `drift` is.
    pub baseline: Option<Template>,
    /// When it looks, in UTC.
    pub schedule: Cron,
    /// Bound of each feature's distance from the baseline.
    pub drift: Option<Drift>,
    /// Bound of the 95th percentile of the latency, in milliseconds.
    pub latency_p95_ms: Option<f64>,
    /// Bound of the share of requests that fail.
    pub error_rate: Option<f64>,
    /// The topic that is told.
    pub alert: String,
}

/// Bound of the distance from the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Greatest distance.
    pub threshold: f64,
    /// How it is measured; None: as the target's monitor does by itself.
    pub metric: Option<DriftMetric>,
}

/// Distances between two distributions of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DriftMetric {
    /// Jensen-Shannon divergence with logarithms of base 2.
    JensenShannon,
    /// Population stability index.
    Psi,
    /// Greatest difference of the shares of one bin.
    LInfinity,
}

impl DriftMetric {
    /// The name as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::JensenShannon => "jensen_shannon",
            Self::Psi => "psi",
            Self::LInfinity => "l_infinity",
        }
    }
}

impl Endpoint {
    /// Whole percents of the requests by variant, in order: their sum is 100. What rounding leaves goes to the largest remainders.
    pub fn percents(&self) -> Vec<u32> {
        let total: f64 = self.variants.iter().map(|variant| variant.weight).sum();
        let exact: Vec<f64> = self
            .variants
            .iter()
            .map(|variant| variant.weight / total * 100.0)
            .collect();
        let mut whole: Vec<u32> = exact.iter().map(|share| share.floor() as u32).collect();
        let mut order: Vec<usize> = (0..exact.len()).collect();
        let rest = |at: usize| exact[at] - exact[at].floor();
        order.sort_by(|a, b| rest(*b).total_cmp(&rest(*a)).then(a.cmp(b)));
        let left = 100u32.saturating_sub(whole.iter().sum());
        for at in order.into_iter().take(left as usize) {
            whole[at] += 1;
        }
        whole
    }
}
