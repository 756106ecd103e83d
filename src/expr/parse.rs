//! Text to [`Syntax`]: `${{ … }}` found in a YAML string, its inside read by cel's parser with macros unexpanded.

use std::ops::Range;

use serde_json::Value;

use super::convert;
use super::lex::{self, Token, TokenKind};
use super::problems::ExprProblem;
use super::scan::{open_string, scan};
use super::words;
use super::{BinaryOp, UnaryOp};
use crate::syntax::span::Span;

/// Longest expression, in bytes.
pub const MAX_BYTES: usize = 4096;

/// Deepest nesting of brackets: beyond, the generated parser would need a large stack.
pub const MAX_DEPTH: usize = 32;

/// Where a text stands in the pipeline file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The span of all of it.
    pub whole: Span,
    /// The offset in the file of the text's first byte, where each byte of the text is one of the file.
    /// None (folded lines, escapes in a quoted scalar): every span is `whole`.
    pub base: Option<usize>,
}

impl Place {
    /// A text whose bytes are the file's from `start` on.
    pub fn exact(start: usize, len: usize) -> Self {
        Self {
            whole: Span::new(start, start + len),
            base: Some(start),
        }
    }

    /// A text that was written differently in the file.
    pub fn whole(span: Span) -> Self {
        Self {
            whole: span,
            base: None,
        }
    }

    /// The span in the file of a range of the text.
    pub fn span(&self, range: Range<usize>) -> Span {
        match self.base {
            Some(base) => Span::new(base + range.start, base + range.end),
            None => self.whole,
        }
    }

    /// The place of a part of the text.
    pub fn part(&self, range: Range<usize>) -> Self {
        match self.base {
            Some(base) => Self::exact(base + range.start, range.len()),
            None => *self,
        }
    }
}

/// A piece of a YAML string.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text, `$${{` already unescaped.
    Text(String),
    /// What stands between `${{` and `}}`.
    Expr {
        /// The inside.
        text: String,
        /// Where it stands.
        place: Place,
    },
}

/// A YAML string with its expressions parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// In written order; literals are not empty.
    pub parts: Vec<Part>,
    /// The whole string.
    pub span: Span,
}

/// A part of a [`Text`].
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// An expression.
    Expr(Syntax),
}

impl Text {
    /// The string, where no expression is in it.
    pub fn constant(&self) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => Some(text.as_str()),
                Part::Expr(_) => None,
            })
            .collect()
    }

    /// The expression, where the string is exactly one.
    pub fn single(&self) -> Option<&Syntax> {
        match self.parts.as_slice() {
            [Part::Expr(syntax)] => Some(syntax),
            _ => None,
        }
    }

    /// All expressions, in written order.
    pub fn exprs(&self) -> impl Iterator<Item = &Syntax> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(syntax) => Some(syntax),
            Part::Literal(_) => None,
        })
    }
}

/// An expression as written: names are not resolved, types not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Syntax {
    /// The form.
    pub kind: SyntaxKind,
    /// All of it, in the file.
    pub span: Span,
}

/// The forms of an expression as written.
#[derive(Clone, Debug, PartialEq)]
pub enum SyntaxKind {
    /// null, a boolean, a number, a string.
    Literal(Value),
    /// `params`.
    Name(String),
    /// `value.field`, with the span of the field's name.
    Select(Box<Syntax>, String, Span),
    /// `value[index]`.
    Index(Box<Syntax>, Box<Syntax>),
    /// `[a, b]`.
    List(Vec<Syntax>),
    /// `{'k': a}`.
    Object(Vec<(String, Syntax)>),
    /// `!a`, `-a`.
    Unary(UnaryOp, Box<Syntax>),
    /// `a + b`.
    Binary(BinaryOp, Box<Syntax>, Box<Syntax>),
    /// `c ? a : b`.
    Ternary(Box<Syntax>, Box<Syntax>, Box<Syntax>),
    /// `f(a, b)`, or `a.f(b)`: the value before the point is then the first argument.
    Call(Call),
}

/// A call as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function's name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// Written as a method.
    pub method: bool,
    /// The arguments; a method's receiver is the first.
    pub arguments: Vec<Syntax>,
}

impl Syntax {
    /// The direct operands, in written order.
    pub fn children(&self) -> Vec<&Syntax> {
        match &self.kind {
            SyntaxKind::Literal(_) | SyntaxKind::Name(_) => Vec::new(),
            SyntaxKind::Select(base, _, _) => vec![base],
            SyntaxKind::Index(base, index) => vec![base, index],
            SyntaxKind::List(items) => items.iter().collect(),
            SyntaxKind::Object(fields) => fields.iter().map(|(_, value)| value).collect(),
            SyntaxKind::Unary(_, operand) => vec![operand],
            SyntaxKind::Binary(_, left, right) => vec![left, right],
            SyntaxKind::Ternary(condition, yes, no) => vec![condition, yes, no],
            SyntaxKind::Call(call) => call.arguments.iter().collect(),
        }
    }

    /// `namespace.X` and `namespace['X']`: X, with the span of the whole.
    pub fn member_of(&self, namespace: &str) -> Option<(&str, Span)> {
        let (base, member) = match &self.kind {
            SyntaxKind::Select(base, field, _) => (base, field.as_str()),
            SyntaxKind::Index(base, index) => match &index.kind {
                SyntaxKind::Literal(Value::String(text)) => (base, text.as_str()),
                _ => return None,
            },
            _ => return None,
        };
        match &base.kind {
            SyntaxKind::Name(name) if name == namespace => Some((member, self.span)),
            _ => None,
        }
    }
}

