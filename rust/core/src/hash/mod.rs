//! Hashes, commitments and keys (docs/protocol.md section 4).
//!
//! Everything that touches the field library is behind this module: the rest of the core sees
//! digests, keys, salts and trees.

pub mod keys;
pub mod multiproof;
pub mod packing;
pub mod poseidon;
pub mod sponge16;
pub mod tree;

pub use keys::{Class, Key, Salt};
pub use packing::{Ints, Packable, unpack};
pub use poseidon::{Digest, Elem, P, hex};
pub use tree::Tree;

/// Domain numbers of section 4.
pub mod domain {
    pub const LEAF: u32 = 1;
    pub const WEIGHTS: u32 = 3;
    pub const INPUT: u32 = 4;
    pub const STATE: u32 = 5;
    pub const STEP: u32 = 6;
    pub const INPUTS: u32 = 7;
    pub const CHAIN: u32 = 8;
    pub const SALT: u32 = 9;
    pub const KEY: u32 = 10;
    pub const PRF: u32 = 11;
    pub const SEED: u32 = 12;
    pub const DATASET: u32 = 13;
}
