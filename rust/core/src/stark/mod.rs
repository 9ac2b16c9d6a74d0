//! The STARK (docs/stark.md): tables, buses, commitments, FRI. Knows nothing of networks.

pub mod air;
pub mod check;
pub mod grid;

pub use grid::{Grid, MainTable, PublicTable, PublicTerms};
