//! jsonata
