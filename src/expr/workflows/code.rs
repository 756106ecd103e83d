//! Pieces of Workflows expressions as text: precedence, numbers, literals.

use serde_json::Value;

/// Words that cannot follow a dot.
const WORDS: [&str; 6] = ["and", "or", "not", "in", "true", "false"];

/// Text with the precedence of its outermost operator.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) text: String,
    pub(super) level: Level,
    pub(super) number: Number,
    /// Where it is a number, its magnitude is at most this; infinite where a result may be.
    pub(super) bound: f64,
}

/// What a number is at run time. Workflows computes integers in 64 bits, the language in doubles: they differ beyond 2^53.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// A double for certain.
    Double,
    /// Perhaps an integer, of this magnitude at most.
    Within(u64),
}

/// A length: what 512 KB of variables can hold.
pub(super) const LENGTHS: Number = Number::Within(1_000_000);

/// A number that came in from outside.
pub(super) const VALUE: Number = Number::Within(EXACT - 1);

/// 2^53: doubles hold every integer up to it.
pub(super) const EXACT: u64 = 1 << 53;

/// Precedence, from loose to tight: Workflows syntax, "Order of operations".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Or,
    And,
    Compare,
    Add,
    Multiply,
    Negate,
    Not,
    /// A literal, a call.
    Atom,
    /// A variable with fields and indices: what `.` and `[]` may follow.
    Path,
}

impl Code {
    pub(super) fn new(text: String, level: Level) -> Self {
        Self {
            text,
            level,
            number: Number::Within(EXACT),
            bound: f64::MAX,
        }
    }

    pub(super) fn bounded(mut self, bound: f64) -> Self {
        self.bound = bound;
        self
    }

    pub(super) fn with(mut self, number: Number) -> Self {
        self.number = number;
        self
    }

    /// As a YAML value: an expression, but for words that mean the same without.
    pub(super) fn value(&self) -> Value {
        match self.text.as_str() {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::String(format!("${{{text}}}")),
        }
    }

    /// The same value as a double.
    pub(super) fn double(self) -> Self {
        match self.number {
            Number::Double => self,
            Number::Within(_) if self.text.bytes().all(|b| b.is_ascii_digit()) => {
                Self::atom(format!("{}.0", self.text))
                    .with(Number::Double)
                    .bounded(self.bound)
            }
            Number::Within(_) => Self::new(format!("1.0 * {}", self.within(Level::Negate)), Level::Multiply)
                .with(Number::Double)
                .bounded(self.bound),
        }
    }

    pub(super) fn atom(text: impl Into<String>) -> Self {
        Self::new(text.into(), Level::Atom)
    }

    /// In brackets where it binds more loosely than asked.
    pub(super) fn within(&self, level: Level) -> String {
        if self.level < level {
            format!("({})", self.text)
        } else {
            self.text.clone()
        }
    }
}

/// `base.name`, or `base["name"]` for words of the syntax and what is no identifier.
pub fn field_path(base: &str, name: &str) -> String {
    if is_identifier(name) {
        format!("{base}.{name}")
    } else {
        format!("{base}[{}]", quote(name))
    }
}

pub(super) fn access(base: Code, name: &str) -> Code {
    Code::new(field_path(&base.text, name), Level::Path)
}

pub(super) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !WORDS.contains(&name.to_ascii_lowercase().as_str())
        && !name.eq_ignore_ascii_case("null")
}

/// A name's letters and digits, for names of routines.
pub(super) fn identifier(name: &str) -> String {
    let text: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .take(20)
        .collect();
    text
}

/// A text cut so that no piece holds `${`, which Workflows would take for an expression.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (head, tail) = rest.split_at(at + 1);
        parts.push(head.to_owned());
        rest = tail;
    }
    parts.push(rest.to_owned());
    parts
}

/// A key of a YAML map: an expression where Workflows would take it for one.
pub(super) fn key(name: &str) -> String {
    if !name.contains("${") {
        return name.to_owned();
    }
    let quoted: Vec<String> = pieces(name).iter().map(|piece| quote(piece)).collect();
    format!("${{{}}}", quoted.join(" + "))
}

/// A string literal of an expression.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A number as Workflows reads it: no exponents, no fraction where there is none.
pub(super) fn number_text(number: &serde_json::Number) -> String {
    if let Some(whole) = number.as_i64() {
        return whole.to_string();
    }
    let Some(value) = number.as_f64() else {
        return number.to_string();
    };
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return (value as i64).to_string();
    }
    let text = number.to_string();
    if text.contains(['e', 'E']) || value.abs() >= 9_007_199_254_740_992.0 {
        format!("double(\"{text}\")")
    } else {
        text
    }
}
