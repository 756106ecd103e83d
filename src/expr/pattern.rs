//! Regular expressions that all four engines read alike: RE2 (Workflows), JavaScript (JSONata), Python and Rust.
//!
//! A pattern is read by `regex-syntax`, and printed anew from what it means: classes as plain ranges, `.` and `$` spelled out. What
//! the engines read differently (word boundaries, flags, classes by Unicode property, characters beyond the BMP in a class) is refused.

use std::cell::RefCell;

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use regex_syntax::{ParserBuilder, ast};

/// Most repetitions that RE2 takes, those of a repetition within a repetition multiplied.
const MOST: u32 = 1000;
/// Characters beyond U+FFFF that are written one by one.
const FEW: usize = 16;
const ASTRAL: char = '\u{10000}';

/// Why a pattern is refused, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `word boundaries`, `flags`, …
    pub what: String,
    /// What to type.
    pub help: &'static str,
}

fn refused<T>(what: &str, help: &'static str) -> Result<T, Refused> {
    Err(Refused {
        what: what.to_owned(),
        help,
    })
}

/// A dialect of regular expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Workflows.
    Re2,
    /// JSONata: no `u` flag, so that strings are UTF-16 units.
    JavaScript,
    /// Azure's orchestrator.
    Python,
    /// The local engine.
    Rust,
}

/// Reads a pattern.
pub fn read(pattern: &str) -> Result<Hir, Refused> {
    let parsed = ast::parse::Parser::new().parse(pattern).map_err(|error| Refused {
        what: error.kind().to_string(),
        help: "write a regular expression without look-around and back-references",
    })?;
    let plain = ascii(pattern, &parsed)?;
    let hir = ParserBuilder::new().build().parse(&plain).map_err(|error| Refused {
        what: error.to_string(),
        help: "write a simpler pattern",
    })?;
    check(&hir, MOST)?;
    Ok(hir)
}

/// Reads a pattern for the local engine.
pub fn compile(pattern: &str) -> Result<Regex, Refused> {
    let printed = print(&read(pattern)?, Dialect::Rust);
    // The size is all that can be wrong with it.
    Regex::new(&printed).or_else(|_| refused("too large a pattern", "repeat less, or match parts of the text"))
}

