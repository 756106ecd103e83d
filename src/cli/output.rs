//! Printing. A closed pipe (`| head`) ends the output, not the program with a panic.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use serde_json::json;

use crate::diagnostics::Problems;
use crate::diagnostics::render::{self, SourceFile};

use super::Format;

/// Text on stdout.
pub fn stdout(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Text on stderr.
pub fn stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A value as indented JSON on stdout.
pub fn json(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    stdout(&format!("{text}\n"));
}

/// Color, where a person is looking and did not ask for none.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Problems and their count: on stderr for people; as `{"problems": […]}` on stdout where they are all there is to say.
pub fn problems(problems: &Problems, file: &SourceFile, format: Format) {
    match format {
        Format::Text => {
            stderr(&render::text(problems, file, color()));
            if problems.has_errors() {
                let count = problems.error_count();
                stderr(&format!(
                    "{count} {}\n",
                    if count == 1 { "problem" } else { "problems" }
                ));
            }
        }
        Format::Json => json(&json!({ "problems": render::records(problems, file) })),
    }
}

/// A failure that is no problem of the pipeline file: a file that cannot be read or written.
pub fn failure(message: &str, format: Format) {
    match format {
        Format::Text => stderr(&format!("error: {message}\n")),
        Format::Json => json(&json!({ "error": message })),
    }
}
