//! Handlers: the source folder, the file and the function must be there before anything is compiled.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::problems::CheckProblem;
use crate::diagnostics::Problems;
use crate::syntax::scalars::Spanned;
use crate::syntax::span::Span;
use crate::syntax::suggest;

/// What the checker may ask of the disk. Paths are relative to the pipeline file, `/`-separated.
pub trait Files {
    /// True for a folder.
    fn is_folder(&self, path: &str) -> bool;
    /// The text of a file.
    fn read(&self, path: &str) -> Option<String>;
    /// Names of the Python files right below a folder.
    fn python_files(&self, folder: &str) -> Vec<String>;
}

/// A disk that has whatever a pipeline asks for: to check one without its code.
#[derive(Clone, Copy, Debug)]
pub struct AllThere;

impl Files for AllThere {
    fn is_folder(&self, _: &str) -> bool {
        true
    }

    fn read(&self, _: &str) -> Option<String> {
        Some("from everything import *\n".to_owned())
    }

    fn python_files(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Looks each source and file up once, however many steps use it.
pub struct Handlers<'a> {
    files: &'a dyn Files,
    sources: BTreeMap<String, bool>,
    modules: BTreeMap<(String, String), Option<Vec<String>>>,
}

impl<'a> Handlers<'a> {
    /// Over these files.
    pub fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            sources: BTreeMap::new(),
            modules: BTreeMap::new(),
        }
    }

    /// True where the folder is there; where it is not, that is reported once.
    fn has_source(&mut self, source: &str, span: Span, problems: &mut Problems) -> bool {
        if let Some(found) = self.sources.get(source) {
            return *found;
        }
        let found = self.files.is_folder(source);
        self.sources.insert(source.to_owned(), found);
        if !found {
            problems.push(CheckProblem::NoSource {
                source_folder: source.to_owned(),
                span,
            });
        }
        found
    }

    /// Reports a script that is missing.
    pub fn check_script(&mut self, source: &Spanned<String>, script: &Spanned<String>, problems: &mut Problems) {
        if !self.has_source(source, source.span, problems) {
            return;
        }
        let file = format!("{}/{}", source.trim_end_matches('/'), script.value);
        if self.files.read(&file).is_some() {
            return;
        }
        let names = self.files.python_files(source);
        let help = match suggest::nearest(script, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "create it, or name another script of the folder".to_owned(),
        };
        problems.push(CheckProblem::NoScript {
            file,
            span: script.span,
            help,
        });
    }

    /// Reports what is missing of `module.function` below `source`.
    pub fn check(&mut self, source: &str, source_span: Span, handler: &Spanned<String>, problems: &mut Problems) {
        let files = self.files;
        if !self.has_source(source, source_span, problems) {
            return;
        }
        let Some((module, function)) = handler.rsplit_once('.') else {
            return;
        };
        let file = format!("{source}/{}.py", module.replace('.', "/"));
        let names = self
            .modules
            .entry((source.to_owned(), module.to_owned()))
            .or_insert_with(|| {
                let package = format!("{source}/{}/__init__.py", module.replace('.', "/"));
                files
                    .read(&file)
                    .or_else(|| files.read(&package))
                    .map(|text| top_level_names(&text))
            });
        match names {
            None => {
                let stems: Vec<String> = files
                    .python_files(source)
                    .into_iter()
                    .map(|name| name.trim_end_matches(".py").to_owned())
                    .collect();
                let help = match suggest::nearest(module, stems.iter().map(String::as_str)) {
                    Some(stem) => format!("did you mean `{stem}.{function}`?"),
                    None => format!("create it, with `def {function}(input, context):` in it"),
                };
                problems.push(CheckProblem::NoHandlerFile {
                    file,
                    span: handler.span,
                    help,
                });
            }
            Some(names) if names.iter().any(|name| name == function || name == "*") => {}
            Some(names) => {
                let help = match suggest::nearest(function, names.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean `{module}.{name}`?"),
                    None => format!("add `def {function}(input, context):` to it"),
                };
                let span = Span::new(handler.span.end.saturating_sub(function.len()), handler.span.end);
                problems.push(CheckProblem::NoHandlerFunction {
                    file,
                    function: function.to_owned(),
                    span,
                    help,
                });
            }
        }
    }
}

/// Names that a Python module binds at its top level; `*` where it imports all of another. Reading it as text keeps the compiler free of Python.
fn top_level_names(text: &str) -> Vec<String> {
    static BINDING: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| {
        Regex::new(
            r"(?m)^(?:(?:async\s+)?def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=[^=]|^(?:from\s+\S+\s+)?import\s+(.+)$",
        )
    });
    let Ok(binding) = &*BINDING else {
        return vec!["*".to_owned()];
    };
    let mut names = Vec::new();
    for found in binding.captures_iter(text) {
        if let Some(name) = found.get(1).or_else(|| found.get(2)) {
            names.push(name.as_str().to_owned());
        } else if let Some(imported) = found.get(3) {
            let imported = imported.as_str();
            if imported.contains(['(', '*']) {
                names.push("*".to_owned());
            }
            names.extend(
                imported
                    .split(',')
                    .filter_map(|item| item.split_whitespace().last())
                    .map(str::to_owned),
            );
        }
    }
    names
}
