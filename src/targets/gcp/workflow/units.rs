//! A step with its modifiers, from the outside in: the loop over its items, the `try` of its `catch`, the loop of its
//! `repeat`, the `retry` of what is no function, the deadline of a group, its kind.

use serde_json::{Value, json};

use super::{Failure, Invocation, Writer, raise_failure};
use crate::expr::workflows::quote;
use crate::expr::{Local, Template, Type, template_type};
use crate::model::{Block, Catch, Fallback, ForEach, Kind, OnError, Repeat, Step as Source, StepIx, Wait, identifier};
use crate::targets::gcp::calls::Of;
use crate::targets::gcp::frames::{Loop, Tree, Unit, is_large};
use crate::targets::gcp::names::{short, step_name};
use crate::targets::gcp::slices::{self, Slices};
use crate::targets::gcp::steps::{Action, Body, Call, Case, Items, NodeKind, Step, Then, expression};
use crate::targets::size;

/// A loop over items.
struct Turns {
    /// The loop's variable: an item's place in the list.
    place: String,
    /// The variable with the list.
    list: String,
    /// The variable with the places of the items in the whole list, where this is a slice of it.
    positions: Option<String>,
    /// The variable with the outputs.
    outputs: String,
    /// Most items at once; None: as many as Workflows runs.
    limit: Option<u32>,
    /// The variable with the time of the first failure.
    failed_at: Option<String>,
}

