use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn tables() -> [&'static Table; 10] {
    [
        &AWS.sagemaker_training,
        &AWS.sagemaker_hosting,
        &AWS.sagemaker_processing,
        &AWS.batch_fargate,
        &GCP.vertex_training,
        &GCP.vertex_prediction,
        &GCP.cloud_run_jobs,
        &AZURE.ml_training,
        &AZURE.ml_online_endpoints,
        &AZURE.container_apps_jobs,
    ]
}

fn size(cpu: f64, gigabytes: u64) -> Compute {
    Compute {
        cpu: Some(cpu),
        memory_mib: Some(gigabytes * 1024),
        ..Compute::default()
    }
}

fn gpus(kind: GpuKind, count: u32) -> Compute {
    Compute {
        gpu: Some(Gpu { kind, count }),
        ..Compute::default()
    }
}

fn picked(table: &'static Table, asked: &Compute) -> &'static str {
    match pick(table, asked) {
        Ok(instance) => &instance.name,
        Err(problem) => panic!("{problem}"),
    }
}

fn refused(table: &Table, asked: &Compute) -> String {
    match pick(table, asked) {
        Ok(instance) => panic!("{} was picked", instance.name),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn the_files_are_read_whole() {
    let aws: Result<Aws, _> = serde_yaml::from_str(include_str!("../../../targets/aws/instances.yaml"));
    assert!(aws.is_ok(), "{aws:?}");
    let gcp: Result<Gcp, _> = serde_yaml::from_str(include_str!("../../../targets/gcp/instances.yaml"));
    assert!(gcp.is_ok(), "{gcp:?}");
    let azure: Result<Azure, _> = serde_yaml::from_str(include_str!("../../../targets/azure/instances.yaml"));
    assert!(azure.is_ok(), "{azure:?}");
}

#[test]
fn every_table_has_a_day_and_sources() {
    let is_day = |text: &str| {
        regex::Regex::new("^20[0-9]{2}-[01][0-9]-[0-3][0-9]$")
            .unwrap()
            .is_match(text)
    };
    for table in tables() {
        assert!(!table.service.is_empty());
        assert!(is_day(&table.date), "{}: {}", table.service, table.date);
        assert!(!table.sources.is_empty(), "{}", table.service);
        for source in &table.sources {
            assert!(source.starts_with("https://"), "{}: {source}", table.service);
        }
        if let Some(prices) = &table.prices {
            assert!(is_day(&prices.date) && prices.source.starts_with("https://") && !prices.region.is_empty());
        }
    }
}

#[test]
fn every_instance_is_complete_and_there_once() {
    for table in tables() {
        let service = &table.service;
        let names: BTreeSet<String> = table.names().map(str::to_ascii_lowercase).collect();
        assert_eq!(names.len(), table.instances.len(), "{service}: a name is there twice");
        assert!(names.len() > 10, "{service}");
        for instance in &table.instances {
            let name = &instance.name;
            assert!(instance.cpu >= 0.25 && instance.cpu <= 256.0, "{service}: {name}");
            assert!(instance.memory >= 0.5 && instance.memory <= 4096.0, "{service}: {name}");
            assert_eq!(
                instance.memory_mib() as f64,
                instance.memory * 1024.0,
                "{name}: whole MiB"
            );
            assert!(
                instance.gpu.is_none_or(|gpu| (1..=16).contains(&gpu.count)),
                "{service}: {name}"
            );
            // A price without its place and day is none; and one missing among the others would change their order.
            assert_eq!(
                table.price(instance).is_some(),
                table.prices.is_some(),
                "{service}: {name}"
            );
            assert!(
                table.price(instance).is_none_or(|price| price > 0.0),
                "{service}: {name}"
            );
        }
    }
}

#[test]
fn google_is_told_of_every_gpu() {
    for table in [&GCP.vertex_training, &GCP.vertex_prediction, &GCP.cloud_run_jobs] {
        for instance in &table.instances {
            assert_eq!(
                instance.accelerator.is_some(),
                instance.gpu.is_some(),
                "{}",
                instance.name
            );
        }
    }
    let attached = by_name(&GCP.vertex_training, "n1-standard-8+2xt4").expect("two T4");
    assert_eq!(attached.machine(), "n1-standard-8");
    assert_eq!(attached.accelerator.as_deref(), Some("NVIDIA_TESLA_T4"));
    assert_eq!(
        attached.gpu,
        Some(Gpu {
            kind: GpuKind::T4,
            count: 2
        })
    );
    let built_in = by_name(&GCP.vertex_training, "g2-standard-4").expect("an L4");
    assert_eq!(built_in.machine(), "g2-standard-4");
}

#[test]
fn who_asks_for_nothing_gets_two_cpus_and_8_gb() {
    for table in tables() {
        let nothing = pick(table, &Compute::default());
        assert_eq!(nothing, pick(table, &size(2.0, 8)), "{}", table.service);
    }
    assert_eq!(picked(&AWS.sagemaker_training, &Compute::default()), "ml.m5.large");
    assert_eq!(picked(&AWS.batch_fargate, &Compute::default()), "2cpu-8gb");
    assert_eq!(picked(&GCP.vertex_prediction, &Compute::default()), "e2-standard-2");
    assert_eq!(picked(&AZURE.ml_training, &Compute::default()), "Standard_D2s_v3");
    // 2 GB a CPU.
    assert_eq!(picked(&AZURE.container_apps_jobs, &Compute::default()), "4cpu-8gb");
}

#[test]
fn the_number_of_instances_does_not_change_the_choice() {
    let many = Compute {
        count: 8,
        ..Compute::default()
    };
    assert_eq!(picked(&AWS.sagemaker_training, &many), "ml.m5.large");
}

#[test]
fn the_cheapest_is_picked_where_prices_are_known() {
    // Standard_DS3_v2 has 14 GB, but costs more than one with 16.
    assert_eq!(picked(&AZURE.ml_training, &size(4.0, 14)), "Standard_D4s_v3");
    assert_eq!(picked(&AZURE.ml_training, &size(4.0, 8)), "Standard_F4s_v2");
    // On Fargate 8 GB cost less than a second CPU.
    let memory = Compute {
        memory_mib: Some(8 * 1024),
        ..Compute::default()
    };
    assert_eq!(picked(&AWS.batch_fargate, &memory), "1cpu-8gb");
    let price = by_name(&AWS.batch_fargate, "2cpu-8gb").and_then(|instance| AWS.batch_fargate.price(instance));
    assert!(price.is_some_and(|price| (price - (2.0 * 0.04048 + 8.0 * 0.004445)).abs() < 1e-9));
}

#[test]
fn the_smallest_is_picked_where_they_are_not() {
    assert_eq!(picked(&AWS.sagemaker_training, &size(4.0, 8)), "ml.c5.xlarge");
    assert_eq!(picked(&AWS.sagemaker_training, &size(4.0, 16)), "ml.m5.xlarge");
    assert_eq!(picked(&AWS.sagemaker_training, &size(2.0, 12)), "ml.r5.large");
    assert_eq!(picked(&GCP.vertex_training, &size(4.0, 16)), "e2-standard-4");
}

#[test]
fn a_missing_price_puts_all_of_its_kind_in_the_order_of_size() {
    let table = |price: &str| -> Table {
        serde_yaml::from_str(&format!(
            "{{ service: s, date: d, sources: [], prices: {{ region: r, date: d, source: s }}, instances: [
                {{ name: small, cpu: 1, memory: 1, price: 3 }}, {{ name: large, cpu: 2, memory: 2, price: 2 }},
                {{ name: larger, cpu: 4, memory: 4{price} }}, {{ name: other, cpu: 1, memory: 1, gpu: {{ type: t4, count: 1 }} }} ] }}"
        ))
        .expect("a table")
    };
    let one = size(1.0, 1);
    assert_eq!(
        pick(&table(", price: 1"), &one).map(|i| i.name.clone()),
        Ok("larger".to_owned())
    );
    assert_eq!(pick(&table(""), &one).map(|i| i.name.clone()), Ok("small".to_owned()));
}

