//! `mlpipe schema`

use super::{Exit, output};

/// Prints the JSON Schema.
pub fn run() -> Exit {
    output::stdout(&crate::syntax::schema::text());
    Exit::Done
}
