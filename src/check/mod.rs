//! Every rule that can fail: Document to Pipeline.
