//! The choice of instances: the smallest of a service's table that has what a step asks for. The tables are
//! `targets/<cloud>/instances.yaml`; `docs/instances.md` tells users what is picked.

pub mod chosen;

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde::Deserialize;
use thiserror::Error;

use crate::model::{Compute, Gpu, GpuKind};
use crate::syntax::suggest;

/// What a step runs on that asks for nothing at all.
pub const DEFAULT_CPU: f64 = 2.0;
/// The same, in MiB.
pub const DEFAULT_MEMORY_MIB: u64 = 8 * 1024;

const MIB_PER_GIB: f64 = 1024.0;

/// `targets/aws/instances.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// Of `train`.
    pub sagemaker_training: Table,
    /// Of `endpoint`.
    pub sagemaker_hosting: Table,
    /// Of `batch_predict`.
    pub sagemaker_processing: Table,
    /// Of `job`.
    pub batch_fargate: Table,
}

/// `targets/gcp/instances.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gcp {
    /// Of `train`.
    pub vertex_training: Table,
    /// Of `endpoint` and `batch_predict`.
    pub vertex_prediction: Table,
    /// Of `job`.
    pub cloud_run_jobs: Table,
}

/// `targets/azure/instances.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Azure {
    /// Of `train` and `batch_predict`.
    pub ml_training: Table,
    /// Of `endpoint`.
    pub ml_online_endpoints: Table,
    /// Of `job`.
    pub container_apps_jobs: Table,
}

/// The instances of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// As messages name it: `SageMaker training`.
    pub service: String,
    /// When it was read from its sources: `2026-11-25`.
    pub date: String,
    /// Addresses.
    pub sources: Vec<String>,
    /// Where prices come from, if there are any.
    pub prices: Option<Prices>,
    /// A selection: the service may have more.
    pub instances: Vec<Instance>,
}

/// Of what place and day prices are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// As the cloud names it.
    pub region: String,
    /// When they were read from their source.
    pub date: String,
    /// An address.
    pub source: String,
    /// Where a service bills CPUs and memory, not instances.
    pub rates: Option<Rates>,
}

/// USD an hour.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Of a CPU.
    pub cpu: f64,
    /// Of a GiB.
    pub memory: f64,
}

/// A machine, or a combination of CPUs and memory of a service that has no machines.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// What users type and messages show; each once in a table.
    pub name: String,
    /// What the API is given instead of the name, where GPUs are attached to a machine: `n1-standard-4` of `n1-standard-4+1xt4`.
    machine: Option<String>,
    /// Virtual CPUs.
    pub cpu: f64,
    /// In GiB.
    pub memory: f64,
    /// Built in or attached.
    pub gpu: Option<Gpu>,
    /// The cloud's name of the GPU, where its API wants one.
    pub accelerator: Option<String>,
    /// USD an hour, in the region of the table's prices.
    price: Option<f64>,
    /// For those who name it: never picked.
    #[serde(default)]
    only_named: bool,
}

/// No instance of a table is large enough. The message tells the nearest there is.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum NoFit {
    /// The service has no GPUs.
    #[error("{service} has no GPUs")]
    NoGpus {
        /// Of the table.
        service: String,
    },

    /// The service has others.
    #[error("{service} has {}, not {}", names(known), asked.name())]
    GpuKind {
        /// Of the table.
        service: String,
        /// As asked.
        asked: GpuKind,
        /// All of them, in the order of [`GpuKind::ALL`].
        known: Vec<GpuKind>,
    },

    /// The service has fewer in one instance.
    #[error("{service} has at most {most} {} in an instance (`{nearest}`)", kind.name())]
    GpuCount {
        /// Of the table.
        service: String,
        /// As asked.
        kind: GpuKind,
        /// In an instance.
        most: u32,
        /// That instance.
        nearest: String,
    },

    /// Too few CPUs, too little memory, or not both in one.
    #[error("{service} has no such instance{}: the nearest, `{nearest}`, has {cpu} CPUs and {} GB",
        with(*gpu), gigabytes(*memory_mib))]
    Size {
        /// Of the table.
        service: String,
        /// With which GPUs, if that was asked.
        gpu: Option<Gpu>,
        /// The one that lacks least of what was asked.
        nearest: String,
        /// Its CPUs.
        cpu: f64,
        /// Its memory.
        memory_mib: u64,
    },
}

