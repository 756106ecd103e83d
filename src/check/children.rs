//! Pipelines that a pipeline runs: their files are read and checked as its own is, each once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostics::Problems;
use crate::expr::check::{Scope, object_template};
use crate::expr::parse::Syntax;
use crate::expr::{Template, Type, template_type};
use crate::model::{ChildCall, ChildIx, Kind, Param, Pipeline};
use crate::syntax::document::{self, Document};
use crate::syntax::scalars::Spanned;
use crate::syntax::span::Span;
use crate::syntax::{self, suggest};

use super::handlers::Files;
use super::problems::CheckProblem;
use super::templates::{Parsed, Source};
use super::{Input, steps, written};

/// How many problems of a child's file are listed.
const LISTED: usize = 5;

/// Where a file stands among those that are read.
pub struct Origin<'a> {
    /// Files of the root's folder.
    pub files: &'a dyn Files,
    /// The stage that was chosen; a child that has none of that name is read without.
    pub stage: Option<&'a str>,
    /// The file's folder, relative to the root's: empty, or with `/` at its end.
    pub folder: String,
    /// The files from the root's to this one.
    pub chain: Vec<String>,
    /// What the whole family shares.
    pub family: &'a RefCell<Family>,
}

/// What is known of all files that were read.
#[derive(Default)]
pub struct Family {
    /// By file: what it means; None where it has problems.
    read: BTreeMap<String, Result<Arc<Pipeline>, Vec<String>>>,
    /// By pipeline name: the file.
    names: BTreeMap<String, String>,
    /// Package names in use.
    packages: BTreeSet<String>,
}

/// The pipelines that a document runs.
#[derive(Default)]
pub struct Children {
    /// Each once, in the order of first use, with the folder of its file and where it is first named.
    list: Vec<(Arc<Pipeline>, String, Span)>,
    by_file: BTreeMap<String, ChildIx>,
}

/// A call whose params were parsed.
pub struct ChildDraft {
    child: Option<ChildIx>,
    params: Vec<(Spanned<String>, Option<Parsed>, Span)>,
    span: Span,
}

/// The files of a folder below (or beside) the root's.
struct Below<'a> {
    files: &'a dyn Files,
    folder: &'a str,
}

impl Files for Below<'_> {
    fn is_folder(&self, path: &str) -> bool {
        self.files.is_folder(&joined(self.folder, path))
    }

    fn read(&self, path: &str) -> Option<String> {
        self.files.read(&joined(self.folder, path))
    }

    fn python_files(&self, folder: &str) -> Vec<String> {
        self.files.python_files(&joined(self.folder, folder))
    }
}

/// A path relative to a folder, without `.` and `..` as far as they can be resolved.
pub fn joined(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return ".".to_owned();
    }
    parts.join("/")
}

/// Reads and checks every file that the steps of a document run.
pub fn read(document: &Document, origin: &Origin<'_>, problems: &mut Problems) -> Children {
    let mut children = Children::default();
    origin
        .family
        .borrow_mut()
        .names
        .entry(document.name.value.clone())
        .or_insert_with(|| origin.chain.last().cloned().unwrap_or_default());
    let mut seen = BTreeSet::new();
    for call in written::all(&document.steps)
        .into_iter()
        .filter_map(|step| step.pipeline)
    {
        let file = joined(&origin.folder, &call.file.value);
        if !seen.insert(file.clone()) {
            continue;
        }
        if let Some(pipeline) = child(&file, &call.file, origin, problems) {
            children
                .by_file
                .insert(call_key(&call.file), ChildIx(children.list.len()));
            let folder = folder_of(&file).to_owned();
            children.list.push((pipeline, folder, call.file.span));
        }
    }
    children
}

/// Two spellings of one file are one child.
fn call_key(file: &str) -> String {
    joined("", file)
}

fn folder_of(file: &str) -> &str {
    file.rfind('/').map_or("", |slash| &file[..=slash])
}

