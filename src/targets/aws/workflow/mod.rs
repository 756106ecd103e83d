//! The plan as a state machine: `workflow.asl.json`.

mod approval;
mod batch_predict;
pub(super) mod bounded;
mod catch;
mod child;
pub(super) mod distributed;
pub(super) mod endpoint;
mod finish;
mod for_each;
mod groups;
mod job;
mod message;
mod monitor;
mod notify;
mod parts;
mod reads;
mod repeat;
pub(super) mod retry;
mod sagemaker;
mod steps;
mod tail;
mod time;
mod train;
mod untyped;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use self::finish::{Exit, Piece, patch};
use super::failure;
use super::layout::{Layout, Node};
use super::member::Member;
use super::params;
use super::serving::Called;
use super::states::{Branch, Catcher, Choice, Definition, Parallel, Rule, State, States, Succeed, Task, Then};
use super::variables::{Carried, ROOT, Reach, Variables};
use crate::expr::jsonata::{self, braced};
use crate::expr::{ExprKind, Template, Type};
use crate::model::{Handler, HandlerAction, Join, ON_FAILURE, Pipeline, Retry, StepIx};
use crate::plan::Guard;

/// The state that makes the outputs where no step's state can.
const OUTPUTS: &str = "Outputs";
/// How many names a comment lists.
const NAMED: usize = 8;
/// How far states stand in.
const INDENTATION: usize = 4;
/// An ARN has at most about so many characters: of a Lambda function 64 in its name, of a state machine 80.
const ARN: usize = 144;
/// A state's name has at most 80 characters: so many of what it is called after, and room for a number.
const NAME: usize = 74;
const NOT_CAUGHT: &str = "An expression that fails here can be caught only around a branch";

/// Placeholders that the template fills in.
#[derive(Debug, Default)]
pub struct Placeholders {
    /// By step: the function's ARN.
    pub functions: BTreeMap<String, String>,
    /// By logical id: the bucket's name.
    pub buckets: BTreeMap<String, String>,
    /// By logical id: the topic's name.
    pub topics: BTreeMap<String, String>,
    /// By logical id: the topic's ARN.
    pub topic_arns: BTreeMap<String, String>,
    /// By the file of its definition: a state machine's ARN.
    pub machines: BTreeMap<String, String>,
    /// By step: the ARN of its job definition.
    pub jobs: BTreeMap<String, String>,
    /// By step: the image of its training.
    pub images: BTreeMap<String, String>,
    /// By logical id: the topic's ARN, where alarms publish to it.
    pub alarm_topics: BTreeMap<String, String>,
    /// By its name in the file: what SageMaker calls an endpoint.
    pub endpoint_names: BTreeMap<String, String>,
    /// By step: its endpoint and the images of its variants.
    pub endpoints: BTreeMap<String, Called>,
    /// By trigger of a topic: the queue's ARN.
    pub queues: Vec<String>,
}

/// The state machine of a pipeline, and those of groups and parts that run as executions of their own.
#[derive(Debug)]
pub struct Definitions {
    /// The pipeline's.
    pub main: Definition,
    /// The groups' and parts', by file.
    pub inner: Vec<(String, Definition)>,
    /// What the definitions are made of, where that was asked for.
    pub weights: Weights,
}

/// Bytes of states once deployed.
#[derive(Debug, Default)]
pub struct Weights {
    /// By step: of its states in the definition in which they stand.
    pub steps: Vec<usize>,
    /// Of the pipeline's states that are no step's.
    pub frame: usize,
}

/// The state machines of a pipeline.
/// With `weigh`, what they are made of, too.
pub fn definitions(member: &Member<'_>, placeholders: &Placeholders, weigh: bool) -> Definitions {
    let (pipeline, layout) = (member.pipeline, &member.layout);
    let mut notes: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for note in &member.plan.notes {
        let waits = note.waits_for.iter().map(|ix| pipeline.step(*ix).path.clone());
        notes.entry(note.step.0).or_default().extend(waits);
    }
    let names = |names: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let names = names.iter();
        names
            .map(|(id, name)| (id.clone(), jsonata::placeholder(name)))
            .collect()
    };
    let mut writer = Writer {
        pipeline,
        member,
        layout,
        placeholders,
        buckets: names(&placeholders.buckets),
        topics: names(&placeholders.topics),
        variables: Variables::new(pipeline, layout),
        notes,
        names: pipeline.indices().map(|ix| state_name(pipeline, ix)).collect(),
        machines: Vec::new(),
        weights: weigh.then(|| vec![0; pipeline.steps.len()]),
    };
    let main = writer.definition(&layout.root);
    let frame = [
        message::MESSAGE,
        params::PARAMS,
        OUTPUTS,
        failure::FAILED,
        ON_FAILURE,
        failure::FAIL,
    ];
    let frame = main.states.iter().filter(|(name, _)| frame.contains(&name.as_str()));
    let weights = writer.weights.map(|steps| Weights {
        steps,
        frame: frame.map(weight).sum(),
    });
    Definitions {
        main,
        inner: writer.machines,
        weights: weights.unwrap_or_default(),
    }
}

