//! `catch`: Catchers of a call, or a Choice to which all failures of the step go.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::finish::{self, Exit, Finish, Given, How, Piece, next};
use super::{Scope, Sink, Writer, state_name};
use crate::expr::jsonata::{self, braced, string_literal};
use crate::expr::{Expr, ExprKind, Template};
use crate::model::{Catch, Fallback, FunctionCall, Kind, Step, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::states::{Catcher, Choice, Pass, Rule, State, Succeed, Task};
use crate::targets::aws::variables::{Carried, FAILURE};
use crate::targets::size;

/// The way into a fallback: variables that are set where the error is caught, and the state that follows.
struct Way {
    assign: IndexMap<String, Value>,
    /// None: what follows the step.
    next: Option<String>,
    /// Exits of the fallback's states.
    exits: Vec<Exit>,
}

impl Writer<'_> {
    /// A step from its `catch` inwards.
    pub(super) fn caught(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        match &step.kind {
            _ if step.catch.is_empty() => self.repeated(ix, scope, finish, name),
            Kind::Function(call) if step.repeat.is_none() => self.caught_call(ix, call, scope, finish, name),
            _ => self.caught_body(ix, scope, finish, name),
        }
    }

    /// A call, whose errors its own Catchers tell apart.
    fn caught_call(
        &mut self,
        ix: StepIx,
        call: &FunctionCall,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        // The call comes before its fallbacks.
        let index = scope.states.len();
        scope.states.insert(name.to_owned(), State::Task(Task::default()));
        let source = failure::ours(failure::CAUGHT, &string_literal(&step.path));
        let mut catchers: Vec<Catcher> = Vec::new();
        let mut exits = Vec::new();
        for entry in &step.catch {
            let way = self.fallback(ix, entry, scope, finish, &source);
            let (names, all) = failure::caught_names(&entry.on);
            let groups = if all {
                failure::EVERY.into_iter().map(|name| vec![name.to_owned()]).collect()
            } else {
                vec![names]
            };
            for names in groups {
                if way.next.is_none() {
                    exits.push(Exit::Catch(index, catchers.len()));
                }
                catchers.push(Catcher {
                    error_equals: names,
                    assign: way.assign.clone(),
                    output: Some(json!({})),
                    next: way.next.clone().unwrap_or_default(),
                });
            }
            exits.extend(way.exits);
            if all {
                break;
            }
        }
        let task = self.function(ix, call, scope, finish, catchers);
        if !task.then.end {
            exits.insert(0, Exit::Next(index));
        }
        scope.states[index] = State::Task(task);
        Piece {
            entry: Some(name.to_owned()),
            exits,
        }
    }

    /// Any other body: its failures go to a Choice.
    fn caught_body(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        let catch = self.name(&format!("Catch {}", step.path));
        let sink = Sink {
            state: catch.clone(),
            used: false,
            ends: false,
        };
        let round = std::mem::replace(&mut scope.sink, sink);
        let mut piece = self.repeated(ix, scope, finish, name);
        let sink = std::mem::replace(&mut scope.sink, round);
        if !sink.used {
            return piece;
        }
        let index = scope.states.len();
        scope.states.insert(catch, State::Choice(Choice::default()));
        let source = failure::ours(failure::INPUT, "$states.input.Step");
        let mut choices: Vec<Rule> = Vec::new();
        let mut rest: Option<Way> = None;
        for entry in &step.catch {
            let mut way = self.fallback(ix, entry, scope, finish, &source);
            piece.exits.append(&mut way.exits);
            let (names, all) = failure::caught_names(&entry.on);
            if all {
                rest = Some(way);
                break;
            }
            if way.next.is_none() {
                piece.exits.push(Exit::Rule(index, choices.len()));
            }
            choices.push(Rule {
                condition: braced(&is_one_of(&names)),
                assign: way.assign,
                output: Some(json!({})),
                next: way.next.unwrap_or_default(),
            });
        }
        if let Some(Way { next: None, .. }) = &rest {
            piece.exits.push(Exit::Default(index));
        }
        scope.states[index] = match rest {
            Some(way) if choices.is_empty() => State::Pass(Pass {
                assign: way.assign,
                output: Some(json!({})),
                then: way.next.as_deref().map(next).unwrap_or_default(),
                ..Pass::default()
            }),
            Some(way) => State::Choice(Choice {
                choices,
                assign: way.assign,
                output: Some(json!({})),
                default: way.next.unwrap_or_default(),
                ..Choice::default()
            }),
            None => State::Choice(Choice {
                choices,
                default: scope.catch(),
                ..Choice::default()
            }),
        };
        piece
    }

    /// What takes the place of a failure, which the JSONata of `source` names.
    fn fallback(&mut self, ix: StepIx, entry: &Catch, scope: &mut Scope, finish: &Finish, source: &str) -> Way {
        let pipeline = self.pipeline;
        let variable = self.variables.private(ix, FAILURE);
        let told = finish.how == How::Assign && self.variables.name(ix, Carried::Error, scope.number).is_some();
        let read = match &entry.fallback {
            Fallback::Output(template) => reads_error(template),
            Fallback::Do(fallback) => step_reads_error(pipeline.step(*fallback)),
        };
        let mut assign = IndexMap::new();
        if told || read {
            assign.insert(variable.clone(), Value::String(braced(source)));
        }
        let finish = Finish {
            error: format!("{{'name': ${variable}.name, 'message': ${variable}.message}}"),
            ..finish.clone()
        };
        let round = std::mem::replace(&mut scope.error, format!("${variable}"));
        let way = match &entry.fallback {
            Fallback::Output(template) => self.fallback_value(ix, template, scope, &finish, assign),
            Fallback::Do(fallback) => {
                let name = state_name(pipeline, *fallback);
                let piece = self.attempts(*fallback, scope, &finish, &name);
                Way {
                    assign,
                    next: piece.entry,
                    exits: piece.exits,
                }
            }
        };
        scope.error = round;
        way
    }

    fn fallback_value(
        &mut self,
        ix: StepIx,
        template: &Template,
        scope: &mut Scope,
        finish: &Finish,
        assign: IndexMap<String, Value>,
    ) -> Way {
        let reach = self.reach(scope, &[]);
        let value = match template {
            // A list is no `Output`.
            Template::List(_) | Template::Constant(Value::Array(_)) => {
                Value::String(braced(&jsonata::template_code(template, &reach)))
            }
            Template::Constant(_) | Template::Expr(_) | Template::Text(_) | Template::Object(_) => {
                jsonata::template(template, &reach)
            }
        };
        let safe = template.is_safe() && size::fits_value(template);
        let done = self.done(finish, scope, &Given::value(value.clone()));
        if safe && assign.is_empty() && !done.then.end {
            return Way {
                assign: done.assign,
                next: None,
                exits: Vec::new(),
            };
        }
        let name = self.name(&format!("Fallback of {}", self.pipeline.step(ix).path));
        let ends = done.then.end;
        let state = if !safe {
            self.judged("catch", ix, value, scope, finish)
        } else if ends {
            State::Succeed(Succeed {
                output: finish::output(value),
            })
        } else {
            State::Pass(Pass {
                assign: done.assign,
                output: done.output,
                then: done.then,
                ..Pass::default()
            })
        };
        let index = scope.states.len();
        scope.states.insert(name.clone(), state);
        Way {
            assign,
            next: Some(name),
            exits: if ends { Vec::new() } else { vec![Exit::Next(index)] },
        }
    }
}

fn is_one_of(names: &[String]) -> String {
    let literals: Vec<String> = names.iter().map(|name| string_literal(name)).collect();
    match literals.as_slice() {
        [name] => format!("$states.input.Error = {name}"),
        names => format!("$states.input.Error in [{}]", names.join(", ")),
    }
}

fn reads_error(template: &Template) -> bool {
    let mut reads = false;
    template.each_expr(&mut |expr| reads |= expr_reads_error(expr));
    reads
}

fn step_reads_error(step: &Step) -> bool {
    let mut reads = false;
    step.each_expr(&mut |expr| reads |= expr_reads_error(expr));
    reads
}

fn expr_reads_error(expr: &Expr) -> bool {
    let mut reads = false;
    expr.walk(&mut |part| reads |= matches!(part.kind, ExprKind::Error(_)));
    reads
}
