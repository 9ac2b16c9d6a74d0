//! Runs of a model, and the fast check of what they did (docs/protocol.md sections 5 and 6).

mod dataset;
mod model;
mod opened;
mod run;
mod setting;
mod steps;
mod verify;

pub use dataset::Dataset;
pub use model::Model;
pub use opened::{OpenedTree, Proof};
pub use run::{FinalState, Run, Statement};
pub use setting::{Initial, SeedSource, Setting};
pub(crate) use verify::verify_openings;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
