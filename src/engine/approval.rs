//! Approvals: a request for a person, and their answer, from a terminal or through a file.
//!
//! A request is `<folder>/<step>.json`; whoever answers writes `<folder>/<step>.answer.json`. Both go when the step ends.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::model::{Approval, Step};

use super::Event;
use super::run::{self, Shared, Stop};
use super::scope::Scope;

/// How often the folder is looked at.
const POLL: Duration = Duration::from_millis(200);
const REQUEST: &str = ".json";
const ANSWER: &str = ".answer.json";

/// Where answers come from.
#[derive(Default)]
pub struct Approvals {
    /// Given beforehand, by the step's path; null: nobody answers.
    pub given: BTreeMap<String, Value>,
    /// Where requests are written and answers are read.
    pub folder: Option<PathBuf>,
    /// Lines that a person types.
    pub terminal: Option<Mutex<UnboundedReceiver<String>>>,
}

/// What waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The step, with the positions of items: `shards[2].gate`.
    pub step: String,
    /// What the person reads.
    pub message: String,
}

/// Reads what a person types; the thread ends with the program.
pub fn terminal() -> Mutex<UnboundedReceiver<String>> {
    let (lines, typed) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    Mutex::new(typed)
}

/// Asks, and waits for the answer.
pub(super) async fn ask(
    shared: &Shared<'_, '_>,
    step: &Step,
    approval: &Approval,
    scope: &Scope<'_>,
) -> Result<Value, Stop> {
    let message = run::text(&approval.message, "approval", &step.path, scope)?;
    let label = scope.label(&step.path);
    let approvals = &shared.host.options.approvals;
    let given = approvals.given.get(&shared.path(&step.path));
    shared.tell(Event::Asked {
        step: &label,
        message: &message,
        open: given.is_none() && !shared.host.options.no_wait,
    });
    let answer = async {
        match given {
            Some(Value::Null) => std::future::pending().await,
            Some(answer) => Ok(answer.clone()),
            // Time leaps: nobody could be as fast.
            None if shared.host.options.no_wait => std::future::pending().await,
            None => {
                answered(
                    approvals,
                    &Request {
                        step: label.clone(),
                        message,
                    },
                )
                .await
            }
        }
    };
    let bound = run::duration(step.attempt_timeout() as f64);
    let answer = tokio::time::timeout(bound, answer).await;
    if let Some(folder) = &approvals.folder {
        withdraw(folder, &label);
    }
    let answer = answer.map_err(|_| Stop::timeout(&step.path))?.map_err(Stop::Host)?;
    let output =
        judged(&answer).ok_or_else(|| Stop::failed("InvalidOutput", "the answer is not an approval", &step.path))?;
    shared.tell(Event::Succeeded {
        step: &label,
        seconds: 0.0,
    });
    Ok(output)
}

/// The first answer, from the terminal or the folder.
async fn answered(approvals: &Approvals, request: &Request) -> Result<Value, String> {
    let filed = async {
        let Some(folder) = &approvals.folder else {
            return std::future::pending().await;
        };
        write(folder, &request.step, REQUEST, &json!(request))?;
        loop {
            if let Ok(text) = std::fs::read_to_string(folder.join(format!("{}{ANSWER}", request.step))) {
                return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let typed = async {
        let Some(terminal) = &approvals.terminal else {
            return std::future::pending().await;
        };
        // One question at a time.
        let mut lines = terminal.lock().await;
        loop {
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "approve {}? [y/n, and a comment] ", request.step).and_then(|()| stderr.flush());
            match lines.recv().await {
                None => return std::future::pending().await,
                Some(line) => {
                    if let Some(answer) = read_line(&line) {
                        return answer;
                    }
                }
            }
        }
    };
    match select(pin!(filed), pin!(typed)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((answer, _)) => Ok(answer),
    }
}

/// `y`, `no`, `n too low`; None for anything else.
fn read_line(line: &str) -> Option<Value> {
    let line = line.trim();
    let (word, comment) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let approved = match word.to_ascii_lowercase().as_str() {
        "y" | "yes" => true,
        "n" | "no" => false,
        _ => return None,
    };
    let comment = Some(comment.trim()).filter(|comment| !comment.is_empty());
    Some(answer(approved, user().as_deref(), comment))
}

/// Who answers, as far as the system tells.
pub fn user() -> Option<String> {
    let names = ["USER", "USERNAME"].into_iter();
    names
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
}

/// An answer.
pub fn answer(approved: bool, by: Option<&str>, comment: Option<&str>) -> Value {
    json!({ "approved": approved, "by": by, "comment": comment })
}

/// The output that an answer makes; None where it is none.
fn judged(answer: &Value) -> Option<Value> {
    let text = |name: &str| match answer.get(name) {
        None | Some(Value::Null) => Some(Value::Null),
        Some(text @ Value::String(_)) => Some(text.clone()),
        Some(_) => None,
    };
    let approved = answer.get("approved")?.as_bool()?;
    Some(json!({ "approved": approved, "by": text("by")?, "comment": text("comment")? }))
}

/// The requests in a folder that nobody has answered, by name.
pub fn waiting(folder: &Path) -> Vec<Request> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<Request> = entries
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with(ANSWER))
        .filter_map(|entry| serde_json::from_str(&std::fs::read_to_string(entry.path()).ok()?).ok())
        .filter(|request: &Request| !folder.join(format!("{}{ANSWER}", request.step)).exists())
        .collect();
    found.sort_by(|a, b| a.step.cmp(&b.step));
    found
}

/// Puts an answer where the run looks for it.
pub fn file_answer(folder: &Path, step: &str, answer: &Value) -> Result<(), String> {
    write(folder, step, ANSWER, answer)
}

fn write(folder: &Path, step: &str, ending: &str, value: &Value) -> Result<(), String> {
    let path = folder.join(format!("{step}{ending}"));
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(value.to_string().as_bytes())?;
        file.persist(&path)?;
        Ok(())
    };
    written().map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// Removes a request and its answer, and the folders of the run where nothing else waits.
fn withdraw(folder: &Path, step: &str) {
    for ending in [REQUEST, ANSWER] {
        let _ = std::fs::remove_file(folder.join(format!("{step}{ending}")));
    }
    if std::fs::remove_dir(folder).is_ok()
        && let Some(run) = folder.parent()
    {
        let _ = std::fs::remove_dir(run);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{judged, read_line};

    #[test]
    fn an_answer_is_a_decision_with_who_and_why() {
        let full = json!({ "approved": true, "by": "ann", "comment": "fine" });
        assert_eq!(judged(&full), Some(full.clone()));
        let short = json!({ "approved": false, "more": 1 });
        assert_eq!(
            judged(&short),
            Some(json!({ "approved": false, "by": null, "comment": null }))
        );
        for other in [
            json!(null),
            json!(true),
            json!({}),
            json!({ "approved": "yes" }),
            json!({ "approved": true, "by": 1 }),
        ] {
            assert_eq!(judged(&other), None, "{other}");
        }
    }

    #[test]
    fn a_person_types_yes_or_no_and_a_comment() {
        let approved = |line: &str| read_line(line).map(|answer| answer["approved"].clone());
        assert_eq!(approved("y"), Some(json!(true)));
        assert_eq!(approved(" No "), Some(json!(false)));
        assert_eq!(
            read_line("n auc too low").map(|a| a["comment"].clone()),
            Some(json!("auc too low"))
        );
        assert_eq!(approved("maybe"), None);
        assert_eq!(approved(""), None);
    }
}
