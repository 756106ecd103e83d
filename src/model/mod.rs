//! The resolved pipeline: what the checker proved, and all that plans, targets and the engine may read.

pub mod pipeline;

pub use pipeline::*;
