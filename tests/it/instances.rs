//! `docs/instances.md` shows what is picked for requests that are typical. `UPDATE=1 cargo test` writes its tables.

use std::fmt::Write;

use mlpipe::model::{Compute, Gpu, GpuKind};
use mlpipe::targets::instances::{AWS, AZURE, GCP, Instance, Table, pick};

use crate::support::page_is_current;

/// What comes after it is written by this test.
const HEADING: &str = "## What is picked\n";

/// As in a pipeline file.
type Request = (&'static str, Option<f64>, Option<u64>, Option<(GpuKind, u32)>);

const SIZES: [Request; 8] = [
    ("nothing", None, None, None),
    ("`{ cpu: 1 }`", Some(1.0), None, None),
    ("`{ cpu: 1, memory: 2GB }`", Some(1.0), Some(2), None),
    ("`{ cpu: 4, memory: 8GB }`", Some(4.0), Some(8), None),
    ("`{ cpu: 4, memory: 16GB }`", Some(4.0), Some(16), None),
    ("`{ cpu: 16, memory: 32GB }`", Some(16.0), Some(32), None),
    ("`{ memory: 256GB }`", None, Some(256), None),
    ("`{ cpu: 96, memory: 384GB }`", Some(96.0), Some(384), None),
];

const GPUS: [Request; 9] = [
    ("`{ gpu: { type: t4, count: 1 } }`", None, None, Some((GpuKind::T4, 1))),
    ("`{ gpu: { type: t4, count: 4 } }`", None, None, Some((GpuKind::T4, 4))),
    (
        "`{ cpu: 8, gpu: { type: t4, count: 1 } }`",
        Some(8.0),
        None,
        Some((GpuKind::T4, 1)),
    ),
    (
        "`{ gpu: { type: v100, count: 1 } }`",
        None,
        None,
        Some((GpuKind::V100, 1)),
    ),
    (
        "`{ gpu: { type: a10g, count: 1 } }`",
        None,
        None,
        Some((GpuKind::A10g, 1)),
    ),
    ("`{ gpu: { type: l4, count: 1 } }`", None, None, Some((GpuKind::L4, 1))),
    (
        "`{ gpu: { type: a100, count: 1 } }`",
        None,
        None,
        Some((GpuKind::A100, 1)),
    ),
    (
        "`{ gpu: { type: a100, count: 8 } }`",
        None,
        None,
        Some((GpuKind::A100, 8)),
    ),
    (
        "`{ gpu: { type: h100, count: 1 } }`",
        None,
        None,
        Some((GpuKind::H100, 1)),
    ),
];

fn compute(request: &Request) -> Compute {
    let (_, cpu, gigabytes, gpu) = *request;
    Compute {
        cpu,
        memory_mib: gigabytes.map(|gigabytes| gigabytes * 1024),
        gpu: gpu.map(|(kind, count)| Gpu { kind, count }),
        count: 1,
    }
}

fn cell(table: &Table, instance: &Instance) -> String {
    let cpus = if instance.cpu > 1.0 { "CPUs" } else { "CPU" };
    let mut text = format!("`{}`: {} {cpus}, {} GB", instance.name, instance.cpu, instance.memory);
    if let Some(gpu) = instance.gpu {
        write!(text, ", {} {}", gpu.count, gpu.kind.name()).expect("a text");
    }
    if let Some(price) = table.price(instance) {
        write!(text, ", ${price:.3}").expect("a text");
    }
    text
}

fn write_picks(page: &mut String, kind: &str, requests: &[Request], tables: [&Table; 3]) {
    let [aws, gcp, azure] = tables.map(|table| table.service.as_str());
    write!(
        page,
        "\n### {kind}\n\n| asked | {aws} | {gcp} | {azure} |\n|---|---|---|---|\n"
    )
    .expect("a text");
    for request in requests {
        let cells = tables.map(|table| match pick(table, &compute(request)) {
            Ok(instance) => cell(table, instance),
            Err(problem) => format!("none: {problem}"),
        });
        writeln!(page, "| {} | {} |", request.0, cells.join(" | ")).expect("a text");
    }
}

fn write_source(page: &mut String, table: &Table) {
    let order = match &table.prices {
        Some(prices) => format!(
            "by price in {}, read on {} from [this page]({})",
            prices.region, prices.date, prices.source
        ),
        None => "by size".to_owned(),
    };
    let (service, number, date) = (&table.service, table.instances.len(), &table.date);
    writeln!(page, "| {service} | {number} | {date} | {order} |").expect("a text");
}

fn picks() -> String {
    let training = [&AWS.sagemaker_training, &GCP.vertex_training, &AZURE.ml_training];
    let endpoints = [
        &AWS.sagemaker_hosting,
        &GCP.vertex_prediction,
        &AZURE.ml_online_endpoints,
    ];
    let batch = [&AWS.sagemaker_processing, &GCP.vertex_prediction, &AZURE.ml_training];
    let jobs = [&AWS.batch_fargate, &GCP.cloud_run_jobs, &AZURE.container_apps_jobs];
    let all = [SIZES.as_slice(), GPUS.as_slice()].concat();

    let mut page = HEADING.to_owned();
    page.push_str("\nPrices are in USD an hour, of one instance.\n");
    write_picks(&mut page, "`train`", &all, training);
    write_picks(&mut page, "`endpoint`", &all, endpoints);
    write_picks(&mut page, "`batch_predict`", &all, batch);
    write_picks(&mut page, "`job`", &[&SIZES[..], &[GPUS[0], GPUS[5]]].concat(), jobs);
    page.push_str("\n## The tables\n\n| service | instances | read on | order |\n|---|---|---|---|\n");
    let mut seen: Vec<&str> = Vec::new();
    for table in [training, endpoints, batch, jobs].concat() {
        if !seen.contains(&table.service.as_str()) {
            seen.push(&table.service);
            write_source(&mut page, table);
        }
    }
    page
}

#[test]
fn the_page_on_instances_is_current() {
    page_is_current("instances.md", HEADING, &picks(), "instances");
}
