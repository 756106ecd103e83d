//! The variables of steps: which they read, which they assign, which belong to a block of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::steps::{Action, Body, Call, Case, Items, Step, Then};

/// How often variables are read.
pub type Counts = BTreeMap<String, usize>;

/// A list of steps within a step.
pub struct Inner<'a> {
    /// The steps.
    pub steps: &'a mut Vec<Step>,
    /// The variable that belongs to them: of a loop, of an `except`.
    pub bound: Option<String>,
    /// True where they run beside others.
    pub parallel: bool,
}

/// The lists of steps within a step.
pub fn inner(step: &mut Step) -> Vec<Inner<'_>> {
    let mut lists = Vec::new();
    let mut add = |steps, bound: Option<String>, parallel| lists.push(Inner { steps, bound, parallel });
    match &mut step.action {
        Action::Assign(_) | Action::Call(_) | Action::Raise(_) | Action::Return(_) => {}
        Action::Switch(cases) => {
            for case in cases {
                if let Then::Steps(steps) = &mut case.then {
                    add(steps, None, false);
                }
            }
        }
        Action::Parallel { branches, .. } => branches.iter_mut().for_each(|(_, steps)| add(steps, None, true)),
        Action::For { value, steps, .. } => add(steps, Some(value.clone()), false),
        Action::ParallelFor { value, steps, .. } => add(steps, Some(value.clone()), true),
        Action::Try { body, except, .. } => {
            if let Body::Steps(steps) = body {
                add(steps, None, false);
            }
            if let Some((error, steps)) = except {
                add(steps, Some(error.clone()), false);
            }
        }
    }
    lists
}

/// Visits the lists of steps within a step, and tells of each whether it runs beside others.
pub fn each_inner<'a>(step: &'a Step, visit: &mut dyn FnMut(&'a [Step], bool)) {
    match &step.action {
        Action::Assign(_) | Action::Call(_) | Action::Raise(_) | Action::Return(_) => {}
        Action::Switch(cases) => {
            for case in cases {
                if let Then::Steps(steps) = &case.then {
                    visit(steps, false);
                }
            }
        }
        Action::Parallel { branches, .. } => branches.iter().for_each(|(_, steps)| visit(steps, true)),
        Action::For { steps, .. } => visit(steps, false),
        Action::ParallelFor { steps, .. } => visit(steps, true),
        Action::Try { body, except, .. } => {
            if let Body::Steps(steps) = body {
                visit(steps, false);
            }
            if let Some((_, steps)) = except {
                visit(steps, false);
            }
        }
    }
}

/// What steps do with the variables round them.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// Read, how often.
    pub reads: Counts,
    /// Assigned where everything behind sees it.
    pub assigned: BTreeSet<String>,
    /// Assigned in a block of its own, which changes those variables only that are there before.
    pub changed: BTreeSet<String>,
}

/// The variables that steps use and that are not bound within them.
pub fn uses(steps: &[Step]) -> Uses {
    let mut walk = Walk::default();
    walk.steps(steps);
    walk.uses
}

/// The variables that one step assigns where what follows sees them.
pub fn assigned(step: &Step) -> BTreeSet<String> {
    uses(std::slice::from_ref(step)).assigned
}

#[derive(Default)]
struct Walk {
    uses: Uses,
    bound: Vec<String>,
    /// How many blocks with variables of their own are round the step at hand.
    blocks: usize,
}

impl Walk {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn block(&mut self, steps: &[Step], bound: Option<&str>) {
        self.blocks += 1;
        self.bound.extend(bound.map(str::to_owned));
        self.steps(steps);
        if bound.is_some() {
            self.bound.pop();
        }
        self.blocks -= 1;
    }

    fn step(&mut self, step: &Step) {
        match &step.action {
            Action::Assign(variables) => {
                for (target, value) in variables {
                    self.value(value);
                    self.target(target);
                }
            }
            Action::Call(call) => self.call(call),
            Action::Switch(cases) => cases.iter().for_each(|case| self.case(case)),
            Action::Parallel { shared, branches } => {
                shared.iter().for_each(|variable| self.read(variable));
                branches.iter().for_each(|(_, steps)| self.block(steps, None));
            }
            Action::For { value, items, steps } => {
                match items {
                    Items::In(list) => self.value(list),
                    Items::Range(first, last) => [first, last].into_iter().for_each(|bound| self.value(bound)),
                }
                self.block(steps, Some(value));
            }
            Action::ParallelFor {
                shared,
                value,
                items,
                steps,
                ..
            } => {
                shared.iter().for_each(|variable| self.read(variable));
                self.value(items);
                self.block(steps, Some(value));
            }
            Action::Try { body, except, .. } => {
                match body {
                    Body::Call(call) => self.call(call),
                    Body::Steps(steps) => self.steps(steps),
                }
                if let Some((error, steps)) = except {
                    self.block(steps, Some(error));
                }
            }
            Action::Raise(value) | Action::Return(value) => self.value(value),
        }
    }

    fn call(&mut self, call: &Call) {
        call.args.values().for_each(|value| self.value(value));
        if let Some(target) = &call.result {
            self.target(target);
        }
    }

    fn case(&mut self, case: &Case) {
        self.text(&case.condition);
        match &case.then {
            Then::Steps(steps) => self.steps(steps),
            Then::Raise(value) | Then::Return(value) => self.value(value),
            Then::Next(_) => {}
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                if let Some(text) = text.strip_prefix("${").and_then(|text| text.strip_suffix('}')) {
                    self.text(text);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.values().for_each(|value| self.value(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// What an assignment changes: a variable, or an item of one, which is still read then.
    fn target(&mut self, target: &str) {
        let end = target.find(['[', '.']).unwrap_or(target.len());
        let (variable, path) = target.split_at(end);
        if !path.is_empty() {
            self.text(target);
        }
        if self.bound.iter().any(|bound| bound == variable) {
            return;
        }
        if self.blocks == 0 && path.is_empty() {
            self.uses.assigned.insert(variable.to_owned());
        } else {
            self.uses.changed.insert(variable.to_owned());
        }
    }

    fn text(&mut self, text: &str) {
        each_name(text, &mut |name| self.read(name));
    }

    fn read(&mut self, name: &str) {
        if !self.bound.iter().any(|bound| bound == name) {
            *self.uses.reads.entry(name.to_owned()).or_default() += 1;
        }
    }
}

/// The names in an expression that may be variables: no fields, no functions, nothing in a text.
fn each_name(text: &str, visit: &mut dyn FnMut(&str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut before = b' ';
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(&inner) = bytes.get(at) {
                    at += match inner {
                        b'\\' => 2,
                        b'"' => break,
                        _ => 1,
                    };
                }
                at += 1;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let start = at;
                while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                    at += 1;
                }
                let called = bytes.get(at) == Some(&b'(');
                if let (Some(name), false, false) = (text.get(start..at), called, before == b'.') {
                    visit(name);
                }
            }
            _ => at += 1,
        }
        before = byte;
    }
}
