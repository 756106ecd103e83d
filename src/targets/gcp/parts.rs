//! Parts: steps that run as a workflow of their own, because one workflow cannot hold them.
//!
//! A part is a run of nodes of the plan. It gets the variables that it reads, and gives back those that are read after it, or the error
//! with which it failed as a value, so that nothing of it is lost. It does not see what happens beside it meanwhile.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::family::distinct;
use super::limits::QUOTAS;
use super::names::{Taken, fnv, short};
use super::scopes::{self, Counts};
use super::steps::{Action, Body, Call, Case, Items, Node, NodeKind, Routine, Step, Then, expression, to_yaml};
use super::workflow::ASSIGNMENTS;
use crate::expr::workflows::field_path;
use crate::model::{Pipeline, identifier};
use crate::plan::{Node as PlanNode, Plan};

/// How often a part is looked at at most: more than a year has room for.
const LOOKS: u64 = 100_000;
/// Branches side by side in one workflow, where it is split.
const WIDE: usize = 40;
/// Bytes of steps that are not worth a workflow of their own.
const FEW: usize = 800;
/// The variable with the functions' URLs, which each workflow reads from its own environment.
pub const URLS: &str = "function_urls";

/// A workflow beside the pipeline's own.
#[derive(Clone, Debug)]
pub struct Part {
    /// After its first step; distinct.
    pub id: String,
    /// The workflow's name in Google Cloud.
    pub name: String,
    /// What it does.
    pub main: Routine,
}

/// Moves steps into parts.
pub struct Splitter<'a> {
    pipeline: &'a str,
    /// Names of workflows.
    workflows: BTreeSet<String>,
    /// Names of variables.
    variables: &'a mut Taken,
    /// Names of steps.
    steps: &'a mut Taken,
    /// Assigns [`URLS`].
    urls: Vec<(String, Value)>,
    /// How often the variables of the workflow at hand are read.
    reads: Counts,
    ids: Taken,
    parts: Vec<Part>,
    /// The names of a part's own steps, which no other step has.
    own: [String; 4],
}

/// What a workflow's text is, whatever else stands in it.
type Text<'t> = &'t dyn Fn(&Routine) -> Result<String, serde_saphyr::ser::Error>;

impl<'a> Splitter<'a> {
    /// For a pipeline whose workflow has that name.
    pub fn new(
        pipeline: &'a str,
        workflows: BTreeSet<String>,
        variables: &'a mut Taken,
        steps: &'a mut Taken,
        urls: Vec<(String, Value)>,
    ) -> Self {
        let own = ["init_part", "part", "part_failed", "part_outputs"].map(|name| steps.name(name));
        Self {
            pipeline,
            workflows,
            variables,
            steps,
            urls,
            reads: Counts::new(),
            ids: Taken::default(),
            parts: Vec::new(),
            own,
        }
    }

    /// Moves into parts what must not stand in one workflow with the rest: parallel steps that nest too deep, slices of lists.
    pub fn nest(mut self, main: &mut Routine) -> Vec<Part> {
        self.nested(main);
        self.each_part(|splitter, main| {
            splitter.nested(main);
            Ok::<(), ()>(())
        })
        .unwrap_or_default();
        self.parts
    }

    /// Likewise what makes a workflow larger than `limit`.
    pub fn fit(
        mut self,
        main: &mut Routine,
        limit: usize,
        text: Text<'_>,
    ) -> Result<Vec<Part>, serde_saphyr::ser::Error> {
        self.nested(main);
        self.fitted(main, limit, text)?;
        self.each_part(|splitter, main| {
            splitter.nested(main);
            splitter.fitted(main, limit, text)
        })?;
        Ok(self.parts)
    }

    /// Parts that this makes come last, and are looked at too.
    fn each_part<E>(&mut self, mut change: impl FnMut(&mut Self, &mut Routine) -> Result<(), E>) -> Result<(), E> {
        let mut at = 0;
        while let Some(part) = self.parts.get(at) {
            let mut main = part.main.clone();
            change(self, &mut main)?;
            if let Some(part) = self.parts.get_mut(at) {
                part.main = main;
            }
            at += 1;
        }
        Ok(())
    }

