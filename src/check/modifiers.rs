//! `for_each`, `repeat`, `catch`, and what a `wait` waits for.

use serde_json::Value;

use crate::diagnostics::Problems;
use crate::expr::NAMESPACES;
use crate::expr::check::{LocalName, Scope};
use crate::expr::eval::unix_seconds;
use crate::expr::parse::Syntax;
use crate::expr::types::Kinds;
use crate::expr::{ExprProblem, Function, Local, Template, Type, template_type};
use crate::model::{Catch, Fallback, ForEach, OnError, Repeat, StepIx};
use crate::syntax::document::{self, Step};
use crate::syntax::scalars::Spanned;
use crate::syntax::span::Span;

use super::names;
use super::problems::CheckProblem;
use super::steps::{self, Draft, When};
use super::templates::{Parsed, Source};

const DEFAULT_ITEM: &str = "item";
const DEFAULT_INDEX: &str = "index";
/// Names of a repetition, and words: like the language's own names they cannot stand for an item.
const TAKEN: [&str; 5] = ["previous", "output", "true", "false", "null"];

/// A parsed `for_each`.
pub struct ForEachDraft {
    list: Option<Parsed>,
    item: String,
    index: String,
    max_concurrency: Option<u32>,
    span: Span,
}

/// A parsed entry of `catch`.
pub struct CatchDraft {
    on: Vec<OnError>,
    output: Option<Option<Parsed>>,
    /// The step of its `do`.
    pub fallback: Option<StepIx>,
}

/// A parsed `repeat`.
pub struct RepeatDraft {
    until: When,
    max: u32,
    delay: u64,
    span: Span,
}

/// Calls `visit` for each expression of a draft's modifiers but `when`.
pub fn each(draft: &Draft, visit: &mut dyn FnMut(&Syntax)) {
    if let Some(list) = draft.for_each.as_ref().and_then(|for_each| for_each.list.as_ref()) {
        list.each(visit);
    }
    if let Some(When::Expr(until)) = draft.repeat.as_ref().map(|repeat| &repeat.until) {
        visit(until);
    }
    for output in draft.catch.iter().filter_map(|catch| catch.output.as_ref()?.as_ref()) {
        output.each(visit);
    }
}

/// Reads the `for_each` of a step, and refuses its helpers where there is none.
pub fn for_each(source: &Source<'_>, step: &Step, problems: &mut Problems) -> Option<ForEachDraft> {
    let Some(list) = &step.for_each else {
        let helpers = [
            ("as", step.item.as_ref().map(|item| item.span)),
            ("index", step.index.as_ref().map(|index| index.span)),
            ("max_concurrency", step.max_concurrency.as_ref().map(|max| max.span)),
        ];
        for (key, span) in helpers {
            if let Some(span) = span {
                problems.push(CheckProblem::WithoutForEach { key, span });
            }
        }
        return None;
    };
    let item = variable(step.item.as_ref(), DEFAULT_ITEM, problems);
    let index = variable(step.index.as_ref(), DEFAULT_INDEX, problems);
    if item == index {
        problems.push(CheckProblem::SameVariable {
            name: item.clone(),
            span: step
                .item
                .as_ref()
                .or(step.index.as_ref())
                .map_or(list.span, |name| name.span),
        });
    }
    Some(ForEachDraft {
        list: source.parse(list, problems),
        item,
        index,
        max_concurrency: step.max_concurrency.as_ref().map(|max| max.value),
        span: list.span,
    })
}

fn variable(written: Option<&Spanned<String>>, default: &str, problems: &mut Problems) -> String {
    let Some(name) = written else {
        return default.to_owned();
    };
    if !names::is_identifier(name)
        || NAMESPACES.contains(&name.as_str())
        || TAKEN.contains(&name.as_str())
        || Function::from_name(name).is_some()
    {
        problems.push(CheckProblem::BadVariable {
            name: name.value.clone(),
            span: name.span,
        });
    }
    name.value.clone()
}

/// Reads the `catch` of a step.
pub fn catch(source: &Source<'_>, step: &Step, problems: &mut Problems) -> Vec<CatchDraft> {
    let mut caught: Vec<OnError> = Vec::new();
    let mut drafts = Vec::with_capacity(step.catch.len());
    for entry in &step.catch {
        if let (Some(output), Some(_)) = (&entry.output, &entry.fallback) {
            problems.push(CheckProblem::TwoFallbacks { span: output.span });
        }
        let on: Vec<OnError> = match &entry.on {
            None => vec![OnError::All],
            Some(names) => names.iter().map(|name| steps::on_error(name)).collect(),
        };
        if on.is_empty() || on.iter().all(|on| is_caught(on, &caught)) {
            problems.push(CheckProblem::NeverCaught {
                reason: if on.is_empty() {
                    "`on` is empty"
                } else {
                    "entries before it catch all that it names"
                },
                span: source.first_line(entry.span),
            });
        }
        caught.extend(on.iter().cloned());
        drafts.push(CatchDraft {
            on,
            output: entry
                .output
                .as_ref()
                .map(|output| source.parse(&output.value, problems)),
            fallback: None,
        });
    }
    drafts
}

