//! Python source as a tree that is laid out in lines of a bounded width.

use serde_json::Value;

use crate::expr::ast::{Expr, Template, TextPart};
use crate::expr::python;

const WIDTH: usize = 120;
const INDENT: usize = 4;

/// A piece of Python.
#[derive(Clone, Debug, PartialEq)]
pub enum Py {
    /// Source that stays on one line.
    Text(String),
    /// `[a, b]`.
    List(Vec<Py>),
    /// `{"k": a}`; the keys are source too.
    Dict(Vec<(String, Py)>),
    /// `name(a, b=c)`; an argument without a name is positional.
    Call(String, Vec<(Option<&'static str>, Py)>),
    /// `lambda x: a`, with its parameters.
    Lambda(&'static str, Box<Py>),
    /// `# text` lines over a piece.
    Commented(Vec<String>, Box<Py>),
}

impl Py {
    /// A string literal.
    pub fn string(text: &str) -> Self {
        Self::Text(python::string_literal(text))
    }

    /// A JSON value.
    pub fn value(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.iter().map(Self::value).collect()),
            Value::Object(fields) => Self::Dict(
                fields
                    .iter()
                    .map(|(name, value)| (python::string_literal(name), Self::value(value)))
                    .collect(),
            ),
            scalar => Self::Text(python::literal(scalar)),
        }
    }

    /// An expression.
    pub fn expr(expr: &Expr) -> Self {
        Self::Text(python::print(expr))
    }

    /// A template.
    pub fn template(template: &Template) -> Self {
        match template {
            Template::Constant(value) => Self::value(value),
            Template::Expr(expr) => Self::expr(expr),
            Template::Text(parts) => Self::text(parts),
            Template::List(items) => Self::List(items.iter().map(Self::template).collect()),
            Template::Object(fields) => Self::Dict(
                fields
                    .iter()
                    .map(|(name, value)| (python::string_literal(name), Self::template(value)))
                    .collect(),
            ),
        }
    }

    fn text(parts: &[TextPart]) -> Self {
        Self::Text(python::print_text(parts))
    }

    /// The source, its first line `used` characters after `indent` spaces, broken where it does not fit.
    pub fn render(&self, indent: usize, used: usize) -> String {
        let mut out = String::new();
        self.write(indent, used, &mut out);
        out
    }

    fn write(&self, indent: usize, used: usize, out: &mut String) {
        let room = WIDTH.saturating_sub(indent + used + 1).max("{}".len());
        if let Some(line) = self.line(room) {
            out.push_str(&line);
            return;
        }
        match self {
            Self::Text(text) => out.push_str(text),
            Self::List(items) => {
                let items = items.iter().map(|item| (String::new(), item));
                write_broken("[", items, "]", indent, out);
            }
            Self::Dict(fields) => {
                let fields = fields.iter().map(|(key, value)| (format!("{key}: "), value));
                write_broken("{", fields, "}", indent, out);
            }
            Self::Call(name, arguments) => {
                let arguments = arguments
                    .iter()
                    .map(|(name, value)| (name.map(|name| format!("{name}=")).unwrap_or_default(), value));
                write_broken(&format!("{name}("), arguments, ")", indent, out);
            }
            Self::Lambda(parameters, body) => {
                let head = lambda_head(parameters);
                out.push_str(&head);
                body.write(indent, used + head.len(), out);
            }
            Self::Commented(_, inner) => inner.write(indent, used, out),
        }
    }

    /// The source on one line of at most `room` characters.
    fn line(&self, room: usize) -> Option<String> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::List(items) => {
                let items = items.iter().map(|item| item.line(room)).collect::<Option<Vec<_>>>()?;
                format!("[{}]", items.join(", "))
            }
            Self::Dict(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| Some(format!("{key}: {}", value.line(room)?)))
                    .collect::<Option<Vec<_>>>()?;
                format!("{{{}}}", fields.join(", "))
            }
            Self::Call(name, arguments) => {
                let arguments = arguments
                    .iter()
                    .map(|(name, value)| {
                        let value = value.line(room)?;
                        Some(name.map_or_else(|| value.clone(), |name| format!("{name}={value}")))
                    })
                    .collect::<Option<Vec<_>>>()?;
                format!("{name}({})", arguments.join(", "))
            }
            Self::Lambda(parameters, body) => format!("{}{}", lambda_head(parameters), body.line(room)?),
            Self::Commented(..) => return None,
        };
        (text.len() <= room).then_some(text)
    }
}

fn lambda_head(parameters: &str) -> String {
    if parameters.is_empty() {
        "lambda: ".to_owned()
    } else {
        format!("lambda {parameters}: ")
    }
}

fn write_broken<'a>(
    open: &str,
    items: impl Iterator<Item = (String, &'a Py)>,
    close: &str,
    indent: usize,
    out: &mut String,
) {
    let inner = indent + INDENT;
    out.push_str(open);
    for (prefix, item) in items {
        if let Py::Commented(lines, _) = item {
            for line in lines {
                out.push('\n');
                out.push_str(format!("{:inner$}# {line}", "").trim_end());
            }
        }
        out.push_str(&format!("\n{:inner$}{prefix}", ""));
        item.write(inner, prefix.len() + 1, out);
        out.push(',');
    }
    out.push_str(&format!("\n{:indent$}{close}", ""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn breaks_what_does_not_fit() {
        let short = Py::value(&json!({"a": [1, 2.5, null, true], "b": "x"}));
        assert_eq!(short.render(0, 0), r#"{"a": [1, 2.5, None, True], "b": "x"}"#);
        let long = Py::Call(
            "f".to_owned(),
            vec![(None, Py::string(&"x".repeat(100))), (Some("y"), short)],
        );
        let expected = format!(
            "f(\n    \"{}\",\n    y={{\"a\": [1, 2.5, None, True], \"b\": \"x\"}},\n)",
            "x".repeat(100)
        );
        assert_eq!(long.render(0, 0), expected);
    }
}
