//! What a pipeline's steps run on, and why: what `mlpipe compile --verbose` tells.

use std::fmt;

use super::{AWS, AZURE, GCP, Instance, Table, choose};
use crate::model::{Compute, Kind, Machines, PerCloud, Pipeline, Step};
use crate::targets::Target;

/// The machines of one step, or of one variant of an endpoint.
#[derive(Debug)]
pub struct Chosen {
    /// The step's path, with the pipeline's name where another one runs it, and the variant's.
    pub what: String,
    /// The cloud.
    pub target: Target,
    /// The service, as its table names it.
    pub service: &'static str,
    /// What was picked.
    pub instance: &'static Instance,
    /// How many.
    pub count: u32,
    /// USD an hour of one, where the table has prices.
    pub price: Option<f64>,
    /// What was asked for; None: the user named the instance.
    pub asked: Option<Compute>,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, instance, .. } = self;
        write!(
            f,
            "{}: {what} runs on {} `{}`",
            self.target.name(),
            self.count,
            instance.name
        )?;
        let cpus = if instance.cpu > 1.0 { "CPUs" } else { "CPU" };
        write!(f, " ({} {cpus}, {} GB", instance.cpu, instance.memory)?;
        if let Some(gpu) = instance.gpu {
            write!(f, ", {} {}", gpu.count, gpu.kind.name())?;
        }
        if let Some(price) = self.price {
            write!(f, ", ${price:.3} an hour each")?;
        }
        match &self.asked {
            None => write!(f, "): the file names it"),
            Some(asked) => write!(f, "): the smallest of {} for {}", self.service, wish(asked)),
        }
    }
}

fn wish(asked: &Compute) -> String {
    let mut parts = Vec::new();
    parts.extend(asked.cpu.map(|cpu| format!("cpu: {cpu}")));
    parts.extend(
        asked
            .memory_mib
            .map(|mib| format!("memory: {}GB", super::gigabytes(mib))),
    );
    parts.extend(
        asked
            .gpu
            .map(|gpu| format!("gpu: {{ type: {}, count: {} }}", gpu.kind.name(), gpu.count)),
    );
    if parts.is_empty() {
        return "a step that asks for nothing".to_owned();
    }
    format!("`{{ {} }}`", parts.join(", "))
}

/// What each managed step of a family runs on, in the order of the file. Steps that the target refuses are left out.
pub fn chosen(pipeline: &Pipeline, target: Target) -> Vec<Chosen> {
    let mut found = Vec::new();
    for (at, member) in pipeline.family().into_iter().enumerate() {
        for step in &member.steps {
            let prefix = if at == 0 {
                String::new()
            } else {
                format!("{}.", member.name)
            };
            for (suffix, table, machines) in machines(step, target) {
                let what = format!("{prefix}{}{suffix}", step.path);
                found.extend(one(what, target, table, machines));
            }
        }
    }
    found
}

fn one(what: String, target: Target, table: &'static Table, machines: &Machines) -> Option<Chosen> {
    let named = name(&machines.named, target);
    let instance = choose(table, named, &machines.compute).ok()?;
    Some(Chosen {
        what,
        target,
        service: &table.service,
        instance,
        count: machines.compute.count,
        price: table.price(instance),
        asked: named.is_none().then(|| machines.compute.clone()),
    })
}

fn name(named: &PerCloud, target: Target) -> Option<&str> {
    let name = match target {
        Target::Aws => &named.aws,
        Target::Gcp => &named.gcp,
        Target::Azure => &named.azure,
    };
    name.as_deref()
}

fn machines(step: &Step, target: Target) -> Vec<(String, &'static Table, &Machines)> {
    let of_target = |aws, gcp, azure| match target {
        Target::Aws => aws,
        Target::Gcp => gcp,
        Target::Azure => azure,
    };
    match &step.kind {
        Kind::Job(job) => {
            let table = of_target(&AWS.batch_fargate, &GCP.cloud_run_jobs, &AZURE.container_apps_jobs);
            vec![(String::new(), table, &job.machines)]
        }
        Kind::Train(train) => {
            let table = of_target(&AWS.sagemaker_training, &GCP.vertex_training, &AZURE.ml_training);
            vec![(String::new(), table, &train.machines)]
        }
        Kind::BatchPredict(batch) => {
            let table = of_target(&AWS.sagemaker_processing, &GCP.vertex_training, &AZURE.ml_training);
            vec![(String::new(), table, &batch.machines)]
        }
        Kind::Endpoint(endpoint) => {
            let table = of_target(
                &AWS.sagemaker_hosting,
                &GCP.vertex_prediction,
                &AZURE.ml_online_endpoints,
            );
            let variants = endpoint.variants.iter();
            variants
                .map(|variant| (format!(".{}", variant.name), table, &variant.machines))
                .collect()
        }
        Kind::Function(_)
        | Kind::Wait(_)
        | Kind::Fail { .. }
        | Kind::Monitor(_)
        | Kind::Notify(_)
        | Kind::Approval(_)
        | Kind::Pipeline(_)
        | Kind::Group(_) => Vec::new(),
    }
}
