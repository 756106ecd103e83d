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

/// Reads a pipeline file, with all problems of its form at once. A document may come of a file with problems: what
/// can be left out is, so that its meaning is checked in the same run. None where too little is left.
pub fn read(text: &str, problems: &mut Problems) -> Option<Document> {
    let node = node::parse(text, problems)?;
    let node = shape::check(&node, schema::pipeline(), problems)?;
    match de::from_node(&node) {
        Ok(document) => Some(document),
        Err(error) => {
            problems.push(SyntaxProblem::Yaml {
                detail: error.to_string(),
                span: node.span,
                help: "compare it with `mlpipe schema`".to_owned(),
            });
            None
        }
    }
}
