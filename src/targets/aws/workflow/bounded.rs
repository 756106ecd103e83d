//! A group with a `timeout`: a state machine of its own. Neither Parallel nor Map states have a bound; an execution has.
//!
//! The execution of the group receives the variables that it reads under the same names. It ends well also where the
//! group fails, and gives `{output}` or `{failure}`: the cause of a failed execution holds its input too, and is cut.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::finish::{Exit, Finish, Given, Piece, next, patch};
use super::{Scope, Sink, Tail, Writer};
use crate::expr::jsonata::{self, Names, braced};
use crate::expr::{Expr, ExprKind};
use crate::model::{Kind, Step, StepIx};
use crate::plan::Node;
use crate::targets::aws::failure;
use crate::targets::aws::states::{Catcher, Choice, Definition, Pass, State, States, Succeed, Task};

/// The variable of what an execution of a group knows of the execution that started it.
const PARENT: &str = "parentExecution";
/// What Step Functions shows as the link to the execution that started this one.
const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";

/// True of a group that runs as an execution of its own.
pub(in crate::targets::aws) fn is_bounded(step: &Step) -> bool {
    matches!(step.kind, Kind::Group(_)) && step.timeout.is_some()
}

impl Writer<'_> {
    /// Starts the execution of a group and waits for its end.
    pub(super) fn bounded(
        &mut self,
        ix: StepIx,
        seconds: u64,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let path = self.pipeline.step(ix).path.clone();
        let reads = self.reads_outside(ix, scope);
        let mut input = serde_json::Map::new();
        input.insert(STARTED_BY.to_owned(), json!("{% $states.context.Execution.Id %}"));
        let execution = &scope.execution;
        input.insert(
            PARENT.to_owned(),
            json!({ "Name": braced(&format!("{execution}.Name")), "StartTime": braced(&format!("{execution}.StartTime")) }),
        );
        for name in &reads {
            input.insert(name.clone(), Value::String(braced(&format!("${name}"))));
        }
        let failed = scope.catch();
        let judge = self.name(&format!("Result of {path}"));
        let late = jsonata::constant_code(&failure::timeout(&path));
        let mut catch = vec![Catcher {
            error_equals: vec!["States.Timeout".to_owned()],
            output: Some(failure::timeout(&path)),
            next: failed.clone(),
            ..Catcher::default()
        }];
        catch.extend(failure::catchers(&path, &failed));
        if let Some(all) = catch.last_mut() {
            // The execution has the same bound, and may be the first to end. What else fails here is the service.
            let unavailable = jsonata::constant_code(&failure::unavailable(&path));
            all.output = Some(Value::String(braced(&format!(
                "$contains($states.errorOutput.Cause, '\"TIMED_OUT\"') ? {late} : {unavailable}"
            ))));
        }
        let task = Task {
            comment: Some(
                self.comment(ix)
                    .unwrap_or_else(|| format!("An execution of its own, of {}: only that has a bound", file(&path))),
            ),
            resource: "arn:aws:states:::states:startExecution.sync:2",
            arguments: json!({
                "StateMachineArn": jsonata::placeholder(
                    self.placeholders.machines.get(&path).map(String::as_str).unwrap_or_default(),
                ),
                "Input": input,
            }),
            timeout_seconds: Some(seconds),
            catch,
            output: Some(json!("{% $states.result.Output %}")),
            then: next(&judge),
            ..Task::default()
        };
        scope.states.insert(name.to_owned(), State::Task(task));
        let index = scope.states.len();
        scope.states.insert(judge, State::Choice(Choice::default()));
        let given = Given::code("$states.input.output");
        let (mut rule, exits) = self.done_by_rule(finish, scope, &given, (index, 0));
        rule.condition = braced("$exists($states.input.output)");
        scope.states[index] = State::Choice(Choice {
            choices: vec![rule],
            output: Some(json!("{% $states.input.failure %}")),
            default: failed,
            ..Choice::default()
        });
        let definition = self.machine(ix, seconds, scope, &reads);
        self.machines.push((path, definition));
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }

    /// The state machine of the group.
    fn machine(&mut self, ix: StepIx, seconds: u64, round: &Scope, reads: &BTreeSet<String>) -> Definition {
        let (pipeline, plan) = (self.pipeline, self.plan);
        let path = &pipeline.step(ix).path;
        let start = self.name(&format!("Input of {path}"));
        let failed = self.name(&format!("Failed in {path}"));
        let mut scope = Scope {
            number: self.variables.bounds(ix),
            states: States::new(),
            sink: Sink {
                state: failed,
                used: false,
                ends: false,
            },
            fails: false,
            tail: Tail::Value,
            error: round.error.clone(),
            execution: format!("${PARENT}"),
        };
        let assign: IndexMap<String, Value> = std::iter::once(PARENT)
            .chain(reads.iter().map(String::as_str))
            .map(|name| (name.to_owned(), json!(format!("{{% $states.input.{name} %}}"))))
            .collect();
        let begin = Pass {
            assign,
            output: Some(json!({})),
            ..Pass::default()
        };
        scope.states.insert(start.clone(), State::Pass(begin));
        let empty = Node::Seq(Vec::new());
        let node = plan.groups.get(&ix).unwrap_or(&empty);
        let tail = Tail::Outputs {
            of: Some(ix),
            named: true,
        };
        let body = self.whole_scope(ix, node, tail, &mut scope);
        patch(&mut scope.states, &[Exit::Next(0)], &body.entry.unwrap_or_default());
        if scope.sink.used {
            let end = State::Succeed(Succeed {
                output: json!({ "failure": braced(&failure::record(failure::INPUT)) }),
            });
            scope.states.insert(scope.sink.state, end);
        }
        Definition {
            comment: Some(format!("The group {path} of {}", pipeline.name)),
            query_language: "JSONata",
            timeout_seconds: Some(seconds),
            start_at: start,
            states: scope.states,
        }
    }

    /// The variables round a group that its states read.
    fn reads_outside(&self, ix: StepIx, scope: &Scope) -> BTreeSet<String> {
        let reach = self.reach(scope, &[]);
        let inside = |path: &str| {
            let group = &self.pipeline.step(ix).path;
            path.strip_prefix(group.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let mut found = BTreeSet::new();
        let mut add = |code: String| {
            if let Some(name) = code.strip_prefix('$') {
                found.insert(name.to_owned());
            }
        };
        let mut note = |expr: &Expr| {
            expr.walk(&mut |part| match &part.kind {
                ExprKind::StepOutput(step) if !inside(step) => add(reach.output(step)),
                ExprKind::StepStatus(step) if !inside(step) => reach.status(step).into_iter().for_each(&mut add),
                ExprKind::StepError(step) if !inside(step) => reach.step_error(step).into_iter().for_each(&mut add),
                ExprKind::Local(step, what) if !inside(step) => add(reach.local(step, *what)),
                ExprKind::Param(_) => add(reach.params().to_owned()),
                _ => {}
            });
        };
        for step in self.pipeline.steps.iter().filter(|step| inside(&step.path)) {
            step.each_expr(&mut note);
        }
        for (_, output) in self.outputs_of(Some(ix)) {
            output.each_expr(&mut note);
        }
        found
    }
}

/// The file of the state machine of a group.
pub(in crate::targets::aws) fn file(path: &str) -> String {
    format!("workflow.{path}.asl.json")
}