fn is_caught(on: &OnError, before: &[OnError]) -> bool {
    before.contains(&OnError::All) || before.contains(on)
}

/// Reads a `repeat`.
pub fn repeat(
    source: &Source<'_>,
    id: &Spanned<String>,
    repeat: &Spanned<document::Repeat>,
    problems: &mut Problems,
) -> RepeatDraft {
    RepeatDraft {
        until: steps::condition(source, id, "until", &repeat.until, problems),
        max: repeat.max,
        delay: repeat.delay.map_or(0, |delay| delay.seconds),
        span: repeat.until.span,
    }
}

/// Types the list. The names that it adds are for the body, and known also where the list is wrong.
pub fn check_for_each(
    draft: &ForEachDraft,
    path: &str,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> (Option<ForEach>, [LocalName; 2]) {
    let list = draft.list.as_ref().and_then(|list| list.check(scope, problems));
    let ty = list.as_ref().map_or(Type::Any, template_type);
    let is_list = ty.kinds().meets(Kinds::LIST);
    let item = ty.item();
    if !is_list {
        problems.push(ExprProblem::Expected {
            place: "`for_each`",
            expected: Type::List(Box::new(Type::Any)),
            found: ty,
            span: draft.span,
            help: Some("write a list, or an expression that gives one".to_owned()),
        });
    }
    let local = |name: &str, what, ty| LocalName {
        name: name.to_owned(),
        step: path.to_owned(),
        what,
        ty,
    };
    let locals = [
        local(&draft.item, Local::Item, item),
        local(&draft.index, Local::Index, Type::Integer),
    ];
    let for_each = list.filter(|_| is_list).map(|list| ForEach {
        list,
        item: draft.item.clone(),
        index: draft.index.clone(),
        max_concurrency: draft.max_concurrency,
    });
    (for_each, locals)
}

/// The name that a `repeat` adds to the body. Of what type the run before gave is known only after the body was typed,
/// except of a function with a declared output.
pub fn previous(path: &str, ty: Type) -> LocalName {
    LocalName {
        name: "previous".to_owned(),
        step: path.to_owned(),
        what: Local::Previous,
        ty: ty.optional(),
    }
}

/// Types `until` over the output of the body.
pub fn check_repeat(
    draft: &RepeatDraft,
    path: &str,
    output: &Type,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Repeat> {
    let mut scope = scope.clone();
    scope.locals.push(LocalName {
        name: "output".to_owned(),
        step: path.to_owned(),
        what: Local::Output,
        ty: output.clone(),
    });
    let until = steps::check_when(&draft.until, &mut scope, problems)?;
    if crate::expr::never_true(&until) {
        problems.push(CheckProblem::UntilNeverTrue { span: draft.span });
    }
    Some(Repeat {
        until,
        max: draft.max,
        delay: draft.delay,
    })
}

/// Types the entries of a `catch`; gives the type of what each puts in place, but of a `do`.
pub fn check_catch(
    drafts: &[CatchDraft],
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Vec<(Catch, Option<Type>)>> {
    let mut scope = scope.clone();
    scope.error = true;
    let checked: Vec<Option<(Catch, Option<Type>)>> = drafts
        .iter()
        .map(|draft| {
            let (fallback, ty) = match (&draft.fallback, &draft.output) {
                (Some(step), _) => (Fallback::Do(*step), None),
                (None, None) => (Fallback::Output(Template::Constant(Value::Null)), Some(Type::Null)),
                (None, Some(output)) => {
                    let output = output.as_ref()?.check(&scope, problems)?;
                    let ty = template_type(&output);
                    (Fallback::Output(output), Some(ty))
                }
            };
            let on = draft.on.clone();
            Some((Catch { on, fallback }, ty))
        })
        .collect();
    checked.into_iter().collect()
}

/// What a `wait` waits for: RFC 3339 text or a number; constants are read now.
pub fn check_time(time: Template, span: Span, problems: &mut Problems) -> Option<Template> {
    let fits = match &time {
        Template::Constant(Value::String(text)) => unix_seconds(&text.to_ascii_uppercase()).is_some(),
        Template::Constant(value) => value.is_number(),
        other => template_type(other).kinds().meets(Kinds::STRING.or(Kinds::NUMBER)),
    };
    if fits {
        return Some(time);
    }
    problems.push(CheckProblem::BadTime { span });
    None
}
