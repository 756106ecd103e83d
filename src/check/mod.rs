//! Document to [`Pipeline`]: every rule that can fail, all problems in one run.

pub mod declared;
pub mod graph;
pub mod handlers;
pub mod names;
pub mod problems;
pub mod steps;
pub mod templates;
pub mod triggers;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use miette::LabeledSpan;

use crate::diagnostics::Problems;
use crate::expr::check::{Scope, StepScope};
use crate::expr::{Template, Type};
use crate::model::{
    AwsSettings, AzureSettings, Bucket, GcpSettings, Handler, LocalSettings, Pipeline, StepIx, TargetSettings, Trigger,
    TriggerKind,
};
use crate::syntax::document::{self, Document};
use crate::syntax::scalars::{Duration, Spanned};
use crate::syntax::suggest;

use graph::SkipRule;
use handlers::{Files, Handlers};
use problems::CheckProblem;
use steps::Draft;
use templates::{Parsed, Source};

/// Checks a document. `text` is the file's own text, `files` the disk beside it. None where any problem is an error.
pub fn check(document: &Document, text: &str, files: &dyn Files, problems: &mut Problems) -> Option<Pipeline> {
    let mut checker = Checker {
        document,
        source: Source { text },
        handlers: Handlers::new(files),
        problems,
    };
    let pipeline = checker.pipeline();
    if problems.has_errors() { None } else { pipeline }
}

struct Checker<'a> {
    document: &'a Document,
    source: Source<'a>,
    handlers: Handlers<'a>,
    problems: &'a mut Problems,
}

/// What expressions may refer to, apart from what each place adds.
struct Known {
    params: IndexMap<String, Type>,
    buckets: Vec<String>,
    steps: IndexMap<String, StepScope>,
}

impl Known {
    fn bucket_ids(&self) -> Vec<&str> {
        self.buckets.iter().map(String::as_str).collect()
    }

    /// All of it, as `outputs` see it.
    fn scope<'k>(&'k self, buckets: &'k [&'k str]) -> Scope<'k> {
        Scope {
            params: Some(&self.params),
            steps: Some(&self.steps),
            no_steps: "",
            ran: BTreeSet::new(),
            own: None,
            unreachable: BTreeMap::new(),
            buckets,
            error: false,
            trigger: false,
            run: true,
        }
    }
}

