//! Document to [`Pipeline`]: every rule that can fail, all problems in one run.

pub mod blocks;
pub mod children;
pub mod declared;
pub mod graph;
pub mod handlers;
pub mod labels;
pub mod loops;
pub mod managed;
pub mod modifiers;
pub mod names;
pub mod problems;
pub mod serving;
pub mod steps;
pub mod templates;
pub mod triggers;
pub mod typed;
pub mod written;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use miette::LabeledSpan;

use crate::diagnostics::Problems;
use crate::expr::ast::TriggerField;
use crate::expr::check::{Scope, check_string};
use crate::expr::{Template, Type};
use crate::model::{
    AwsSettings, AzureSettings, Bucket, Containers, GcpSettings, Handler, HandlerAction, LocalSettings, Notify,
    Pipeline, StepIx, TargetSettings, Topic, Trigger, TriggerKind,
};
use crate::syntax::document::{self, Document};
use crate::syntax::scalars::{Duration, Spanned};
use crate::syntax::suggest;

use blocks::Blocks;
use children::{Children, Origin};
use handlers::{Files, Handlers};
use problems::CheckProblem;
use templates::{Parsed, Source, collect};
use typed::Graph;

/// What a document was read from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The file's own text.
    pub text: &'a str,
    /// The file's name in the folder that `files` sees.
    pub file: &'a str,
    /// The stage that was chosen.
    pub stage: Option<&'a str>,
    /// The disk beside the file.
    pub files: &'a dyn Files,
}

impl<'a> Input<'a> {
    /// A file called `pipeline.yaml`, without a stage.
    pub fn new(text: &'a str, files: &'a dyn Files) -> Self {
        Self {
            text,
            file: "pipeline.yaml",
            stage: None,
            files,
        }
    }
}

/// Checks a document, and those of the pipelines that it runs. None where any problem is an error.
pub fn check(document: &Document, input: &Input<'_>, problems: &mut Problems) -> Option<Pipeline> {
    let origin = Origin {
        files: input.files,
        stage: input.stage,
        folder: String::new(),
        chain: vec![input.file.to_owned()],
        family: &RefCell::default(),
    };
    check_within(document, input, &origin, problems)
}

/// Checks a document of a family.
fn check_within(
    document: &Document,
    input: &Input<'_>,
    origin: &Origin<'_>,
    problems: &mut Problems,
) -> Option<Pipeline> {
    let children = children::read(document, origin, problems);
    let mut checker = Checker {
        document,
        source: Source { text: input.text },
        handlers: Handlers::new(input.files),
        problems,
    };
    let mut pipeline = checker.pipeline(&children)?;
    children.adopt(&mut pipeline, problems);
    (!problems.has_errors()).then(|| children::place(pipeline, origin))
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
    topics: Vec<String>,
}

/// Ids that expressions may name.
struct Ids<'k> {
    buckets: Vec<&'k str>,
    topics: Vec<&'k str>,
}

impl Known {
    fn ids(&self) -> Ids<'_> {
        Ids {
            buckets: self.buckets.iter().map(String::as_str).collect(),
            topics: self.topics.iter().map(String::as_str).collect(),
        }
    }

    /// All of it; the steps are added block by block.
    fn scope<'k>(&'k self, ids: &'k Ids<'k>) -> Scope<'k> {
        Scope {
            params: Some(&self.params),
            steps: None,
            no_steps: "",
            ran: BTreeSet::new(),
            own: None,
            unreachable: BTreeMap::new(),
            locals: Vec::new(),
            buckets: &ids.buckets,
            topics: &ids.topics,
            error: false,
            trigger: &[],
            run: true,
        }
    }
}

