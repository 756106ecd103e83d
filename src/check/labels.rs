//! Labels: their form is the narrowest of the clouds', so that one label can stand on all of them.

use indexmap::IndexMap;

use super::names;
use super::problems::CheckProblem;
use crate::diagnostics::Problems;
use crate::syntax::scalars::Spanned;

/// Google Cloud: "Keys have a minimum length of 1 character and a maximum length of 63 characters".
const MAX_LENGTH: usize = 63;
/// AWS and Azure: 50 tags a resource. SAM adds one of its own.
const MOST: usize = 49;
/// Prefixes that Azure keeps for itself, and the one with which Google's own labels begin.
const RESERVED: [&str; 4] = ["azure", "goog-", "microsoft", "windows"];

/// The labels of the file; a problem for each that a cloud would refuse.
pub fn read(labels: &IndexMap<Spanned<String>, String>, problems: &mut Problems) -> IndexMap<String, String> {
    for key in labels.keys() {
        let help = if RESERVED.iter().any(|reserved| key.starts_with(reserved)) {
            "the clouds keep names that begin with `azure`, `goog-`, `microsoft` or `windows` to themselves"
        } else if !names::is_id(key, MAX_LENGTH) {
            "lower-case letters, digits, `_` and `-`, from a letter on, at most 63 characters"
        } else {
            continue;
        };
        problems.push(CheckProblem::BadId {
            id: key.value.clone(),
            what: "label",
            span: key.span,
            help,
        });
    }
    if let Some(key) = labels.keys().nth(MOST) {
        problems.push(CheckProblem::TooManyLabels {
            most: MOST,
            found: labels.len(),
            span: key.span,
        });
    }
    labels
        .iter()
        .map(|(key, value)| (key.value.clone(), value.clone()))
        .collect()
}