struct Writer<'a> {
    pipeline: &'a Pipeline,
    member: &'a Member<'a>,
    layout: &'a Layout,
    placeholders: &'a Placeholders,
    buckets: BTreeMap<String, String>,
    topics: BTreeMap<String, String>,
    variables: Variables<'a>,
    notes: BTreeMap<usize, Vec<String>>,
    /// State names in use: they are unique in the whole definition.
    names: BTreeSet<String>,
    /// State machines of groups and parts.
    machines: Vec<(String, Definition)>,
    weights: Option<Vec<usize>>,
}

/// The states of one scope while they are written.
struct Scope {
    number: usize,
    states: States,
    sink: Sink,
    /// True once a state of it ends it badly by itself.
    fails: bool,
    /// What the last state gives on.
    tail: Tail,
    /// The failure that expressions see.
    error: String,
    /// Where the pipeline's execution is known.
    execution: String,
    /// Where its params are.
    params: String,
}

/// Where failures go.
struct Sink {
    /// The name of the state.
    state: String,
    /// True once something goes there.
    used: bool,
    /// True where that state is the failed end of a branch: a Fail state serves as well.
    ends: bool,
}

impl Scope {
    /// A scope within another.
    fn inner(number: usize, failed: String, tail: Tail, round: &Self) -> Self {
        Self {
            number,
            states: States::new(),
            sink: Sink {
                state: failed,
                used: false,
                ends: true,
            },
            fails: false,
            tail,
            error: round.error.clone(),
            execution: round.execution.clone(),
            params: round.params.clone(),
        }
    }

    /// The state to which a state sends its failures.
    fn catch(&mut self) -> String {
        self.sink.used = true;
        self.sink.state.clone()
    }

    /// True where it may fail.
    fn may_fail(&self) -> bool {
        self.fails || self.sink.used
    }
}

/// What comes out of a scope.
enum Tail {
    /// The pipeline's outputs, or a group's; as the field `output`, or just so.
    Outputs { of: Option<StepIx>, named: bool },
    /// What is read outside of the branch.
    Branch(Vec<(StepIx, Carried)>),
    /// What is read outside of the part.
    Part(Vec<(StepIx, Carried)>),
    /// What its last state gives.
    Value,
}

impl<'a> Writer<'a> {
    fn definition(&mut self, root: &Node) -> Definition {
        self.names
            .extend([failure::FAILED.to_owned(), failure::FAIL.to_owned(), OUTPUTS.to_owned()]);
        self.names.extend([params::PARAMS.to_owned(), ON_FAILURE.to_owned()]);
        self.names.insert(message::MESSAGE.to_owned());
        let mut scope = Scope {
            number: ROOT,
            states: States::new(),
            sink: Sink {
                state: failure::FAILED.to_owned(),
                used: false,
                ends: false,
            },
            fails: false,
            tail: Tail::Outputs { of: None, named: false },
            error: "$failure".to_owned(),
            execution: "$states.context.Execution".to_owned(),
            params: "$params".to_owned(),
        };
        let checked = !self.pipeline.params.is_empty();
        let message = self.messages(&scope);
        let started = message.is_some();
        if checked {
            scope.catch();
            scope.states.insert(
                params::PARAMS.to_owned(),
                params::state(&self.pipeline.params, self.handler_reads_params(), ""),
            );
        }
        let mut body = self.node(root, &mut scope, true);
        let mut start = body.entry.take();
        if start.is_none() || !body.exits.is_empty() {
            let outputs = self.outputs(&mut scope, OUTPUTS.to_owned());
            patch(&mut scope.states, &body.exits, &outputs);
            start = start.or(Some(outputs));
        }
        let start = start.unwrap_or_default();
        if checked {
            patch(&mut scope.states, &[Exit::Default(0)], &start);
        }
        if let Some(state) = message {
            scope.states.shift_insert(0, message::MESSAGE.to_owned(), state);
        }
        if scope.may_fail() {
            self.failure(&mut scope);
        }
        Definition {
            comment: self.pipeline.description.as_deref().map(plain),
            query_language: "JSONata",
            timeout_seconds: None,
            start_at: match (started, checked) {
                (true, _) => message::MESSAGE.to_owned(),
                (false, true) => params::PARAMS.to_owned(),
                (false, false) => start,
            },
            states: scope.states,
        }
    }

