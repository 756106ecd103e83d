//! A pipeline and those that it runs, with the names of what is made of each.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::names::{self, Environment, SERVICE, Taken, resource};
use super::{jobs, serving, training};
use crate::model::{FunctionUse, Pipeline, identifier};
use crate::plan::{self, Plan};

/// All of them, the root first.
#[derive(Clone, Debug)]
pub struct Family<'a> {
    /// The pipeline that is compiled.
    pub root: &'a Pipeline,
    /// It, and the others, each once.
    pub members: Vec<Member<'a>>,
}

/// One pipeline.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// What it does.
    pub pipeline: &'a Pipeline,
    /// In which order.
    pub plan: &'a Plan,
    /// The key of its workflow among the resources.
    pub key: String,
    /// Its workflow's name in Google Cloud.
    pub workflow: String,
    /// Its folder among the artifacts: empty, or with `/` at its end.
    pub folder: String,
    /// Its functions, by step.
    pub services: IndexMap<String, Service>,
    /// Its containers, by step.
    pub jobs: IndexMap<String, Service>,
    /// The variables of its workflow.
    pub environment: Environment,
}

/// The names of a function or a container's job.
#[derive(Clone, Debug)]
pub struct Service {
    /// The key among the resources.
    pub key: String,
    /// The name in Google Cloud.
    pub name: String,
}

impl<'a> Family<'a> {
    /// Of a pipeline with its plan.
    pub fn new(root: &'a Pipeline, plan: &'a Plan) -> Self {
        let mut keys = Taken::default();
        let mut services = BTreeSet::new();
        let mut job_keys = Taken::default();
        let mut job_names = BTreeSet::new();
        let mut workflows = BTreeSet::new();
        let members = plan::family(root, plan)
            .into_iter()
            .enumerate()
            .map(|(index, (pipeline, plan))| {
                let parts: Vec<&str> = match index {
                    0 => vec![&root.name],
                    _ => vec![&root.name, &pipeline.name],
                };
                let name = identifier(&pipeline.name);
                let (key, folder, prefix) = match index {
                    0 => ("pipeline".to_owned(), String::new(), String::new()),
                    _ => (
                        format!("child_{name}"),
                        format!("children/{}/", pipeline.name),
                        format!("{name}_"),
                    ),
                };
                let services = pipeline
                    .functions()
                    .iter()
                    .map(|function| {
                        let parts: Vec<&str> = parts.iter().copied().chain([function.step]).collect();
                        let service = Service {
                            key: keys.name(&format!("{prefix}{}", identifier(function.step))),
                            name: distinct(&parts, &mut services),
                        };
                        (function.step.to_owned(), service)
                    })
                    .collect();
                let jobs = jobs::jobs(pipeline)
                    .map(|(step, _)| {
                        let parts: Vec<&str> = parts.iter().copied().chain([step.path.as_str()]).collect();
                        let service = Service {
                            key: job_keys.name(&format!("{prefix}{}", identifier(&step.path))),
                            name: distinct(&parts, &mut job_names),
                        };
                        (step.path.clone(), service)
                    })
                    .collect();
                Member {
                    jobs,
                    pipeline,
                    plan,
                    key,
                    workflow: distinct(&parts, &mut workflows),
                    folder,
                    environment: names::environment(pipeline, &services),
                    services,
                }
            })
            .collect();
        Self { root, members }
    }

    /// True where any of them runs functions.
    pub fn has_functions(&self) -> bool {
        self.members.iter().any(|member| !member.services.is_empty())
    }

    /// True where any of them runs containers.
    pub fn has_jobs(&self) -> bool {
        self.members.iter().any(|member| !member.jobs.is_empty())
    }

    /// True where any of them trains.
    pub fn has_trainings(&self) -> bool {
        let mut members = self.members.iter();
        members.any(|member| training::trainings(member.pipeline).next().is_some())
    }

    /// True where any of them serves models.
    pub fn has_endpoints(&self) -> bool {
        let mut members = self.members.iter();
        members.any(|member| serving::endpoints(member.pipeline).next().is_some())
    }

    /// True where any of them predicts for files.
    pub fn has_predictions(&self) -> bool {
        let mut members = self.members.iter();
        members.any(|member| training::predictions(member.pipeline).next().is_some())
    }

    /// True where any of them runs custom jobs of Vertex AI.
    pub fn has_custom_jobs(&self) -> bool {
        self.has_trainings() || self.has_predictions()
    }

    /// The workflow's name of one of them.
    pub fn workflow(&self, pipeline: &Pipeline) -> &str {
        let member = self.members.iter().find(|member| member.pipeline.name == pipeline.name);
        member.map_or("", |member| &member.workflow)
    }
}

impl Member<'_> {
    /// A function's names.
    pub fn service(&self, function: &FunctionUse<'_>) -> Service {
        self.services.get(function.step).cloned().unwrap_or_else(|| Service {
            key: identifier(function.step),
            name: identifier(function.step),
        })
    }
}

/// The name of a resource that no other has.
pub fn distinct(parts: &[&str], taken: &mut BTreeSet<String>) -> String {
    let wanted = resource(parts, SERVICE);
    let mut name = wanted.clone();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        let end = format!("-{number}");
        let head: String = wanted.chars().take(SERVICE - end.len()).collect();
        name = format!("{}{end}", head.trim_end_matches('-'));
    }
    name
}

/// The name of a topic of the root's.
pub fn topic(root: &Pipeline, id: &str) -> String {
    let name = resource(&[&root.name, id], SERVICE);
    // Pub/Sub keeps names that start so for itself.
    if name.starts_with("goog") {
        format!("topic-{name}")
    } else {
        name
    }
}