/// AWS's tables.
pub static AWS: LazyLock<Aws> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../targets/aws/instances.yaml")).unwrap_or_default());
/// Google Cloud's tables.
pub static GCP: LazyLock<Gcp> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../targets/gcp/instances.yaml")).unwrap_or_default());
/// Azure's tables.
pub static AZURE: LazyLock<Azure> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../targets/azure/instances.yaml")).unwrap_or_default());

impl Instance {
    /// In MiB.
    pub fn memory_mib(&self) -> u64 {
        // Tables have halves of GiB at the least: whole MiB.
        (self.memory * MIB_PER_GIB) as u64
    }

    /// The machine type that an API is given.
    pub fn machine(&self) -> &str {
        self.machine.as_deref().unwrap_or(&self.name)
    }

    fn has(&self, cpu: f64, memory_mib: u64) -> bool {
        self.cpu >= cpu && self.memory_mib() >= memory_mib
    }

    fn gpus(&self) -> u32 {
        self.gpu.map_or(0, |gpu| gpu.count)
    }

    /// Fewest GPUs, then CPUs, then memory, then the name.
    fn by_size(&self, other: &Self) -> Ordering {
        let gpus = self.gpus().cmp(&other.gpus());
        gpus.then(self.cpu.total_cmp(&other.cpu))
            .then(self.memory.total_cmp(&other.memory))
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl Table {
    /// USD an hour, if the table has a price.
    pub fn price(&self, instance: &Instance) -> Option<f64> {
        let rates = self.prices.as_ref().and_then(|prices| prices.rates.as_ref());
        instance
            .price
            .or(rates.map(|rates| rates.cpu * instance.cpu + rates.memory * instance.memory))
    }

    /// All names, for a message on one that is not among them.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.instances.iter().map(|instance| instance.name.as_str())
    }

    /// In the order of [`GpuKind::ALL`].
    pub fn gpu_kinds(&self) -> Vec<GpuKind> {
        let has = |kind: &GpuKind| {
            self.instances
                .iter()
                .any(|i| i.gpu.is_some_and(|gpu| gpu.kind == *kind))
        };
        GpuKind::ALL.into_iter().filter(has).collect()
    }

    /// What may be picked where this GPU, or none, is asked for: the cheapest first. Prices count only if all have one:
    /// otherwise the order is by size, as it is between equal prices.
    fn candidates(&self, kind: Option<GpuKind>) -> Vec<&Instance> {
        let may_be_picked = |i: &&Instance| !i.only_named && i.gpu.map(|gpu| gpu.kind) == kind;
        let mut found: Vec<(Option<f64>, &Instance)> = self
            .instances
            .iter()
            .filter(may_be_picked)
            .map(|instance| (self.price(instance), instance))
            .collect();
        let priced = found.iter().all(|(price, _)| price.is_some());
        found.sort_by(|(a, left), (b, right)| {
            let price = match (a, b) {
                (Some(a), Some(b)) if priced => a.total_cmp(b),
                _ => Ordering::Equal,
            };
            price.then_with(|| left.by_size(right))
        });
        found.into_iter().map(|(_, instance)| instance).collect()
    }
}

/// The smallest instance of the table that has all that is asked for. Who asks for nothing gets the default; who asks for
/// no GPU never gets one.
pub fn pick<'t>(table: &'t Table, asked: &Compute) -> Result<&'t Instance, NoFit> {
    let (cpu, memory_mib) = match (asked.cpu, asked.memory_mib, asked.gpu) {
        (None, None, None) => (DEFAULT_CPU, DEFAULT_MEMORY_MIB),
        (cpu, memory, _) => (cpu.unwrap_or_default(), memory.unwrap_or_default()),
    };
    let mut candidates = table.candidates(asked.gpu.map(|gpu| gpu.kind));
    if let Some(gpu) = asked.gpu {
        candidates = with_gpus(table, gpu, candidates)?;
    }
    let fits = candidates.iter().find(|instance| instance.has(cpu, memory_mib));
    fits.copied()
        .ok_or_else(|| no_size(table, asked.gpu, &candidates, cpu, memory_mib))
}

