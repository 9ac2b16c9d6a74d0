//! The STARK (docs/stark.md): tables, buses, commitments, FRI. Knows nothing of networks.

pub mod air;
pub mod check;
pub mod columns;
pub mod domain;
pub mod eval;
pub mod field;
pub mod fri;
pub mod grid;
pub mod hashes;
pub mod lanes;
pub mod logup;
pub mod memory;
pub mod parameters;
pub mod prove;
pub mod quotient;
pub mod rng;
pub mod statement;
pub mod tape;
pub mod tiles;
pub mod transcript;
pub mod tree;
pub mod verify;

pub use grid::{Grid, MainTable, PublicTable, PublicTerms, Publics};

#[cfg(test)]
pub(crate) mod tests;
