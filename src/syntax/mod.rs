//! Text to [`Document`]: YAML with a source span on every node, and nothing that the user did not write.

pub mod de;
pub mod document;
pub mod node;
pub mod problems;
pub mod scalars;
pub mod schema;
pub mod shape;
pub mod span;
pub mod stages;
pub mod suggest;

pub use document::Document;
pub use node::{Key, Node, NodeValue};
pub use stages::Staged;

use crate::diagnostics::Problems;
use problems::SyntaxProblem;

/// Reads a pipeline file without any of its stages, with all problems of its form at once.
pub fn read(text: &str, problems: &mut Problems) -> Option<Document> {
    let file = parse(text, problems)?;
    document(file.base(), problems)
}

/// The tree of a file, and what its stages lay over it.
pub fn parse(text: &str, problems: &mut Problems) -> Option<Staged> {
    let root = node::parse(text, problems)?;
    Some(Staged::of(root, problems))
}

/// What a tree says. A document may come of a tree with problems: what can be left out is, so that its meaning is checked
/// in the same run. None where too little is left.
pub fn document(tree: &Node, problems: &mut Problems) -> Option<Document> {
    let node = shape::check(tree, schema::pipeline(), problems)?;
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
