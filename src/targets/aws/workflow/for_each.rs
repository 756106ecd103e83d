//! `for_each`: a Map state.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::finish::{Finish, Given, How, Piece, next};
use super::{Scope, Tail, Writer, distributed, state_name};
use crate::expr::jsonata::{self, braced};
use crate::expr::{Local, Type, template_type};
use crate::model::{ForEach, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::limits::QUOTAS;
use crate::targets::aws::states::{ItemProcessor, Map, Pass, ProcessorConfig, State};
use crate::targets::aws::variables::{Carried, INDEX, ITEM, LIST};

impl Writer<'_> {
    /// A step with a `for_each`.
    pub(super) fn for_each(&mut self, ix: StepIx, scope: &mut Scope, last: bool) -> Piece {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        let Some(for_each) = &step.for_each else {
            return Piece {
                entry: None,
                exits: Vec::new(),
            };
        };
        let (name, path) = (state_name(pipeline, ix), &step.path);
        // The state comes before what is in it.
        let index = scope.states.len();
        scope.states.insert(name.clone(), State::Map(Map::default()));
        let (items, sure) = self.list(for_each, scope);
        let failed = self.name(&format!("Failed in {path}"));
        let mut inner = Scope::inner(self.variables.items(ix), failed, Tail::Value, scope);
        if self.variables.is_distributed(ix) {
            self.enter_item(ix, &mut inner);
        }
        let start = self.item(ix, for_each, &mut inner);
        let (branch, fails) = self.close(inner, start, failure::branch_fail());
        let mut catch = Vec::new();
        let failed = scope.catch();
        if !sure {
            catch.push(failure::expression_catcher("for_each", path, &failed));
        }
        catch.push(failure::size_catcher(path, &failed));
        let distributed = self.variables.is_distributed(ix);
        if distributed {
            catch.extend(self.item_catchers(ix, scope));
        } else if fails {
            catch.extend(failure::branch_catchers(path, &failed).pop());
        }
        let how = if last && self.tail_is_safe(&scope.tail) && self.tail_stands_with_work(&scope.tail) {
            How::Tail
        } else {
            How::Assign
        };
        let mut done = self.done(&Finish::of(ix, how), scope, &Given::code("$states.result"));
        let given = match (how, &scope.tail) {
            (How::Tail, Tail::Branch(exports) | Tail::Part(exports)) => exports.contains(&(ix, Carried::Output)),
            (How::Tail, _) => false,
            _ => self.variables.name(ix, Carried::Output, scope.number).is_some(),
        };
        if !given {
            // So that a list that is too large fails here, as everywhere.
            done.assign
                .insert(self.variables.private(ix, LIST), json!("{% $states.result %}"));
        }
        let exits = done.exits(index);
        scope.states[index] = State::Map(Map {
            comment: self.comment(ix),
            items,
            item_selector: if distributed {
                Some(self.distributed_selector(ix, scope))
            } else {
                self.item_selector(ix, for_each)
            },
            label: distributed.then(|| self.label(ix)),
            max_concurrency: if distributed {
                Some(distributed::at_once(for_each))
            } else {
                let most = for_each.max_concurrency;
                most.filter(|most| *most < QUOTAS.step_functions.map_concurrency)
            },
            item_processor: ItemProcessor {
                processor_config: if distributed {
                    distributed::CONFIG
                } else {
                    ProcessorConfig {
                        mode: "INLINE",
                        execution_type: None,
                    }
                },
                start_at: branch.start_at,
                states: branch.states,
            },
            catch,
            assign: done.assign,
            output: done.output,
            then: done.then,
        });
        Piece {
            entry: Some(name),
            exits,
        }
    }

    /// The list, and whether it is surely one.
    fn list(&self, for_each: &ForEach, scope: &Scope) -> (Value, bool) {
        let reach = self.reach(scope, &[]);
        let list = &for_each.list;
        let sure = matches!(template_type(list), Type::List(_));
        if sure {
            return (jsonata::template(list, &reach), list.is_safe());
        }
        let code = jsonata::template_code(list, &reach);
        // A Map state takes an object too.
        let code = format!("($theList := ({code}); $type($theList) = 'array' ? $theList : $error('no list'))");
        (Value::String(braced(&code)), false)
    }

    fn item_selector(&self, ix: StepIx, for_each: &ForEach) -> Option<Value> {
        let fields = [
            (&for_each.item, Local::Item, "{% $states.context.Map.Item.Value %}"),
            (&for_each.index, Local::Index, "{% $states.context.Map.Item.Index %}"),
        ];
        let fields: serde_json::Map<String, Value> = fields
            .into_iter()
            .filter(|(_, what, _)| self.variables.reads(ix, *what))
            .map(|(name, _, value)| (name.clone(), Value::from(value)))
            .collect();
        (!fields.is_empty()).then_some(Value::Object(fields))
    }

    /// The states of one item; gives the first.
    fn item(&mut self, ix: StepIx, for_each: &ForEach, scope: &mut Scope) -> String {
        let pipeline = self.pipeline;
        let step = pipeline.step(ix);
        let finish = Finish::of(ix, How::Value);
        let mut assign = IndexMap::new();
        if self.variables.is_distributed(ix) {
            assign = self.distributed_item(ix);
        } else if !self.variables.reads_item_at_once(ix) {
            for (what, written, private) in [
                (Local::Item, &for_each.item, ITEM),
                (Local::Index, &for_each.index, INDEX),
            ] {
                if self.variables.reads(ix, what) {
                    let value = json!(format!("{{% $states.input.{written} %}}"));
                    assign.insert(self.variables.private(ix, private), value);
                }
            }
        }
        // The Map state has the name of the step.
        let name = self.name(&format!("Run {}", step.path));
        let body = self.caught(ix, scope, &finish, &name);
        let entry = body.entry.unwrap_or_default();
        if assign.is_empty() {
            return entry;
        }
        match scope.states.get_mut(&entry) {
            // It begins a repetition: one state sets all.
            Some(State::Pass(pass)) if step.repeat.is_some() => {
                assign.extend(std::mem::take(&mut pass.assign));
                pass.assign = assign;
                pass.output = Some(json!({}));
                entry
            }
            _ => {
                let begin = self.name(&format!("Item of {}", step.path));
                let pass = Pass {
                    assign,
                    output: Some(json!({})),
                    then: next(&entry),
                    ..Pass::default()
                };
                // All exits of the states are patched by now.
                scope.states.shift_insert(0, begin.clone(), State::Pass(pass));
                begin
            }
        }
    }
}
