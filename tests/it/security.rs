//! `docs/security.md` shows the answers to what checkov finds. `UPDATE=1 cargo test` writes its tables; that each finding has an answer,
//! and each answer a finding, is for `tests/conformance/security`.

use std::fmt::Write;

use serde::Deserialize;

use crate::support::{page_is_current, root};

/// What comes after it is written by this test.
const HEADING: &str = "## What stays, and why\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    check: String,
    target: String,
    resource: String,
    asks: String,
    reason: String,
}

fn tables() -> String {
    let answers = root().join("tests/conformance/checkov/answered.yaml");
    let answers: Vec<Answer> =
        serde_yaml::from_str(&std::fs::read_to_string(answers).expect("the answers")).expect("a list of answers");
    let mut page = HEADING.to_owned();
    for (target, cloud) in [("aws", "AWS"), ("gcp", "Google Cloud"), ("azure", "Azure")] {
        write!(
            page,
            "\n### {cloud}\n\n| check | on | asks for | answer |\n|---|---|---|---|\n"
        )
        .expect("a text");
        for answer in answers.iter().filter(|answer| answer.target == target) {
            let Answer {
                check,
                resource,
                asks,
                reason,
                ..
            } = answer;
            writeln!(page, "| {check} | `{resource}` | {asks} | {reason} |").expect("a text");
        }
    }
    page
}

#[test]
fn the_page_on_security_is_current() {
    page_is_current("security.md", HEADING, &tables(), "security");
}
