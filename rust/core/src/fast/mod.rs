//! Runs of a model, and the fast check of what they did (docs/protocol.md sections 5 and 6).

mod model;
mod opened;
mod run;
mod verify;

pub use model::Model;
pub use opened::{OpenedTree, Proof};
pub use run::{Run, Statement};
pub(crate) use verify::verify_openings;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
