//! A part of a pipeline whose definition would be too large: a state machine of its own, see [`layout`].
//!
//! It works like a branch of a Parallel state, but receives the variables that it reads, and gives back those that are read
//! after it, or a failure.
//!
//! [`layout`]: crate::targets::aws::layout

use serde_json::{Value, json};

use super::bounded::{entered, judged, with_failed_end};
use super::finish::{self, Exit, Piece, next, patch};
use super::{Scope, Tail, Writer, reads};
use crate::expr::jsonata::{self, braced, string_literal};
use crate::targets::aws::failure;
use crate::targets::aws::layout::Node;
use crate::targets::aws::states::{Choice, Definition, Rule, State, Succeed, Task};

impl Writer<'_> {
    /// Starts the execution of a part and waits for its end.
    pub(super) fn part(&mut self, id: &str, node: &Node, scope: &mut Scope) -> Piece {
        let steps = node.steps();
        let Some(first) = steps.first().copied() else {
            return Piece {
                entry: None,
                exits: Vec::new(),
            };
        };
        let path = &self.pipeline.step(first).path;
        let exports = self.variables.exports(&steps, scope.number);
        let reads = reads::variables(&self.reads_of_part(node, scope));
        let name = self.name(&format!("Part {id}"));
        let judge = self.name(&format!("Result of part {id}"));
        let failed = scope.catch();
        let mut catch = failure::catchers(path, &failed);
        if let Some(all) = catch.last_mut() {
            // What it gives may be too large for an output, and then nothing in it can tell.
            let large = jsonata::constant_code(&failure::too_large(path));
            let unavailable = jsonata::constant_code(&failure::unavailable(path));
            all.output = Some(Value::String(braced(&format!(
                "$contains($states.errorOutput.Cause, {}) ? {large} : {unavailable}",
                string_literal(failure::DATA_LIMIT)
            ))));
        }
        let file = self.member.part_file(id);
        let task = Task {
            comment: Some(format!(
                "An execution of its own, of {file}: the definition would be too large"
            )),
            catch,
            then: next(&judge),
            ..self.start(&file, &reads, scope)
        };
        scope.states.insert(name.clone(), State::Task(task));
        let index = scope.states.len();
        let assign = exports.iter().filter_map(|(ix, what)| {
            let variable = self.variables.name(*ix, *what, scope.number)?;
            let value = finish::value_of(&format!("$states.input.output.{variable}"));
            Some((variable, value))
        });
        let rule = Rule {
            assign: assign.collect(),
            output: Some(json!({})),
            ..Rule::default()
        };
        scope.states.insert(judge.clone(), State::Choice(Choice::default()));
        scope.states[index] = judged(rule, failed);

        let start = self.name(&format!("Input of part {id}"));
        let failed = self.name(&format!("Failed in part {id}"));
        let number = self.variables.branch(scope.number, first);
        let mut inner = entered(number, failed, Tail::Part(exports), (&start, &reads), scope);
        let body = self.node(node, &mut inner, true);
        if !body.exits.is_empty() {
            let end = self.name(&format!("End of part {id}"));
            let output = finish::output(self.tail(&inner, &[]));
            patch(&mut inner.states, &body.exits, &end);
            inner.states.insert(end, State::Succeed(Succeed { output }));
        }
        patch(&mut inner.states, &[Exit::Next(0)], &body.entry.unwrap_or_default());
        let definition = Definition {
            comment: Some(format!("The part of {} that begins with {path}", self.pipeline.name)),
            query_language: "JSONata",
            timeout_seconds: None,
            start_at: start,
            states: with_failed_end(inner),
        };
        self.machines.push((file, definition));
        Piece {
            entry: Some(name),
            exits: vec![Exit::Rule(index, 0)],
        }
    }
}
