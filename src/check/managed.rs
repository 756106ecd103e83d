//! Steps of managed services: containers, training, and what they run on.

use serde_json::Value;

use crate::diagnostics::Problems;
use crate::expr::check::{Scope, check_string};
use crate::expr::parse::{Syntax, Text};
use crate::expr::types::Kinds;
use crate::expr::{Template, Type, template_type};
use crate::model::{Compute, Framework, Gpu, GpuKind, Job, Kind, Machines, PerCloud, Runtime, Train};
use crate::syntax::document::{self, FrameworkName};
use crate::syntax::problems::SyntaxProblem;
use crate::syntax::scalars::Spanned;
use crate::syntax::span::Span;
use crate::syntax::{Node, NodeValue};

use super::problems::CheckProblem;
use super::steps::text_of;
use super::templates::{Parsed, Source, collect};

const DEFAULT_JOB: u64 = 60 * 60;
const DEFAULT_TRAIN: u64 = 24 * 60 * 60;

/// Named texts with expressions; what could not be parsed was reported.
type Texts = Vec<(String, Option<Text>)>;

/// A container whose expressions were parsed.
pub struct JobDraft {
    image: PerCloud,
    command: Vec<Option<Text>>,
    env: Texts,
    machines: Machines,
    max_duration: u64,
}

/// Training whose expressions were parsed.
pub struct TrainDraft {
    source: String,
    entrypoint: String,
    runtime: Option<Runtime>,
    machines: Machines,
    hyperparameters: Vec<(String, Option<Parsed>, Span)>,
    data: Texts,
    max_duration: u64,
    spot: bool,
}

/// `{ job_name: string, model_uri: string, metrics: any }`
pub fn train_type() -> Type {
    let fields = [
        ("job_name", Type::String),
        ("model_uri", Type::String),
        ("metrics", Type::Any),
    ];
    Type::Object(fields.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect())
}

/// Reads a `job`.
pub fn job(source: &Source<'_>, job: &document::Job, problems: &mut Problems) -> JobDraft {
    let words = job.command.iter();
    JobDraft {
        image: image(&job.image.0, problems),
        command: words
            .map(|word| text_of(source, word, "`command` of a `job`", problems))
            .collect(),
        env: texts(source, &job.env, "variable", problems),
        machines: machines(&job.compute, &job.instance),
        max_duration: job.max_duration.map_or(DEFAULT_JOB, |duration| duration.seconds),
    }
}

/// Reads a `train`.
pub fn train(source: &Source<'_>, train: &document::Train, problems: &mut Problems) -> TrainDraft {
    let runtime = runtime(train.framework.as_ref(), train.image.as_ref(), problems);
    let hyperparameters = train.hyperparameters.iter().map(|(name, node)| {
        let parsed = source.parse(node, problems);
        (name.value.clone(), parsed, node.span)
    });
    TrainDraft {
        source: train.source.trim_end_matches('/').to_owned(),
        entrypoint: train.entrypoint.value.clone(),
        runtime,
        machines: machines(&train.compute, &train.instance),
        hyperparameters: hyperparameters.collect(),
        data: texts(source, &train.data, "channel", problems),
        max_duration: train.max_duration.map_or(DEFAULT_TRAIN, |duration| duration.seconds),
        spot: train.spot,
    }
}

/// The framework or the image; None where the shape check missed both.
pub fn runtime(
    framework: Option<&document::Framework>,
    own: Option<&document::ImageNode>,
    problems: &mut Problems,
) -> Option<Runtime> {
    let Some(framework) = framework else {
        return own.map(|own| Runtime::Image(image(&own.0, problems)));
    };
    let name = match framework.name {
        FrameworkName::Sklearn => Framework::Sklearn,
        FrameworkName::Xgboost => Framework::Xgboost,
        FrameworkName::Pytorch => Framework::Pytorch,
        FrameworkName::Tensorflow => Framework::Tensorflow,
    };
    Some(Runtime::Framework(name, framework.version.value.clone()))
}

fn texts(
    source: &Source<'_>,
    written: &indexmap::IndexMap<Spanned<String>, Node>,
    what: &'static str,
    problems: &mut Problems,
) -> Texts {
    let mut found = Texts::new();
    for (name, node) in written {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
            problems.push(CheckProblem::BadVariableName {
                name: name.value.clone(),
                what,
                span: name.span,
            });
        }
        let place = format!("{what} `{}`", name.value);
        found.push((name.value.clone(), text_of(source, node, &place, problems)));
    }
    found
}

