//! mlpipe compiles one pipeline file to AWS Step Functions, Google Workflows and Azure Durable
//! Functions, and runs it locally with the same meaning.
//!
//! Data flows one way; each arrow is one module with one entry function:
//!
//! ```text
//! text ─syntax─▶ Document ─check─▶ Pipeline ─plan─▶ Plan ─targets─▶ Artifacts ─▶ disk
//!                                      └──────────────engine──────▶ Outcome
//! ```
//!
//! Nothing outside `cli`, `desk`, `engine` and `check::handlers` touches the disk.

pub mod check;
pub mod cli;
pub mod desk;
pub mod diagnostics;
pub mod engine;
pub mod expr;
pub mod model;
pub mod plan;
pub mod syntax;
pub mod targets;
pub mod validate;