/// Every `steps.X` with the span of the reference, in written order, repeats included.
pub fn references(syntax: &Syntax) -> Vec<(String, Span)> {
    members(syntax, "steps")
}

/// Every `buckets.X` with the span of the reference, in written order, repeats included.
pub fn bucket_references(syntax: &Syntax) -> Vec<(String, Span)> {
    members(syntax, "buckets")
}

fn members(syntax: &Syntax, namespace: &str) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    let mut stack = vec![syntax];
    while let Some(part) = stack.pop() {
        if let Some((name, span)) = part.member_of(namespace) {
            found.push((name.to_owned(), span));
        }
        stack.extend(part.children().into_iter().rev());
    }
    found
}

/// Scans a YAML string and parses its expressions.
pub fn parse_text(text: &str, place: Place) -> Result<Text, Vec<ExprProblem>> {
    let mut problems = Vec::new();
    let mut parts = Vec::new();
    for piece in scan(text, place)? {
        match piece {
            Piece::Text(literal) => parts.push(Part::Literal(literal)),
            Piece::Expr { text, place } => match parse(&text, place) {
                Ok(syntax) => parts.push(Part::Expr(syntax)),
                Err(found) => problems.extend(found),
            },
        }
    }
    if problems.is_empty() {
        Ok(Text {
            parts,
            span: place.whole,
        })
    } else {
        Err(problems)
    }
}

/// Parses the inside of `${{ … }}`. The list of problems is never empty.
pub fn parse(text: &str, place: Place) -> Result<Syntax, Vec<ExprProblem>> {
    if text.trim().is_empty() {
        return Err(vec![ExprProblem::Empty { span: place.whole }]);
    }
    if text.len() > MAX_BYTES {
        return Err(vec![ExprProblem::TooLarge {
            what: "is longer than 4096 bytes",
            span: place.whole,
        }]);
    }
    let mut tokens = lex::tokens(text);
    refuse(text, place, &tokens)?;
    pair(text, place, &mut tokens)?;
    let parser = cel::Env::default().with_optional_support(false).parser();
    match parser.parse_with_source_info(text) {
        Ok((tree, info)) => convert::convert(tree, &convert::Input::new(text, place, &tokens, &info)),
        Err(errors) => Err(vec![words::explain(text, place, &tokens, &errors)]),
    }
}

/// Refuses what the language does not have, so that cel never sees it. One problem: the others follow from it.
fn refuse(text: &str, place: Place, tokens: &[Token]) -> Result<(), Vec<ExprProblem>> {
    for (position, token) in tokens.iter().enumerate() {
        let span = place.span(token.range.clone());
        let written = text.get(token.range.clone()).unwrap_or_default();
        let problem = match token.kind {
            TokenKind::OpenString => open_string(span),
            TokenKind::Bytes => ExprProblem::Unsupported {
                what: "bytes",
                span,
                help: Some("write a string, without the `b`".to_owned()),
            },
            TokenKind::Unsigned => ExprProblem::Unsupported {
                what: "unsigned integers",
                span,
                help: Some(format!("write `{}`", written.trim_end_matches(['u', 'U']))),
            },
            TokenKind::Foreign => ExprProblem::Unexpected {
                found: written.to_owned(),
                span,
                help: words::instead(written),
            },
            TokenKind::Symbol if written == "?" && is_optional(text, tokens, position) => ExprProblem::Unsupported {
                what: "optional fields",
                span,
                help: Some("write `default(path, value)` or `has(path)`".to_owned()),
            },
            _ => continue,
        };
        return Err(vec![problem]);
    }
    Ok(())
}

/// `.?field`, `[?index]`, `{?key: …}`.
fn is_optional(text: &str, tokens: &[Token], position: usize) -> bool {
    position
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .and_then(|token| text.get(token.range.clone()))
        .is_some_and(|before| matches!(before, "." | "[" | "{" | ","))
}

/// Finds the other half of each bracket, and bounds their nesting.
fn pair(text: &str, place: Place, tokens: &mut [Token]) -> Result<(), Vec<ExprProblem>> {
    let mut open: Vec<usize> = Vec::new();
    let mut pairs = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        let written = text.get(token.range.clone()).unwrap_or_default();
        let span = place.span(token.range.clone());
        match token.kind {
            TokenKind::Open => open.push(position),
            TokenKind::Close => {
                let opener = open.pop();
                let expected = opener
                    .and_then(|opener| tokens.get(opener))
                    .and_then(|token| text.get(token.range.clone()))
                    .map(closer);
                match (opener, expected) {
                    (Some(opener), Some(expected)) if expected == written => pairs.push((opener, position)),
                    _ => {
                        return Err(vec![ExprProblem::Unexpected {
                            found: written.to_owned(),
                            span,
                            help: Some(match expected {
                                Some(expected) => format!("close with `{expected}` first"),
                                None => "remove it, or open it before".to_owned(),
                            }),
                        }]);
                    }
                }
            }
            _ => {}
        }
        if open.len() > MAX_DEPTH {
            return Err(vec![ExprProblem::TooLarge {
                what: "is nested deeper than 32 levels",
                span,
            }]);
        }
    }
    if let Some(token) = open.last().and_then(|position| tokens.get(*position)) {
        let written = text.get(token.range.clone()).unwrap_or_default();
        return Err(vec![ExprProblem::EndsEarly {
            span: place.span(token.range.clone()),
            help: Some(format!("close `{written}` with `{}`", closer(written))),
        }]);
    }
    for (opener, closer) in pairs {
        if let Some(token) = tokens.get_mut(opener) {
            token.mate = Some(closer);
        }
        if let Some(token) = tokens.get_mut(closer) {
            token.mate = Some(opener);
        }
    }
    Ok(())
}

fn closer(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}
