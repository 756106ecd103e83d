//! The pages of `mlpipe explain`, one a code.

/// A page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// `MLP0203`.
    pub code: &'static str,
    /// The problem in a few words.
    pub title: &'static str,
    /// What it means, an example and its cure.
    pub text: &'static str,
}

const PAGES: &str = include_str!("explain.md");

/// All pages, in the order of their codes.
pub fn pages() -> impl Iterator<Item = Page> {
    PAGES.split("\n## ").skip(1).filter_map(|section| {
        let (heading, text) = section.split_once('\n')?;
        let (code, title) = heading.split_once(": ")?;
        Some(Page {
            code,
            title,
            text: text.trim(),
        })
    })
}