    fn nested(&mut self, main: &mut Routine) {
        if must_move(&main.steps, 0) {
            self.reads = scopes::uses(&main.steps).reads;
            let visible = main.params.iter().cloned().collect();
            self.nested_list(&mut main.steps, 0, &visible);
        }
    }

    fn nested_list(&mut self, list: &mut Vec<Step>, depth: usize, visible: &BTreeSet<String>) {
        let mut visible = visible.clone();
        let mut at = 0;
        while at < list.len() {
            let mut count = 1;
            if let Some((len, kind)) = list
                .get(at)
                .and_then(|step| step.node.as_ref())
                .map(|node| (node.len, node.kind))
                && let Some(node) = list.get(at..at + len)
                && (kind == NodeKind::Slice
                    || (kind == NodeKind::Plain && depth == QUOTAS.workflow.parallel_nesting && nesting(node) > 0))
            {
                count = self.outline(list, at, len, &visible);
            } else if let Some(step) = list.get_mut(at)
                && must_move(std::slice::from_ref(step), depth)
            {
                for inner in scopes::inner(step) {
                    let inside: BTreeSet<String> = visible.iter().cloned().chain(inner.bound).collect();
                    self.nested_list(inner.steps, depth + usize::from(inner.parallel), &inside);
                }
            }
            for step in list.iter().skip(at).take(count) {
                visible.extend(scopes::assigned(step));
            }
            at += count;
        }
    }

    fn fitted(&mut self, main: &mut Routine, limit: usize, text: Text<'_>) -> Result<(), serde_saphyr::ser::Error> {
        loop {
            let size = text(main)?.len();
            if size <= limit {
                return Ok(());
            }
            let rest = size.saturating_sub(bytes(&main.steps)?);
            let room = limit.saturating_sub(rest).max(limit / 8);
            let before = self.parts.len();
            self.reads = scopes::uses(&main.steps).reads;
            let visible = main.params.iter().cloned().collect();
            self.pack(&mut main.steps, &visible, room / 10 * 9, room / 2, false)?;
            if self.parts.len() == before {
                // What cannot be split further is a problem of the caller's.
                return Ok(());
            }
        }
    }

    /// Makes a list of steps no larger than `target` where that can be done, by parts of `most` bytes.
    fn pack(
        &mut self,
        list: &mut Vec<Step>,
        visible: &BTreeSet<String>,
        target: usize,
        most: usize,
        whole: bool,
    ) -> Result<(), serde_saphyr::ser::Error> {
        let mut seen = visible.clone();
        let mut at = 0;
        while at < list.len() {
            let len = list
                .get(at)
                .and_then(|step| step.node.as_ref())
                .map_or(1, |node| node.len);
            let end = (at + len).min(list.len());
            let node = list.get(at).is_some_and(|step| step.node.is_some());
            // A node can move as it is where it is no larger than a part; what is none can only shrink.
            let goal = if node { most } else { most.min(target) };
            let mut size = list.get(at..end).map_or(Ok(0), bytes)?;
            for step in list.iter_mut().take(end).skip(at) {
                if size > goal {
                    size = self.pack_within(step, &seen, size, goal, most)?;
                }
                seen.extend(scopes::assigned(step));
            }
            at = end;
        }
        if bytes(list)? > target {
            self.runs(list, visible, most, whole)?;
        }
        Ok(())
    }

    /// Packs the lists within a step, the largest first, until what was of `size` is no larger than `goal`.
    fn pack_within(
        &mut self,
        step: &mut Step,
        visible: &BTreeSet<String>,
        mut size: usize,
        goal: usize,
        most: usize,
    ) -> Result<usize, serde_saphyr::ser::Error> {
        let whole = step.name == self.own[1];
        let mut lists = Vec::new();
        for inner in scopes::inner(step) {
            lists.push((bytes(inner.steps)?, inner));
        }
        lists.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        for (before, inner) in lists {
            if size > goal && before > FEW {
                let inside: BTreeSet<String> = visible.iter().cloned().chain(inner.bound).collect();
                self.pack(inner.steps, &inside, FEW, most, whole)?;
                size = (size + bytes(inner.steps)?).saturating_sub(before);
            }
        }
        Ok(size)
    }

