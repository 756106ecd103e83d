//! The azure target.

use super::{Artifacts, Sources};
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::plan::Plan;

/// Quotas that the pipeline alone shows.
pub fn check(_pipeline: &Pipeline) -> Problems {
    Problems::new()
}

/// The artifacts.
pub fn compile(_pipeline: &Pipeline, _plan: &Plan, _sources: &Sources) -> Result<Artifacts, Problems> {
    Ok(Artifacts::default())
}
