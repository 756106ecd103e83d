//! The tests that read the project from outside, in one binary.

mod diagnostics;
mod explain;
mod robustness;
mod schema;
mod support;