/// The pattern with `\d`, `\w` and `\s` as ASCII classes; flags, Unicode classes and boundaries are refused.
fn ascii(pattern: &str, parsed: &ast::Ast) -> Result<String, Refused> {
    struct Finder {
        found: Vec<(usize, usize, &'static str)>,
        refused: Option<Refused>,
    }
    fn class(perl: &ast::ClassPerl) -> &'static str {
        match (&perl.kind, perl.negated) {
            (ast::ClassPerlKind::Digit, false) => "[0-9]",
            (ast::ClassPerlKind::Digit, true) => "[^0-9]",
            (ast::ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ast::ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
            (ast::ClassPerlKind::Space, false) => r"[\t\n\v\f\r ]",
            (ast::ClassPerlKind::Space, true) => r"[^\t\n\v\f\r ]",
        }
    }
    impl Finder {
        fn refuse(&mut self, what: &str, help: &'static str) {
            self.refused.get_or_insert(Refused {
                what: what.to_owned(),
                help,
            });
        }

        fn perl(&mut self, perl: &ast::ClassPerl) {
            self.found
                .push((perl.span.start.offset, perl.span.end.offset, class(perl)));
        }
    }
    impl ast::Visitor for Finder {
        type Output = (Vec<(usize, usize, &'static str)>, Option<Refused>);
        type Err = std::convert::Infallible;

        fn finish(self) -> Result<Self::Output, Self::Err> {
            Ok((self.found, self.refused))
        }

        fn visit_pre(&mut self, node: &ast::Ast) -> Result<(), Self::Err> {
            match node {
                ast::Ast::Flags(_) => self.refuse("flags", "write both cases: `[aA]`, or match `lowerAscii(text)`"),
                ast::Ast::Group(group) => match &group.kind {
                    ast::GroupKind::NonCapturing(flags) if !flags.items.is_empty() => {
                        self.refuse("flags", "write both cases: `[aA]`, or match `lowerAscii(text)`");
                    }
                    _ => {}
                },
                ast::Ast::Assertion(assertion) => match assertion.kind {
                    ast::AssertionKind::StartLine | ast::AssertionKind::EndLine => {}
                    _ => self.refuse(
                        "word boundaries",
                        "write what stands round the word: `(^|[^a-z])word($|[^a-z])`",
                    ),
                },
                ast::Ast::ClassUnicode(_) => self.refuse("Unicode classes", "write the ranges: `[A-Za-z]`"),
                ast::Ast::ClassPerl(perl) => self.perl(perl),
                _ => {}
            }
            Ok(())
        }

        fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
            match item {
                ast::ClassSetItem::Unicode(_) => self.refuse("Unicode classes", "write the ranges: `[A-Za-z]`"),
                ast::ClassSetItem::Perl(perl) => self.perl(perl),
                _ => {}
            }
            Ok(())
        }

        fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), Self::Err> {
            self.refuse("operations on classes", "write the ranges that are left");
            Ok(())
        }
    }
    let finder = Finder {
        found: Vec::new(),
        refused: None,
    };
    let (mut found, problem) = match ast::visit(parsed, finder) {
        Ok(result) => result,
        Err(never) => match never {},
    };
    if let Some(problem) = problem {
        return Err(problem);
    }
    found.sort_unstable();
    let mut plain = String::new();
    let mut at = 0;
    for (start, end, class) in found {
        plain.push_str(pattern.get(at..start).unwrap_or_default());
        plain.push_str(class);
        at = end;
    }
    plain.push_str(pattern.get(at..).unwrap_or_default());
    Ok(plain)
}

/// Refuses what a dialect lacks; `most` repetitions are left.
fn check(hir: &Hir, most: u32) -> Result<(), Refused> {
    match hir.kind() {
        // Without bytes in patterns, this is what `[^\s\S]` means.
        HirKind::Class(Class::Bytes(_)) => refused("a class of no character", "write `false` for what never matches"),
        HirKind::Class(Class::Unicode(class)) if class.ranges().is_empty() => {
            refused("a class of no character", "write `false` for what never matches")
        }
        HirKind::Class(Class::Unicode(class)) => {
            let beyond: Vec<_> = class.ranges().iter().filter(|range| range.end() >= ASTRAL).collect();
            let all = beyond
                .iter()
                .all(|range| range.start() <= ASTRAL && range.end() == char::MAX);
            let few = beyond.iter().all(|range| range.start() >= ASTRAL && range.len() <= FEW) && beyond.len() <= FEW;
            if all || few {
                Ok(())
            } else {
                refused(
                    "characters beyond U+FFFF in a class",
                    "write them as alternatives: `(😀|😁)`",
                )
            }
        }
        HirKind::Look(Look::Start | Look::End) | HirKind::Empty | HirKind::Literal(_) => Ok(()),
        HirKind::Look(_) => refused("boundaries", "use `^` and `$` only"),
        HirKind::Repetition(repetition) => {
            let count = repetition.max.unwrap_or(repetition.min).max(1);
            if count > most {
                return refused(
                    "more than 1000 repetitions",
                    "repeat at most 1000 times, or check `size(text)`",
                );
            }
            check(&repetition.sub, most / count)
        }
        HirKind::Capture(capture) => check(&capture.sub, most),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().try_for_each(|part| check(part, most)),
    }
}

/// The pattern in a dialect.
pub fn print(hir: &Hir, dialect: Dialect) -> String {
    let mut out = String::new();
    write(hir, dialect, &mut out);
    out
}

fn write(hir: &Hir, dialect: Dialect, out: &mut String) {
    match hir.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            text.chars().for_each(|c| character(c, dialect, out));
        }
        HirKind::Class(Class::Unicode(class)) => {
            let ranges: Vec<(char, char)> = class
                .ranges()
                .iter()
                .map(|range| (range.start(), range.end()))
                .collect();
            write_class(&ranges, dialect, out);
        }
        // `check` refuses these.
        HirKind::Class(Class::Bytes(_)) => {}
        HirKind::Look(Look::Start) => out.push('^'),
        // Python's `$` also stands before a last line break.
        HirKind::Look(_) => out.push_str(if dialect == Dialect::Python { r"\Z" } else { "$" }),
        HirKind::Repetition(repetition) => {
            group(&repetition.sub, dialect, out);
            match (repetition.min, repetition.max) {
                (0, None) => out.push('*'),
                (1, None) => out.push('+'),
                (0, Some(1)) => out.push('?'),
                (min, None) => out.push_str(&format!("{{{min},}}")),
                (min, Some(max)) if min == max => out.push_str(&format!("{{{min}}}")),
                (min, Some(max)) => out.push_str(&format!("{{{min},{max}}}")),
            }
        }
        HirKind::Capture(capture) => group(&capture.sub, dialect, out),
        HirKind::Concat(parts) => {
            for part in parts {
                match part.kind() {
                    HirKind::Alternation(_) => group(part, dialect, out),
                    _ => write(part, dialect, out),
                }
            }
        }
        HirKind::Alternation(parts) => {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    out.push('|');
                }
                write(part, dialect, out);
            }
        }
    }
}

