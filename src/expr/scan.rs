//! `${{ … }}` found in a YAML string.

use std::ops::Range;

use super::lex::{self, TokenKind};
use super::parse::{Piece, Place};
use super::problems::ExprProblem;
use crate::syntax::span::Span;

/// Splits a YAML string into text and expressions. The empty string has no pieces.
pub fn scan(text: &str, place: Place) -> Result<Vec<Piece>, Vec<ExprProblem>> {
    let mut pieces = Vec::new();
    let mut problems = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("${{")) {
        let start = at + found;
        let before = text.get(at..start).unwrap_or_default();
        if let Some(kept) = before.strip_suffix('$') {
            literal.push_str(kept);
            literal.push_str("${{");
            at = start + 3;
            continue;
        }
        literal.push_str(before);
        match inside(text, start + 3) {
            Ok(end) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Expr {
                    text: text.get(start + 3..end).unwrap_or_default().to_owned(),
                    place: place.part(start + 3..end),
                });
                at = end + 2;
            }
            Err(Some(string)) => {
                problems.push(open_string(place.span(string)));
                return Err(problems);
            }
            Err(None) => {
                let span = place.span(start..start + 3);
                problems.push(ExprProblem::Unterminated { span });
                return Err(problems);
            }
        }
    }
    literal.push_str(text.get(at..).unwrap_or_default());
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// The offset of the `}}` that ends the expression which starts at `from`; else the string that is not closed, if one is to blame.
fn inside(text: &str, from: usize) -> Result<usize, Option<Range<usize>>> {
    let mut depth = 0_usize;
    let mut at = from;
    while let Some((kind, range)) = lex::next(text, at) {
        let token = text.get(range.clone()).unwrap_or_default();
        match kind {
            TokenKind::Open if token == "{" => depth += 1,
            TokenKind::Close if token == "}" => {
                if depth == 0 && text.get(range.start..).is_some_and(|rest| rest.starts_with("}}")) {
                    return Ok(range.start);
                }
                depth = depth.saturating_sub(1);
            }
            // The quote is more likely to blame than the braces, if those do come.
            TokenKind::OpenString => {
                let closed = text.get(range.start..).is_some_and(|rest| rest.contains("}}"));
                return Err(closed.then_some(range));
            }
            _ => {}
        }
        at = range.end;
    }
    Err(None)
}

pub(super) fn open_string(span: Span) -> ExprProblem {
    ExprProblem::StringLiteral {
        what: "no closing quote",
        span,
    }
}
