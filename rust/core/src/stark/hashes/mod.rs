//! Hashes of rows and nodes in both configurations (docs/stark.md section 4).
//!
//! Digests and salts are bytes, as they are on the wire; with Poseidon2 they are words below p.

mod poseidon2;
mod sha256;

use super::grid::Grid;
use super::parameters::Hashing;
use super::rng::Stream;
use crate::bytes::Reader;
use crate::error::Result;
use crate::hash::{Elem, P};

pub type Hash = [u8; 32];
pub type Salt = [u8; SALT_BYTES];
pub const HASH_BYTES: usize = 32;
pub const SALT_BYTES: usize = 16;
/// Rows or nodes that a task hashes.
const TASK: usize = 256;

impl Hashing {
    /// The digest of a row of all matrices of a height.
    pub fn row(self, elements: &[Elem], salt: Option<&Salt>) -> Hash {
        match self {
            Self::Sha256 => sha256::row(elements, salt),
            Self::Poseidon2 => poseidon2::row(elements, salt),
        }
    }

    /// The node above two, which the digest of a row may join.
    pub fn node(self, left: &Hash, right: &Hash, row: Option<&Hash>) -> Hash {
        match self {
            Self::Sha256 => sha256::node(left, right, row),
            Self::Poseidon2 => poseidon2::node(left, right, row),
        }
    }

    /// The digests of all rows of matrices of one height.
    pub fn rows(self, matrices: &[Grid], salts: Option<&[Salt]>, rows: usize) -> Vec<Hash> {
        match self {
            Self::Sha256 => sha256::rows(matrices, salts, rows),
            Self::Poseidon2 => poseidon2::rows(matrices, salts, rows),
        }
    }

    /// The nodes above these, which digests of rows may join.
    pub fn nodes(self, below: &[Hash], rows: Option<&[Hash]>) -> Vec<Hash> {
        match self {
            Self::Sha256 => sha256::nodes(below, rows),
            Self::Poseidon2 => poseidon2::nodes(below, rows),
        }
    }

    /// A uniform salt.
    pub fn salt(self, stream: &mut Stream) -> Salt {
        match self {
            Self::Sha256 => stream.salt(),
            Self::Poseidon2 => stream.salt_of_elements(),
        }
    }

    /// Judges digests or salts that were read: each has one encoding.
    ///
    /// # Errors
    /// `receipt.non-canonical` (the code of the reader): a word is not below p.
    pub fn judge(self, reader: &Reader, bytes: &[u8]) -> Result<()> {
        let words = || bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        if self == Self::Sha256 || words().all(|word| word < P) {
            return Ok(());
        }
        Err(reader.bad("a word of a digest or salt is not below p"))
    }

    /// Judges a witness of work that was read.
    ///
    /// # Errors
    /// `receipt.non-canonical` (the code of the reader): it is no element.
    pub fn judge_work(self, reader: &Reader, witness: u64) -> Result<()> {
        if self == Self::Sha256 || witness < u64::from(P) {
            return Ok(());
        }
        Err(reader.bad("a proof of work is not below p").received(witness))
    }
}