#[test]
fn each_gpu_is_that_gpu() {
    for table in tables() {
        for kind in table.gpu_kinds() {
            let instance = pick(table, &gpus(kind, 1)).expect("one of it");
            assert_eq!(instance.gpu.map(|gpu| gpu.kind), Some(kind), "{}", table.service);
        }
    }
    use GpuKind::{A10g, A100, H100, L4, T4, V100};
    assert_eq!(AWS.sagemaker_training.gpu_kinds(), GpuKind::ALL);
    assert_eq!(GCP.vertex_training.gpu_kinds(), [T4, V100, L4, A100, H100]);
    assert_eq!(GCP.cloud_run_jobs.gpu_kinds(), [L4]);
    assert_eq!(AZURE.ml_training.gpu_kinds(), [T4, A100, H100]);
    assert_eq!(picked(&AWS.sagemaker_training, &gpus(T4, 1)), "ml.g4dn.xlarge");
    assert_eq!(picked(&AWS.sagemaker_training, &gpus(T4, 2)), "ml.g4dn.12xlarge");
    assert_eq!(picked(&AWS.sagemaker_training, &gpus(V100, 1)), "ml.p3.2xlarge");
    assert_eq!(picked(&AWS.sagemaker_training, &gpus(A10g, 1)), "ml.g5.xlarge");
    assert_eq!(picked(&AWS.sagemaker_training, &gpus(A100, 1)), "ml.p4d.24xlarge");
    assert_eq!(picked(&GCP.vertex_training, &gpus(T4, 1)), "n1-standard-4+1xt4");
    assert_eq!(picked(&GCP.vertex_training, &gpus(A100, 3)), "a2-highgpu-4g");
    assert_eq!(picked(&GCP.cloud_run_jobs, &gpus(L4, 1)), "4cpu-16gb+1xl4");
    assert_eq!(picked(&AZURE.ml_training, &gpus(H100, 1)), "Standard_NC40ads_H100_v5");
}

