//! Hybrid receipts: the fast check inside a STARK (docs/hybrid.md).

mod aggregate;
mod folder;
pub mod head;
pub mod leaves;
mod outline;
mod prove;
pub mod records;
pub mod schedule;
pub mod segments;
mod shares;
pub mod support;
pub mod tables;
pub mod trace;
mod verify;

pub(crate) use aggregate::verify_aggregate;
pub use folder::Folder;
pub use outline::{Outline, Timings, segment_count};
pub use prove::Prover;
pub use schedule::Schedule;
pub use segments::{Item, Segments};
pub(crate) use verify::verify_hybrid;

#[cfg(test)]
pub(crate) mod tests;
