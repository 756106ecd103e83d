//! The plan as a state machine: `workflow.asl.json`.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::failure;
use super::params;
use super::states::{
    Branch, Catcher, Choice, Definition, Fail, Parallel, Pass, Retrier, Rule, State, States, Succeed, Task, Then, Wait,
};
use super::variables::{Carried, ROOT, Reach, Variables};
use crate::expr::ast::TextPart;
use crate::expr::jsonata::{self, braced, string_literal};
use crate::expr::{ExprKind, Template, Type};
use crate::model::{self, FunctionCall, Handler, Join, Kind, ON_FAILURE, OnError, Pipeline, Retry, StepIx};
use crate::plan::{Guard, Node, Plan};

/// The state that makes the outputs where no step's state can.
const OUTPUTS: &str = "Outputs";
const NOT_CAUGHT: &str = "An expression that fails here can be caught only around a branch";

/// Placeholders that the template fills in.
#[derive(Debug, Default)]
pub struct Placeholders {
    /// By step: the function's ARN.
    pub functions: BTreeMap<String, String>,
    /// By logical id: the bucket's name.
    pub buckets: BTreeMap<String, String>,
}

/// The state machine of a pipeline.
pub fn definition(pipeline: &Pipeline, plan: &Plan, placeholders: &Placeholders) -> Definition {
    let mut notes: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for note in &plan.notes {
        let waits = note.waits_for.iter().map(|ix| pipeline.step(*ix).id.clone());
        notes.entry(note.step.0).or_default().extend(waits);
    }
    let mut writer = Writer {
        pipeline,
        placeholders,
        buckets: placeholders
            .buckets
            .iter()
            .map(|(id, name)| (id.clone(), jsonata::placeholder(name)))
            .collect(),
        variables: Variables::new(pipeline, &plan.root),
        notes,
        names: pipeline.steps.iter().map(|step| step.id.clone()).collect(),
        scopes: ROOT,
    };
    writer.definition(&plan.root)
}

struct Writer<'a> {
    pipeline: &'a Pipeline,
    placeholders: &'a Placeholders,
    buckets: BTreeMap<String, String>,
    variables: Variables<'a>,
    notes: BTreeMap<usize, Vec<String>>,
    /// State names in use: they are unique in the whole definition.
    names: BTreeSet<String>,
    /// The number of the last scope that was entered.
    scopes: usize,
}

/// The states of one scope while they are written.
struct Scope {
    number: usize,
    states: States,
    /// Where failures go.
    failed: String,
    /// True once something goes there.
    caught: bool,
    /// True once the scope may fail, that way or another.
    fails: bool,
    /// What the last state gives on.
    tail: Tail,
}

impl Scope {
    /// Notes that a state sends its failures on.
    fn catch(&mut self) {
        self.caught = true;
        self.fails = true;
    }
}

/// What comes out of a scope.
enum Tail {
    /// The pipeline's outputs.
    Outputs,
    /// What is read outside of the branch.
    Branch(Vec<(StepIx, Carried)>),
}

/// A piece of the states of a scope.
struct Piece {
    /// Its first state; None: it is empty.
    entry: Option<String>,
    /// Places that wait for the name of what follows.
    exits: Vec<Exit>,
}

/// The state at an index of its scope, and which of its fields.
#[derive(Clone, Copy)]
enum Exit {
    Next(usize),
    Default(usize),
}