    /// Moves runs of nodes of up to `most` bytes into parts. Where one ends depends on the steps' names, so that a new step moves few ends.
    ///
    /// `whole` tells that the list is all that a part does: as a part it would be the same again.
    fn runs(
        &mut self,
        list: &mut Vec<Step>,
        visible: &BTreeSet<String>,
        most: usize,
        whole: bool,
    ) -> Result<(), serde_saphyr::ser::Error> {
        let mut runs: Vec<Run> = Vec::new();
        let mut at = 0;
        while let Some(step) = list.get(at) {
            let Some(node) = &step.node else {
                at += 1;
                continue;
            };
            let size = list.get(at..at + node.len).map_or(Ok(0), bytes)?;
            let follows = |run: &Run| {
                let between = list.get(run.at + run.len..at).unwrap_or_default();
                between.iter().all(stops)
                    && run.size + size <= most
                    && !(run.size >= most / 4 && fnv(&node.id).is_multiple_of(8))
            };
            match runs.last_mut().filter(|run| follows(run)) {
                Some(run) => {
                    run.len = at + node.len - run.at;
                    run.size += size;
                }
                None => runs.push(Run {
                    at,
                    len: node.len,
                    size,
                }),
            }
            at += node.len;
        }
        runs.retain(|run| run.size > FEW && !(whole && run.len == list.len()));
        let first = self.parts.len();
        for run in runs.iter().rev() {
            let mut seen = visible.clone();
            for step in list.iter().take(run.at) {
                seen.extend(scopes::assigned(step));
            }
            self.outline(list, run.at, run.len, &seen);
        }
        if let Some(parts) = self.parts.get_mut(first..) {
            parts.reverse();
        }
        Ok(())
    }

    /// Moves steps into a part; gives how many stand in their place.
    fn outline(&mut self, list: &mut Vec<Step>, at: usize, len: usize, visible: &BTreeSet<String>) -> usize {
        let mut moved: Vec<Step> = list.drain(at..at + len).collect();
        let path = moved
            .first()
            .and_then(|step| step.node.as_ref())
            .map_or_else(String::new, |node| node.id.clone());
        let slice = moved
            .first()
            .and_then(|step| step.node.as_ref())
            .is_some_and(|node| node.kind == NodeKind::Slice);
        let last = moved.iter().rev().find_map(|step| step.node.as_ref());
        let comment = match last.map(|node| &node.id).filter(|last| **last != path) {
            Some(last) => format!("From `{path}` to `{last}`."),
            None if slice => format!("Some of the items of `{path}`."),
            None => format!("Only `{path}`."),
        };
        let mut stops = Vec::new();
        if let Some(node) = moved.first_mut().and_then(|step| step.node.as_mut()) {
            // It has moved.
            node.kind = NodeKind::Plain;
            stops = std::mem::take(&mut node.stops);
        }
        let suffix = if slice { "_slice" } else { "" };
        let id = self.ids.name(&format!("{}{suffix}", identifier(&path)));
        let name = distinct(&[self.pipeline, "part", &id], &mut self.workflows);
        let uses = scopes::uses(&moved);
        for (variable, count) in &uses.reads {
            if let Some(reads) = self.reads.get_mut(variable) {
                *reads = reads.saturating_sub(*count);
            }
        }
        let written: BTreeSet<&String> = uses
            .assigned
            .iter()
            .chain(uses.changed.iter().filter(|variable| visible.contains(*variable)))
            .collect();
        let inputs: BTreeSet<&String> = uses
            .reads
            .keys()
            .chain(written.iter().copied())
            .filter(|variable| visible.contains(*variable) && *variable != URLS)
            .collect();
        let outputs: BTreeSet<&String> = written
            .into_iter()
            .filter(|variable| self.reads.get(*variable).is_some_and(|reads| *reads > 0))
            .collect();

        let mut init: Vec<(String, Value)> = inputs
            .iter()
            .map(|variable| ((*variable).clone(), expression(field_path("args", variable))))
            .collect();
        if uses.reads.contains_key(URLS) {
            init.extend(self.urls.iter().cloned());
        }
        let unset = outputs.iter().filter(|variable| !inputs.contains(*variable));
        init.extend(unset.map(|variable| ((*variable).clone(), Value::Null)));
        let given = values(&inputs);
        if !init.is_empty() {
            // Its memory is needed.
            init.push(("args".to_owned(), Value::Null));
        }
        let gives = json!({ "outputs": values(&outputs) });
        let main = self.main(format!("A part of {}. {comment}", self.pipeline), init, moved, gives);

        let args = [("workflow", json!(name)), ("step", json!(path)), ("value", given)];
        let result = self.variables.name(&short(&format!("{id}_part"), 120));
        let mut after: Vec<(String, Value)> = Vec::new();
        let from = if !stops.is_empty() {
            format!("{result}.outputs")
        } else {
            result.clone()
        };
        let taken = outputs
            .iter()
            .map(|output| ((*output).clone(), expression(field_path(&from, output))));
        after.extend(taken);
        let comment = format!("The workflow {name}.");
        let mut steps = if stops.is_empty() {
            let call = Call {
                result: (!outputs.is_empty()).then(|| result.clone()),
                ..Call::new("run_part", args)
            };
            vec![Step::new(
                self.steps.name(&format!("run_{id}_part")),
                Action::Call(call),
            )]
        } else {
            self.watched(&id, args, &result, &stops)
        };
        if let Some(first) = steps.first_mut() {
            first.comment = comment;
        }
        if !after.is_empty() {
            after.push((result, Value::Null));
        }
        for chunk in after.chunks(ASSIGNMENTS) {
            let name = self.steps.name(&format!("{id}_part_outputs"));
            steps.push(Step::new(name, Action::Assign(chunk.to_vec())));
        }
        let count = steps.len();
        if let Some(first) = steps.first_mut() {
            first.node = Some(Node {
                id: path,
                len: count,
                kind: NodeKind::Plain,
                stops: Vec::new(),
            });
        }
        for (variable, count) in scopes::uses(&steps).reads {
            *self.reads.entry(variable).or_default() += count;
        }
        list.splice(at..at, steps);
        self.parts.push(Part { id, name, main });
        count
    }

