//! Every code has a page in `mlpipe explain`, and every page a code.

use mlpipe::diagnostics::explain;

use crate::support::codes;

#[test]
fn every_code_has_a_page() {
    let pages: Vec<&str> = explain::pages().map(|page| page.code).collect();
    let missing: Vec<String> = codes()
        .into_iter()
        .filter(|code| !pages.contains(&code.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "write a page in src/diagnostics/explain.md for {missing:?}"
    );
}

#[test]
fn every_page_has_a_code_and_they_stand_in_order() {
    let codes = codes();
    let pages: Vec<&str> = explain::pages().map(|page| page.code).collect();
    assert!(
        pages.is_sorted_by(|a, b| a < b),
        "the pages stand in the order of their codes: {pages:?}"
    );
    let stale: Vec<&&str> = pages
        .iter()
        .filter(|page| !codes.iter().any(|code| code == **page))
        .collect();
    assert!(stale.is_empty(), "no source has {stale:?}");
}

#[test]
fn pages_show_what_is_wrong_and_what_is_right() {
    for page in explain::pages() {
        assert!(
            !page.title.is_empty() && !page.title.ends_with('.'),
            "{}: {}",
            page.code,
            page.title
        );
        let blocks = page.text.matches("\n```yaml\n").count();
        let bug = page.text.contains("bug in mlpipe");
        assert!(blocks >= 2 || bug, "{}: a wrong and a right snippet", page.code);
    }
}
