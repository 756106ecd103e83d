//! `mlpipe completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, output};

/// Arguments of `mlpipe completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mlpipe", &mut script);
    output::stdout(&String::from_utf8_lossy(&script));
    Exit::Done
}
