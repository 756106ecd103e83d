//! The `mlpipe` command.

use std::process::ExitCode;
use std::thread;

/// Deeply nested input is walked recursively: the parser's frames and ours need more than a main thread's stack.
const STACK_BYTES: usize = 512 * 1024 * 1024;

fn main() -> ExitCode {
    match thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(mlpipe::cli::main)
        .map(thread::JoinHandle::join)
    {
        Ok(Ok(exit)) => exit,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => mlpipe::cli::main(),
    }
}
