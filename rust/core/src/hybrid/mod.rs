//! Hybrid receipts: the fast check inside a STARK (docs/hybrid.md).

pub mod leaves;
pub mod permutation;
pub mod schedule;
pub mod segments;
pub mod support;
pub mod tables;

pub use schedule::Schedule;
pub use segments::{Item, Segments};