impl Writer<'_> {
    fn definition(&mut self, root: &Node) -> Definition {
        self.names
            .extend([failure::FAILED.to_owned(), failure::FAIL.to_owned(), OUTPUTS.to_owned()]);
        self.names.extend([params::PARAMS.to_owned(), ON_FAILURE.to_owned()]);
        let mut scope = Scope {
            number: ROOT,
            states: States::new(),
            failed: failure::FAILED.to_owned(),
            caught: false,
            fails: false,
            tail: Tail::Outputs,
        };
        let checked = !self.pipeline.params.is_empty();
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
            let outputs = self.outputs(&mut scope);
            patch(&mut scope.states, &body.exits, &outputs);
            start = start.or(Some(outputs));
        }
        let start = start.unwrap_or_default();
        if checked {
            patch(&mut scope.states, &[Exit::Default(0)], &start);
        }
        if scope.fails {
            self.failure(&mut scope);
        }
        Definition {
            comment: self.pipeline.description.as_deref().map(plain),
            query_language: "JSONata",
            start_at: if checked { params::PARAMS.to_owned() } else { start },
            states: scope.states,
        }
    }

    /// True where the handler needs the params of an execution whose params do not fit.
    fn handler_reads_params(&self) -> bool {
        let mut reads = false;
        if let Some(handler) = &self.pipeline.on_failure {
            handler.input.each_expr(&mut |expr| {
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
            let task = self.handler(handler);
            scope.states.insert(ON_FAILURE.to_owned(), State::Task(task));
        }
        scope.states.insert(failure::FAIL.to_owned(), failure::fail());
    }

    fn handler(&self, handler: &Handler) -> Task {
        let catch = ["States.DataLimitExceeded", "States.ALL"]
            .into_iter()
            .map(|name| Catcher {
                error_equals: vec![name],
                output: Some(json!({})),
                next: failure::FAIL.to_owned(),
            })
            .collect();
        let timeout = handler.timeout.map(|timeout| timeout.min(handler.function.timeout));
        Task {
            comment: handler.description.as_deref().map(plain),
            catch,
            output: Some(json!({})),
            then: Then {
                next: Some(failure::FAIL.to_owned()),
                end: false,
            },
            ..self.call(ON_FAILURE, &handler.input, ROOT, &handler.retry, timeout)
        }
    }

    /// The call of a function, but for what follows.
    fn call(&self, step: &str, input: &Template, scope: usize, retry: &Retry, timeout: Option<u64>) -> Task {
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
                    "run_id": "{% $states.context.Execution.Name %}",
                    "step": step,
                    "attempt": "{% $states.context.State.RetryCount + 1 %}",
                    "input": jsonata::template(input, &self.reach(scope, &[])),
                },
            }),
            timeout_seconds: timeout,
            retry: retriers(retry),
            ..Task::default()
        }
    }

    fn reach<'s>(&'s self, scope: usize, own: &'s [(StepIx, Carried, String)]) -> Reach<'s, 's> {
        Reach {
            variables: &self.variables,
            scope,
            own,
            buckets: &self.buckets,
        }
    }

    /// A name for a state that no other has.
    fn name(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
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
            .map(|waits| format!("Also waits for {}: branches nest", waits.join(", ")));
        match (description, waits) {
            (Some(description), Some(waits)) => Some(format!("{description} {waits}")),
            (description, waits) => description.or(waits),
        }
    }

    fn node(&mut self, node: &Node, scope: &mut Scope, last: bool) -> Piece {
        match node {
            Node::Run(ix) => self.run(*ix, scope, last),
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

    fn run(&mut self, ix: StepIx, scope: &mut Scope, last: bool) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        let comment = self.comment(ix);
        let index = scope.states.len();
        let mut piece = Piece {
            entry: Some(step.id.clone()),
            exits: vec![Exit::Next(index)],
        };
        match &step.kind {
            Kind::Function(call) => {
                let mut task = self.function(ix, call, scope, last);
                task.comment = comment;
                if task.then.end {
                    piece.exits.clear();
                }
                scope.states.insert(step.id.clone(), State::Task(task));
            }
            Kind::Wait(model::Wait::Duration(seconds)) => {
                let own = own(ix, "null");
                let end = last && self.tail_is_safe(&scope.tail);
                let mut wait = Wait {
                    comment,
                    seconds: *seconds,
                    ..Wait::default()
                };
                if end {
                    wait.output = Some(self.tail(scope, &own));
                    wait.then.end = true;
                    piece.exits.clear();
                } else {
                    wait.assign = self.assign(ix, scope.number, &own);
                }
                scope.states.insert(step.id.clone(), State::Wait(wait));
            }
            // `pending` keeps these away.
            Kind::Wait(model::Wait::Until(_)) | Kind::Group(_) => {}
            Kind::Fail { error, message } => {
                piece = self.fail(ix, error, message, scope, comment);
            }
        }
        piece
    }

    fn function(&self, ix: StepIx, call: &FunctionCall, scope: &mut Scope, last: bool) -> Task {
        let step = self.pipeline.step(ix);
        let own = own(ix, "$states.result.Payload");
        let timeout = step.timeout.map(|timeout| timeout.min(call.timeout));
        let mut task = self.call(&step.id, &step.input, scope.number, &step.retry, timeout);
        scope.catch();
        task.catch = failure::catchers(&step.id, &scope.failed);
        if last {
            if !self.tail_is_safe(&scope.tail) {
                task.catch
                    .insert(0, outputs_catcher(step.input.is_safe(), &step.id, &scope.failed));
            }
            task.output = Some(self.tail(scope, &own));
            task.then.end = true;
        } else {
            task.assign = self.assign(ix, scope.number, &own);
            task.output = Some(json!({}));
        }
        task
    }

    /// The variables that a step sets where it ran.
    fn assign(&self, ix: StepIx, scope: usize, own: &[(StepIx, Carried, String)]) -> IndexMap<String, Value> {
        own.iter()
            .filter_map(|(_, what, text)| {
                let name = self.variables.name(ix, *what, scope)?;
                Some((name, value_of(text)))
            })
            .collect()
    }

    /// A step that fails.
    fn fail(
        &mut self,
        ix: StepIx,
        error: &Template,
        message: &Template,
        scope: &mut Scope,
        comment: Option<String>,
    ) -> Piece {
        let id = self.pipeline.step(ix).id.clone();
        let reach = self.reach(scope.number, &[]);
        let failure = failure::known(
            jsonata::template(error, &reach),
            jsonata::template(message, &reach),
            &id,
        );
        scope.fails = true;
        let state = if is_text(error) && is_text(message) {
            if scope.number == ROOT {
                State::Pass(Pass {
                    comment,
                    output: Some(failure),
                    then: next(&scope.failed),
                    ..Pass::default()
                })
            } else {
                let (error, message) = (
                    jsonata::template_code(error, &reach),
                    jsonata::template_code(message, &reach),
                );
                State::Fail(Fail {
                    comment,
                    cause: Value::String(braced(&format!(
                        "$string({{'Error': {error}, 'Message': {message}, 'Step': {}}})",
                        string_literal(&id)
                    ))),
                    error: failure["Error"].clone(),
                })
            }
        } else {
            scope.caught = true;
            let inner = self.name(format!("Evaluate {id}"));
            let (error, message) = (
                self.text_code(error, scope.number),
                self.text_code(message, scope.number),
            );
            let output = failure::known(error, message, &id);
            State::Parallel(Parallel {
                comment: Some(comment.unwrap_or_else(|| NOT_CAUGHT.to_owned())),
                branches: vec![evaluation(inner, output)],
                catch: vec![failure::expression_catcher("fail", &id, &scope.failed)],
                output: Some(json!("{% $states.result[0] %}")),
                then: next(&scope.failed),
                ..Parallel::default()
            })
        };
        scope.states.insert(id.clone(), state);
        Piece {
            entry: Some(id),
            exits: Vec::new(),
        }
    }

    /// A template that must give a string.
    fn text_code(&self, template: &Template, scope: usize) -> Value {
        let reach = self.reach(scope, &[]);
        if is_text(template) || matches!(template, Template::Text(_)) {
            return jsonata::template(template, &reach);
        }
        let code = jsonata::template_code(template, &reach);
        Value::String(braced(&format!(
            "($theText := ({code}); $type($theText) = 'string' ? $theText : $error('no text'))"
        )))
    }

    fn parallel(&mut self, nodes: &[Node], scope: &mut Scope, last: bool) -> Piece {
        let first = nodes.first().map(Node::steps).unwrap_or_default();
        let first = first
            .first()
            .map(|ix| self.pipeline.step(*ix).id.clone())
            .unwrap_or_default();
        let name = self.name(format!("Parallel {first}"));
        // The state comes before what is in it.
        let index = scope.states.len();
        scope.states.insert(name.clone(), State::Parallel(Parallel::default()));
        let mut parallel = Parallel::default();
        let mut own: Vec<(StepIx, Carried, String)> = Vec::new();
        let mut fails = false;
        for (i, node) in nodes.iter().enumerate() {
            self.scopes += 1;
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
            let (branch, failing) = self.branch(node, &steps, exports, scope.number);
            fails |= failing;
            parallel.branches.push(branch);
        }
        if fails {
            scope.catch();
            parallel.catch = failure::branch_catchers(&first, &scope.failed);
        }
        if last {
            if !self.tail_is_safe(&scope.tail) {
                scope.catch();
                parallel
                    .catch
                    .insert(0, failure::expression_catcher("outputs", "outputs", &scope.failed));
            }
            parallel.output = Some(self.tail(scope, &own));
            parallel.then.end = true;
        } else {
            for (ix, what, text) in &own {
                if let Some(variable) = self.variables.name(*ix, *what, scope.number) {
                    parallel.assign.insert(variable, value_of(text));
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
        round: usize,
    ) -> (Branch, bool) {
        debug_assert!(round < self.scopes);
        let first = steps
            .first()
            .map(|ix| self.pipeline.step(*ix).id.clone())
            .unwrap_or_default();
        let failed = self.name(format!("Failed in {first}"));
        let mut scope = Scope {
            number: self.scopes,
            states: States::new(),
            failed,
            caught: false,
            fails: false,
            tail: Tail::Branch(exports),
        };
        let piece = self.node(node, &mut scope, true);
        if !piece.exits.is_empty() {
            let name = self.name(format!("End of {first}"));
            let output = self.tail(&scope, &[]);
            patch(&mut scope.states, &piece.exits, &name);
            scope.states.insert(name, State::Succeed(Succeed { output }));
        }
        if scope.caught {
            scope.states.insert(scope.failed, failure::branch_fail());
        }
        let branch = Branch {
            start_at: piece.entry.unwrap_or_default(),
            states: scope.states,
        };
        (branch, scope.fails)
    }

    /// What the last state of a scope gives on.
    fn tail(&self, scope: &Scope, own: &[(StepIx, Carried, String)]) -> Value {
        let reach = self.reach(scope.number, own);
        match &scope.tail {
            Tail::Outputs => Value::Object(
                self.pipeline
                    .root
                    .outputs
                    .iter()
                    .map(|(name, template)| (name.clone(), jsonata::template(template, &reach)))
                    .collect(),
            ),
            Tail::Branch(exports) => {
                let outside = self.variables.round(scope.number);
                let value = |ix: &StepIx, what: &Carried| {
                    let found = own.iter().find(|(own, of, _)| own == ix && of == what);
                    match found {
                        Some((_, _, text)) => value_of(text),
                        None => match self.variables.name(*ix, *what, scope.number) {
                            Some(name) => Value::String(braced(&format!("${name}"))),
                            None => Value::Null,
                        },
                    }
                };
                match exports.as_slice() {
                    [(ix, what)] => value(ix, what),
                    _ => Value::Object(
                        exports
                            .iter()
                            .filter_map(|(ix, what)| Some((self.variables.name(*ix, *what, outside)?, value(ix, what))))
                            .collect(),
                    ),
                }
            }
        }
    }

    fn tail_is_safe(&self, tail: &Tail) -> bool {
        match tail {
            Tail::Outputs => self
                .pipeline
                .root
                .outputs
                .iter()
                .all(|(_, template)| template.is_safe()),
            Tail::Branch(_) => true,
        }
    }

    /// The state that makes the outputs, where no step's state does.
    fn outputs(&mut self, scope: &mut Scope) -> String {
        let output = self.tail(scope, &[]);
        let state = if self.tail_is_safe(&scope.tail) {
            State::Succeed(Succeed { output })
        } else {
            scope.catch();
            let inner = self.name("Evaluate outputs".to_owned());
            State::Parallel(Parallel {
                comment: Some(NOT_CAUGHT.to_owned()),
                branches: vec![evaluation(inner, output)],
                catch: vec![failure::expression_catcher("outputs", "outputs", &scope.failed)],
                output: Some(json!("{% $states.result[0] %}")),
                then: Then { next: None, end: true },
                ..Parallel::default()
            })
        };
        scope.states.insert(OUTPUTS.to_owned(), state);
        OUTPUTS.to_owned()
    }

    fn choice(&mut self, guard: &Guard, then: &Node, scope: &mut Scope) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(guard.step);
        let when = step.when.as_ref().filter(|_| guard.when);
        let name = self.name(format!("When {}", step.id));
        let mut entry = name.clone();
        let reach = self.reach(scope.number, &[]);
        let ran = self.ran(guard, scope.number);
        let condition = match (when, &ran) {
            (None, Some(ran)) => ran.clone(),
            (None, None) => "true".to_owned(),
            (Some(when), None) => jsonata::print_condition(when, &reach),
            (Some(when), Some(ran)) => jsonata::print_condition_after(ran, when, &reach),
        };
        let condition = match when {
            Some(when) if !(when.safe && when.ty == Type::Boolean) => {
                let inner = self.name(format!("Evaluate {}", step.id));
                entry = self.name(format!("Check {}", step.id));
                scope.catch();
                let parallel = Parallel {
                    comment: Some(NOT_CAUGHT.to_owned()),
                    branches: vec![evaluation(inner, Value::String(braced(&condition)))],
                    catch: vec![failure::expression_catcher("when", &step.id, &scope.failed)],
                    output: Some(json!("{% $states.result[0] %}")),
                    then: next(&name),
                    ..Parallel::default()
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
                    Carried::Output => Value::Null,
                    Carried::Status => Value::from("skipped"),
                };
                Some((self.variables.name(ix, what, scope.number)?, value))
            })
            .collect();
        scope.states[index] = State::Choice(Choice {
            choices: vec![Rule {
                condition: braced(&condition),
                assign: IndexMap::new(),
                output: None,
                next: body.entry.unwrap_or_default(),
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
    fn ran(&self, guard: &Guard, scope: usize) -> Option<String> {
        let reach = self.reach(scope, &[]);
        let conditions: Vec<String> = guard
            .ran
            .iter()
            .filter_map(|ix| {
                let status = jsonata::Names::status(&reach, &self.pipeline.step(*ix).id)?;
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

fn next(name: &str) -> Then {
    Then {
        next: Some(name.to_owned()),
        end: false,
    }
}

/// What a step's own state knows of it.
fn own(ix: StepIx, output: &str) -> Vec<(StepIx, Carried, String)> {
    vec![
        (ix, Carried::Output, output.to_owned()),
        (ix, Carried::Status, "'succeeded'".to_owned()),
    ]
}

/// The text of [`own`] as a value.
fn value_of(text: &str) -> Value {
    match text {
        "null" => Value::Null,
        "'succeeded'" => Value::from("succeeded"),
        text => Value::String(braced(text)),
    }
}

/// A branch that computes one value.
fn evaluation(name: String, output: Value) -> Branch {
    let state = State::Pass(Pass {
        output: Some(output),
        then: Then { next: None, end: true },
        ..Pass::default()
    });
    Branch {
        start_at: name.clone(),
        states: IndexMap::from([(name, state)]),
    }
}

/// True for a template that surely gives a string.
fn is_text(template: &Template) -> bool {
    match template {
        Template::Constant(value) => value.is_string(),
        Template::Expr(expr) => expr.safe && expr.ty == Type::String,
        Template::Text(parts) => parts.iter().all(|part| match part {
            TextPart::Literal(_) => true,
            TextPart::Expr(expr) => expr.safe && expr.ty.is_scalar(),
        }),
        Template::List(_) | Template::Object(_) => false,
    }
}

/// Where the outputs of a task's own state fail; Step Functions names the field in the cause where the input may fail too.
fn outputs_catcher(input_is_safe: bool, step: &str, failed: &str) -> Catcher {
    let mut catcher = failure::expression_catcher("outputs", "outputs", failed);
    if !input_is_safe {
        let outputs = jsonata::constant_code(&failure::expression_error("outputs", "outputs"));
        catcher.output = Some(Value::String(braced(&format!(
            "$contains($states.errorOutput.Cause, \" for the field 'Output\") ? {outputs} : {}",
            failure::with_step(step)
        ))));
    }
    catcher
}

fn patch(states: &mut States, exits: &[Exit], name: &str) {
    for exit in exits {
        let (Exit::Next(index) | Exit::Default(index)) = *exit;
        let Some((_, state)) = states.get_index_mut(index) else {
            continue;
        };
        let then = match state {
            State::Task(task) => &mut task.then,
            State::Pass(pass) => &mut pass.then,
            State::Wait(wait) => &mut wait.then,
            State::Parallel(parallel) => &mut parallel.then,
            State::Choice(choice) => {
                name.clone_into(&mut choice.default);
                continue;
            }
            State::Succeed(_) | State::Fail(_) => continue,
        };
        then.next = Some(name.to_owned());
    }
}

/// Text for a reader: `${` would be a placeholder.
fn plain(text: &str) -> String {
    text.trim_end().replace("${", "$ {")
}

/// Retriers of a step. `MaxAttempts` counts retries, `attempts` tries.
fn retriers(retry: &Retry) -> Vec<Retrier> {
    if retry.attempts < 2 {
        return Vec::new();
    }
    let mut names: Vec<String> = Vec::new();
    let mut all = false;
    for on in &retry.on {
        let more: Vec<&str> = match on {
            OnError::All => {
                all = true;
                Vec::new()
            }
            OnError::Transient => failure::UNAVAILABLE_NAMES
                .into_iter()
                .chain(failure::CRASHED_NAMES)
                .collect(),
            OnError::Timeout => failure::TIMEOUT_NAMES.to_vec(),
            OnError::Name(name) => match name.as_str() {
                // It is never tried again.
                "ExpressionError" => Vec::new(),
                "ServiceUnavailable" => failure::UNAVAILABLE_NAMES.to_vec(),
                "WorkerCrashed" => failure::CRASHED_NAMES.to_vec(),
                "timeout" => failure::TIMEOUT_NAMES.to_vec(),
                name => vec![name],
            },
        };
        for name in more {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    let mut retriers = Vec::new();
    if all {
        retriers.push(Retrier {
            error_equals: vec!["States.QueryEvaluationError".to_owned()],
            interval_seconds: None,
            max_attempts: 0,
            backoff_rate: None,
            max_delay_seconds: None,
        });
        names = vec!["States.ALL".to_owned()];
    }
    if names.is_empty() {
        return retriers;
    }
    // All waits are the cap where the first is.
    let backoff = if retry.delay >= retry.max_delay {
        1.0
    } else {
        retry.backoff
    };
    let capped = backoff > 1.0 && retry.attempts > 2 && {
        let exponent = i32::try_from(retry.attempts - 2).unwrap_or(i32::MAX);
        retry.delay as f64 * backoff.powi(exponent) > retry.max_delay as f64
    };
    retriers.push(Retrier {
        error_equals: names,
        interval_seconds: Some(retry.delay.min(retry.max_delay)),
        max_attempts: retry.attempts - 1,
        backoff_rate: Some(if backoff.fract() == 0.0 && backoff < 1e9 {
            json!(backoff as u64)
        } else {
            json!(backoff)
        }),
        max_delay_seconds: capped.then_some(retry.max_delay),
    });
    retriers
}
