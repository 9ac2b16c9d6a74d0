//! Hybrid receipts: the fast check inside a STARK (docs/hybrid.md).

pub mod head;
pub mod leaves;
pub mod permutation;
mod prove;
pub mod schedule;
pub mod segments;
pub mod support;
pub mod tables;
pub mod trace;
mod verify;

pub use prove::{Prover, Timings, segment_count};
pub use schedule::Schedule;
pub use segments::{Item, Segments};
pub(crate) use verify::verify_hybrid;

#[cfg(test)]
mod tests;