    /// True where the handler needs the params of an execution whose params do not fit.
    fn handler_reads_params(&self) -> bool {
        let mut reads = false;
        if let Some(handler) = &self.pipeline.on_failure {
            handler.each_expr(&mut |expr| {
                expr.walk(&mut |part| reads |= matches!(part.kind, ExprKind::Param(_)));
            });
        }
        reads
    }

    fn failure(&self, scope: &mut Scope) {
        let handler = self.pipeline.on_failure.as_ref();
        let next = if handler.is_some() { ON_FAILURE } else { failure::FAIL };
        scope.states.insert(failure::FAILED.to_owned(), failure::failed(next));
        if let Some(handler) = handler {
            let task = self.handler(handler, scope);
            scope.states.insert(ON_FAILURE.to_owned(), State::Task(task));
        }
        scope.states.insert(failure::FAIL.to_owned(), failure::fail());
    }

    fn handler(&self, handler: &Handler, scope: &Scope) -> Task {
        let catch = failure::EVERY
            .into_iter()
            .map(|name| Catcher {
                error_equals: vec![name.to_owned()],
                output: Some(json!({})),
                next: failure::FAIL.to_owned(),
                ..Catcher::default()
            })
            .collect();
        let task = match &handler.action {
            HandlerAction::Function { call, input } => {
                let timeout = handler.timeout.map(|timeout| timeout.min(call.timeout));
                self.call(ON_FAILURE, input, scope, &handler.retry, timeout)
            }
            HandlerAction::Notify(notify) => self.notify_of_failure(handler, notify, scope),
        };
        Task {
            comment: handler.description.as_deref().map(plain),
            catch,
            output: Some(json!({})),
            then: Then {
                next: Some(failure::FAIL.to_owned()),
                end: false,
            },
            ..task
        }
    }

    /// The call of a function, but for what follows.
    fn call(&self, step: &str, input: &Template, scope: &Scope, retry: &Retry, timeout: Option<u64>) -> Task {
        let function = self
            .placeholders
            .functions
            .get(step)
            .map(String::as_str)
            .unwrap_or_default();
        Task {
            resource: "arn:aws:states:::lambda:invoke",
            arguments: json!({
                "FunctionName": jsonata::placeholder(function),
                "Payload": {
                    "run_id": braced(&format!("{}.Name", scope.execution)),
                    "step": step,
                    "attempt": "{% $states.context.State.RetryCount + 1 %}",
                    "input": jsonata::template(input, &self.reach(scope, &[])),
                },
            }),
            timeout_seconds: timeout,
            retry: retry::retriers(retry),
            ..Task::default()
        }
    }

