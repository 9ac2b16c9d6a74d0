//! What tables are written with: columns by name, the rounds of Poseidon2 as columns, parts of constraints.

#[macro_use]
pub mod columns;
pub mod parts;
pub mod permutation;
pub mod unwritten;