fn group(hir: &Hir, dialect: Dialect, out: &mut String) {
    if let HirKind::Capture(capture) = hir.kind() {
        return group(&capture.sub, dialect, out);
    }
    let single = match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            dialect != Dialect::JavaScript || class.ranges().last().is_none_or(|range| range.end() < ASTRAL)
        }
        HirKind::Literal(literal) => literal.0.len() == 1,
        _ => false,
    };
    if single {
        write(hir, dialect, out);
    } else {
        out.push_str("(?:");
        write(hir, dialect, out);
        out.push(')');
    }
}

fn write_class(ranges: &[(char, char)], dialect: Dialect, out: &mut String) {
    if dialect != Dialect::JavaScript {
        class(ranges, dialect, out);
        return;
    }
    // UTF-16: a character beyond U+FFFF is a pair, and half a pair is none.
    let low: Vec<(char, char)> = ranges
        .iter()
        .filter(|(start, _)| *start < ASTRAL)
        .map(|(start, end)| (*start, (*end).min('\u{ffff}')))
        .collect();
    let beyond: Vec<(char, char)> = ranges.iter().copied().filter(|(_, end)| *end >= ASTRAL).collect();
    if beyond.is_empty() {
        class(&low, dialect, out);
        return;
    }
    let mut choices = Vec::new();
    for (start, end) in beyond {
        if end == char::MAX {
            choices.push(PAIR.to_owned());
            continue;
        }
        for c in start..=end {
            let mut pair = String::new();
            code(c, dialect, &mut pair);
            choices.push(pair);
        }
    }
    if !low.is_empty() {
        let mut rest = String::new();
        class(&low, dialect, &mut rest);
        choices.push(rest);
    }
    out.push_str(&format!("(?:{})", choices.join("|")));
}

const PAIR: &str = r"[\ud800-\udbff][\udc00-\udfff]";

fn class(ranges: &[(char, char)], dialect: Dialect, out: &mut String) {
    out.push('[');
    for (start, end) in ranges {
        // A range of characters does not hold the surrogates; one of UTF-16 units would.
        let parts = if *start < '\u{e000}' && *end > '\u{d7ff}' {
            vec![(*start, '\u{d7ff}'), ('\u{e000}', *end)]
        } else {
            vec![(*start, *end)]
        };
        for (start, end) in parts {
            in_class(start, dialect, out);
            if start != end {
                out.push('-');
                in_class(end, dialect, out);
            }
        }
    }
    out.push(']');
}

fn in_class(c: char, dialect: Dialect, out: &mut String) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        code(c, dialect, out);
    }
}

fn character(c: char, dialect: Dialect, out: &mut String) {
    match c {
        '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' | '/' => {
            out.push('\\');
            out.push(c);
        }
        // JSONata looks for the end of a pattern by what stands before each bracket, and takes `\\(` for no bracket.
        '\\' => code(c, dialect, out),
        // No backslash before the others: `\<` is a boundary to Rust.
        ' '..='~' => out.push(c),
        c => code(c, dialect, out),
    }
}

