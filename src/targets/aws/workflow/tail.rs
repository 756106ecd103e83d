//! What a scope gives: outputs, or what is read outside of a branch.

use serde_json::{Value, json};

use super::{NOT_CAUGHT, Scope, Tail, Writer, finish};
use crate::expr::Template;
use crate::expr::jsonata::{self, braced};
use crate::model::StepIx;
use crate::targets::aws::failure;
use crate::targets::aws::states::{Catcher, Parallel, State, Succeed};
use crate::targets::aws::variables::Carried;
use crate::targets::size;

impl<'a> Writer<'a> {
    /// What the last state of a scope gives on.
    pub(super) fn tail(&self, scope: &Scope, own: &[(StepIx, Carried, String)]) -> Value {
        let reach = self.reach(scope, own);
        match &scope.tail {
            Tail::Outputs { of, named } => {
                let outputs = self.outputs_of(*of).iter();
                let outputs = outputs.map(|(name, template)| (name.clone(), jsonata::template(template, &reach)));
                let outputs = Value::Object(outputs.collect());
                if *named { json!({ "output": outputs }) } else { outputs }
            }
            Tail::Branch(exports) | Tail::Part(exports) => {
                let outside = self.variables.round(scope.number);
                let value = |ix: &StepIx, what: &Carried| {
                    let found = own.iter().find(|(own, of, _)| own == ix && of == what);
                    match found {
                        Some((_, _, text)) => finish::value_of(text),
                        None => match self.variables.name(*ix, *what, scope.number) {
                            Some(name) => Value::String(braced(&format!("${name}"))),
                            None => Value::Null,
                        },
                    }
                };
                let all = || -> Value {
                    let named = exports
                        .iter()
                        .filter_map(|(ix, what)| Some((self.variables.name(*ix, *what, outside)?, value(ix, what))));
                    Value::Object(named.collect())
                };
                match (&scope.tail, exports.as_slice()) {
                    (Tail::Part(_), _) => json!({ "output": all() }),
                    (_, [(ix, what)]) => value(ix, what),
                    _ => all(),
                }
            }
            Tail::Value => Value::Null,
        }
    }

    pub(super) fn outputs_of(&self, group: Option<StepIx>) -> &'a [(String, Template)] {
        let pipeline = self.pipeline;
        match group {
            None => &pipeline.root.outputs,
            Some(ix) => pipeline.step(ix).block().map_or(&[], |block| &block.outputs),
        }
    }

    /// True where nothing can go wrong with the tail.
    pub(super) fn tail_is_safe(&self, tail: &Tail) -> bool {
        match tail {
            Tail::Outputs { of: None, .. } => self.outputs_of(None).iter().all(|(_, template)| template.is_safe()),
            Tail::Outputs { of, .. } => {
                let outputs = self.outputs_of(*of);
                outputs.iter().all(|(_, template)| template.is_safe()) && size::fits(outputs)
            }
            Tail::Branch(_) | Tail::Part(_) | Tail::Value => true,
        }
    }

    /// True where the tail may be of a state that does more.
    pub(super) fn tail_stands_with_work(&self, tail: &Tail) -> bool {
        match tail {
            // Of a group's outputs a state of their own tells that they are too large.
            Tail::Outputs { of: Some(_), .. } => self.tail_is_safe(tail),
            // Those of a pipeline that another runs are too large for that one: nothing here may catch it.
            Tail::Outputs { of: None, .. } => self.member.is_root() || size::fits(self.outputs_of(None)),
            Tail::Branch(_) | Tail::Part(_) | Tail::Value => true,
        }
    }

    /// Where the tail fails in a state in which nothing else fails so.
    pub(super) fn tail_catcher(&self, scope: &mut Scope) -> Catcher {
        let step = self.tail_step(&scope.tail);
        failure::expression_catcher("outputs", step, &scope.catch())
    }

    /// Who fails where the outputs do.
    pub(super) fn tail_step(&self, tail: &Tail) -> &'a str {
        match tail {
            Tail::Outputs { of: Some(group), .. } => &self.pipeline.step(*group).path,
            Tail::Outputs { of: None, .. } | Tail::Branch(_) | Tail::Part(_) | Tail::Value => "outputs",
        }
    }

    /// The state that makes the outputs, where no step's state does.
    pub(super) fn outputs(&mut self, scope: &mut Scope, name: String) -> String {
        let output = self.tail(scope, &[]);
        let state = if self.tail_is_safe(&scope.tail) {
            State::Succeed(Succeed { output })
        } else {
            let step = self.tail_step(&scope.tail);
            let mut parallel = self.evaluated("outputs", step, output, scope);
            if matches!(scope.tail, Tail::Outputs { of: Some(_), .. }) {
                parallel.catch.push(failure::size_catcher(step, &scope.catch()));
            }
            State::Parallel(Parallel {
                output: Some(json!("{% $states.result[0] %}")),
                then: finish::END,
                ..parallel
            })
        };
        scope.states.insert(name.clone(), state);
        name
    }

    /// A Parallel state that evaluates what may fail, because it can catch that; what follows is the caller's.
    pub(super) fn evaluated(&mut self, what: &'static str, step: &str, value: Value, scope: &mut Scope) -> Parallel {
        let inner = match what {
            "outputs" if step == "outputs" => "Evaluate outputs".to_owned(),
            "when" | "fail" => format!("Evaluate {step}"),
            _ => format!("Evaluate {what} of {step}"),
        };
        let inner = self.name(&inner);
        Parallel {
            comment: Some(NOT_CAUGHT.to_owned()),
            branches: vec![finish::evaluation(inner, value)],
            catch: vec![failure::expression_catcher(what, step, &scope.catch())],
            ..Parallel::default()
        }
    }
}
