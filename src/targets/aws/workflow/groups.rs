//! Groups, and attempts that a Parallel state repeats.

use serde_json::Value;

use super::finish::{Exit, Finish, Given, How, Piece, patch};
use super::{Scope, Tail, Writer, retry};
use crate::expr::jsonata;
use crate::model::{Kind, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::layout::Node;
use crate::targets::aws::states::{Parallel, Pass, State};
use crate::targets::aws::variables::Carried;
use crate::targets::size;

impl Writer<'_> {
    /// A step from its `retry` inwards.
    pub(super) fn attempts(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        if let Kind::Pipeline(call) = &step.kind
            && let Some((before, index)) = self.params_of(ix, call, scope)
        {
            let mut piece = self.attempt(ix, scope, finish, name);
            if let Some(entry) = piece.entry.replace(before) {
                patch(&mut scope.states, &[Exit::Next(index)], &entry);
            }
            return piece;
        }
        self.attempt(ix, scope, finish, name)
    }

    fn attempt(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        if !retry::is_around(step) {
            return self.kind(ix, scope, finish, name);
        }
        // The state comes before what is in it.
        let index = scope.states.len();
        scope
            .states
            .insert(name.to_owned(), State::Parallel(Parallel::default()));
        let failed = self.name(&format!("Failed attempt of {}", step.path));
        let mut inner = Scope::inner(self.variables.attempts(ix), failed, Tail::Value, scope);
        let attempt = self.name(&format!("Attempt of {}", step.path));
        let body = self.kind(ix, &mut inner, &Finish::of(ix, How::Value), &attempt);
        let start = body.entry.unwrap_or_default();
        let (branch, _) = self.close(inner, start, failure::attempt_fail());
        let done = self.done(finish, scope, &Given::code("$states.result[0]"));
        let exits = done.exits(index);
        scope.states[index] = State::Parallel(Parallel {
            comment: self.comment(ix),
            branches: vec![branch],
            retry: retry::around(&step.retry),
            catch: failure::branch_catchers(&step.path, &scope.catch()),
            assign: done.assign,
            output: done.output,
            then: done.then,
        });
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }

    /// The steps of a group, and what they give.
    pub(super) fn group(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish) -> Piece {
        let (pipeline, layout) = (self.pipeline, self.layout);
        let step = pipeline.step(ix);
        let empty = Node::Seq(Vec::new());
        let node = layout.groups.get(&ix).unwrap_or(&empty);
        if finish.how == How::Value {
            let tail = Tail::Outputs {
                of: Some(ix),
                named: false,
            };
            return self.whole_scope(ix, node, tail, scope);
        }
        let mut piece = self.node(node, scope, false);
        if piece.entry.is_some() && piece.exits.is_empty() {
            return piece;
        }
        let Kind::Group(block) = &step.kind else { return piece };
        let safe = block.outputs.iter().all(|(_, template)| template.is_safe()) && size::fits(&block.outputs);
        let read = finish.how == How::Run
            || Carried::ALL
                .into_iter()
                .any(|what| self.variables.name(finish.of, what, scope.number).is_some());
        if safe && !read && piece.entry.is_some() {
            return piece;
        }
        let name = self.name(&format!("Outputs of {}", step.path));
        let reach = self.reach(scope, &[]);
        let output = Value::Object(
            block
                .outputs
                .iter()
                .map(|(name, template)| (name.clone(), jsonata::template(template, &reach)))
                .collect(),
        );
        let state = if safe {
            let done = self.done(finish, scope, &Given::value(output));
            State::Pass(Pass {
                assign: done.assign,
                output: done.output,
                then: done.then,
                ..Pass::default()
            })
        } else {
            self.judged("outputs", ix, output, scope, finish)
        };
        patch(&mut scope.states, &piece.exits, &name);
        let index = scope.states.len();
        scope.states.insert(name.clone(), state);
        piece.entry = piece.entry.or(Some(name));
        piece.exits = vec![Exit::Next(index)];
        piece
    }

    /// A Parallel state that evaluates what may fail or be too large, and is done with it.
    pub(super) fn judged(
        &mut self,
        what: &'static str,
        ix: StepIx,
        value: Value,
        scope: &mut Scope,
        finish: &Finish,
    ) -> State {
        let path = &self.pipeline.step(ix).path;
        let mut parallel = self.evaluated(what, path, value, scope);
        parallel.catch.push(failure::size_catcher(path, &scope.catch()));
        let done = self.done(finish, scope, &Given::code("$states.result[0]"));
        State::Parallel(Parallel {
            assign: done.assign,
            output: done.output,
            then: done.then,
            ..parallel
        })
    }

    /// A group that is the rest of its scope: the last of its steps gives its outputs.
    pub(super) fn whole_scope(&mut self, ix: StepIx, node: &Node, tail: Tail, scope: &mut Scope) -> Piece {
        let path = &self.pipeline.step(ix).path;
        let round = std::mem::replace(&mut scope.tail, tail);
        let mut piece = self.node(node, scope, true);
        if piece.entry.is_none() || !piece.exits.is_empty() {
            let name = self.name(&format!("Outputs of {path}"));
            let name = self.outputs(scope, name);
            patch(&mut scope.states, &piece.exits, &name);
            piece.entry = piece.entry.or(Some(name));
            piece.exits = Vec::new();
        }
        scope.tail = round;
        piece
    }
}
