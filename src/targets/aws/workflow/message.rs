//! A message on a topic that starts the pipeline: its params, made of what the pipe hands over.
//!
//! The pipe's own templates would read a text that is JSON as what it says; without one the text arrives as it is, in a
//! list of one message of the queue.

use super::{Scope, Writer, params};
use crate::expr::ast::{TextPart, TriggerField};
use crate::expr::jsonata::{self, braced};
use crate::expr::{Expr, ExprKind, Template};
use crate::model::{Trigger, TriggerKind};
use crate::targets::aws::states::{Choice, Rule, State};

/// The first state, where messages start the pipeline.
pub(super) const MESSAGE: &str = "Message";
/// The message of the queue. Its text is `body` (Lambda Developer Guide, "Using Lambda with Amazon SQS": the same form).
const RECORD: &str = "$states.input[0]";

impl Writer<'_> {
    /// A rule for each trigger of a topic; None where there is none, or where no params are to be made.
    pub(super) fn messages(&self, scope: &Scope) -> Option<State> {
        let is_topic = |trigger: &&Trigger| matches!(trigger.kind, TriggerKind::Topic { .. });
        let triggers = self.pipeline.triggers.iter().filter(is_topic);
        let choices: Vec<Rule> = triggers
            .zip(&self.placeholders.queues)
            .map(|(trigger, queue)| self.message(trigger, queue, scope))
            .collect();
        (!choices.is_empty() && !self.pipeline.params.is_empty()).then(|| {
            State::Choice(Choice {
                comment: Some("A message on a topic starts the pipeline: its text becomes params".to_owned()),
                choices,
                default: params::PARAMS.to_owned(),
                ..Choice::default()
            })
        })
    }

    fn message(&self, trigger: &Trigger, queue: &str, scope: &Scope) -> Rule {
        let mut reach = self.reach(scope, &[]);
        reach.params = RECORD;
        let params = trigger.params.iter();
        let params = params.map(|(name, template)| (name.clone(), jsonata::template(&of_record(template), &reach)));
        Rule {
            condition: braced(&format!(
                "$type($states.input) = 'array' and {RECORD}.eventSourceARN = '{}'",
                jsonata::placeholder(queue)
            )),
            output: Some(params.collect()),
            next: params::PARAMS.to_owned(),
            ..Rule::default()
        }
    }
}

/// The template with `trigger.message` as a field of what [`RECORD`] is.
fn of_record(template: &Template) -> Template {
    match template {
        Template::Constant(_) => template.clone(),
        Template::Expr(expr) => Template::Expr(expr_of_record(expr)),
        Template::Text(parts) => Template::Text(
            parts
                .iter()
                .map(|part| match part {
                    TextPart::Literal(text) => TextPart::Literal(text.clone()),
                    TextPart::Expr(expr) => TextPart::Expr(expr_of_record(expr)),
                })
                .collect(),
        ),
        Template::List(items) => Template::List(items.iter().map(of_record).collect()),
        Template::Object(fields) => {
            let fields = fields.iter();
            Template::Object(fields.map(|(name, value)| (name.clone(), of_record(value))).collect())
        }
    }
}

fn expr_of_record(expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    let mut stack = vec![&mut expr];
    while let Some(part) = stack.pop() {
        if matches!(part.kind, ExprKind::Trigger(TriggerField::Message)) {
            part.kind = ExprKind::Param(Some("body".to_owned()));
        }
        stack.extend(part.children_mut());
    }
    expr
}
