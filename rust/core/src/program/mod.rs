//! Programs: their words, bytes, validation, bounds, weights and gate semantics (docs/protocol.md 1 to 3).

mod types;

pub use types::*;