fn code(c: char, dialect: Dialect, out: &mut String) {
    let code = u32::from(c);
    match dialect {
        _ if code < 0x80 => out.push_str(&format!(r"\x{code:02x}")),
        Dialect::Re2 | Dialect::Rust => out.push_str(&format!(r"\x{{{code:x}}}")),
        Dialect::Python if code > 0xffff => out.push_str(&format!(r"\U{code:08x}")),
        Dialect::Python => out.push_str(&format!(r"\u{code:04x}")),
        Dialect::JavaScript => {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!(r"\u{unit:04x}"));
            }
        }
    }
}

/// True where the pattern matches a part of the text.
pub fn is_match(pattern: &str, text: &str) -> Result<bool, Refused> {
    thread_local! {
        // A macro asks for the same pattern item by item.
        static LAST: RefCell<Option<(String, Regex)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if let Some((_, regex)) = last.as_ref().filter(|(known, _)| known == pattern) {
            return Ok(regex.is_match(text));
        }
        let regex = compile(pattern)?;
        let found = regex.is_match(text);
        *last = Some((pattern.to_owned(), regex));
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(pattern: &str, dialect: Dialect) -> String {
        print(
            &read(pattern).unwrap_or_else(|error| panic!("{pattern}: {error:?}")),
            dialect,
        )
    }

    #[test]
    fn each_dialect_has_its_own_words() {
        for (pattern, re2, javascript, python) in [
            (r"^v\d+$", "^v[0-9]+$", "^v[0-9]+$", r"^v[0-9]+\Z"),
            (
                r"a.c",
                r"a[\x00-\x09\x0b-\x{d7ff}\x{e000}-\x{10ffff}]c",
                r"a(?:[\ud800-\udbff][\udc00-\udfff]|[\x00-\x09\x0b-\ud7ff\ue000-\uffff])c",
                r"a[\x00-\x09\x0b-\ud7ff\ue000-\U0010ffff]c",
            ),
            (
                r"(\.csv|\.json)$",
                r"(?:\.csv|\.json)$",
                r"(?:\.csv|\.json)$",
                r"(?:\.csv|\.json)\Z",
            ),
            ("ä{2,3}", r"(?:\x{e4}){2,3}", r"(?:\u00e4){2,3}", r"(?:\u00e4){2,3}"),
            ("x|", "x|(?:)", "x|(?:)", r"x|(?:)"),
            (
                "[a😀]+",
                r"[a\x{1f600}]+",
                r"(?:(?:\ud83d\ude00|[a]))+",
                r"[a\U0001f600]+",
            ),
            ("a/b", r"a\/b", r"a\/b", r"a\/b"),
            (r"\\(ab)+", r"\x5c(?:ab)+", r"\x5c(?:ab)+", r"\x5c(?:ab)+"),
            (r#"<"'>"#, r#"<"'>"#, r#"<"'>"#, r#"<"'>"#),
        ] {
            assert_eq!(printed(pattern, Dialect::Re2), re2, "{pattern}");
            assert_eq!(printed(pattern, Dialect::JavaScript), javascript, "{pattern}");
            assert_eq!(printed(pattern, Dialect::Python), python, "{pattern}");
        }
    }

    #[test]
    fn what_reads_differently_is_refused() {
        for pattern in [
            r"\bword\b",
            "(?i)a",
            "(?i:a)",
            r"\p{L}",
            "[a-z&&[^b]]",
            "a{1001}",
            "(a{100}){100}",
            "(a+){1001}",
            r"[^\s\S]",
            "[^😀]",
            "[😀-🙏]",
            "(?=a)",
            r"(a)\1",
            "(",
            r"\Aa",
            r"a\z",
        ] {
            assert!(read(pattern).is_err(), "{pattern}");
        }
        assert!(compile(&".{1000}".repeat(30)).is_err());
    }

    #[test]
    fn it_finds_a_part() {
        for (pattern, text, found) in [
            ("b", "abc", true),
            ("^b", "abc", false),
            ("^.$", "𝄞", true),
            ("^a.b$", "a\nb", false),
            ("c$", "abc\n", false),
            ("<", "<", true),
            ("<", "a", false),
            (r"\\(a|b)", r"x\b", true),
            (r"^\w+$", "ä", false),
            ("", "", true),
        ] {
            assert_eq!(is_match(pattern, text), Ok(found), "{pattern} in {text}");
        }
    }
}
