//! What an expression sees: layers, the innermost first. A block adds its steps, a modifier its names, a `catch` its error.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::expr::Env;
use crate::expr::Local;
use crate::expr::ast::{ErrorField, RunField, TriggerField};
use crate::model::{Block, Pipeline};

use super::{Failure, Options};

/// What is one and the same in the whole run of a pipeline.
pub struct World<'a> {
    /// The pipeline's name.
    pub name: &'a str,
    /// The execution.
    pub execution: &'a Execution,
    /// The bound params.
    pub params: Value,
    topics: Vec<&'a str>,
    bucket_uris: IndexMap<&'a str, String>,
    bucket_names: IndexMap<&'a str, String>,
}

/// One execution of a pipeline.
pub struct Execution {
    /// Its id.
    pub id: String,
    /// When it started: RFC 3339, UTC.
    pub started_at: String,
    /// The path of the step that runs it, with a dot at its end; empty of the root.
    pub prefix: String,
    /// The same for people, with the positions of items.
    pub label: String,
}

impl<'a> World<'a> {
    /// Without params.
    pub fn new(pipeline: &'a Pipeline, options: &'a Options, execution: &'a Execution) -> Self {
        let folders = || {
            pipeline
                .buckets
                .iter()
                .filter_map(|b| Some((b.id.as_str(), options.buckets.get(&b.id)?)))
        };
        Self {
            name: &pipeline.name,
            execution,
            topics: pipeline.topics.iter().map(|topic| topic.id.as_str()).collect(),
            params: Value::Null,
            bucket_uris: folders()
                .map(|(id, folder)| (id, format!("file://{}", folder.display())))
                .collect(),
            bucket_names: folders().map(|(id, _)| (id, id.to_owned())).collect(),
        }
    }
}

/// How a step ended that did not fail.
pub enum Ended {
    /// It did not run.
    Skipped,
    /// It ran, or what it failed with was caught.
    Succeeded {
        /// Its output.
        output: Value,
        /// What was caught: `{name, message}`; else null.
        error: Value,
    },
}

/// The steps of one entry of a block, by path; each is set once, when it ended.
pub type Cells<'a> = BTreeMap<&'a str, OnceCell<Ended>>;

/// A cell for each step of a block.
pub fn cells<'a>(pipeline: &'a Pipeline, block: &Block) -> Cells<'a> {
    let paths = block.steps.iter().map(|ix| pipeline.step(*ix).path.as_str());
    paths.map(|path| (path, OnceCell::new())).collect()
}

/// What one layer adds.
pub enum Layer<'s> {
    /// Nothing: the outermost.
    World,
    /// The steps of a block.
    Block(&'s Cells<'s>),
    /// A name of a modifier, by the step's path.
    Local(&'s str, Local, Value),
    /// What a `catch` or the failure handler sees.
    Error(&'s Failure),
}

/// A layer and those round it.
pub struct Scope<'s> {
    world: &'s World<'s>,
    outer: Option<&'s Scope<'s>>,
    layer: Layer<'s>,
}

impl<'s> Scope<'s> {
    /// The outermost.
    pub fn of(world: &'s World<'s>) -> Self {
        Self {
            world,
            outer: None,
            layer: Layer::World,
        }
    }

    /// One more layer.
    pub fn with(&'s self, layer: Layer<'s>) -> Scope<'s> {
        Scope {
            world: self.world,
            outer: Some(self),
            layer,
        }
    }

    fn layers(&self) -> impl Iterator<Item = &Layer<'s>> {
        std::iter::successors(Some(self), |scope| scope.outer).map(|scope| &scope.layer)
    }

    fn ended(&self, path: &str) -> Option<&Ended> {
        self.layers().find_map(|layer| match layer {
            Layer::Block(cells) => cells.get(path)?.get(),
            _ => None,
        })
    }

    /// A step's path with the positions of the items that it is run for: `features[3]`, `shard[0].load`.
    pub fn label(&self, path: &str) -> String {
        let mut label = path.to_owned();
        // The inner ones first: what is put in does not move the outer ones' places.
        for layer in self.layers() {
            if let Layer::Local(step, Local::Index, index) = layer
                && label.starts_with(step)
            {
                label.insert_str(step.len(), &format!("[{index}]"));
            }
        }
        label.insert_str(0, &self.world.execution.label);
        label
    }
}

impl Env for Scope<'_> {
    fn params(&self) -> &Value {
        &self.world.params
    }

    fn output(&self, step: &str) -> Option<&Value> {
        match self.ended(step)? {
            Ended::Succeeded { output, .. } => Some(output),
            Ended::Skipped => None,
        }
    }

    fn status(&self, step: &str) -> Option<&str> {
        Some(match self.ended(step)? {
            Ended::Succeeded { .. } => "succeeded",
            Ended::Skipped => "skipped",
        })
    }

    fn error_of(&self, step: &str) -> Option<&Value> {
        match self.ended(step)? {
            Ended::Succeeded { error, .. } => Some(error),
            Ended::Skipped => None,
        }
    }

    fn local(&self, step: &str, what: Local) -> Option<&Value> {
        self.layers().find_map(|layer| match layer {
            Layer::Local(of, which, value) if *of == step && *which == what => Some(value),
            _ => None,
        })
    }

    fn bucket_uri(&self, id: &str) -> Option<&str> {
        self.world.bucket_uris.get(id).map(String::as_str)
    }

    fn bucket_name(&self, id: &str) -> Option<&str> {
        self.world.bucket_names.get(id).map(String::as_str)
    }

    fn topic_name(&self, id: &str) -> Option<&str> {
        self.world.topics.iter().copied().find(|topic| *topic == id)
    }

    fn run(&self, field: RunField) -> &str {
        match field {
            RunField::Id => &self.world.execution.id,
            RunField::Name => self.world.name,
            RunField::StartedAt => &self.world.execution.started_at,
        }
    }

    fn error(&self, field: ErrorField) -> Option<&str> {
        let failure = self.layers().find_map(|layer| match layer {
            Layer::Error(failure) => Some(failure),
            _ => None,
        })?;
        Some(match field {
            ErrorField::Name => &failure.name,
            ErrorField::Message => &failure.message,
            ErrorField::Step => &failure.step,
        })
    }

    fn trigger(&self, _: TriggerField) -> Option<&str> {
        None
    }
}

/// What `steps.X.error` tells of a caught failure.
pub fn told(failure: &Failure) -> Value {
    json!({ "name": failure.name, "message": failure.message })
}
