//! Attacks on hybrid receipts: what a liar writes into a witness, a proof or a journal is refused.

mod cells;
mod forge;
pub(crate) mod judge;
mod padding;
mod records;
mod rows;
mod smart;
mod subjects;
mod wraps;
