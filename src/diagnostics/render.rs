//! Problems as text for people and as JSON for programs.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode};
use serde::Serialize;

use super::{Problem, Problems};

/// The pipeline file that problems point into.
pub struct SourceFile {
    name: String,
    text: String,
    named: NamedSource<String>,
}

impl SourceFile {
    /// `name` as the user typed it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let named = NamedSource::new(&name, text.clone()).with_language("yaml");
        Self { name, text, named }
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// All problems in pictures, a blank line between them.
pub fn text(problems: &Problems, file: &SourceFile, color: bool) -> String {
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .with_links(false)
        .with_context_lines(1);
    let mut out = String::new();
    for problem in problems.sorted() {
        let located = Located {
            problem,
            file,
            pictured: fits_a_picture(problem, &file.text),
        };
        if handler.render_report(&mut out, &located).is_err() {
            out.push_str(&format!("{}: {located}\n", problem.code()));
        }
        if !out.ends_with("\n\n") {
            out.push('\n');
        }
    }
    out
}

/// Longest line that is shown, in bytes. A longer one could not be read, and the renderer gives up on lines of 65 536.
const LONGEST_LINE: usize = 1_000;

/// False where a line that a label stands on, or one beside it, is too long to show.
fn fits_a_picture(problem: &Problem, text: &str) -> bool {
    let line_fits = |offset: usize| {
        let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
        let lines_before = before.rsplit('\n').take(2);
        let lines_after = after.split('\n').take(2);
        let own = before.rsplit('\n').next().map_or(0, str::len) + after.split('\n').next().map_or(0, str::len);
        own <= LONGEST_LINE && lines_before.chain(lines_after).all(|line| line.len() <= LONGEST_LINE)
    };
    let mut labels = problem.diagnostic().labels().into_iter().flatten();
    labels.all(|label| line_fits(label.offset()) && line_fits(label.offset() + label.len()))
}

/// A problem together with the text that it points into.
struct Located<'a> {
    problem: &'a Problem,
    file: &'a SourceFile,
    /// With a picture; else with its line and column in words.
    pictured: bool,
}

impl fmt::Debug for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.problem, f)
    }
}

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem.stages() {
            [] => {}
            [stage] => write!(f, "stage `{stage}`: ")?,
            stages => write!(f, "stages `{}`: ", stages.join("`, `"))?,
        }
        fmt::Display::fmt(self.problem.diagnostic(), f)?;
        let first = self.problem.diagnostic().labels().and_then(|mut labels| labels.next());
        match first.filter(|_| !self.pictured) {
            Some(label) => {
                let place = place(&self.file.text, &label);
                write!(f, " (at {}:{}:{})", self.file.name, place.line, place.column)
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Located<'_> {}

impl Diagnostic for Located<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.diagnostic().code()
    }

    fn severity(&self) -> Option<Severity> {
        self.problem.diagnostic().severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.diagnostic().help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.pictured.then_some(&self.file.named as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.problem.diagnostic().labels().filter(|_| self.pictured)
    }
}

/// A problem as data. Lines and columns count from 1, columns in characters; `start` and `end` are byte offsets.
#[derive(Debug, Serialize)]
pub struct Record {
    /// `MLP0203`.
    pub code: String,
    /// `error`, `warning` or `advice`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to type instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The pipeline file, as typed.
    pub file: String,
    /// The stages that have the problem; none: the file has it without any.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub stages: Vec<String>,
    /// Where; the first is the main one. Empty for a problem without a place.
    pub labels: Vec<Label>,
}

/// A place in the file.
#[derive(Debug, Serialize)]
pub struct Label {
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// All problems as data.
pub fn records(problems: &Problems, file: &SourceFile) -> Vec<Record> {
    problems
        .sorted()
        .into_iter()
        .map(|problem| {
            let diagnostic = problem.diagnostic();
            Record {
                code: problem.code(),
                severity: match diagnostic.severity() {
                    None | Some(Severity::Error) => "error",
                    Some(Severity::Warning) => "warning",
                    Some(Severity::Advice) => "advice",
                },
                message: diagnostic.to_string(),
                help: diagnostic.help().map(|help| help.to_string()),
                file: file.name.clone(),
                stages: problem.stages().to_vec(),
                labels: diagnostic
                    .labels()
                    .into_iter()
                    .flatten()
                    .map(|label| place(&file.text, &label))
                    .collect(),
            }
        })
        .collect()
}

fn place(text: &str, label: &LabeledSpan) -> Label {
    let start = label.offset().min(text.len());
    let before = text.get(..start).unwrap_or_default();
    Label {
        text: label.label().map(str::to_owned),
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        start,
        end: start + label.len(),
    }
}
