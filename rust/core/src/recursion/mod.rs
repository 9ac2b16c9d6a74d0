//! Recursion: a proof that proofs verify (docs/recursion.md).

pub mod child;
pub mod circuit;
pub mod folding;
pub mod inner;
pub mod layers;
pub mod machine;
mod publics;
mod run;
mod shares;
pub mod tables;

#[cfg(test)]
mod tests;
