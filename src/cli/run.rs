//! `mlpipe run`

use std::path::PathBuf;

use super::{Exit, Format};

/// Arguments of `mlpipe run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline file.
    file: PathBuf,
}

/// Runs.
pub fn run(_args: &Args, _format: Format) -> Exit {
    Exit::Done
}
