//! The bytes of a receipt (docs/receipt-format.md): its envelope, and its statement, the journal.

pub mod aggregate;
mod envelope;
pub mod journal;

pub use envelope::{MAX_BYTES, Receipt};
pub use journal::Journal;
