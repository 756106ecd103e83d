//! Text to [`Document`]: YAML with a source span on every node, and nothing that the user did not write.

pub mod span;
