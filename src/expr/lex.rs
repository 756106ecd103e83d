//! The tokens of an expression, as far as spans, brackets and clear messages need them; cel's parser decides what is grammatical.

use std::ops::Range;

/// A token with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Byte offsets in the text.
    pub range: Range<usize>,
    /// For a bracket: the position of its other half in the list of tokens.
    pub mate: Option<usize>,
}

/// The kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or a keyword.
    Name,
    /// A number without a suffix.
    Number,
    /// `1u`.
    Unsigned,
    /// A string that is closed.
    String,
    /// A string that is not.
    OpenString,
    /// `b'…'`.
    Bytes,
    /// `(`, `[`, `{`.
    Open,
    /// `)`, `]`, `}`.
    Close,
    /// An operator or a separator of the language.
    Symbol,
    /// A character that the language does not have.
    Foreign,
}

/// Operators, longest first.
const SYMBOLS: [&str; 20] = [
    "==", "!=", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "<", ">", "!", "?", ":", ",", ".", "//", "**",
];

/// All tokens of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut list = Vec::new();
    let mut at = 0;
    while let Some((kind, range)) = next(text, at) {
        at = range.end;
        list.push(Token {
            kind,
            range,
            mate: None,
        });
    }
    list
}

/// The token at or after `at`; None where only white space is left.
pub(super) fn next(text: &str, at: usize) -> Option<(TokenKind, Range<usize>)> {
    let rest = text.get(at..)?;
    let start = at + (rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']).len());
    let rest = text.get(start..)?;
    let first = rest.chars().next()?;
    let (kind, len) = token(rest, first);
    Some((kind, start..start + len))
}

fn token(rest: &str, first: char) -> (TokenKind, usize) {
    if let Some(found) = string(rest) {
        return found;
    }
    if first.is_ascii_alphabetic() || first == '_' {
        return (TokenKind::Name, name_len(rest));
    }
    let point = first == '.' && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if first.is_ascii_digit() || point {
        return number(rest);
    }
    if matches!(first, '(' | '[' | '{') {
        return (TokenKind::Open, 1);
    }
    if matches!(first, ')' | ']' | '}') {
        return (TokenKind::Close, 1);
    }
    // `//` starts a comment in CEL, and is what some write for a division: neither is wanted.
    let symbol = SYMBOLS
        .iter()
        .filter(|symbol| rest.starts_with(**symbol))
        .max_by_key(|symbol| symbol.len());
    match symbol {
        Some(symbol) if matches!(*symbol, "//" | "**") => (TokenKind::Foreign, 2),
        Some(symbol) => (TokenKind::Symbol, symbol.len()),
        None => (TokenKind::Foreign, first.len_utf8()),
    }
}

fn name_len(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(rest.len())
}

/// A string literal with its prefix (`r`, `b`), if `rest` starts with one.
fn string(rest: &str) -> Option<(TokenKind, usize)> {
    let prefix = rest
        .find(|c: char| !matches!(c, 'r' | 'R' | 'b' | 'B'))
        .unwrap_or(rest.len());
    let quoted = rest.get(prefix..)?;
    let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    if prefix > 2 {
        return None;
    }
    let marks = rest.get(..prefix)?;
    let raw = marks.contains(['r', 'R']);
    let kind = if marks.contains(['b', 'B']) {
        TokenKind::Bytes
    } else {
        TokenKind::String
    };
    let triple = quoted.chars().take(3).filter(|c| *c == quote).count() == 3;
    let fence = if triple { 3 } else { 1 };
    let body = quoted.get(fence..)?;
    let mut escaped = false;
    for (offset, c) in body.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' && !raw {
            escaped = true;
        } else if !triple && matches!(c, '\n' | '\r') {
            return Some((TokenKind::OpenString, prefix + fence + offset));
        } else if c == quote && (!triple || is_fence(body, offset, quote)) {
            return Some((kind, prefix + fence + offset + fence));
        }
    }
    Some((TokenKind::OpenString, rest.len()))
}

fn is_fence(body: &str, offset: usize, quote: char) -> bool {
    body.get(offset..)
        .is_some_and(|tail| tail.chars().take(3).filter(|c| *c == quote).count() == 3)
}

fn number(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut len = if rest.starts_with("0x") {
        2 + bytes.iter().skip(2).take_while(|byte| byte.is_ascii_hexdigit()).count()
    } else {
        let mut len = digits(0);
        if bytes.get(len) == Some(&b'.') && digits(len + 1) > 0 {
            len += 1 + digits(len + 1);
        }
        if matches!(bytes.get(len), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
            let exponent = digits(len + 1 + sign);
            if exponent > 0 {
                len += 1 + sign + exponent;
            }
        }
        len
    };
    if matches!(bytes.get(len), Some(b'u' | b'U')) {
        len += 1;
        return (TokenKind::Unsigned, len);
    }
    (TokenKind::Number, len)
}
