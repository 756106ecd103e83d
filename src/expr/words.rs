//! What cel's parser has to say, in our words.

use super::lex::{Token, TokenKind};
use super::parse::Place;
use super::problems::ExprProblem;

/// What to type instead of a token that the language does not have.
pub(super) fn instead(found: &str) -> Option<String> {
    let help = match found {
        "=" => "`==` compares two values",
        "&" => "`&&` is the logical and",
        "|" => "`||` is the logical or",
        "//" => "`/` divides; `floor(a / b)` gives a whole number",
        "**" => "there is no power operator: multiply",
        "`" => "write `object['some-field']` for a field that is not a name",
        "$" => "within `${{ }}` write the name only, as in `params.name`",
        ";" => "an expression is a single value",
        "‘" | "’" | "“" | "”" => "quote strings with `'` or `\"`",
        _ if found.starts_with(char::is_alphabetic) => "names are ASCII; a text stands in quotes: `'…'`",
        _ => return None,
    };
    Some(help.to_owned())
}

/// cel's first error in our words: its position tells the token, the text only the kind of literal.
pub(super) fn explain(text: &str, place: Place, tokens: &[Token], errors: &cel::ParseErrors) -> ExprProblem {
    // What the visitor finds missing in a tree follows from the syntax errors, but sorts before them.
    let placed = || errors.errors.iter().filter(|error| error.pos.0 > 0);
    let first = placed()
        .find(|error| error.msg.starts_with("Syntax error"))
        .or_else(|| placed().next());
    // The parser's own limit: a choice within a choice within a choice …
    let Some(first) = first.filter(|error| !error.msg.contains("Recursion limit")) else {
        return ExprProblem::TooLarge {
            what: "is nested deeper than 32 levels",
            span: place.whole,
        };
    };
    let message = first.msg.as_str();
    let offset = offset(text, first.pos);
    let end = text.trim_end().len();
    let Some(mut position) = tokens.iter().position(|token| token.range.end > offset) else {
        return ends_early(text, place, tokens, end);
    };
    let before = position.checked_sub(1).and_then(|before| tokens.get(before));
    let before = before.and_then(|token| text.get(token.range.clone()));
    // `not x` and `if x` read as a name before something unexpected.
    if matches!(before, Some("not" | "if")) {
        position -= 1;
    }
    let Some(token) = tokens.get(position) else {
        return ends_early(text, place, tokens, end);
    };
    let span = place.span(token.range.clone());
    let found = text.get(token.range.clone()).unwrap_or_default().to_owned();
    if message.starts_with("invalid int") || message.starts_with("invalid double") {
        let minus = position
            .checked_sub(1)
            .and_then(|before| tokens.get(before))
            .filter(|before| text.get(before.range.clone()) == Some("-") && before.range.end == token.range.start);
        return ExprProblem::NumberOutOfRange {
            found: if minus.is_some() { format!("-{found}") } else { found },
            span: place.span(minus.map_or(token.range.start, |minus| minus.range.start)..token.range.end),
        };
    }
    if token.kind == TokenKind::String && !message.contains("extraneous") && !message.contains("mismatched") {
        return ExprProblem::StringLiteral {
            what: "unknown escape",
            span,
        };
    }
    ExprProblem::Unexpected {
        help: hint(text, tokens, position, message),
        found,
        span,
    }
}

fn ends_early(text: &str, place: Place, tokens: &[Token], end: usize) -> ExprProblem {
    let last = tokens
        .last()
        .and_then(|token| text.get(token.range.clone()))
        .unwrap_or_default();
    let help = match last {
        "." => Some("name a field after the `.`".to_owned()),
        "?" | ":" => Some("write `condition ? value : other`".to_owned()),
        "" => None,
        last if tokens.iter().any(|token| text.get(token.range.clone()) == Some("?")) && last != "+" => {
            Some("write `condition ? value : other`".to_owned())
        }
        last => Some(format!("write a value after `{last}`")),
    };
    ExprProblem::EndsEarly {
        span: place.span(end..end),
        help,
    }
}

fn hint(text: &str, tokens: &[Token], position: usize, message: &str) -> Option<String> {
    let written = |position: usize| {
        tokens
            .get(position)
            .and_then(|token| text.get(token.range.clone()))
            .unwrap_or_default()
    };
    let found = written(position);
    let before = position.checked_sub(1).map(written).unwrap_or_default();
    let after = written(position + 1);
    let help = match found {
        "and" => "write `&&`".to_owned(),
        "or" => "write `||`".to_owned(),
        "not" if after == "in" => "write `!(x in list)`".to_owned(),
        "not" => "write `!`".to_owned(),
        "if" | "else" => "write `condition ? value : other`".to_owned(),
        "is" => "write `==`".to_owned(),
        _ if message.starts_with("reserved identifier") => {
            format!("`{found}` is a reserved word of CEL; write `params['{found}']` for a field of that name")
        }
        _ if matches!(before, "!" | "-") && message.starts_with("Syntax error") => {
            format!("put the operand of `{before}` in parentheses")
        }
        _ if found.starts_with('.') && found.len() > 1 => format!("write `[{}]` for an item", &found.replace('.', "")),
        ":" => "an object is written `{'key': value}`, a choice `condition ? value : other`".to_owned(),
        "=" if after == "=" => "write `==`".to_owned(),
        ")" | "]" | "}" => format!("write a value before `{found}`"),
        _ if before == "." => "name a field after the `.`, or write `object['some field']`".to_owned(),
        _ if matches!(
            token_kind(tokens, position),
            Some(TokenKind::Name | TokenKind::Number | TokenKind::String)
        ) =>
        {
            format!("write an operator before `{found}`, as in `+` or `==`")
        }
        _ => return None,
    };
    Some(help)
}

fn token_kind(tokens: &[Token], position: usize) -> Option<TokenKind> {
    tokens.get(position).map(|token| token.kind)
}

/// The byte offset of cel's line and column, both from 1, the column in characters.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.chars().take(column).map(char::len_utf8).sum::<usize>()
}