    fn reach<'s>(&'s self, scope: &'s Scope, own: &'s [(StepIx, Carried, String)]) -> Reach<'s, 's> {
        Reach {
            variables: &self.variables,
            scope: scope.number,
            own,
            buckets: &self.buckets,
            topics: &self.topics,
            error: &scope.error,
            execution: &scope.execution,
            params: &scope.params,
        }
    }

    /// A name for a state that no other has.
    fn name(&mut self, wanted: &str) -> String {
        // Paths are ASCII.
        let wanted = wanted.get(..NAME).unwrap_or(wanted);
        let mut name = wanted.to_owned();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{wanted} {number}");
        }
        name
    }

    fn comment(&self, ix: StepIx) -> Option<String> {
        let description = self.pipeline.step(ix).description.as_deref().map(plain);
        let waits = self
            .notes
            .get(&ix.0)
            .map(|waits| format!("Also waits for {}: branches nest", some_of(waits)));
        match (description, waits) {
            (Some(description), Some(waits)) => Some(format!("{description} {waits}")),
            (description, waits) => description.or(waits),
        }
    }

    fn node(&mut self, node: &Node, scope: &mut Scope, last: bool) -> Piece {
        match node {
            Node::Run(ix) => {
                let before = scope.states.len();
                let piece = self.run(*ix, scope, last);
                if let Some(weights) = &mut self.weights {
                    weights[ix.0] = scope.states.iter().skip(before).map(weight).sum();
                }
                piece
            }
            Node::Part { id, node } => self.part(id, node, scope),
            Node::Seq(nodes) => {
                let mut whole = Piece {
                    entry: None,
                    exits: Vec::new(),
                };
                for (i, node) in nodes.iter().enumerate() {
                    let piece = self.node(node, scope, last && i + 1 == nodes.len());
                    let Some(entry) = piece.entry else { continue };
                    if whole.entry.is_none() {
                        whole.entry = Some(entry);
                    } else {
                        patch(&mut scope.states, &whole.exits, &entry);
                    }
                    whole.exits = piece.exits;
                    if whole.exits.is_empty() {
                        // It ends here, failed or done: nothing behind it can be reached.
                        break;
                    }
                }
                whole
            }
            Node::Par(nodes) => self.parallel(nodes, scope, last),
            Node::If { guard, then } => self.choice(guard, then, scope),
        }
    }

    fn parallel(&mut self, nodes: &[Node], scope: &mut Scope, last: bool) -> Piece {
        let last = last && self.tail_stands_with_work(&scope.tail);
        let first = nodes.first().map(Node::steps).unwrap_or_default();
        let first = first
            .first()
            .map(|ix| self.pipeline.step(*ix).path.clone())
            .unwrap_or_default();
        let name = self.name(&format!("Parallel {first}"));
        // The state comes before what is in it.
        let index = scope.states.len();
        scope.states.insert(name.clone(), State::Parallel(Parallel::default()));
        let mut parallel = Parallel::default();
        let mut own: Vec<(StepIx, Carried, String)> = Vec::new();
        let mut fails = false;
        for (i, node) in nodes.iter().enumerate() {
            let steps = node.steps();
            let exports = self.variables.exports(&steps, scope.number);
            for (ix, what) in &exports {
                let text = if exports.len() == 1 {
                    format!("$states.result[{i}]")
                } else {
                    let key = self.variables.name(*ix, *what, scope.number).unwrap_or_default();
                    format!("$states.result[{i}].{key}")
                };
                own.push((*ix, *what, text));
            }
            let (branch, failing) = self.branch(node, &steps, exports, scope);
            fails |= failing;
            parallel.branches.push(branch);
        }
        if fails {
            parallel.catch = failure::branch_catchers(&first, &scope.catch());
        }
        if last {
            if !self.tail_is_safe(&scope.tail) {
                let catcher = self.tail_catcher(scope);
                parallel.catch.insert(0, catcher);
            }
            parallel.output = Some(finish::output(self.tail(scope, &own)));
            parallel.then.end = true;
        } else {
            for (ix, what, text) in &own {
                if let Some(variable) = self.variables.name(*ix, *what, scope.number) {
                    parallel.assign.insert(variable, finish::value_of(text));
                }
            }
            parallel.output = Some(json!({}));
        }
        scope.states[index] = State::Parallel(parallel);
        Piece {
            entry: Some(name),
            exits: if last { Vec::new() } else { vec![Exit::Next(index)] },
        }
    }

    fn branch(
        &mut self,
        node: &Node,
        steps: &[StepIx],
        exports: Vec<(StepIx, Carried)>,
        round: &Scope,
    ) -> (Branch, bool) {
        let first = steps.first().copied().unwrap_or(StepIx(0));
        let name = self.pipeline.step(first).path.clone();
        let failed = self.name(&format!("Failed in {name}"));
        let number = self.variables.branch(round.number, first);
        let mut scope = Scope::inner(number, failed, Tail::Branch(exports), round);
        let mut piece = self.node(node, &mut scope, true);
        if !piece.exits.is_empty() {
            let name = self.name(&format!("End of {name}"));
            let output = finish::output(self.tail(&scope, &[]));
            patch(&mut scope.states, &piece.exits, &name);
            scope.states.insert(name, State::Succeed(Succeed { output }));
        }
        let start = piece.entry.take().unwrap_or_default();
        self.close(scope, start, failure::branch_fail())
    }

    /// The finished branch, and whether it may fail.
    fn close(&self, mut scope: Scope, start_at: String, fail: State) -> (Branch, bool) {
        let fails = scope.may_fail();
        if scope.sink.used {
            scope.states.insert(scope.sink.state, fail);
        }
        let branch = Branch {
            start_at,
            states: scope.states,
        };
        (branch, fails)
    }

    fn choice(&mut self, guard: &Guard, then: &Node, scope: &mut Scope) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(guard.step);
        let when = step.when.as_ref().filter(|_| guard.when);
        let name = self.name(&format!("When {}", step.path));
        let mut entry = name.clone();
        let reach = self.reach(scope, &[]);
        let ran = self.ran(guard, scope);
        let condition = match (when, &ran) {
            (None, Some(ran)) => ran.clone(),
            (None, None) => "true".to_owned(),
            (Some(when), None) => jsonata::print_condition(when, &reach),
            (Some(when), Some(ran)) => jsonata::print_condition_after(ran, when, &reach),
        };
        let condition = match when {
            Some(when) if !(when.safe && when.ty == Type::Boolean) => {
                let value = Value::String(braced(&condition));
                let parallel = self.evaluated("when", &step.path, value, scope);
                entry = self.name(&format!("Check {}", step.path));
                let parallel = Parallel {
                    output: Some(json!("{% $states.result[0] %}")),
                    then: finish::next(&name),
                    ..parallel
                };
                scope.states.insert(entry.clone(), State::Parallel(parallel));
                "$states.input".to_owned()
            }
            _ => condition,
        };
        let index = scope.states.len();
        scope.states.insert(name, State::Choice(Choice::default()));
        let body = self.node(then, scope, false);
        let steps = then.steps();
        let assign = self
            .variables
            .skipped(&steps, scope.number)
            .into_iter()
            .filter_map(|(ix, what)| {
                let value = match what {
                    Carried::Output | Carried::Error => Value::Null,
                    Carried::Status => Value::from("skipped"),
                };
                Some((self.variables.name(ix, what, scope.number)?, value))
            })
            .collect();
        scope.states[index] = State::Choice(Choice {
            choices: vec![Rule {
                condition: braced(&condition),
                next: body.entry.unwrap_or_default(),
                ..Rule::default()
            }],
            assign,
            ..Choice::default()
        });
        let mut exits = body.exits;
        exits.push(Exit::Default(index));
        Piece {
            entry: Some(entry),
            exits,
        }
    }

    /// Whether the steps that a step needs ran.
    fn ran(&self, guard: &Guard, scope: &Scope) -> Option<String> {
        let reach = self.reach(scope, &[]);
        let conditions: Vec<String> = guard
            .ran
            .iter()
            .filter_map(|ix| {
                let status = jsonata::Names::status(&reach, &self.pipeline.step(*ix).path)?;
                Some(format!("{status} = 'succeeded'"))
            })
            .collect();
        if conditions.is_empty() {
            return None;
        }
        Some(match guard.join {
            Join::All => conditions.join(" and "),
            Join::Any if guard.when && conditions.len() > 1 => format!("({})", conditions.join(" or ")),
            Join::Any => conditions.join(" or "),
        })
    }
}

/// The name of a step's own state: its path, cut where it is long.
fn state_name(pipeline: &Pipeline, ix: StepIx) -> String {
    let path = &pipeline.step(ix).path;
    if path.len() <= NAME {
        return path.clone();
    }
    // Paths are ASCII.
    format!("{} {}", path.get(..NAME - 10).unwrap_or_default(), ix.0)
}

/// Bytes of a state that stands right in its definition.
fn weight((name, state): (&String, &State)) -> usize {
    let text = serde_json::to_string_pretty(state).unwrap_or_default();
    name.len() + deployed_bytes(&text) + text.lines().count() * INDENTATION
}

/// How long a definition is once CloudFormation has put ARNs in the place of its placeholders.
pub fn deployed_bytes(text: &str) -> usize {
    text.len() + jsonata::placeholders(text) * ARN
}

/// The first of the names, and how many more there are.
fn some_of(names: &[String]) -> String {
    match names.split_at_checked(NAMED) {
        Some((first, rest)) if rest.len() > 1 => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

/// Text for a reader: `${` would be a placeholder.
fn plain(text: &str) -> String {
    text.trim_end().replace("${", "$ {")
}
