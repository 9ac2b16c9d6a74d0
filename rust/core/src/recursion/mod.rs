//! Recursion: a proof that proofs verify (docs/recursion.md).

pub mod child;
pub mod circuit;
pub mod inner;
pub mod layers;
pub mod machine;
mod publics;
mod run;
pub mod tables;

#[cfg(test)]
mod tests;