/// One image for all clouds, or one a cloud.
fn image(node: &Node, problems: &mut Problems) -> PerCloud {
    let mut images = PerCloud::default();
    match &node.value {
        NodeValue::String(text) => {
            images = PerCloud {
                aws: Some(text.clone()),
                gcp: Some(text.clone()),
                azure: Some(text.clone()),
            };
        }
        NodeValue::Map(entries) => {
            for (key, value) in entries {
                let place = match key.text.as_str() {
                    "aws" => &mut images.aws,
                    "gcp" => &mut images.gcp,
                    "azure" => &mut images.azure,
                    other => {
                        problems.push(SyntaxProblem::UnknownKey {
                            key: other.to_owned(),
                            place: "`image`".to_owned(),
                            span: key.span,
                            help: crate::syntax::suggest::help(other, ["aws", "gcp", "azure"], "keys"),
                        });
                        continue;
                    }
                };
                match &value.value {
                    NodeValue::String(text) => *place = Some(text.clone()),
                    _ => problems.push(SyntaxProblem::WrongType {
                        place: format!("`image.{}`", key.text),
                        expected: "a string".to_owned(),
                        found: value.kind().to_owned(),
                        span: value.span,
                        help: Some("put it in quotes to make it a string".to_owned()),
                    }),
                }
            }
        }
        // The shape check refused anything else.
        _ => {}
    }
    images
}

/// What a step runs on.
pub fn machines(compute: &document::Compute, instance: &document::PerCloud) -> Machines {
    Machines {
        compute: Compute {
            cpu: compute.cpu,
            memory_mib: compute.memory.map(|memory| memory.mib),
            gpu: compute.gpu.as_ref().map(|gpu| Gpu {
                kind: match gpu.kind {
                    document::GpuKind::T4 => GpuKind::T4,
                    document::GpuKind::V100 => GpuKind::V100,
                    document::GpuKind::A10g => GpuKind::A10g,
                    document::GpuKind::L4 => GpuKind::L4,
                    document::GpuKind::A100 => GpuKind::A100,
                    document::GpuKind::H100 => GpuKind::H100,
                },
                count: gpu.count.unwrap_or(1),
            }),
            count: compute.count.as_ref().map_or(1, |count| count.value),
        },
        named: PerCloud {
            aws: instance.aws.clone(),
            gcp: instance.gcp.clone(),
            azure: instance.azure.clone(),
        },
    }
}

fn check_texts(
    texts: &Texts,
    place: &'static str,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Vec<(String, Template)>> {
    let checked: Vec<Option<(String, Template)>> = texts
        .iter()
        .map(|(name, text)| {
            let text = check_one(text.as_ref(), place, scope, problems)?;
            Some((name.clone(), text))
        })
        .collect();
    checked.into_iter().collect()
}

/// Types a text that was parsed.
pub fn check_one(
    text: Option<&Text>,
    place: &'static str,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Template> {
    collect(problems, |found| check_string(text?, place, scope, found))
}

impl JobDraft {
    /// Calls `visit` for each expression.
    pub fn each(&self, visit: &mut dyn FnMut(&Syntax)) {
        let env = self.env.iter().filter_map(|(_, text)| text.as_ref());
        let words = self.command.iter().filter_map(Option::as_ref);
        words.chain(env).flat_map(Text::exprs).for_each(visit);
    }

    /// Types it.
    pub fn kind(&self, scope: &Scope<'_>, problems: &mut Problems) -> Option<Kind> {
        let command: Vec<Option<Template>> = self
            .command
            .iter()
            .map(|word| check_one(word.as_ref(), "`command`", scope, problems))
            .collect();
        let env = check_texts(&self.env, "`env`", scope, problems);
        Some(Kind::Job(Box::new(Job {
            image: self.image.clone(),
            command: command.into_iter().collect::<Option<_>>()?,
            env: env?,
            machines: self.machines.clone(),
            max_duration: self.max_duration,
        })))
    }
}

impl TrainDraft {
    /// Calls `visit` for each expression.
    pub fn each(&self, visit: &mut dyn FnMut(&Syntax)) {
        let values = self.hyperparameters.iter().filter_map(|(_, value, _)| value.as_ref());
        values.for_each(|value| value.each(visit));
        let data = self.data.iter().filter_map(|(_, text)| text.as_ref());
        data.flat_map(Text::exprs).for_each(visit);
    }

    /// Types it.
    pub fn kind(&self, scope: &Scope<'_>, problems: &mut Problems) -> Option<Kind> {
        let hyperparameters: Vec<Option<(String, Template)>> = self
            .hyperparameters
            .iter()
            .map(|(name, value, span)| {
                let value = value.as_ref()?.check(scope, problems)?;
                let ty = template_type(&value);
                let scalar = match &value {
                    Template::Constant(Value::Null | Value::Array(_) | Value::Object(_)) => false,
                    Template::List(_) | Template::Object(_) => false,
                    _ => ty.kinds().meets(Kinds::SCALAR),
                };
                if !scalar {
                    problems.push(CheckProblem::NoScalar {
                        name: name.clone(),
                        ty: ty.to_string(),
                        span: *span,
                    });
                    return None;
                }
                Some((name.clone(), value))
            })
            .collect();
        let data = check_texts(&self.data, "`data`", scope, problems);
        Some(Kind::Train(Box::new(Train {
            source: self.source.clone(),
            package: String::new(),
            entrypoint: self.entrypoint.clone(),
            runtime: self.runtime.clone()?,
            machines: self.machines.clone(),
            hyperparameters: hyperparameters.into_iter().collect::<Option<_>>()?,
            data: data?,
            max_duration: self.max_duration,
            spot: self.spot,
        })))
    }
}