impl Writer<'_> {
    /// All of a step but its condition.
    pub(super) fn unit(&mut self, unit: &Unit, out: &mut Vec<Step>) {
        let step = self.pipeline.step(unit.ix);
        let result = self.names.outputs.get(&step.path).cloned();
        match (&step.for_each, unit.items) {
            (Some(for_each), Some(items)) => self.items(unit, for_each, items, result, out),
            _ => self.caught(unit, result, out),
        }
    }

    /// A loop over the items; their outputs are put into a list of that length.
    fn items(&mut self, unit: &Unit, for_each: &ForEach, items: Loop, result: Option<String>, out: &mut Vec<Step>) {
        let step = self.pipeline.step(unit.ix);
        let id = identifier(&step.path);
        let list = self.variables.taken.name(&format!("{id}_items"));
        let outputs = result.unwrap_or_else(|| self.variables.taken.name(&format!("{id}_outputs")));
        let value = self.printer().template(&for_each.list, &format!("{id}_list"));
        let read = if for_each.list.is_safe() && matches!(template_type(&for_each.list), Type::List(_)) {
            Action::Assign(vec![(list.clone(), value)])
        } else {
            self.library.helpers.insert("list_of");
            let read = Call {
                result: Some(list.clone()),
                ..Call::new("list_of", [("x", value)])
            };
            self.attempt(&step.path, "for_each", Body::Call(read))
        };
        out.push(Step::new(self.steps.name(&format!("{id}_items")), read));
        match slices::slices(self.pipeline, unit.ix, for_each) {
            Some(slices) => self.sliced(unit, items, &slices, &list, &outputs, out),
            None => {
                let index = self.local(step, Local::Index);
                let turns = Turns {
                    place: index,
                    list,
                    positions: None,
                    outputs: outputs.clone(),
                    limit: for_each.max_concurrency,
                    failed_at: None,
                };
                if let Some(failure) = self.turns_of(unit, items, &turns, out) {
                    let failed = raise_failure(&[failure]);
                    out.push(Step::new(self.steps.name(&format!("after_{id}_each")), failed));
                }
            }
        }
        if is_large(&step_type(step)) {
            self.fit(&step.path, &outputs, out);
        }
    }

    fn local(&self, step: &Source, what: Local) -> String {
        let key = (step.path.clone(), what);
        self.names.locals.get(&key).cloned().unwrap_or_default()
    }

    /// As many places as items: each turn takes its own, whatever the order. Gives the variable with the places.
    fn places(&mut self, id: &str, list: &str, outputs: &str, out: &mut Vec<Step>) -> String {
        self.library.helpers.insert("positions");
        let places = self.variables.taken.name(&format!("{id}_places"));
        let positions = Call {
            result: Some(places.clone()),
            ..Call::new("positions", [("x", expression(list))])
        };
        out.push(Step::new(
            self.steps.name(&format!("{id}_positions")),
            Action::Call(positions),
        ));
        // A list of its own: nothing says that an assignment copies.
        let copy = expression(format!("json.decode(json.encode({places}))"));
        out.extend(self.assign(&format!("init_{id}_items"), vec![(outputs.to_owned(), copy)]));
        places
    }

    /// The loop itself. Gives the variable with the failure of its items, where they run side by side.
    fn turns_of(&mut self, unit: &Unit, items: Loop, turns: &Turns, out: &mut Vec<Step>) -> Option<String> {
        let step = self.pipeline.step(unit.ix);
        let id = identifier(&step.path);
        let Turns {
            place, list, outputs, ..
        } = turns;
        let places = self.places(&id, list, outputs, out);
        let output = self.variables.taken.name(&format!("{id}_item_output"));
        let mut init = vec![(self.local(step, Local::Item), expression(format!("{list}[{place}]")))];
        if let Some(positions) = &turns.positions {
            let index = expression(format!("{positions}[{place}]"));
            init.push((self.local(step, Local::Index), index));
        }
        if step.catch.is_empty() {
            // A `catch` begins with this itself.
            init.push((output.clone(), Value::Null));
        }
        init.extend(self.declared(items.frame));
        let keep = Action::Assign(vec![(format!("{outputs}[{place}]"), expression(&output))]);
        let mut turn = Vec::new();
        let again = std::mem::replace(&mut self.again, false);
        let failure = items.parallel.then(|| {
            let variable = self.variables.taken.name(&short(&format!("{id}_failure"), 120));
            self.stops.push(variable.clone());
            variable
        });
        if !self.stops.is_empty() {
            let stop = raise_failure(&self.stops);
            turn.push(Step::new(self.steps.name(&format!("before_{id}_item")), stop));
        }
        turn.extend(self.assign(&format!("{id}_item"), init));
        self.caught(unit, Some(output), &mut turn);
        turn.push(Step::new(self.steps.name(&format!("{id}_item_output")), keep));
        self.again = again;
        let name = self.steps.name(&format!("{id}_each"));
        let Some(failure) = failure else {
            out.push(Step::new(
                name,
                Action::For {
                    value: place.clone(),
                    items: Items::In(expression(&places)),
                    steps: turn,
                },
            ));
            return None;
        };
        self.stops.pop();
        let mut note = vec![(failure.clone(), expression(format!("default({failure}, e)")))];
        let mut shared = vec![failure.clone(), outputs.clone()];
        let mut first = vec![(failure.clone(), Value::Null)];
        if let Some(time) = &turns.failed_at {
            note.push((time.clone(), expression(format!("default({time}, sys.now())"))));
            shared.push(time.clone());
            first.push((time.clone(), Value::Null));
        }
        let note = Step::new(self.steps.name(&format!("{id}_item_failed")), Action::Assign(note));
        let attempt = Action::Try {
            body: Body::Steps(turn),
            retry: None,
            except: Some(("e".to_owned(), vec![note])),
        };
        let steps = vec![Step::new(self.steps.name(&format!("try_{id}_item")), attempt)];
        let more = self.layout.shared.get(&items.id).into_iter().flatten();
        shared.extend(more.filter(|variable| *variable != outputs).cloned());
        out.extend(self.assign(&format!("init_{failure}"), first));
        out.push(
            Step::new(
                name,
                Action::ParallelFor {
                    shared,
                    value: place.clone(),
                    items: expression(&places),
                    limit: turns.limit,
                    steps,
                },
            )
            .with_comment(format!(
                "An item that fails sets `{failure}`; then the others start no further step."
            )),
        );
        Some(failure)
    }

    /// The loop dealt out to slices, each an execution of its own: one runs no more than 20 items at once, and 100,000 steps.
    fn sliced(&mut self, unit: &Unit, items: Loop, slices: &Slices, list: &str, outputs: &str, out: &mut Vec<Step>) {
        let step = self.pipeline.step(unit.ix);
        let id = identifier(&step.path);
        // Several of them stand in one expression, which has 400 characters.
        let mut name = |what: &str| self.variables.taken.name(&short(&format!("{id}_{what}"), 60));
        let (dealt, slice, slice_items) = (name("slices"), name("slice"), name("slice_items"));
        let (slice_outputs, place) = (name("slice_outputs"), name("place"));
        let (failure, failed_at) = (name("slices_failure"), name("slices_failed_at"));
        let slice_failed_at = name("failed_at");
        self.library.helpers.extend(["deal", "picked"]);
        let deal = [
            ("x", expression(list)),
            ("most", json!(slices.count)),
            ("share", json!(slices.share)),
            ("together", json!(!items.parallel)),
        ];
        let deal = Call {
            result: Some(dealt.clone()),
            ..Call::new("deal", deal)
        };
        out.push(Step::new(self.steps.name(&format!("{id}_slices")), Action::Call(deal)));
        self.places(&id, list, outputs, out);

        let mut turn = Vec::new();
        if items.parallel {
            self.stops.push(failure.clone());
        }
        if !self.stops.is_empty() {
            let stop = raise_failure(&self.stops);
            turn.push(Step::new(self.steps.name(&format!("before_{id}_slice")), stop));
        }
        let pick = Call {
            result: Some(slice_items.clone()),
            ..Call::new("picked", [("x", expression(list)), ("places", expression(&slice))])
        };
        turn.push(Step::new(self.steps.name(&format!("{id}_slice")), Action::Call(pick)));
        let start = turn.len();
        let turns = Turns {
            place: place.clone(),
            list: slice_items,
            positions: Some(slice.clone()),
            outputs: slice_outputs.clone(),
            limit: slices.limit,
            failed_at: items.parallel.then(|| slice_failed_at.clone()),
        };
        let slice_failure = self.turns_of(unit, items, &turns, &mut turn);
        self.mark(unit.ix, start, NodeKind::Slice, &mut turn);
        // Unlike a part of another kind a slice is ended where it is not wanted any more: lists run long.
        if let Some(node) = turn.get_mut(start).and_then(|step| step.node.as_mut()) {
            node.stops.clone_from(&self.stops);
        }
        if items.parallel {
            self.stops.pop();
        }
        let target = format!("{outputs}[{slice}[{place}]]");
        let value = expression(format!("{slice_outputs}[{place}]"));
        let keep = Action::Assign(vec![(target, value)]);
        let keep = Action::For {
            value: place,
            items: Items::Range(json!(0), expression(format!("len({slice}) - 1"))),
            steps: vec![Step::new(self.steps.name(&format!("{id}_slice_output")), keep)],
        };
        let keep = Step::new(self.steps.name(&format!("{id}_slice_outputs")), keep);
        let name = self.steps.name(&format!("{id}_each_slice"));
        let Some(slice_failure) = slice_failure else {
            turn.push(keep);
            out.push(Step::new(
                name,
                Action::For {
                    value: slice,
                    items: Items::In(expression(&dealt)),
                    steps: turn,
                },
            ));
            return;
        };
        // The first failure counts: slices end in another order than that in which items fail.
        let earlier = format!("{failed_at} == null or {slice_failed_at} < {failed_at}");
        let first = Case {
            condition: format!("{slice_failure} != null"),
            then: Then::Steps(vec![Step::new(
                self.steps.name(&format!("{id}_slice_failure")),
                Action::Assign(vec![
                    (
                        failure.clone(),
                        expression(format!("if({earlier}, {slice_failure}, {failure})")),
                    ),
                    (
                        failed_at.clone(),
                        expression(format!("if({earlier}, {slice_failed_at}, {failed_at})")),
                    ),
                ]),
            )]),
        };
        let whole = Case {
            condition: "true".to_owned(),
            then: Then::Steps(vec![keep]),
        };
        turn.push(Step::new(
            self.steps.name(&format!("{id}_slice_ended")),
            Action::Switch(vec![first, whole]),
        ));
        let note = Action::Assign(vec![
            (failure.clone(), expression(format!("default({failure}, e)"))),
            (
                failed_at.clone(),
                expression(format!("default({failed_at}, sys.now())")),
            ),
        ]);
        let note = Step::new(self.steps.name(&format!("{id}_slice_failed")), note);
        let attempt = Action::Try {
            body: Body::Steps(turn),
            retry: None,
            except: Some(("e".to_owned(), vec![note])),
        };
        let mut shared = vec![failure.clone(), failed_at.clone(), outputs.to_owned()];
        let more = self.layout.shared.get(&items.id).into_iter().flatten();
        shared.extend(more.filter(|variable| *variable != outputs).cloned());
        let first = vec![(failure.clone(), Value::Null), (failed_at, Value::Null)];
        out.extend(self.assign(&format!("init_{failure}"), first));
        out.push(
            Step::new(
                name,
                Action::ParallelFor {
                    shared,
                    value: slice,
                    items: expression(&dealt),
                    limit: slices.at_once,
                    steps: vec![Step::new(self.steps.name(&format!("try_{id}_slice")), attempt)],
                },
            )
            .with_comment("A slice that fails ends when its running items have; the other slices are ended then."),
        );
        let failed = raise_failure(&[failure]);
        out.push(Step::new(self.steps.name(&format!("after_{id}_slices")), failed));
    }

    /// Fails where a value is larger than a step's output may be.
    pub(super) fn fit(&mut self, path: &str, variable: &str, out: &mut Vec<Step>) {
        self.fit_as(path, variable, "output", out);
    }

    /// Fails where a value is larger than a step's `what` may be.
    pub(super) fn fit_as(&mut self, path: &str, variable: &str, what: &str, out: &mut Vec<Step>) {
        self.library.helpers.insert("check_size");
        let args = [("x", expression(variable))];
        let name = identifier(path);
        // What is too large to be measured is too large.
        let raise = Action::Raise(json!({
            "name": "PayloadTooLarge", "message": format!("{what} is larger than 256 KiB"), "step": path,
        }));
        let too_large = Step::new(self.steps.name(&format!("{name}_too_large")), raise);
        let measure = Action::Try {
            body: Body::Call(Call::new("check_size", args)),
            retry: None,
            except: Some(("e".to_owned(), vec![too_large])),
        };
        out.push(Step::new(self.steps.name(&format!("{name}_size")), measure));
    }

    fn caught(&mut self, unit: &Unit, result: Option<String>, out: &mut Vec<Step>) {
        let step = self.pipeline.step(unit.ix);
        if step.catch.is_empty() {
            self.repeated(unit, result, out);
            return;
        }
        let id = identifier(&step.path);
        let caught = self.names.errors.get(&step.path).cloned();
        let mut first = Vec::new();
        first.extend(result.clone().map(|variable| (variable, Value::Null)));
        first.extend(caught.clone().map(|variable| (variable, Value::Null)));
        out.extend(self.assign(&format!("init_{id}"), first));
        let mut body = Vec::new();
        self.repeated(unit, result.clone(), &mut body);
        let mut except = Vec::new();
        if !self.stops.is_empty() {
            let stop = raise_failure(&self.stops);
            except.push(Step::new(self.steps.name(&format!("{id}_stopped")), stop));
        }
        self.library.helpers.insert("step_error");
        let read = Call {
            result: Some("error".to_owned()),
            ..Call::new("step_error", [("e", expression("error"))])
        };
        except.push(Step::new(self.steps.name(&format!("{id}_error")), Action::Call(read)));
        let mut cases = Vec::new();
        if !self.deadlines.is_empty() {
            cases.push(Case {
                condition: "map.get(error, \"deadline\") != null".to_owned(),
                then: Then::Raise(expression("error")),
            });
        }
        let mut open = true;
        for catch in &step.catch {
            let condition = match matching(&catch.on) {
                Some(condition) => condition,
                None => {
                    open = false;
                    "true".to_owned()
                }
            };
            let steps = self.fallback(step, catch, result.as_deref(), caught.as_deref());
            cases.push(Case {
                condition,
                then: Then::Steps(steps),
            });
        }
        if open {
            cases.push(Case {
                condition: "true".to_owned(),
                then: Then::Raise(expression("error")),
            });
        }
        except.push(Step::new(
            self.steps.name(&format!("{id}_catch")),
            Action::Switch(cases),
        ));
        out.push(Step::new(
            self.steps.name(&format!("try_{id}")),
            Action::Try {
                body: Body::Steps(body),
                retry: None,
                except: Some(("error".to_owned(), except)),
            },
        ));
    }

    fn fallback(&mut self, step: &Source, catch: &Catch, result: Option<&str>, caught: Option<&str>) -> Vec<Step> {
        let id = identifier(&step.path);
        let mut steps = Vec::new();
        match &catch.fallback {
            Fallback::Do(ix) => {
                let again = std::mem::replace(&mut self.again, true);
                self.attempts(*ix, None, result, &mut steps);
                self.again = again;
            }
            Fallback::Output(template) => {
                let value = self.printer().template(template, &format!("{id}_fallback_value"));
                let variable = match result {
                    Some(variable) => Some(variable.to_owned()),
                    None if template.is_safe() && size::fits_value(template) => None,
                    None => Some(self.variables.taken.name(&format!("{id}_fallback"))),
                };
                if let Some(variable) = variable {
                    let assign = Action::Assign(vec![(variable.clone(), value)]);
                    let name = self.steps.name(&format!("{id}_fallback"));
                    if template.is_safe() {
                        steps.push(Step::new(name, assign));
                    } else {
                        let inner = Step::new(self.steps.name(&format!("evaluate_{id}_fallback")), assign);
                        let action = self.attempt(&step.path, "catch", Body::Steps(vec![inner]));
                        steps.push(Step::new(name, action));
                    }
                    if !size::fits_value(template) {
                        self.fit(&step.path, &variable, &mut steps);
                    }
                }
            }
        }
        let told = json!({ "name": expression("error.name"), "message": expression("error.message") });
        let told: Vec<(String, Value)> = caught.map(|variable| (variable.to_owned(), told)).into_iter().collect();
        steps.extend(self.assign(&format!("{id}_caught"), told));
        if steps.is_empty() {
            let nothing = Action::Assign(vec![("error".to_owned(), Value::Null)]);
            steps.push(Step::new(self.steps.name(&format!("{id}_caught")), nothing));
        }
        steps
    }

    fn repeated(&mut self, unit: &Unit, result: Option<String>, out: &mut Vec<Step>) {
        let step = self.pipeline.step(unit.ix);
        let Some(Repeat { until, max, delay }) = &step.repeat else {
            self.attempts(unit.ix, unit.block.as_ref(), result.as_deref(), out);
            return;
        };
        let id = identifier(&step.path);
        let local = |what| {
            self.names
                .locals
                .get(&(step.path.clone(), what))
                .cloned()
                .unwrap_or_default()
        };
        let (previous, output) = (local(Local::Previous), local(Local::Output));
        let first = vec![(previous.clone(), Value::Null), (output.clone(), Value::Null)];
        out.extend(self.assign(&format!("init_{id}_repeat"), first));
        let count = self.variables.taken.name(&format!("{id}_run"));
        let mut turn = Vec::new();
        let again = std::mem::replace(&mut self.again, true);
        self.attempts(unit.ix, unit.block.as_ref(), Some(&output), &mut turn);
        self.again = again;
        let condition = self.printer().condition(until, &format!("{id}_until"));
        let ends = |condition: String| {
            Action::Switch(vec![Case {
                condition,
                then: Then::Next("break".to_owned()),
            }])
        };
        if until.safe && until.ty == Type::Boolean {
            turn.push(Step::new(self.steps.name(&format!("{id}_until")), ends(condition)));
        } else {
            let variable = self.variables.taken.name(&format!("{id}_done"));
            let assign = Action::Assign(vec![(variable.clone(), expression(condition))]);
            let inner = Step::new(self.steps.name(&format!("evaluate_{id}_until")), assign);
            let evaluate = self.attempt(&step.path, "until", Body::Steps(vec![inner]));
            turn.push(Step::new(self.steps.name(&format!("{id}_condition")), evaluate));
            turn.push(Step::new(self.steps.name(&format!("{id}_until")), ends(variable)));
        }
        let runs = if *max == 1 { "run" } else { "runs" };
        let limit = Action::Switch(vec![Case {
            condition: format!("{count} == {max}"),
            then: Then::Raise(json!({
                "name": "RepeatLimit",
                "message": format!("`until` was still false after {max} {runs}"),
                "step": step.path,
            })),
        }]);
        turn.push(Step::new(self.steps.name(&format!("{id}_limit")), limit));
        if *delay > 0 {
            self.sleep(&format!("{id}_delay"), *delay, &mut turn);
        }
        let next = vec![(previous, expression(&output))];
        turn.extend(self.assign(&format!("{id}_next"), next));
        out.push(Step::new(
            self.steps.name(&format!("{id}_repeat")),
            Action::For {
                value: count,
                items: Items::Range(json!(1), json!(max)),
                steps: turn,
            },
        ));
        if let Some(result) = result {
            out.extend(self.assign(&format!("{id}_output"), vec![(result, expression(output))]));
        }
    }

    /// The kind, tried as often as `retry` says. A function's call has its own `retry`.
    fn attempts(&mut self, ix: StepIx, block: Option<&Tree>, result: Option<&str>, out: &mut Vec<Step>) {
        let step = self.pipeline.step(ix);
        if let Kind::Function(_) = &step.kind {
            let name = step_name(&step.path);
            self.check_deadlines(&name, out);
            let input = self.printer().template(&step.input, &format!("{name}_input"));
            let function = Invocation {
                step: &step.path,
                timeout: step.attempt_timeout(),
                retry: &step.retry,
                input,
                safe: step.input.is_safe(),
                result: result.map(str::to_owned),
            };
            self.function(function, out);
            return;
        }
        let params = match &step.kind {
            Kind::Pipeline(call) => Some(self.params(&step.path, call, out)),
            _ => None,
        };
        let Some(retry) = self.calls.retry(&step.retry, Of::Step) else {
            self.once(ix, block, params.as_deref(), result, out);
            return;
        };
        let mut body = Vec::new();
        let again = std::mem::replace(&mut self.again, true);
        self.once(ix, block, params.as_deref(), result, &mut body);
        self.again = again;
        let id = identifier(&step.path);
        out.push(Step::new(
            self.steps.name(&format!("{id}_attempts")),
            Action::Try {
                body: Body::Steps(body),
                retry: Some(retry),
                except: None,
            },
        ));
    }

    /// One attempt of what is no function.
    fn once(
        &mut self,
        ix: StepIx,
        block: Option<&Tree>,
        params: Option<&str>,
        result: Option<&str>,
        out: &mut Vec<Step>,
    ) {
        let step = self.pipeline.step(ix);
        let path = step.path.as_str();
        let name = step_name(path);
        self.check_deadlines(&name, out);
        match &step.kind {
            Kind::Monitor(_) => self.monitor(step, result, out),
            Kind::Endpoint(endpoint) => self.endpoint(step, endpoint, result, out),
            // `attempts` calls these.
            Kind::Function(_) => {}
            Kind::Train(train) => self.train(step, train, result, out),
            Kind::BatchPredict(batch) => self.batch(step, batch, result, out),
            Kind::Job(job) => self.job(step, job, result, out),
            Kind::Notify(notify) => self.notify(step, notify, result, out),
            Kind::Approval(approval) => self.approval(step, approval, result, out),
            Kind::Pipeline(call) => self.child(step, call, params.unwrap_or("null"), result, out),
            Kind::Wait(Wait::Duration(seconds)) => {
                let bound = step.timeout.unwrap_or(u64::MAX);
                self.sleep(&name, (*seconds).min(bound), out);
                if *seconds > bound {
                    let raise = Action::Raise(timeout(path));
                    out.push(Step::new(self.steps.name(&format!("{name}_timeout")), raise));
                } else {
                    self.give(&name, result, Value::Null, out);
                }
            }
            Kind::Wait(Wait::Until(time)) => {
                self.until(step, time, out);
                self.give(&name, result, Value::Null, out);
            }
            Kind::Fail { error, message } => self.fail(path, error, message, out),
            Kind::Group(inner) => self.group(step, inner, block, result, out),
        }
    }

    /// Puts a value into the result, where something reads it.
    pub(super) fn give(&mut self, name: &str, result: Option<&str>, value: Value, out: &mut Vec<Step>) {
        let assign: Vec<(String, Value)> = result
            .map(|variable| (variable.to_owned(), value))
            .into_iter()
            .collect();
        out.extend(self.assign(&format!("{name}_output"), assign));
    }

    fn fail(&mut self, path: &str, error: &Template, message: &Template, out: &mut Vec<Step>) {
        let id = step_name(path);
        let name = self.printer().string_template(error, &format!("{id}_error"));
        let text = self.printer().string_template(message, &format!("{id}_message"));
        let raise = Action::Raise(json!({ "name": name, "message": text, "step": path }));
        if error.is_text() && message.is_text() {
            out.push(Step::new(id, raise));
        } else {
            let inner = Step::new(self.steps.name(&format!("raise_{id}")), raise);
            let action = self.attempt(path, "fail", Body::Steps(vec![inner]));
            out.push(Step::new(id, action));
        }
    }

    fn until(&mut self, step: &Source, time: &Template, out: &mut Vec<Step>) {
        let name = step_name(&step.path);
        let seconds = self.variables.taken.name(&format!("{name}_seconds"));
        let value = self.printer().template(time, &format!("{name}_until"));
        self.library.helpers.insert("seconds_until");
        let read = Call {
            result: Some(seconds.clone()),
            ..Call::new("seconds_until", [("x", value)])
        };
        let read = self.attempt(&step.path, "until", Body::Call(read));
        out.push(Step::new(self.steps.name(&format!("{name}_until")), read));
        let mut least = vec![seconds.clone()];
        least.extend(step.timeout.map(|timeout| timeout.to_string()));
        self.sleep_for(&name, least, out);
        if let Some(bound) = step.timeout {
            let late = Action::Switch(vec![Case {
                condition: format!("{seconds} > {bound}"),
                then: Then::Raise(timeout(&step.path)),
            }]);
            out.push(Step::new(self.steps.name(&format!("{name}_timeout")), late));
        }
        self.check_deadlines(&format!("after_{name}"), out);
    }

    /// A pause; in a group with a timeout, no longer than that allows.
    fn sleep(&mut self, name: &str, seconds: u64, out: &mut Vec<Step>) {
        self.sleep_for(name, vec![seconds.to_string()], out);
        self.check_deadlines(&format!("after_{name}"), out);
    }

    fn sleep_for(&mut self, name: &str, mut least: Vec<String>, out: &mut Vec<Step>) {
        least.extend(
            self.deadlines
                .iter()
                .map(|(variable, _)| format!("{variable} - sys.now()")),
        );
        let mut parts = least.into_iter();
        let first = parts.next().unwrap_or_default();
        let plain = first.parse::<u64>().ok();
        let text = parts.fold(first, |text, more| format!("math.min({text}, {more})"));
        let seconds = match plain.filter(|plain| *plain > 0 && self.deadlines.is_empty()) {
            Some(seconds) if !text.contains('(') => json!(seconds),
            _ => expression(format!("math.max(0, {text})")),
        };
        let call = Call::new("sys.sleep", [("seconds", seconds)]);
        out.push(Step::new(name, Action::Call(call)));
    }

    /// In a group with a timeout: fails where that has run out.
    fn check_deadlines(&mut self, name: &str, out: &mut Vec<Step>) {
        let checks = self.deadline_cases();
        if !checks.is_empty() {
            let name = self.steps.name(&format!("{name}_in_time"));
            out.push(Step::new(name, Action::Switch(checks)));
        }
    }

    /// What goes before the error of a call that may have been cut short by the group's timeout.
    pub(super) fn out_of_time(&mut self, name: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        self.check_deadlines(&format!("{name}_failed"), &mut steps);
        steps
    }

    fn deadline_cases(&self) -> Vec<Case> {
        self.deadlines
            .iter()
            .map(|(variable, path)| {
                let mut error = timeout(path);
                if let Value::Object(fields) = &mut error {
                    // No `catch` or `retry` within the group takes it.
                    fields.insert("deadline".to_owned(), json!(path));
                }
                Case {
                    condition: format!("sys.now() >= {variable}"),
                    then: Then::Raise(error),
                }
            })
            .collect()
    }

    /// Seconds that a call may take.
    pub(super) fn within(&self, seconds: u64) -> Value {
        let text = self.deadlines.iter().fold(seconds.to_string(), |text, (variable, _)| {
            format!("math.min({text}, {variable} - sys.now())")
        });
        if self.deadlines.is_empty() {
            json!(seconds)
        } else {
            expression(text)
        }
    }

    fn group(&mut self, step: &Source, inner: &Block, block: Option<&Tree>, result: Option<&str>, out: &mut Vec<Step>) {
        let id = identifier(&step.path);
        let Some(seconds) = step.timeout else {
            self.block(step, inner, block, result, out);
            return;
        };
        let deadline = self.variables.taken.name(&format!("{id}_deadline"));
        let start = vec![(deadline.clone(), expression(format!("sys.now() + {seconds}")))];
        out.extend(self.assign(&deadline, start));
        self.deadlines.push((deadline, step.path.clone()));
        let mut body = Vec::new();
        self.block(step, inner, block, result, &mut body);
        self.deadlines.pop();
        // From here on the timeout is an error like any other.
        let own = Case {
            condition: format!("map.get(e, \"deadline\") == {}", quote(&step.path)),
            then: Then::Raise(timeout(&step.path)),
        };
        let other = Case {
            condition: "true".to_owned(),
            then: Then::Raise(expression("e")),
        };
        let except = vec![Step::new(
            self.steps.name(&format!("{id}_timeout")),
            Action::Switch(vec![own, other]),
        )];
        out.push(Step::new(
            self.steps.name(&format!("{id}_in_time")),
            Action::Try {
                body: Body::Steps(body),
                retry: None,
                except: Some(("e".to_owned(), except)),
            },
        ));
    }

    /// The steps of a group and its outputs.
    fn block(&mut self, step: &Source, inner: &Block, block: Option<&Tree>, result: Option<&str>, out: &mut Vec<Step>) {
        let id = identifier(&step.path);
        let variable = self.variables.taken.name(&format!("{id}_failure"));
        self.failures.push(Failure::new(variable));
        let mut body = Vec::new();
        if let Some(tree) = block {
            let mut started = true;
            let branch = (!self.stops.is_empty()).then_some(&mut started);
            self.tree(tree, branch, &mut body);
        }
        let mut first = Vec::new();
        if let Some(Failure { variable, used: true }) = self.failures.pop() {
            first.push((variable, Value::Null));
        }
        if self.again {
            first.extend(self.fresh(inner));
        }
        out.extend(self.assign(&format!("init_{id}"), first));
        out.append(&mut body);
        let fits = size::fits(&inner.outputs);
        let safe = inner.outputs.iter().all(|(_, template)| template.is_safe());
        let variable = match result {
            Some(variable) => variable.to_owned(),
            None if safe && fits => {
                if out.is_empty() {
                    // A block of Workflows has at least one step.
                    let nothing = vec![(self.variables.taken.name(&format!("{id}_output")), Value::Null)];
                    out.extend(self.assign(&id, nothing));
                }
                return;
            }
            None => self.variables.taken.name(&format!("{id}_output")),
        };
        let values = self.output_values(&inner.outputs, &format!("{id}_"));
        let assign = Action::Assign(vec![(variable.clone(), values)]);
        let name = self.steps.name(&format!("{id}_outputs"));
        if safe {
            out.push(Step::new(name, assign));
        } else {
            let inner = Step::new(self.steps.name(&format!("evaluate_{id}_outputs")), assign);
            let action = self.attempt(&step.path, "outputs", Body::Steps(vec![inner]));
            out.push(Step::new(name, action));
        }
        if !fits {
            self.fit(&step.path, &variable, out);
        }
    }

    /// First values for what the steps of a block leave behind where they are skipped: they may have run before.
    fn fresh(&self, inner: &Block) -> Vec<(String, Value)> {
        let mut first = Vec::new();
        for ix in &inner.steps {
            let step = self.pipeline.step(*ix);
            if let Some(variable) = self.names.statuses.get(&step.path) {
                first.push((variable.clone(), json!("skipped")));
            }
            if let Some(variable) = self.names.outputs.get(&step.path).filter(|_| step.may_skip) {
                first.push((variable.clone(), Value::Null));
            }
            if let Some(variable) = self.names.errors.get(&step.path).filter(|_| step.may_skip) {
                first.push((variable.clone(), Value::Null));
            }
        }
        first
    }
}

/// The condition that an error is one of these; None: any.
fn matching(on: &[OnError]) -> Option<String> {
    if on.contains(&OnError::All) {
        return None;
    }
    let names: Vec<String> = on.iter().flat_map(OnError::names).map(quote).collect();
    Some(format!("error.name in [{}]", names.join(", ")))
}

fn timeout(path: &str) -> Value {
    json!({ "name": "timeout", "message": "the attempt ran longer than its timeout", "step": path })
}

/// The type of what one item of a step gives.
fn step_type(step: &Source) -> Type {
    match &step.kind {
        Kind::Endpoint(_) | Kind::BatchPredict(_) => Type::Any,
        Kind::Monitor(_) => Type::Null,
        Kind::Function(_) => step.output.clone().unwrap_or(Type::Any),
        Kind::Wait(_) | Kind::Fail { .. } | Kind::Notify(_) | Kind::Job(_) => Type::Null,
        Kind::Train(_) => Type::Any,
        Kind::Approval(_) | Kind::Pipeline(_) | Kind::Group(_) => Type::Any,
    }
}
