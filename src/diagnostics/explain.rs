//! Pages of `mlpipe explain`.
