//! The resolved pipeline: what the checker proved, and all that plans, targets and the engine may read.

pub mod compute;
pub mod pipeline;

pub use compute::*;
pub use pipeline::*;
