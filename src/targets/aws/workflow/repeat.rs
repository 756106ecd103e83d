//! `repeat`: a loop of states.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::finish::{Exit, Finish, Given, How, Piece, next, patch};
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced};
use crate::expr::{Local, Type};
use crate::model::StepIx;
use crate::targets::aws::failure;
use crate::targets::aws::states::{Choice, Parallel, Pass, Rule, State, Wait};
use crate::targets::aws::variables::{RESULT, RUNS};

impl Writer<'_> {
    /// A step from its `repeat` inwards.
    pub(super) fn repeated(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        let Some(repeat) = &step.repeat else {
            return self.attempts(ix, scope, finish, name);
        };
        let runs = self.variables.private(ix, RUNS);
        let result = self.variables.private(ix, RESULT);
        let mut start = IndexMap::new();
        if self.variables.reads(ix, Local::Previous) {
            start.insert(result.clone(), Value::Null);
        }
        if repeat.max > 1 {
            start.insert(runs.clone(), json!(1));
        }
        let begin = (!start.is_empty()).then(|| {
            let begin = self.name(&format!("Repeat {}", step.path));
            let pass = Pass {
                assign: start,
                ..Pass::default()
            };
            let index = scope.states.len();
            scope.states.insert(begin.clone(), State::Pass(pass));
            (begin, index)
        });
        let body = self.attempts(ix, scope, &Finish::of(ix, How::Run), name);
        let entry = body.entry.unwrap_or_default();
        if let Some((_, index)) = &begin {
            patch(&mut scope.states, &[Exit::Next(*index)], &entry);
        }
        let first = Some(begin.map_or_else(|| entry.clone(), |(begin, _)| begin));
        if body.exits.is_empty() {
            // It fails in its first run.
            return Piece {
                entry: first,
                exits: Vec::new(),
            };
        }
        let until = self.name(&format!("Until {}", step.path));
        let condition = jsonata::print_condition(&repeat.until, &self.reach(scope, &[]));
        let condition = if repeat.until.safe && repeat.until.ty == Type::Boolean {
            patch(&mut scope.states, &body.exits, &until);
            condition
        } else {
            let value = Value::String(braced(&condition));
            let parallel = self.evaluated("until", &step.path, value, scope);
            let check = self.name(&format!("Check until of {}", step.path));
            let parallel = Parallel {
                output: Some(json!("{% $states.result[0] %}")),
                then: next(&until),
                ..parallel
            };
            patch(&mut scope.states, &body.exits, &check);
            scope.states.insert(check, State::Parallel(parallel));
            failure::INPUT.to_owned()
        };
        let index = scope.states.len();
        scope.states.insert(until, State::Choice(Choice::default()));
        let given = Given::code(&format!("${result}"));
        let (mut done, exits) = self.done_by_rule(finish, scope, &given, (index, 0));
        done.condition = braced(&condition);
        let words = if repeat.max == 1 { "run" } else { "runs" };
        let limit = failure::known(
            Value::from("RepeatLimit"),
            Value::String(format!("`until` was still false after {} {words}", repeat.max)),
            &step.path,
        );
        let failed = scope.catch();
        scope.states[index] = State::Choice(if repeat.max == 1 {
            Choice {
                choices: vec![done],
                output: Some(limit),
                default: failed,
                ..Choice::default()
            }
        } else {
            let last = Rule {
                condition: braced(&format!("${runs} = {}", repeat.max)),
                output: Some(limit),
                next: failed,
                ..Rule::default()
            };
            let again = if repeat.delay == 0 {
                entry
            } else {
                let delay = self.name(&format!("Delay {}", step.path));
                let wait = Wait {
                    seconds: Some(repeat.delay),
                    then: next(&entry),
                    ..Wait::default()
                };
                scope.states.insert(delay.clone(), State::Wait(wait));
                delay
            };
            Choice {
                choices: vec![done, last],
                assign: IndexMap::from([(runs.clone(), json!(format!("{{% ${runs} + 1 %}}")))]),
                default: again,
                ..Choice::default()
            }
        });
        Piece { entry: first, exits }
    }
}