/// The instance of that name; clouds do not tell capitals from small letters.
pub fn by_name<'t>(table: &'t Table, name: &str) -> Option<&'t Instance> {
    table.instances.iter().find(|i| i.name.eq_ignore_ascii_case(name))
}

/// No instance for a step.
#[derive(Debug, Clone, PartialEq)]
pub enum NoInstance<'n> {
    /// The table has none of the name that the user gave.
    Unknown(&'n str),
    /// None is large enough.
    NoFit(NoFit),
}

impl NoInstance<'_> {
    /// As messages tell it, with what there is.
    pub fn detail(&self, table: &Table) -> String {
        match self {
            Self::Unknown(name) => {
                let known = suggest::help(name, table.names(), "instances");
                format!("{} has no `{name}`; {known}", table.service)
            }
            Self::NoFit(problem) => problem.to_string(),
        }
    }
}

/// What a step runs on: the instance that the user named for the cloud, else the smallest that fits.
pub fn choose<'t, 'n>(
    table: &'t Table,
    named: Option<&'n str>,
    asked: &Compute,
) -> Result<&'t Instance, NoInstance<'n>> {
    match named {
        Some(name) => by_name(table, name).ok_or(NoInstance::Unknown(name)),
        None => pick(table, asked).map_err(NoInstance::NoFit),
    }
}

fn with_gpus<'t>(table: &Table, asked: Gpu, of_kind: Vec<&'t Instance>) -> Result<Vec<&'t Instance>, NoFit> {
    let service = table.service.clone();
    // The cheapest of those that have most: `max_by_key` gives the last.
    let Some(most) = of_kind.iter().rev().max_by_key(|instance| instance.gpus()) else {
        let known = table.gpu_kinds();
        if known.is_empty() {
            return Err(NoFit::NoGpus { service });
        }
        return Err(NoFit::GpuKind {
            service,
            asked: asked.kind,
            known,
        });
    };
    if most.gpus() < asked.count {
        return Err(NoFit::GpuCount {
            service,
            kind: asked.kind,
            most: most.gpus(),
            nearest: most.name.clone(),
        });
    }
    Ok(of_kind.into_iter().filter(|i| i.gpus() >= asked.count).collect())
}

fn no_size(table: &Table, gpu: Option<Gpu>, candidates: &[&Instance], cpu: f64, memory_mib: u64) -> NoFit {
    // How many times what it has is asked for, of whatever it lacks most.
    let lack = |i: &Instance| (cpu / i.cpu).max(memory_mib as f64 / i.memory_mib() as f64);
    let nearest = candidates.iter().min_by(|a, b| lack(a).total_cmp(&lack(b)));
    NoFit::Size {
        service: table.service.clone(),
        gpu,
        nearest: nearest.map(|i| i.name.clone()).unwrap_or_default(),
        cpu: nearest.map_or(0.0, |i| i.cpu),
        memory_mib: nearest.map_or(0, |i| i.memory_mib()),
    }
}

fn names(kinds: &[GpuKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

fn with(gpu: Option<Gpu>) -> String {
    gpu.map(|gpu| format!(" with {} {}", gpu.count, gpu.kind.name()))
        .unwrap_or_default()
}

fn gigabytes(mib: u64) -> f64 {
    mib as f64 / MIB_PER_GIB
}

#[cfg(test)]
mod tests;
