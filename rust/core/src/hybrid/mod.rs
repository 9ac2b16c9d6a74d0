//! Hybrid receipts: the fast check inside a STARK (docs/hybrid.md).

pub mod permutation;
pub mod tables;
