//! Integration tests, in one binary so that they link once.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod approvals;
mod aws;
mod cli;
mod diagnostics;
mod docs;
mod explain;
mod expressions;
mod graphs;
mod instances;
mod labels;

mod planning;
mod robustness;
mod schema;
mod serve;
mod snapshots;
mod stages;
mod support;
