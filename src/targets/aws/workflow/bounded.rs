//! A group with a `timeout`: a state machine of its own. Neither Parallel nor Map states have a bound; an execution has.
//!
//! The execution of the group receives the variables that it reads under the same names. It ends well also where the
//! group fails, and gives `{output}` or `{failure}`: the cause of a failed execution holds its input too, and is cut.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::finish::{Exit, Finish, Given, Piece, next, patch};
use super::{Scope, Sink, Tail, Writer, reads};
use crate::expr::jsonata::{self, braced};
use crate::model::{Kind, Step, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::layout::Node;
use crate::targets::aws::states::{Choice, Definition, Pass, Rule, State, States, Succeed, Task};

/// The variable of what an execution of a group knows of the execution that started it.
const PARENT: &str = "parentExecution";
/// What Step Functions shows as the link to the execution that started this one.
const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";

pub(super) const START: &str = "arn:aws:states:::states:startExecution.sync:2";

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
        let reads = reads::variables(&self.reads_of_group(ix, scope));
        let file = self.member.group_file(&path);
        let failed = scope.catch();
        let judge = self.name(&format!("Result of {path}"));
        let late = jsonata::constant_code(&failure::timeout(&path));
        let mut catch = vec![failure::timeout_catcher(&path, &failed)];
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
                    .unwrap_or_else(|| format!("An execution of its own, of {file}: only that has a bound")),
            ),
            timeout_seconds: Some(seconds),
            catch,
            then: next(&judge),
            ..self.start(&file, &reads, scope)
        };
        scope.states.insert(name.to_owned(), State::Task(task));
        let index = scope.states.len();
        scope.states.insert(judge, State::Choice(Choice::default()));
        let given = Given::code("$states.input.output");
        let (rule, exits) = self.done_by_rule(finish, scope, &given, (index, 0));
        scope.states[index] = judged(rule, failed);
        let definition = self.machine(ix, seconds, scope, &reads);
        self.machines.push((file, definition));
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }

    /// The state machine of the group.
    fn machine(&mut self, ix: StepIx, seconds: u64, round: &Scope, reads: &BTreeSet<String>) -> Definition {
        let (pipeline, layout) = (self.pipeline, self.layout);
        let path = &pipeline.step(ix).path;
        let start = self.name(&format!("Input of {path}"));
        let failed = self.name(&format!("Failed in {path}"));
        let mut scope = entered(self.variables.bounds(ix), failed, Tail::Value, (&start, reads), round);
        let empty = Node::Seq(Vec::new());
        let node = layout.groups.get(&ix).unwrap_or(&empty);
        let tail = Tail::Outputs {
            of: Some(ix),
            named: true,
        };
        let body = self.whole_scope(ix, node, tail, &mut scope);
        patch(&mut scope.states, &[Exit::Next(0)], &body.entry.unwrap_or_default());
        Definition {
            comment: Some(format!("The group {path} of {}", pipeline.name)),
            query_language: "JSONata",
            timeout_seconds: Some(seconds),
            start_at: start,
            states: with_failed_end(scope),
        }
    }

    /// The ARN of the state machine of a definition.
    pub(super) fn machine_arn(&self, file: &str) -> String {
        let machine = self.placeholders.machines.get(file).map(String::as_str);
        jsonata::placeholder(machine.unwrap_or_default())
    }

    /// Starts the execution of a state machine that gets these variables, and waits for its end.
    pub(super) fn start(&self, file: &str, reads: &BTreeSet<String>, scope: &Scope) -> Task {
        let mut input = serde_json::Map::new();
        input.insert(STARTED_BY.to_owned(), json!("{% $states.context.Execution.Id %}"));
        input.insert(PARENT.to_owned(), known_of(&scope.execution));
        for name in reads {
            input.insert(name.clone(), Value::String(braced(&format!("${name}"))));
        }
        Task {
            resource: START,
            arguments: json!({ "StateMachineArn": self.machine_arn(file), "Input": input }),
            output: Some(json!("{% $states.result.Output %}")),
            ..Task::default()
        }
    }
}

/// The scope of a state machine of its own, with the state that sets the variables that it gets.
pub(super) fn entered(
    number: usize,
    failed: String,
    tail: Tail,
    (start, reads): (&str, &BTreeSet<String>),
    round: &Scope,
) -> Scope {
    let assign: IndexMap<String, Value> = std::iter::once(PARENT)
        .chain(reads.iter().map(String::as_str))
        .map(|name| (name.to_owned(), json!(format!("{{% $states.input.{name} %}}"))))
        .collect();
    let begin = Pass {
        assign,
        output: Some(json!({})),
        ..Pass::default()
    };
    Scope {
        number,
        states: States::from([(start.to_owned(), State::Pass(begin))]),
        sink: Sink {
            state: failed,
            used: false,
            ends: false,
        },
        fails: false,
        tail,
        error: round.error.clone(),
        execution: format!("${PARENT}"),
        params: round.params.clone(),
    }
}

/// The states of such a scope: it ends well where it fails.
pub(super) fn with_failed_end(mut scope: Scope) -> States {
    if scope.sink.used {
        let end = State::Succeed(Succeed {
            output: json!({ "failure": braced(&failure::record(failure::INPUT)) }),
        });
        scope.states.insert(scope.sink.state, end);
    }
    scope.states
}

/// Tells apart how such an execution ended: the rule is for the good end.
pub(super) fn judged(rule: Rule, failed: String) -> State {
    State::Choice(Choice {
        choices: vec![Rule {
            condition: braced("$exists($states.input.output)"),
            ..rule
        }],
        output: Some(json!("{% $states.input.failure %}")),
        default: failed,
        ..Choice::default()
    })
}

/// What is handed on of the pipeline's execution.
pub(super) fn known_of(execution: &str) -> Value {
    json!({ "Name": braced(&format!("{execution}.Name")), "StartTime": braced(&format!("{execution}.StartTime")) })
}