    /// Starts a part, and looks at it until it has ended, or something beside it has failed.
    fn watched(&mut self, id: &str, args: [(&'static str, Value); 3], result: &str, stops: &[String]) -> Vec<Step> {
        let step = args[1].1.clone();
        let start = Call {
            result: Some(result.to_owned()),
            ..Call::new("start_part", args)
        };
        let look = Call {
            result: Some(result.to_owned()),
            ..Call::new("look_at_part", [("part", expression(result)), ("step", step)])
        };
        let ended = Case {
            condition: format!("\"outputs\" in {result}"),
            then: Then::Next("break".to_owned()),
        };
        let mut cases = vec![ended];
        for stop in stops {
            let end = Call::new("end_part", [("part", expression(result))]);
            cases.push(Case {
                condition: format!("{stop} != null"),
                then: Then::Steps(vec![
                    Step::new(self.steps.name(&format!("end_{id}_part")), Action::Call(end)),
                    Step::new(
                        self.steps.name(&format!("{id}_part_ended")),
                        Action::Raise(expression(stop)),
                    ),
                ]),
            });
        }
        let turn = vec![
            Step::new(self.steps.name(&format!("look_at_{id}_part")), Action::Call(look)),
            Step::new(self.steps.name(&format!("{id}_part_state")), Action::Switch(cases)),
        ];
        vec![
            Step::new(self.steps.name(&format!("start_{id}_part")), Action::Call(start)),
            Step::new(
                self.steps.name(&format!("watch_{id}_part")),
                Action::For {
                    value: self.variables.name(&short(&format!("{id}_look"), 120)),
                    items: Items::Range(json!(1), json!(LOOKS)),
                    steps: turn,
                },
            ),
        ]
    }

    fn main(&self, comment: String, init: Vec<(String, Value)>, moved: Vec<Step>, gives: Value) -> Routine {
        let [first, all, failed, outputs] = &self.own;
        let mut steps: Vec<Step> = init
            .chunks(ASSIGNMENTS)
            .enumerate()
            .map(|(index, chunk)| {
                let name = match index {
                    0 => first.clone(),
                    more => format!("{first}_{}", more + 1),
                };
                Step::new(name, Action::Assign(chunk.to_vec()))
            })
            .collect();
        let failure = Action::Return(json!({ "failure": expression("e") }));
        steps.push(Step::new(
            all,
            Action::Try {
                body: Body::Steps(moved),
                retry: None,
                except: Some(("e".to_owned(), vec![Step::new(failed, failure)])),
            },
        ));
        steps.push(Step::new(outputs, Action::Return(gives)));
        Routine {
            name: "main".to_owned(),
            comment,
            params: vec!["args".to_owned()],
            steps,
        }
    }
}

/// The plan with no more branches side by side than one workflow may hold: they stand side by side in groups.
pub fn narrow(pipeline: &Pipeline, plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    narrow_node(pipeline, &mut plan.root);
    for node in plan.groups.values_mut() {
        narrow_node(pipeline, node);
    }
    plan
}

fn narrow_node(pipeline: &Pipeline, node: &mut PlanNode) {
    match node {
        PlanNode::Run(_) => {}
        PlanNode::Seq(nodes) => nodes.iter_mut().for_each(|node| narrow_node(pipeline, node)),
        PlanNode::If { then, .. } => narrow_node(pipeline, then),
        PlanNode::Par(nodes) => {
            nodes.iter_mut().for_each(|node| narrow_node(pipeline, node));
            while nodes.len() > WIDE {
                let mut groups: Vec<Vec<PlanNode>> = Vec::new();
                for node in std::mem::take(nodes) {
                    let path = node.steps().first().map_or("", |ix| &pipeline.step(*ix).path);
                    let ends = |group: &Vec<PlanNode>| {
                        group.len() >= WIDE || (group.len() >= WIDE / 4 && fnv(path).is_multiple_of(8))
                    };
                    match groups.last_mut().filter(|group| !ends(group)) {
                        Some(group) => group.push(node),
                        None => groups.push(vec![node]),
                    }
                }
                nodes.extend(
                    groups
                        .into_iter()
                        .map(|mut group| match (group.pop(), group.is_empty()) {
                            (Some(only), true) => only,
                            (last, _) => {
                                group.extend(last);
                                PlanNode::Par(group)
                            }
                        }),
                );
            }
        }
    }
}

/// Nodes that follow one another.
struct Run {
    at: usize,
    len: usize,
    size: usize,
}

/// True of a step that only ends a branch where another has failed: it may go into a part, where it sees nothing.
fn stops(step: &Step) -> bool {
    match &step.action {
        Action::Switch(cases) => cases.iter().all(|case| matches!(case.then, Then::Raise(_))),
        _ => false,
    }
}

/// Variables by name.
fn values(variables: &BTreeSet<&String>) -> Value {
    let fields: Map<String, Value> = variables
        .iter()
        .map(|variable| ((*variable).clone(), expression(variable)))
        .collect();
    fields.into()
}

/// What steps take as YAML.
fn bytes(steps: &[Step]) -> Result<usize, serde_saphyr::ser::Error> {
    if steps.is_empty() {
        return Ok(0);
    }
    to_yaml(&Routine {
        name: String::new(),
        comment: String::new(),
        params: Vec::new(),
        steps: steps.to_vec(),
    })
    .map(|text| text.len())
}

/// How deep parallel steps nest in these.
fn nesting(steps: &[Step]) -> usize {
    steps.iter().map(step_nesting).max().unwrap_or(0)
}

fn step_nesting(step: &Step) -> usize {
    let mut most = 0;
    scopes::each_inner(step, &mut |steps, parallel| {
        most = most.max(nesting(steps) + usize::from(parallel))
    });
    most
}

/// True where some of the steps must move, `depth` parallel steps deep.
fn must_move(steps: &[Step], depth: usize) -> bool {
    depth + nesting(steps) > QUOTAS.workflow.parallel_nesting || steps.iter().any(has_slice)
}

fn has_slice(step: &Step) -> bool {
    let mut found = step.node.as_ref().is_some_and(|node| node.kind == NodeKind::Slice);
    scopes::each_inner(step, &mut |steps, _| found |= steps.iter().any(has_slice));
    found
}
