//! The resolved pipeline: what the checker proved, and all that plans, targets and the engine may read.

pub mod compute;
pub mod managed;
pub mod pipeline;
pub mod serving;

pub use compute::*;
pub use managed::*;
pub use pipeline::*;
pub use serving::*;
