//! A list whose items run in executions of their own: a Distributed Map.
//!
//! Such an execution sees no variable of the one that started it ("Passing data between states with variables"): the
//! item's input brings along what it reads. Where an item fails, Step Functions ends the Map Run and tells no more than
//! `States.ExceedToleratedFailureThreshold`: the item's own error is looked up, of the failed executions the first to end.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::bounded::known_of;
use super::finish::next;
use super::{Scope, Writer};
use crate::expr::Local;
use crate::expr::jsonata::{braced, string_literal};
use crate::model::{ForEach, StepIx, identifier};
use crate::targets::aws::failure;
use crate::targets::aws::limits::QUOTAS;
use crate::targets::aws::states::{Catcher, ProcessorConfig, Retrier, State, Task};
use crate::targets::aws::variables::{INDEX, ITEM, OUTSIDE};

/// How the items run.
pub(super) const CONFIG: ProcessorConfig = ProcessorConfig {
    mode: "DISTRIBUTED",
    execution_type: Some("STANDARD"),
};
/// The call that only the machine of a distributed list makes.
pub(in crate::targets::aws) const LOOK_UP: &str = "arn:aws:states:::aws-sdk:sfn:listMapRuns";
/// The field of what is known of the pipeline's execution. No variable of a step is called so.
const EXECUTION: &str = "parentExecution";
/// A label has at most 40 characters.
const LABEL: usize = 40;

/// How many items run at once: where nothing is written as many as in an inline Map state, not the 10,000 that are
/// Step Functions' own default and that no account's Lambda functions bear.
pub(super) fn at_once(for_each: &ForEach) -> u32 {
    for_each
        .max_concurrency
        .unwrap_or(QUOTAS.step_functions.map_concurrency)
}

impl Writer<'_> {
    /// Where the item's states find what its input brings along.
    pub(super) fn enter_item(&self, ix: StepIx, scope: &mut Scope) {
        let outside = self.variables.private(ix, OUTSIDE);
        scope.execution = format!("${outside}.{EXECUTION}");
        scope.params = format!("${outside}.params");
    }

    /// The input of an item.
    pub(super) fn distributed_selector(&self, ix: StepIx, round: &Scope) -> Value {
        let mut outside = serde_json::Map::new();
        outside.insert(EXECUTION.to_owned(), known_of(&round.execution));
        for path in self.reads_of_item(ix, round) {
            let name = path.rsplit(['.', '$']).next().unwrap_or_default();
            outside.insert(name.to_owned(), Value::String(braced(&path)));
        }
        let mut fields = serde_json::Map::new();
        for (what, name, value) in [
            (Local::Item, "item", "{% $states.context.Map.Item.Value %}"),
            (Local::Index, "index", "{% $states.context.Map.Item.Index %}"),
        ] {
            if self.variables.reads(ix, what) {
                fields.insert(name.to_owned(), Value::from(value));
            }
        }
        fields.insert("outside".to_owned(), Value::Object(outside));
        Value::Object(fields)
    }

    /// The variables with which an item begins.
    pub(super) fn distributed_item(&self, ix: StepIx) -> IndexMap<String, Value> {
        let mut assign = IndexMap::new();
        for (what, name, private) in [(Local::Item, "item", ITEM), (Local::Index, "index", INDEX)] {
            if self.variables.reads(ix, what) {
                let value = json!(format!("{{% $states.input.{name} %}}"));
                assign.insert(self.variables.private(ix, private), value);
            }
        }
        assign.insert(
            self.variables.private(ix, OUTSIDE),
            json!("{% $states.input.outside %}"),
        );
        assign
    }

    /// A part of the ARN of the list's Map Runs that no other list's have.
    pub(super) fn label(&self, ix: StepIx) -> String {
        let label = identifier(&self.pipeline.step(ix).path);
        if label.len() <= LABEL {
            return label;
        }
        let number = ix.0.to_string();
        let kept = label.get(..LABEL - 1 - number.len()).unwrap_or_default();
        format!("{kept}-{number}")
    }

    /// Catches a failed list, and looks up the error of the item that failed first.
    pub(super) fn item_catchers(&mut self, ix: StepIx, scope: &mut Scope) -> Vec<Catcher> {
        let path = &self.pipeline.step(ix).path;
        let failed = scope.catch();
        let runs = self.name(&format!("Map Run of {path}"));
        let items = self.name(&format!("Failed items of {path}"));
        let item = self.name(&format!("Error of {path}"));
        let label = string_literal(&format!("/{}:", self.label(ix)));
        let list_runs = Task {
            comment: Some("An item failed: its error is that of the list".to_owned()),
            resource: LOOK_UP,
            arguments: json!({ "ExecutionArn": "{% $states.context.Execution.Id %}" }),
            // A list that is repeated has a Map Run each time.
            output: Some(json!({ "MapRunArn": braced(&format!(
                "($theRun := $filter($states.result.MapRuns, function($run) {{ $contains($run.MapRunArn, {label}) \
                 and $toMillis($run.StartDate) + 1000 >= $toMillis($states.input.Since) }})[0]; \
                 $exists($theRun) ? $theRun.MapRunArn : $error('not listed yet'))"
            )) })),
            then: next(&items),
            ..self.look_up(path, &failed)
        };
        let list_items = Task {
            resource: "arn:aws:states:::aws-sdk:sfn:listExecutions",
            arguments: json!({ "MapRunArn": "{% $states.input.MapRunArn %}", "StatusFilter": "FAILED" }),
            // The list begins with what started last.
            output: Some(json!({ "ExecutionArn": braced(
                "($theFailed := $sort($reverse($states.result.Executions), function($a, $b) { $a.StopDate > $b.StopDate })[0]; \
                 $exists($theFailed) ? $theFailed.ExecutionArn : $error('not listed yet'))"
            ) })),
            then: next(&item),
            ..self.look_up(path, &failed)
        };
        let describe = Task {
            resource: "arn:aws:states:::aws-sdk:sfn:describeExecution",
            arguments: json!({ "ExecutionArn": "{% $states.input.ExecutionArn %}" }),
            output: Some(Value::String(braced(&failure::described("$states.result", path)))),
            then: next(&failed),
            ..self.look_up(path, &failed)
        };
        for (name, task) in [(runs.clone(), list_runs), (items, list_items), (item, describe)] {
            scope.states.insert(name, State::Task(task));
        }
        let unavailable = failure::unavailable(path);
        vec![
            Catcher {
                error_equals: vec!["States.ExceedToleratedFailureThreshold".to_owned()],
                output: Some(json!({ "Since": "{% $states.context.State.EnteredTime %}" })),
                next: runs,
                ..Catcher::default()
            },
            Catcher {
                error_equals: vec!["States.ALL".to_owned()],
                output: Some(unavailable),
                next: failed,
                ..Catcher::default()
            },
        ]
    }

    /// What all those calls have: lists of executions "may not reflect very recent updates" (API reference, ListExecutions),
    /// so they are asked for again.
    fn look_up(&self, path: &str, failed: &str) -> Task {
        let mut catch = failure::catchers(path, failed);
        for catcher in &mut catch {
            catcher.output = Some(failure::unavailable(path));
        }
        Task {
            retry: vec![Retrier {
                error_equals: vec!["States.ALL".to_owned()],
                interval_seconds: Some(1),
                max_attempts: 10,
                backoff_rate: Some(json!(2)),
                max_delay_seconds: Some(30),
            }],
            catch,
            ..Task::default()
        }
    }
}