fn child(file: &str, written: &Spanned<String>, origin: &Origin<'_>, problems: &mut Problems) -> Option<Arc<Pipeline>> {
    if let Some(first) = origin.chain.iter().position(|outer| outer == file) {
        let chain: Vec<&str> = origin.chain[first..].iter().map(String::as_str).chain([file]).collect();
        problems.push(CheckProblem::ChildCycle {
            chain: chain.join(" → "),
            span: written.span,
        });
        return None;
    }
    let known = origin.family.borrow().read.get(file).cloned();
    let read = match known {
        Some(read) => read,
        None => {
            let Some(text) = origin.files.read(file) else {
                problems.push(CheckProblem::NoChildFile {
                    file: file.to_owned(),
                    span: written.span,
                });
                return None;
            };
            let read = read_child(file, &text, origin);
            let mut family = origin.family.borrow_mut();
            family.read.insert(file.to_owned(), read.clone());
            read
        }
    };
    match read {
        Ok(pipeline) => {
            let mut family = origin.family.borrow_mut();
            let first = family.names.entry(pipeline.name.clone()).or_insert(file.to_owned());
            if first != file {
                problems.push(CheckProblem::SamePipelineName {
                    name: pipeline.name.clone(),
                    first: first.clone(),
                    second: file.to_owned(),
                    span: written.span,
                });
                return None;
            }
            Some(pipeline)
        }
        Err(found) => {
            problems.push(CheckProblem::BadChild {
                file: file.to_owned(),
                count: found.len(),
                help: bad_child_help(file, &found),
                span: written.span,
            });
            None
        }
    }
}

fn bad_child_help(file: &str, found: &[String]) -> String {
    let mut lines = vec![format!("`mlpipe validate {file}` shows where and what to type:")];
    lines.extend(found.iter().take(LISTED).cloned());
    lines.join("\n")
}

/// What the file means, or its problems in a line each.
fn read_child(file: &str, text: &str, origin: &Origin<'_>) -> Result<Arc<Pipeline>, Vec<String>> {
    let folder = folder_of(file);
    let mut problems = Problems::new();
    let tree = syntax::parse(text, &mut problems).and_then(|staged| {
        let stage = origin.stage.filter(|stage| staged.names().any(|name| name == *stage));
        staged.select(stage, &mut problems)
    });
    let document = tree.and_then(|tree| syntax::document(&tree, &mut problems));
    let below = Below {
        files: origin.files,
        folder,
    };
    let inner = Origin {
        files: origin.files,
        stage: origin.stage,
        folder: folder.to_owned(),
        chain: origin.chain.iter().cloned().chain([file.to_owned()]).collect(),
        family: origin.family,
    };
    let input = Input {
        text,
        file,
        stage: origin.stage,
        files: &below,
    };
    let pipeline = document.and_then(|document| super::check_within(&document, &input, &inner, &mut problems));
    match pipeline {
        Some(pipeline) if !problems.has_errors() => Ok(Arc::new(pipeline)),
        _ => {
            let errors = problems.sorted().into_iter().filter(|problem| problem.is_error());
            Err(errors
                .map(|problem| format!("{}: {}", problem.code(), problem.diagnostic()))
                .collect())
        }
    }
}

impl ChildDraft {
    /// Calls `visit` for each expression of its params.
    pub fn each(&self, visit: &mut dyn FnMut(&Syntax)) {
        for (_, parsed, _) in &self.params {
            parsed.iter().for_each(|parsed| parsed.each(visit));
        }
    }
}

impl Children {
    /// Reads a call.
    pub fn draft(&self, call: &document::Child, source: &Source<'_>, problems: &mut Problems) -> ChildDraft {
        let params = call.params.iter().map(|(name, node)| {
            let parsed = source.parse(node, problems);
            (name.clone(), parsed, node.span)
        });
        ChildDraft {
            params: params.collect(),
            child: self.by_file.get(&call_key(&call.file)).copied(),
            span: call.file.span,
        }
    }

    /// The type of what a call gives.
    pub fn output(&self, draft: &ChildDraft) -> Type {
        let child = draft.child.and_then(|child| self.list.get(child.0));
        child.map_or(Type::Any, |(pipeline, ..)| {
            template_type(&object_template(pipeline.root.outputs.clone()))
        })
    }

    /// Types a call: its params against those that the child declares.
    pub fn kind(&self, draft: &ChildDraft, scope: &Scope<'_>, problems: &mut Problems) -> Option<Kind> {
        let given: Vec<Option<(String, Template, Span)>> = draft
            .params
            .iter()
            .map(|(name, parsed, span)| Some((name.value.clone(), parsed.as_ref()?.check(scope, problems)?, *span)))
            .collect();
        let child = draft.child?;
        let (pipeline, ..) = self.list.get(child.0)?;
        for (name, ..) in &draft.params {
            if !pipeline.params.iter().any(|param| param.name == name.value) {
                let declared = pipeline.params.iter().map(|param| param.name.as_str());
                problems.push(CheckProblem::ChildParam {
                    detail: format!("the pipeline `{}` has no param `{}`", pipeline.name, name.value),
                    span: name.span,
                    help: suggest::help(&name.value, declared, "params"),
                });
            }
        }
        for param in pipeline.params.iter().filter(|param| param.is_required()) {
            if !draft.params.iter().any(|(name, ..)| name.value == param.name) {
                problems.push(CheckProblem::ChildParam {
                    detail: format!(
                        "the pipeline `{}` needs `{}`, which has no default",
                        pipeline.name, param.name
                    ),
                    span: draft.span,
                    help: format!("add `{}` below `params:`", param.name),
                });
            }
        }
        let given: Vec<(String, Template, Span)> = given.into_iter().collect::<Option<_>>()?;
        for (name, template, span) in &given {
            let Some(param) = pipeline.params.iter().find(|param| param.name == *name) else {
                continue;
            };
            if let Err(detail) = fits(template, param) {
                problems.push(CheckProblem::ChildParam {
                    detail,
                    span: *span,
                    help: format!("give a value of type {}", param.ty),
                });
            }
        }
        let params = object_template(given.into_iter().map(|(name, template, _)| (name, template)).collect());
        Some(Kind::Pipeline(ChildCall { child, params }))
    }