impl Checker<'_> {
    fn pipeline(&mut self, children: &Children) -> Option<Pipeline> {
        names::check(self.document, self.problems);
        let document = self.document;
        if document.steps.is_empty() {
            self.problems.push(CheckProblem::NoSteps {
                span: document.name.span,
            });
        }
        let params = declared::read_params(&document.params, self.problems);
        let buckets = self.buckets();
        let blocks = blocks::draft(document, children, &self.source, self.problems);
        blocks.check_hidden(self.problems);
        let outputs: Vec<(String, Option<Parsed>)> = document
            .outputs
            .iter()
            .map(|(name, node)| (name.value.clone(), self.source.parse(node, self.problems)))
            .collect();
        self.code();
        loops::topics(document, self.problems);

        let graph = self.graph(&blocks);
        let known = Known {
            params: params
                .iter()
                .map(|param| (param.name.clone(), param.ty.clone()))
                .collect(),
            buckets: buckets.iter().map(|bucket| bucket.id.clone()).collect(),
            topics: document.topics.keys().map(|id| id.value.clone()).collect(),
        };
        let ids = known.ids();
        let typed = typed::check(&blocks, &graph, children, &outputs, &known.scope(&ids), self.problems);
        let triggers: Vec<Option<Trigger>> = document
            .triggers
            .iter()
            .map(|trigger| self.trigger(trigger, &known, &params))
            .collect();
        let on_failure = match &document.on_failure {
            Some(handler) => Some(self.handler(handler, &known)?),
            None => None,
        };
        let (steps, root) = typed?;
        loops::buckets(document, &steps, self.problems);
        Some(Pipeline {
            name: document.name.value.clone(),
            description: document.description.clone(),
            labels: labels::read(&document.labels, self.problems),
            params,
            buckets,
            topics: known.topics.iter().map(|id| Topic { id: id.clone() }).collect(),
            secrets: document.secrets.keys().map(|id| id.value.clone()).collect(),
            triggers: triggers.into_iter().collect::<Option<_>>()?,
            steps,
            root,
            on_failure,
            children: Vec::new(),
            targets: self.targets(),
        })
    }

    fn graph(&mut self, blocks: &Blocks) -> Graph {
        let after = blocks.after();
        // A step is decided on before those that stand in it; no edge leads back, so this adds no cycle.
        let nested: Vec<BTreeSet<StepIx>> = after
            .iter()
            .zip(&blocks.drafts)
            .map(|(after, draft)| after.iter().copied().chain(draft.parent).collect())
            .collect();
        let order = match graph::order(&nested) {
            Ok(order) => order,
            Err(cycles) => {
                self.cycles(&cycles, blocks);
                // The file is refused; any order serves to find what else is wrong with it.
                (0..after.len()).map(StepIx).collect()
            }
        };
        let (may_skip, implied) = graph::skips(&order, &blocks.skip_rules());
        let mut position = vec![0; order.len()];
        for (at, step) in order.iter().enumerate() {
            position[step.0] = at;
        }
        Graph {
            position,
            after,
            may_skip,
            implied,
        }
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

    /// Checks that the handlers are there, and the scripts of trainings.
    fn code(&mut self) {
        let written = written::all(&self.document.steps);
        let of_steps = written.iter().filter_map(|step| step.function);
        let handler = self.document.on_failure.iter();
        for function in of_steps.chain(handler.filter_map(|handler| handler.function.as_ref())) {
            let call = steps::function_call(self.document, function);
            let at = steps::source_span(self.document, function);
            self.handlers.check(&call.source, at, &function.handler, self.problems);
        }
        for train in written.iter().filter_map(|step| step.train) {
            self.handlers
                .check_script(&train.source, &train.entrypoint, self.problems);
        }
    }

    fn cycles(&mut self, cycles: &[Vec<StepIx>], blocks: &Blocks) {
        for cycle in cycles {
            let names: Vec<&str> = cycle
                .iter()
                .chain(cycle.first())
                .map(|step| blocks.drafts[step.0].path.as_str())
                .collect();
            let spans = cycle
                .iter()
                .map(|step| LabeledSpan::new_with_span(Some("in the cycle".to_owned()), blocks.spans[step.0]))
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
        let mut fields: &[TriggerField] = &[];
        let kind = match &trigger.value {
            document::Trigger {
                object_created: Some(event),
                ..
            } => {
                fields = &[TriggerField::Key, TriggerField::Bucket, TriggerField::Uri];
                self.known_bucket(&event.bucket);
                TriggerKind::ObjectCreated {
                    bucket: event.bucket.value.clone(),
                    prefix: event.prefix.clone(),
                    suffix: event.suffix.clone(),
                }
            }
            document::Trigger {
                topic: Some(message), ..
            } => {
                fields = &[TriggerField::Message];
                steps::known_topic(self.document, &message.name, self.problems);
                TriggerKind::Topic {
                    topic: message.name.value.clone(),
                }
            }
            document::Trigger {
                http: Some(document::Http {
                    auth: document::Auth::Iam,
                }),
                ..
            } => return self.http_trigger(trigger),
            document::Trigger {
                schedule: Some(schedule),
                ..
            } => {
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
            // The shape check saw to it that there is one of them.
            _ => return None,
        };
        let ids = known.ids();
        let scope = Scope {
            params: None,
            steps: None,
            no_steps: "a trigger fires before any step",
            trigger: fields,
            run: false,
            ..known.scope(&ids)
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
            if param.is_required() && !trigger.params.keys().any(|name| name.value == param.name) {
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

    /// A request brings the params itself.
    fn http_trigger(&mut self, trigger: &Spanned<document::Trigger>) -> Option<Trigger> {
        if let Some((name, _)) = trigger.params.first() {
            self.problems.push(CheckProblem::TriggerParam {
                detail: "an `http` trigger takes no `params`: the body of the request is the params".to_owned(),
                span: name.span,
                help: "remove `params`, or give the param a default".to_owned(),
            });
            return None;
        }
        Some(Trigger {
            kind: TriggerKind::Http,
            params: Vec::new(),
        })
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
        let ids = known.ids();
        let scope = Scope {
            steps: None,
            no_steps: "a failure handler cannot wait for a step: any of them may have failed",
            error: true,
            ..known.scope(&ids)
        };
        let action = match (&handler.function, &handler.notify) {
            (Some(function), _) => HandlerAction::Function {
                call: steps::function_call(self.document, function),
                input: match &handler.input {
                    Some(node) => self
                        .source
                        .parse(&node.value, self.problems)?
                        .check(&scope, self.problems)?,
                    None => Template::Constant(serde_json::Value::Null),
                },
            },
            (None, Some(notify)) => {
                if let Some(input) = &handler.input {
                    self.problems.push(CheckProblem::ModifierOfOtherKind {
                        kind: "notify",
                        modifier: "input",
                        span: self.source.first_line(input.span),
                    });
                }
                let (topic, message) = steps::notify_draft(self.document, &self.source, notify, self.problems)?;
                let message = collect(self.problems, |found| {
                    check_string(&message, "`message`", &scope, found)
                })?;
                HandlerAction::Notify(Notify { topic, message })
            }
            // The shape check saw to it that there is one of the two.
            (None, None) => return None,
        };
        let retry = handler
            .retry
            .as_ref()
            .map(|retry| &retry.value)
            .or(self.document.defaults.retry.as_ref());
        Some(Handler {
            action,
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
                containers: match targets.local.containers {
                    None | Some(document::Containers::Docker) => Containers::Docker,
                    Some(document::Containers::Podman) => Containers::Podman,
                    Some(document::Containers::Process) => Containers::Process,
                },
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
