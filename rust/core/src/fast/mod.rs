//! The fast check (docs/protocol.md sections 5 and 6): receipts, sampling, proving, verifying.

pub mod facts;
pub mod inputs;
pub mod journal;
pub mod opened;
pub mod openings;
pub mod prove;
pub mod receipt;
pub mod roots;
pub mod sampling;
pub mod verify;

#[cfg(test)]
mod tests;