#[test]
fn a_refusal_tells_the_nearest() {
    let too_many_cpus = size(512.0, 1);
    assert_eq!(
        refused(&AWS.sagemaker_training, &too_many_cpus),
        "SageMaker training has no such instance: the nearest, `ml.m7i.48xlarge`, has 192 CPUs and 768 GB"
    );
    let too_much_memory = size(1.0, 2000);
    assert_eq!(
        refused(&AWS.sagemaker_training, &too_much_memory),
        "SageMaker training has no such instance: the nearest, `ml.r7i.48xlarge`, has 192 CPUs and 1536 GB"
    );
    let large_for_its_gpus = Compute {
        cpu: Some(64.0),
        ..gpus(GpuKind::T4, 1)
    };
    assert_eq!(
        refused(&GCP.vertex_training, &large_for_its_gpus),
        "Vertex AI training has no such instance with 1 t4: the nearest, `n1-standard-32+4xt4`, has 32 CPUs and 120 GB"
    );
    assert_eq!(
        refused(&GCP.vertex_training, &gpus(GpuKind::A10g, 1)),
        "Vertex AI training has t4, v100, l4, a100, h100, not a10g"
    );
    assert_eq!(
        refused(&AZURE.ml_training, &gpus(GpuKind::T4, 8)),
        "Azure ML training has at most 4 t4 in an instance (`Standard_NC64as_T4_v3`)"
    );
    assert_eq!(
        refused(&AWS.batch_fargate, &gpus(GpuKind::T4, 1)),
        "AWS Batch on Fargate has no GPUs"
    );
}

#[test]
fn names_are_found_in_small_and_capital_letters() {
    let found = by_name(&AZURE.ml_online_endpoints, "STANDARD_DS3_V2").expect("as Azure's list writes it");
    assert_eq!(found.name, "Standard_DS3_v2");
    assert!(by_name(&AWS.sagemaker_hosting, "ml.m5.large").is_some());
    assert!(by_name(&AWS.sagemaker_hosting, "ml.m5.huge").is_none());
    // Can be named, but is not picked, though it is the smallest that fits.
    assert!(by_name(&GCP.vertex_prediction, "n1-standard-2").is_some());
    assert_eq!(picked(&GCP.vertex_prediction, &size(2.0, 7)), "e2-standard-2");
}

