//! The local engine.
