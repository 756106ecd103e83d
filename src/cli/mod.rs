//! The command line, a file a command. Exit codes: 0 done, 1 problems in the user's input (or `--check` differs), 2 wrong usage, 3 the pipeline ran and failed.

mod approve;
mod compile;
mod completions;
mod explain;
mod graph;
mod load;
mod output;
mod progress;
mod run;
mod schema;
mod secrets;
mod serve;
mod status;
mod validate;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// One pipeline file, compiled to AWS, Google Cloud and Azure, and run on your desk.
#[derive(Debug, Parser)]
#[command(name = "mlpipe", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How to print results and problems.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: one JSON value on stdout.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a pipeline file and say all that is wrong with it.
    Validate(validate::Args),
    /// Write what the clouds run: definitions, functions, infrastructure.
    Compile(compile::Args),
    /// Run a pipeline here, without an account.
    Run(run::Args),
    /// Answer an approval of a local run, or list what waits.
    Approve(approve::Args),
    /// Serve an endpoint that a local run made, on loopback.
    Serve(serve::Args),
    /// Show what local runs left: endpoints, monitors, messages.
    Status(status::Args),
    /// Draw the steps as a mermaid or dot graph.
    Graph(graph::Args),
    /// Print the JSON Schema of pipeline files.
    Schema,
    /// Explain a problem by its code.
    Explain(explain::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    BadInput = 1,
    BadUsage = 2,
    PipelineFailed = 3,
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.format;
    let exit = match cli.command {
        Command::Validate(args) => validate::run(&args, format),
        Command::Compile(args) => compile::run(&args, format),
        Command::Run(args) => run::run(&args, format),
        Command::Approve(args) => approve::run(&args, format),
        Command::Serve(args) => serve::run(&args, format),
        Command::Status(args) => status::run(&args, format),
        Command::Graph(args) => graph::run(&args, format),
        Command::Schema => schema::run(),
        Command::Explain(args) => explain::run(&args, format),
        Command::Completions(args) => completions::run(&args),
    };
    ExitCode::from(exit as u8)
}
