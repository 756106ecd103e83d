//! How a step's states end: what becomes of its output, and what follows.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced};
use crate::model::StepIx;
use crate::targets::aws::states::{Branch, Pass, Rule, State, States, Succeed, Then};
use crate::targets::aws::variables::{Carried, RESULT};

/// A piece of the states of a scope.
pub(super) struct Piece {
    /// Its first state; None: it is empty.
    pub entry: Option<String>,
    /// Places that wait for the name of what follows.
    pub exits: Vec<Exit>,
}

/// The state at an index of its scope, and which of its fields.
#[derive(Clone, Copy)]
pub(super) enum Exit {
    Next(usize),
    Default(usize),
    Rule(usize, usize),
    Catch(usize, usize),
}

/// What becomes of the output of a step.
#[derive(Clone, Debug)]
pub(super) struct Finish {
    /// Whose output it is: of a step in a `catch` its step's.
    pub of: StepIx,
    pub how: How,
    /// The error that was caught, as JSONata.
    pub error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Variables, for whoever reads them; then what follows.
    Assign,
    /// The step is the last of its scope, which ends with it.
    Tail,
    /// The scope ends with it, and gives it.
    Value,
    /// The variable of a repetition, which `until` judges.
    Run,
}

impl Finish {
    pub fn of(of: StepIx, how: How) -> Self {
        Self {
            of,
            how,
            error: "null".to_owned(),
        }
    }
}

/// An output, as part of an expression and as a value.
pub(super) struct Given {
    pub code: String,
    pub value: Value,
}

impl Given {
    pub fn code(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            value: value_of(code),
        }
    }

    /// For where no expression takes it up.
    pub fn value(value: Value) -> Self {
        Self {
            code: "null".to_owned(),
            value,
        }
    }
}

/// The fields of a state with which a step is done.
#[derive(Default)]
pub(super) struct Done {
    pub assign: IndexMap<String, Value>,
    pub output: Option<Value>,
    pub then: Then,
}

impl Done {
    /// The exits of the state at `index`.
    pub fn exits(&self, index: usize) -> Vec<Exit> {
        if self.then.end {
            Vec::new()
        } else {
            vec![Exit::Next(index)]
        }
    }
}

impl Writer<'_> {
    /// The step is done with this output.
    pub(super) fn done(&self, finish: &Finish, scope: &Scope, given: &Given) -> Done {
        let ix = finish.of;
        match finish.how {
            How::Assign => Done {
                assign: Carried::ALL
                    .into_iter()
                    .filter_map(|what| {
                        let name = self.variables.name(ix, what, scope.number)?;
                        let value = match what {
                            Carried::Output => given.value.clone(),
                            Carried::Status => Value::from("succeeded"),
                            Carried::Error => value_of(&finish.error),
                        };
                        Some((name, value))
                    })
                    .collect(),
                output: Some(json!({})),
                then: Then::default(),
            },
            How::Tail => Done {
                assign: IndexMap::new(),
                output: Some(output(self.tail(scope, &own(ix, &given.code, &finish.error)))),
                then: END,
            },
            How::Value => Done {
                assign: IndexMap::new(),
                output: Some(output(given.value.clone())),
                then: END,
            },
            How::Run => Done {
                assign: IndexMap::from([(self.variables.private(ix, RESULT), given.value.clone())]),
                output: Some(json!({})),
                then: Then::default(),
            },
        }
    }

    /// A Choice's rule, the `k`-th of the state at `index`, with which a step is done.
    pub(super) fn done_by_rule(
        &mut self,
        finish: &Finish,
        scope: &mut Scope,
        given: &Given,
        (index, k): (usize, usize),
    ) -> (Rule, Vec<Exit>) {
        let done = self.done(finish, scope, given);
        if !done.then.end {
            let rule = Rule {
                assign: done.assign,
                ..Rule::default()
            };
            return (rule, vec![Exit::Rule(index, k)]);
        }
        // A rule cannot end the scope.
        let name = self.name(&format!("End of {}", self.pipeline.step(finish.of).path));
        let output = done.output.unwrap_or_default();
        scope.states.insert(name.clone(), State::Succeed(Succeed { output }));
        let rule = Rule {
            next: name,
            ..Rule::default()
        };
        (rule, Vec::new())
    }
}

/// The last state.
pub(super) const END: Then = Then { next: None, end: true };

pub(super) fn next(name: &str) -> Then {
    Then {
        next: Some(name.to_owned()),
        end: false,
    }
}

/// What a step's own state knows of it.
pub(super) fn own(ix: StepIx, output: &str, error: &str) -> Vec<(StepIx, Carried, String)> {
    vec![
        (ix, Carried::Output, output.to_owned()),
        (ix, Carried::Status, "'succeeded'".to_owned()),
        (ix, Carried::Error, error.to_owned()),
    ]
}

/// The text of [`own`] as a value.
pub(super) fn value_of(text: &str) -> Value {
    match text {
        "null" => Value::Null,
        "'succeeded'" => Value::from("succeeded"),
        text => Value::String(braced(text)),
    }
}

/// A state's `Output`. A bare constant stands as an expression: validators take only those, objects and lists.
pub(super) fn output(value: Value) -> Value {
    match &value {
        Value::String(text) if text.starts_with("{%") => value,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Value::String(braced(&jsonata::constant_code(&value)))
        }
        Value::Array(_) | Value::Object(_) => value,
    }
}

/// A branch that computes one value.
pub(super) fn evaluation(name: String, value: Value) -> Branch {
    let state = State::Pass(Pass {
        output: Some(output(value)),
        then: END,
        ..Pass::default()
    });
    Branch {
        start_at: name.clone(),
        states: IndexMap::from([(name, state)]),
    }
}

/// Gives the exits the name of what follows.
pub(super) fn patch(states: &mut States, exits: &[Exit], name: &str) {
    for exit in exits {
        let (Exit::Next(index) | Exit::Default(index) | Exit::Rule(index, _) | Exit::Catch(index, _)) = *exit;
        let Some((_, state)) = states.get_index_mut(index) else {
            continue;
        };
        if let Some(place) = place(state, *exit) {
            name.clone_into(place);
        }
    }
}

fn place(state: &mut State, exit: Exit) -> Option<&mut String> {
    let (then, catch) = match state {
        State::Task(task) => (&mut task.then, Some(&mut task.catch)),
        State::Parallel(parallel) => (&mut parallel.then, Some(&mut parallel.catch)),
        State::Map(map) => (&mut map.then, Some(&mut map.catch)),
        State::Pass(pass) => (&mut pass.then, None),
        State::Wait(wait) => (&mut wait.then, None),
        State::Choice(choice) => {
            return match exit {
                Exit::Rule(_, k) => choice.choices.get_mut(k).map(|rule| &mut rule.next),
                Exit::Next(_) | Exit::Default(_) | Exit::Catch(..) => Some(&mut choice.default),
            };
        }
        State::Succeed(_) | State::Fail(_) => return None,
    };
    match exit {
        Exit::Catch(_, k) => catch?.get_mut(k).map(|catcher| &mut catcher.next),
        Exit::Next(_) | Exit::Default(_) | Exit::Rule(..) => Some(then.next.insert(String::new())),
    }
}