fn asks() -> impl Strategy<Value = Compute> {
    let cpu = proptest::option::of((1_u32..=800).prop_map(|quarters| f64::from(quarters) / 4.0));
    let memory = proptest::option::of(prop_oneof![1_u64..=16 * 1024, 1_u64..=2048 * 1024]);
    let gpu = proptest::option::of((0..GpuKind::ALL.len(), 1_u32..=8).prop_map(|(kind, count)| Gpu {
        kind: GpuKind::ALL[kind],
        count,
    }));
    (cpu, memory, gpu).prop_map(|(cpu, memory_mib, gpu)| Compute {
        cpu,
        memory_mib,
        gpu,
        count: 1,
    })
}

fn more(asked: &Compute, cpu: u32, memory: u64, gpus: u32) -> Compute {
    Compute {
        cpu: asked
            .cpu
            .map(|found| found + f64::from(cpu))
            .or((cpu > 0).then_some(f64::from(cpu))),
        memory_mib: asked
            .memory_mib
            .map(|found| found + memory)
            .or((memory > 0).then_some(memory)),
        gpu: asked.gpu.map(|gpu| Gpu {
            count: gpu.count + gpus,
            ..gpu
        }),
        count: asked.count,
    }
}

/// Has as much of everything.
fn covers(left: &Instance, right: &Instance) -> bool {
    left.cpu >= right.cpu && left.memory >= right.memory && left.gpus() >= right.gpus()
}

proptest! {
    #[test]
    fn what_is_picked_has_what_was_asked_and_nothing_cheaper_has(table in 0..tables().len(), asked in asks()) {
        let table = tables()[table];
        prop_assume!(asked.cpu.is_some() || asked.memory_mib.is_some() || asked.gpu.is_some());
        let enough = |i: &Instance| {
            i.cpu >= asked.cpu.unwrap_or(0.0)
                && i.memory_mib() >= asked.memory_mib.unwrap_or(0)
                && i.gpu.map(|gpu| gpu.kind) == asked.gpu.map(|gpu| gpu.kind)
                && i.gpus() >= asked.gpu.map_or(0, |gpu| gpu.count)
        };
        let fitting: Vec<&Instance> = table.instances.iter().filter(|i| !i.only_named && enough(i)).collect();
        match pick(table, &asked) {
            Ok(found) => {
                prop_assert!(enough(found) && !found.only_named, "{}", found.name);
                for other in fitting {
                    match (table.price(found), table.price(other)) {
                        (Some(found), Some(least)) => prop_assert!(found <= least, "{}", other.name),
                        _ => prop_assert!(!covers(found, other) || covers(other, found), "{}", other.name),
                    }
                }
            }
            Err(problem) => prop_assert!(fitting.is_empty(), "{problem}"),
        }
    }

    #[test]
    fn who_asks_for_more_gets_nothing_cheaper_or_smaller(
        table in 0..tables().len(), asked in asks(), cpu in 0_u32..64, memory in 0_u64..256 * 1024, gpus in 0_u32..4,
    ) {
        let table = tables()[table];
        prop_assume!(asked.cpu.is_some() || asked.memory_mib.is_some() || asked.gpu.is_some());
        if let Ok(larger) = pick(table, &more(&asked, cpu, memory, gpus)) {
            let smaller = pick(table, &asked);
            prop_assert!(smaller.is_ok(), "{smaller:?}");
            if let Ok(smaller) = smaller && smaller != larger {
                prop_assert!(table.price(smaller) <= table.price(larger), "{} {}", smaller.name, larger.name);
                prop_assert!(!covers(smaller, larger), "{} {}", smaller.name, larger.name);
            }
        }
    }
}
