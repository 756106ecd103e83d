//! A step without its modifiers: what it calls, waits for, or fails with.

use serde_json::{Value, json};

use super::finish::{Done, Exit, Finish, Given, How, Piece, next};
use super::{Scope, Writer, state_name, time};
use crate::expr::Template;
use crate::expr::jsonata::{self, braced, string_literal};
use crate::model::{FunctionCall, Kind, StepIx, Wait};
use crate::targets::aws::failure;
use crate::targets::aws::states::{self, Catcher, Fail, Parallel, Pass, State, Task};

impl Writer<'_> {
    /// A step with all its modifiers.
    pub(super) fn run(&mut self, ix: StepIx, scope: &mut Scope, last: bool) -> Piece {
        let step = self.pipeline.step(ix);
        if step.for_each.is_some() {
            return self.for_each(ix, scope, last);
        }
        let ends = match &step.kind {
            Kind::Function(_) => self.tail_stands_with_work(&scope.tail),
            Kind::Wait(Wait::Duration(_)) => self.tail_is_safe(&scope.tail),
            Kind::Endpoint(_) | Kind::Monitor(_) => false,
            Kind::Job(_) | Kind::Train(_) | Kind::BatchPredict(_) | Kind::Notify(_) => false,
            Kind::Wait(Wait::Until(_)) | Kind::Fail { .. } | Kind::Approval(_) | Kind::Pipeline(_) | Kind::Group(_) => {
                false
            }
        };
        let how = if last && ends && step.is_plain() {
            How::Tail
        } else {
            How::Assign
        };
        let name = state_name(self.pipeline, ix);
        self.caught(ix, scope, &Finish::of(ix, how), &name)
    }

    /// What the step is but for its modifiers, in a state of that name.
    pub(super) fn kind(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let pipeline = self.pipeline;
        match &pipeline.step(ix).kind {
            Kind::Endpoint(endpoint) => self.endpoint(ix, endpoint, scope, finish, name),
            Kind::Function(call) => {
                let index = scope.states.len();
                let task = self.function(ix, call, scope, finish, Vec::new());
                let exits = if task.then.end {
                    Vec::new()
                } else {
                    vec![Exit::Next(index)]
                };
                scope.states.insert(name.to_owned(), State::Task(task));
                Piece {
                    entry: Some(name.to_owned()),
                    exits,
                }
            }
            Kind::Wait(Wait::Duration(seconds)) => self.wait(ix, *seconds, scope, finish, name),
            Kind::Wait(Wait::Until(time)) => self.wait_until(ix, time, scope, finish, name),
            Kind::Fail { error, message } => self.fail(ix, error, message, scope, name),
            Kind::Train(train) => self.train(ix, train, scope, finish, name),
            Kind::BatchPredict(batch) => self.batch_predict(ix, batch, scope, finish, name),
            Kind::Monitor(monitor) => self.monitor(ix, monitor, scope, finish, name),
            Kind::Job(job) => self.job(ix, job, scope, finish, name),
            Kind::Notify(notify) => self.notify(ix, notify, scope, finish, name),
            Kind::Approval(approval) => self.approval(ix, approval, scope, finish, name),
            Kind::Pipeline(call) => self.child(ix, call, scope, finish, name),
            Kind::Group(_) => match pipeline.step(ix).timeout {
                Some(seconds) => self.bounded(ix, seconds, scope, finish, name),
                None => self.group(ix, scope, finish),
            },
        }
    }

    /// The call of a step's function. `catch` comes before what sends every failure on.
    pub(super) fn function(
        &self,
        ix: StepIx,
        call: &FunctionCall,
        scope: &mut Scope,
        finish: &Finish,
        catch: Vec<Catcher>,
    ) -> Task {
        let step = self.pipeline.step(ix);
        let timeout = step.timeout.map(|timeout| timeout.min(call.timeout));
        let mut task = self.call(&step.path, &step.input, scope, &step.retry, timeout);
        task.comment = self.comment(ix);
        task.catch = catch;
        if !task.catch.iter().any(|catcher| catcher.error_equals == ["States.ALL"]) {
            task.catch.extend(failure::catchers(&step.path, &scope.catch()));
        }
        if finish.how == How::Tail && !self.tail_is_safe(&scope.tail) {
            let of = self.tail_step(&scope.tail);
            let catcher = outputs_catcher(step.input.is_safe(), of, &step.path, &scope.catch());
            task.catch.insert(0, catcher);
        }
        let done = self.done(finish, scope, &Given::code("$states.result.Payload"));
        task.assign = done.assign;
        task.output = done.output;
        task.then = done.then;
        task
    }

    fn wait(&mut self, ix: StepIx, seconds: u64, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let step = self.pipeline.step(ix);
        let index = scope.states.len();
        let comment = self.comment(ix);
        let bound = step.timeout.filter(|bound| *bound < seconds);
        let done = match bound {
            Some(_) => Done {
                output: Some(failure::timeout(&step.path)),
                then: next(&scope.catch()),
                ..Done::default()
            },
            None => self.done(finish, scope, &Given::code("null")),
        };
        let exits = match bound {
            Some(_) => Vec::new(),
            None => done.exits(index),
        };
        let wait = states::Wait {
            comment,
            seconds: Some(bound.unwrap_or(seconds)),
            timestamp: None,
            assign: done.assign,
            output: done.output.filter(|_| exits.is_empty()),
            then: done.then,
        };
        scope.states.insert(name.to_owned(), State::Wait(wait));
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }

    fn wait_until(&mut self, ix: StepIx, time: &Template, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let step = self.pipeline.step(ix);
        let comment = self.comment(ix);
        let constant = match time {
            Template::Constant(value) if step.timeout.is_none() => time::constant(value),
            _ => None,
        };
        if let Some(timestamp) = constant {
            let index = scope.states.len();
            let done = self.done(finish, scope, &Given::code("null"));
            let exits = done.exits(index);
            let wait = states::Wait {
                comment,
                seconds: None,
                timestamp: Some(timestamp),
                assign: done.assign,
                output: done.output,
                then: done.then,
            };
            scope.states.insert(name.to_owned(), State::Wait(wait));
            return Piece {
                entry: Some(name.to_owned()),
                exits,
            };
        }
        let code = time::code(&jsonata::template_code(time, &self.reach(scope, &[])), step.timeout);
        let value = Value::String(braced(&code));
        let parallel = self.evaluated("until", &step.path, value, scope);
        let entry = self.name(&format!("Time of {}", step.path));
        let parallel = Parallel {
            output: Some(json!("{% $states.result[0] %}")),
            then: next(name),
            ..parallel
        };
        scope.states.insert(entry.clone(), State::Parallel(parallel));
        let index = scope.states.len();
        let done = self.done(finish, scope, &Given::code("null"));
        let exits = if step.timeout.is_some() {
            self.wait_bounded(ix, scope, finish, (name, comment))
        } else {
            let exits = done.exits(index);
            let wait = states::Wait {
                comment,
                seconds: None,
                timestamp: Some(braced(failure::INPUT)),
                assign: done.assign,
                output: done.output,
                then: done.then,
            };
            scope.states.insert(name.to_owned(), State::Wait(wait));
            exits
        };
        Piece {
            entry: Some(entry),
            exits,
        }
    }

    /// Waits to the earlier of the time and the end of the attempt, which `$states.input` holds, and tells them apart.
    fn wait_bounded(
        &mut self,
        ix: StepIx,
        scope: &mut Scope,
        finish: &Finish,
        (name, comment): (&str, Option<String>),
    ) -> Vec<Exit> {
        let path = &self.pipeline.step(ix).path;
        let judge = self.name(&format!("Time left for {path}"));
        let wait = states::Wait {
            comment,
            timestamp: Some(braced("$states.input.end")),
            then: next(&judge),
            ..states::Wait::default()
        };
        scope.states.insert(name.to_owned(), State::Wait(wait));
        let index = scope.states.len();
        scope.states.insert(judge, State::Choice(states::Choice::default()));
        let (mut rule, exits) = self.done_by_rule(finish, scope, &Given::code("null"), (index, 0));
        rule.condition = braced("$not($states.input.late)");
        scope.states[index] = State::Choice(states::Choice {
            choices: vec![rule],
            output: Some(failure::timeout(path)),
            default: scope.catch(),
            ..states::Choice::default()
        });
        exits
    }

    /// A step that fails.
    fn fail(&mut self, ix: StepIx, error: &Template, message: &Template, scope: &mut Scope, name: &str) -> Piece {
        let path = &self.pipeline.step(ix).path;
        let comment = self.comment(ix);
        let state = if error.is_text() && message.is_text() {
            let reach = self.reach(scope, &[]);
            let failure = failure::known(
                jsonata::template(error, &reach),
                jsonata::template(message, &reach),
                path,
            );
            if scope.sink.ends {
                let (code, message) = (
                    jsonata::template_code(error, &reach),
                    jsonata::template_code(message, &reach),
                );
                scope.fails = true;
                State::Fail(Fail {
                    comment,
                    cause: Value::String(braced(&format!(
                        "$string({{'Error': {code}, 'Message': {message}, 'Step': {}}})",
                        string_literal(path)
                    ))),
                    error: failure["Error"].clone(),
                })
            } else {
                State::Pass(Pass {
                    comment,
                    output: Some(failure),
                    then: next(&scope.catch()),
                    ..Pass::default()
                })
            }
        } else {
            let (error, message) = (self.text_code(error, scope), self.text_code(message, scope));
            let output = failure::known(error, message, path);
            let parallel = self.evaluated("fail", path, output, scope);
            State::Parallel(Parallel {
                comment: comment.or(parallel.comment),
                output: Some(json!("{% $states.result[0] %}")),
                then: next(&scope.catch()),
                ..parallel
            })
        };
        scope.states.insert(name.to_owned(), state);
        Piece {
            entry: Some(name.to_owned()),
            exits: Vec::new(),
        }
    }

    /// A template that must give a string.
    pub(super) fn text_code(&self, template: &Template, scope: &Scope) -> Value {
        let reach = self.reach(scope, &[]);
        if template.is_text() || matches!(template, Template::Text(_)) {
            return jsonata::template(template, &reach);
        }
        let code = jsonata::template_code(template, &reach);
        Value::String(braced(&format!(
            "($theText := ({code}); $type($theText) = 'string' ? $theText : $error('no text'))"
        )))
    }
}

/// Where the outputs of a task's own state fail; Step Functions names the field in the cause where the input may fail too.
fn outputs_catcher(input_is_safe: bool, of: &str, step: &str, failed: &str) -> Catcher {
    let mut catcher = failure::expression_catcher("outputs", of, failed);
    if !input_is_safe {
        let outputs = jsonata::constant_code(&failure::expression_error("outputs", of));
        catcher.output = Some(Value::String(braced(&format!(
            "$contains($states.errorOutput.Cause, \" for the field 'Output\") ? {outputs} : {}",
            failure::with_step(step)
        ))));
    }
    catcher
}
