//! A run as it goes: a spinner a running step on a terminal, plain lines elsewhere. All of it on stderr.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::engine::Event;
use crate::model::{ON_FAILURE, Pipeline};

use super::output;
use super::secrets::Secrets;

/// Shows events.
pub struct Progress {
    width: usize,
    live: Option<Live>,
    secrets: Secrets,
    file: String,
}

struct Live {
    bars: MultiProgress,
    running: IndexMap<String, ProgressBar>,
}

impl Progress {
    /// Live where stderr is a terminal.
    pub fn new(pipeline: &Pipeline, file: &Path) -> Self {
        let names = pipeline.steps.iter().map(|step| step.path.len());
        let width = names
            .chain(pipeline.on_failure.iter().map(|_| ON_FAILURE.len()))
            .max()
            .unwrap_or(0);
        Self {
            width,
            live: std::io::stderr().is_terminal().then(|| Live {
                bars: MultiProgress::new(),
                running: IndexMap::new(),
            }),
            secrets: Secrets::of(pipeline),
            file: file.display().to_string(),
        }
    }

    /// Shows one event.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { step, attempt } => {
                let what = if *attempt == 1 {
                    "running".to_owned()
                } else {
                    format!("running, attempt {attempt}")
                };
                self.begin(step, &what);
            }
            Event::Waiting { step, seconds, after } => {
                let why = after.map_or(String::new(), |name| format!(" after {name}"));
                self.begin(step, &format!("waiting {seconds} s{why}"));
            }
            Event::Asked { step, message, open } => {
                self.line(step, &format!("waits for approval: {message}"));
                if *open {
                    self.line(
                        step,
                        &format!("| answer with: mlpipe approve {} '{step}' [--reject]", self.file),
                    );
                }
            }
            Event::Log { step, line } => self.line(step, &format!("| {line}")),
            Event::Succeeded { step, seconds } => self.end(step, &format!("succeeded in {seconds:.1} s")),
            Event::Caught { step, failure, detail } => {
                let of = if failure.step == *step {
                    String::new()
                } else {
                    format!(" in {}", failure.step)
                };
                self.end(step, &format!("caught {}{of}: {}", failure.name, failure.message));
                if failure.name == "ExpressionError" {
                    detail.iter().for_each(|line| self.line(step, &format!("| {line}")));
                }
            }
            Event::Skipped { step } => self.end(step, "skipped"),
            Event::Failed { failure, detail } => {
                self.end(&failure.step, &format!("failed: {}: {}", failure.name, failure.message));
                // What a function printed was shown line by line; an expression's detail was not.
                if failure.name == "ExpressionError" {
                    detail
                        .iter()
                        .for_each(|line| self.line(&failure.step, &format!("| {line}")));
                }
            }
        }
    }

    /// Clears what is still moving.
    pub fn finish(&mut self) {
        if let Some(live) = &mut self.live {
            live.running.drain(..).for_each(|(_, bar)| bar.finish_and_clear());
        }
    }

    fn begin(&mut self, step: &str, what: &str) {
        let width = self.width;
        match &mut self.live {
            None => self.line(step, what),
            Some(live) => {
                let bar = live.running.entry(step.to_owned()).or_insert_with(|| {
                    let bar = live.bars.add(ProgressBar::new_spinner());
                    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {msg} {elapsed}") {
                        bar.set_style(style);
                    }
                    bar.set_prefix(format!("{step:width$}"));
                    bar.enable_steady_tick(Duration::from_millis(100));
                    bar
                });
                bar.set_message(what.to_owned());
                bar.reset_elapsed();
            }
        }
    }

    fn end(&mut self, step: &str, what: &str) {
        if let Some(bar) = self.live.as_mut().and_then(|live| live.running.shift_remove(step)) {
            bar.finish_and_clear();
        }
        self.line(step, what);
    }

    /// A line that stays. Values of secrets are blotted out.
    fn line(&self, step: &str, text: &str) {
        let line = self.secrets.blot(&format!("{step:width$}  {text}", width = self.width));
        match &self.live {
            Some(live) => {
                let _ = live.bars.println(line);
            }
            None => output::stderr(&format!("{line}\n")),
        }
    }
}