impl Checker<'_> {
    fn pipeline(&mut self) -> Option<Pipeline> {
        names::check(self.document, self.problems);
        let document = self.document;
        if document.steps.is_empty() {
            self.problems.push(CheckProblem::NoSteps {
                span: document.name.span,
            });
        }
        let params = declared::read_params(&document.params, self.problems);
        let buckets = self.buckets();
        let drafts: Vec<Draft> = document
            .steps
            .iter()
            .map(|(id, step)| steps::draft(document, &self.source, id, step, self.problems))
            .collect();
        let outputs: Vec<(String, Option<Parsed>)> = document
            .outputs
            .iter()
            .map(|(name, node)| (name.value.clone(), self.source.parse(node, self.problems)))
            .collect();
        self.functions(&drafts);

        let index: BTreeMap<&str, StepIx> = document
            .steps
            .keys()
            .enumerate()
            .map(|(i, id)| (id.value.as_str(), StepIx(i)))
            .collect();
        let needs: Vec<Vec<StepIx>> = document
            .steps
            .iter()
            .map(|(id, step)| self.needs(id, step, &index))
            .collect();
        let after: Vec<BTreeSet<StepIx>> = drafts
            .iter()
            .enumerate()
            .map(|(i, draft)| {
                let read = draft
                    .references()
                    .into_iter()
                    .filter_map(|name| index.get(name.as_str()).copied());
                // A step that reads itself is the expressions' problem, with its own span.
                read.filter(|step| step.0 != i)
                    .chain(needs[i].iter().copied())
                    .collect()
            })
            .collect();
        let order = match graph::order(&after) {
            Ok(order) => order,
            Err(cycles) => {
                self.cycles(&cycles);
                // The file is refused; any order serves to find what else is wrong with it.
                (0..after.len()).map(StepIx).collect()
            }
        };
        let rules: Vec<SkipRule<'_>> = drafts
            .iter()
            .zip(&needs)
            .map(|(draft, needs)| SkipRule {
                needs,
                join: draft.join,
                conditional: draft.when.is_some(),
                proven: draft
                    .proven_by_when()
                    .iter()
                    .filter_map(|name| index.get(name.as_str()).copied())
                    .collect(),
            })
            .collect();
        let (may_skip, implied) = graph::skips(&order, &rules);

        let known = Known {
            params: params
                .iter()
                .map(|param| (param.name.clone(), param.ty.clone()))
                .collect(),
            buckets: buckets.iter().map(|bucket| bucket.id.clone()).collect(),
            steps: drafts
                .iter()
                .zip(&may_skip)
                .map(|(draft, &may_skip)| {
                    (
                        draft.id.clone(),
                        StepScope {
                            output: draft.output_type(),
                            may_skip,
                        },
                    )
                })
                .collect(),
        };
        let bucket_ids = known.bucket_ids();
        let mut checked = Vec::with_capacity(drafts.len());
        for (i, draft) in drafts.iter().enumerate() {
            let ran = implied[i].iter().map(|step| drafts[step.0].id.clone()).collect();
            let scope = Scope {
                ran,
                own: Some(&draft.id),
                ..known.scope(&bucket_ids)
            };
            let step = steps::finish(draft, &scope, self.problems);
            checked.push(step.map(|mut step| {
                step.needs.clone_from(&needs[i]);
                step.after.clone_from(&after[i]);
                step.may_skip = may_skip[i];
                step.implied.clone_from(&implied[i]);
                step
            }));
        }
        let outputs: Vec<Option<(String, Template)>> = outputs
            .into_iter()
            .map(|(name, parsed)| Some((name, parsed?.check(&known.scope(&bucket_ids), self.problems)?)))
            .collect();
        let triggers: Vec<Option<Trigger>> = document
            .triggers
            .iter()
            .map(|trigger| self.trigger(trigger, &known, &params))
            .collect();
        let on_failure = match &document.on_failure {
            Some(handler) => Some(self.handler(handler, &known)?),
            None => None,
        };
        Some(steps::with_packages(Pipeline {
            name: document.name.value.clone(),
            description: document.description.clone(),
            params,
            buckets,
            secrets: document.secrets.keys().map(|id| id.value.clone()).collect(),
            triggers: triggers.into_iter().collect::<Option<_>>()?,
            steps: checked.into_iter().collect::<Option<_>>()?,
            on_failure,
            outputs: outputs.into_iter().collect::<Option<_>>()?,
            targets: self.targets(),
        }))
    }

    fn buckets(&self) -> Vec<Bucket> {
        self.document
            .buckets
            .iter()
            .map(|(id, bucket)| {
                let existing = bucket.existing.iter().flat_map(|existing| {
                    [
                        ("aws", &existing.aws),
                        ("gcp", &existing.gcp),
                        ("azure", &existing.azure),
                    ]
                    .into_iter()
                    .filter_map(|(cloud, name)| Some((cloud.to_owned(), name.clone()?)))
                });
                Bucket {
                    id: id.value.clone(),
                    versioning: bucket.versioning,
                    expire_after_days: bucket.expire_after.map(Duration::days),
                    existing: existing.collect(),
                }
            })
            .collect()
    }

    fn functions(&mut self, drafts: &[Draft]) {
        for (draft, step) in drafts.iter().zip(self.document.steps.values()) {
            if let (steps::DraftKind::Function(call), Some(function)) = (&draft.kind, &step.function) {
                let at = steps::source_span(self.document, function);
                self.handlers.check(&call.source, at, &function.handler, self.problems);
            }
        }
        if let Some(handler) = &self.document.on_failure {
            let call = steps::function_call(self.document, &handler.function);
            let at = steps::source_span(self.document, &handler.function);
            self.handlers
                .check(&call.source, at, &handler.function.handler, self.problems);
        }
    }

    fn needs(&mut self, id: &Spanned<String>, step: &document::Step, index: &BTreeMap<&str, StepIx>) -> Vec<StepIx> {
        let mut found = Vec::new();
        for need in &step.needs {
            match index.get(need.value.as_str()) {
                _ if need.value == id.value => {
                    self.problems.push(CheckProblem::NeedsItself {
                        name: need.value.clone(),
                        span: need.span,
                    });
                }
                Some(step) if found.contains(step) => {
                    self.problems.push(CheckProblem::NeededTwice {
                        name: need.value.clone(),
                        span: need.span,
                    });
                }
                Some(step) => found.push(*step),
                None => self.problems.push(CheckProblem::UnknownStep {
                    name: need.value.clone(),
                    span: need.span,
                    help: suggest::help(
                        &need.value,
                        index.keys().copied().filter(|name| *name != id.value),
                        "steps",
                    ),
                }),
            }
        }
        found
    }

    fn cycles(&mut self, cycles: &[Vec<StepIx>]) {
        let ids: Vec<&Spanned<String>> = self.document.steps.keys().collect();
        for cycle in cycles {
            let names: Vec<&str> = cycle
                .iter()
                .chain(cycle.first())
                .map(|step| ids[step.0].value.as_str())
                .collect();
            let spans = cycle
                .iter()
                .map(|step| LabeledSpan::new_with_span(Some("in the cycle".to_owned()), ids[step.0].span))
                .collect();
            self.problems.push(CheckProblem::Cycle {
                path: names.join(" → "),
                spans,
            });
        }
    }

    fn trigger(
        &mut self,
        trigger: &Spanned<document::Trigger>,
        known: &Known,
        params: &[crate::model::Param],
    ) -> Option<Trigger> {
        let kind = match (&trigger.object_created, &trigger.schedule) {
            (Some(event), _) => {
                self.known_bucket(&event.bucket);
                TriggerKind::ObjectCreated {
                    bucket: event.bucket.value.clone(),
                    prefix: event.prefix.clone(),
                    suffix: event.suffix.clone(),
                }
            }
            (None, Some(schedule)) => {
                let cron = triggers::read_cron(&schedule.cron);
                let zone = triggers::read_zone(schedule.timezone.as_ref());
                match (cron, zone) {
                    (Ok(cron), Ok(timezone)) => TriggerKind::Schedule { cron, timezone },
                    (cron, zone) => {
                        cron.err().into_iter().for_each(|problem| self.problems.push(problem));
                        zone.err().into_iter().for_each(|problem| self.problems.push(problem));
                        return None;
                    }
                }
            }
            (None, None) => return None,
        };
        let bucket_ids = known.bucket_ids();
        let scope = Scope {
            params: None,
            steps: None,
            no_steps: "a trigger fires before any step",
            trigger: trigger.object_created.is_some(),
            run: false,
            ..known.scope(&bucket_ids)
        };
        let mut given = Vec::new();
        for (name, node) in &trigger.params {
            let Some(param) = params.iter().find(|param| param.name == name.value) else {
                self.problems.push(CheckProblem::TriggerParam {
                    detail: format!("the pipeline has no param `{}`", name.value),
                    span: name.span,
                    help: suggest::help(&name.value, params.iter().map(|param| param.name.as_str()), "params"),
                });
                continue;
            };
            let Some(template) = self
                .source
                .parse(node, self.problems)
                .and_then(|p| p.check(&scope, self.problems))
            else {
                continue;
            };
            if let Err(detail) = triggers_fit(&template, param) {
                self.problems.push(CheckProblem::TriggerParam {
                    detail,
                    span: node.span,
                    help: format!("give a value of type {}", param.ty),
                });
            }
            given.push((name.value.clone(), template));
        }
        for param in params {
            let required = param.default.is_none() && !matches!(param.ty, Type::Optional(_));
            if required && !trigger.params.keys().any(|name| name.value == param.name) {
                self.problems.push(CheckProblem::TriggerParam {
                    detail: format!("this trigger gives no `{}`, which has no default", param.name),
                    span: self.source.first_line(trigger.span),
                    help: format!(
                        "add `{}` below the trigger's `params:`, or give the param a default",
                        param.name
                    ),
                });
            }
        }
        Some(Trigger { kind, params: given })
    }

    fn known_bucket(&mut self, bucket: &Spanned<String>) {
        if !self.document.buckets.contains_key(bucket) {
            self.problems.push(CheckProblem::UnknownBucket {
                name: bucket.value.clone(),
                span: bucket.span,
                help: suggest::help(
                    &bucket.value,
                    self.document.buckets.keys().map(|id| id.value.as_str()),
                    "buckets",
                ),
            });
        }
    }

    fn handler(&mut self, handler: &Spanned<document::Handler>, known: &Known) -> Option<Handler> {
        let bucket_ids = known.bucket_ids();
        let scope = Scope {
            steps: None,
            no_steps: "a failure handler cannot wait for a step: any of them may have failed",
            error: true,
            ..known.scope(&bucket_ids)
        };
        let input = match &handler.input {
            Some(node) => self
                .source
                .parse(&node.value, self.problems)?
                .check(&scope, self.problems)?,
            None => Template::Constant(serde_json::Value::Null),
        };
        let retry = handler
            .retry
            .as_ref()
            .map(|retry| &retry.value)
            .or(self.document.defaults.retry.as_ref());
        Some(Handler {
            function: steps::function_call(self.document, &handler.function),
            input,
            retry: steps::retry(retry, handler.retry.as_ref().map(|retry| retry.span), self.problems),
            timeout: handler.timeout.as_ref().map(|timeout| timeout.seconds),
            description: handler.description.clone(),
        })
    }

    fn targets(&mut self) -> TargetSettings {
        let targets = &self.document.targets;
        for bucket in targets.local.buckets.keys() {
            self.known_bucket(bucket);
        }
        TargetSettings {
            aws: AwsSettings {
                region: targets.aws.region.clone(),
            },
            gcp: GcpSettings {
                project: targets.gcp.project.clone(),
                region: targets.gcp.region.clone(),
            },
            azure: AzureSettings {
                location: targets.azure.location.clone(),
            },
            local: LocalSettings {
                buckets: targets
                    .local
                    .buckets
                    .iter()
                    .map(|(id, folder)| (id.value.clone(), folder.clone()))
                    .collect(),
            },
        }
    }
}

/// A trigger's value must fit its param: constants are checked as values, texts of `trigger.*` as strings.
fn triggers_fit(template: &Template, param: &crate::model::Param) -> Result<(), String> {
    match template {
        Template::Constant(value) => crate::expr::matches(value, &param.ty, &format!("param `{}`", param.name))
            .map_err(|mismatch| mismatch.to_string()),
        _ => match param.ty.unwrapped() {
            Type::String | Type::Any => Ok(()),
            other => Err(format!("param `{}` is {other}, an event gives strings", param.name)),
        },
    }
}
