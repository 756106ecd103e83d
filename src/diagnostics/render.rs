//! Problems as text and as JSON.
