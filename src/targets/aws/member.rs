//! The pipeline and those that its steps run: each has a state machine of its own, and those of its groups and parts.

use super::DEFINITION;
use super::layout::Layout;
use crate::model::Pipeline;
use crate::plan::{self, Plan};

/// One of them.
#[derive(Debug)]
pub struct Member<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Its plan.
    pub plan: &'a Plan,
    /// What its states are in.
    pub layout: Layout,
    /// The name of the first one.
    pub root: &'a str,
    is_root: bool,
}

impl<'a> Member<'a> {
    /// All of them, the pipeline itself first, none in parts.
    pub fn family(pipeline: &'a Pipeline, plan: &'a Plan) -> Vec<Self> {
        let root = pipeline;
        let family = plan::family(pipeline, plan).into_iter().enumerate();
        family
            .map(|(i, (pipeline, plan))| Self {
                pipeline,
                plan,
                layout: Layout::whole(plan),
                root: &root.name,
                is_root: i == 0,
            })
            .collect()
    }

    /// True of the pipeline itself.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// What is before the name of its inner files, and of its steps where steps of several pipelines are named.
    fn prefix(&self) -> String {
        if self.is_root {
            String::new()
        } else {
            format!("pipeline.{}.", self.pipeline.name)
        }
    }

    /// The file of its definition. No name of a pipeline has a dot.
    pub fn file(&self) -> String {
        if self.is_root {
            DEFINITION.to_owned()
        } else {
            child_file(&self.pipeline.name)
        }
    }

    /// The file of the state machine of a group.
    pub fn group_file(&self, path: &str) -> String {
        format!("{}workflow.{path}.asl.json", self.prefix())
    }

    /// The file of the state machine of a part.
    pub fn part_file(&self, id: &str) -> String {
        format!("{}part.{id}.asl.json", self.prefix())
    }

    /// What logical ids of its steps begin with: a path.
    pub fn qualified(&self, path: &str) -> String {
        if self.is_root {
            path.to_owned()
        } else {
            format!("{}.{path}", self.pipeline.name)
        }
    }
}

/// The file of the definition of another pipeline.
pub fn child_file(name: &str) -> String {
    format!("pipeline.{name}.asl.json")
}
