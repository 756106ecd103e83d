//! Text to [`Document`]: YAML with a source span on every node, and nothing that the user did not write.

pub mod de;
pub mod document;
pub mod node;
pub mod problems;
pub mod scalars;
pub mod schema;
pub mod shape;
pub mod span;
pub mod suggest;

pub use document::Document;
pub use node::{Key, Node, NodeValue};

use crate::diagnostics::Problems;
use problems::SyntaxProblem;

/// Reads a pipeline file: None where its form is wrong. All problems of form are reported at once.
pub fn read(text: &str, problems: &mut Problems) -> Option<Document> {
    let node = node::parse(text, problems)?;
    let mut form = Problems::new();
    shape::check(&node, schema::pipeline(), &mut form);
    let sound = !form.has_errors();
    problems.extend(form);
    if !sound {
        return None;
    }
    match de::from_node(&node) {
        Ok(document) => Some(document),
        Err(error) => {
            problems.push(SyntaxProblem::Yaml {
                detail: error.to_string(),
                span: node.span,
            });
            None
        }
    }
}
