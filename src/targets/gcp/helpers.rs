//! The helper subworkflows of `targets/gcp/helpers.yaml`: each workflow gets those that it calls.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::targets::package;

const TEXT: &str = include_str!("../../../targets/gcp/helpers.yaml");
/// What a container that serves a model runs.
const SERVER: &str = include_str!("../../../targets/gcp/server.py");

/// Their names, in the order of the file.
pub fn names() -> impl Iterator<Item = &'static str> {
    chunks().map(|(name, _)| name)
}

/// The text of these helpers and of those that they call, in the order of the file, with a blank line before each.
pub fn text(wanted: &BTreeSet<&'static str>) -> String {
    let chunks: Vec<(&str, &str)> = chunks().collect();
    let mut needed: BTreeSet<&str> = wanted.clone();
    let mut stack: Vec<&str> = wanted.iter().copied().collect();
    while let Some(name) = stack.pop() {
        let Some((_, text)) = chunks.iter().find(|(chunk, _)| *chunk == name) else {
            continue;
        };
        for (other, _) in &chunks {
            if calls(text, other) && needed.insert(other) {
                stack.push(other);
            }
        }
    }
    chunks
        .iter()
        .filter(|(name, _)| needed.contains(name))
        .map(|(name, text)| match *name {
            "serving_code" => format!("\n{}\n", with_code(text)),
            _ => format!("\n{text}\n"),
        })
        .collect()
}

/// Python code in its place.
fn with_code(text: &str) -> String {
    let quoted = |code: &str| Value::from(code).to_string();
    text.replace("- SERVER\n", &format!("- {}\n", quoted(SERVER)))
        .replace("- SERVING", &format!("- {}", quoted(package::SERVING)))
}

/// Each helper's name and text: its comment, its name, its body.
fn chunks() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXT.split("\n\n").filter_map(|chunk| {
        let chunk = chunk.trim_end();
        let name = chunk.lines().find(|line| !line.starts_with('#'))?.strip_suffix(':')?;
        Some((name, chunk))
    })
}

/// The names of those that a text calls itself.
pub fn called_in(text: &str) -> BTreeSet<&'static str> {
    names().filter(|name| calls(text, name)).collect()
}

/// True where the text calls a subworkflow of that name, or decides on a retry by it.
pub fn calls(text: &str, name: &str) -> bool {
    if text
        .lines()
        .any(|line| line.trim_start().strip_prefix("call: ") == Some(name))
    {
        return true;
    }
    if text.contains(&format!("predicate: '${{{name}}}'")) {
        return true;
    }
    let call = format!("{name}(");
    text.match_indices(&call).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.')
    })
}