    /// Puts the children into the pipeline that runs them: what they declare is the root's to make.
    pub fn adopt(self, pipeline: &mut Pipeline, problems: &mut Problems) {
        for (child, folder, span) in self.list {
            for bucket in &child.buckets {
                match clash(pipeline.buckets.iter().map(|own| (&own.id, own == bucket)), &bucket.id) {
                    Clash::None => pipeline.buckets.push(bucket.clone()),
                    Clash::Same => {}
                    Clash::Differs => problems.push(differs("bucket", &bucket.id, &child, span)),
                }
            }
            for topic in &child.topics {
                match clash(pipeline.topics.iter().map(|own| (&own.id, own == topic)), &topic.id) {
                    Clash::None => pipeline.topics.push(topic.clone()),
                    Clash::Same => {}
                    Clash::Differs => problems.push(differs("topic", &topic.id, &child, span)),
                }
            }
            for secret in &child.secrets {
                match clash(pipeline.secrets.iter().map(|own| (own, own == secret)), secret) {
                    Clash::None => pipeline.secrets.push(secret.clone()),
                    Clash::Same => {}
                    Clash::Differs => problems.push(differs("secret", secret, &child, span)),
                }
            }
            for (bucket, path) in &child.targets.local.buckets {
                let local = &mut pipeline.targets.local.buckets;
                local.entry(bucket.clone()).or_insert_with(|| joined(&folder, path));
            }
            pipeline.children.push(child);
        }
    }
}

enum Clash {
    None,
    Same,
    Differs,
}

/// How an id stands to those that there are; names of the clouds make `_` of `-`.
fn clash<'a>(known: impl Iterator<Item = (&'a String, bool)>, id: &str) -> Clash {
    let flat = |id: &str| id.replace('-', "_");
    for (other, equal) in known {
        if flat(other) == flat(id) {
            return if equal { Clash::Same } else { Clash::Differs };
        }
    }
    Clash::None
}

fn differs(what: &'static str, id: &str, child: &Pipeline, span: Span) -> CheckProblem {
    CheckProblem::DeclaredTwice {
        what,
        id: id.to_owned(),
        pipeline: child.name.clone(),
        span,
    }
}

/// Sources are relative to the root's file, packages distinct in the family.
pub fn place(mut pipeline: Pipeline, origin: &Origin<'_>) -> Pipeline {
    let is_root = origin.chain.len() <= 1;
    if !is_root {
        for (source, _) in steps::sources_mut(&mut pipeline) {
            *source = joined(&origin.folder, source);
        }
    }
    let prefix = if is_root {
        String::new()
    } else {
        format!("{}_", pipeline.name.replace('-', "_"))
    };
    steps::with_packages(pipeline, &prefix, &mut origin.family.borrow_mut().packages)
}

/// A constant is checked as a value, anything else by its type.
fn fits(template: &Template, param: &Param) -> Result<(), String> {
    if let Template::Constant(value) = template {
        return param.fits(value);
    }
    let ty = template_type(template);
    if may_be(&ty, &param.ty) {
        return Ok(());
    }
    Err(format!("param `{}` must be {}, this is {ty}", param.name, param.ty))
}

/// True where some value of the one type is one of the other.
fn may_be(given: &Type, declared: &Type) -> bool {
    if !given.kinds().meets(declared.kinds()) {
        return false;
    }
    match (given.unwrapped(), declared.unwrapped()) {
        // Both are never more than a field that is missing apart: what is in them decides.
        (Type::Object(given), Type::Object(declared)) => declared
            .iter()
            .all(|(name, ty)| given.get(name).is_none_or(|given| may_be(given, ty))),
        // A list may be empty.
        _ => true,
    }
}
