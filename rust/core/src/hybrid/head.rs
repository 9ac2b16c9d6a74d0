//! The beginning of a hybrid proof: which statement, which profile.

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::hash::hex;
use crate::stark::parameters::{FOLDABLE, SUCCINCT};

const TAG: &[u8] = b"zktally hybrid v2\0";
/// Where the profile stands, behind the digest of the journal.
const PROFILE_AT: usize = 32;

/// The parsed head of a proof section.
pub struct Head {
    pub profile: u8,
    statement: [u8; 32],
}

/// The bytes of a head.
pub fn encode(journal: &[u8], profile: u8) -> Vec<u8> {
    let mut head = Sha256::digest(journal).to_vec();
    head.push(profile);
    head
}

impl Head {
    pub const BYTES: usize = PROFILE_AT + 1;

    /// The head of a proof of this journal.
    pub fn of(journal: &[u8], profile: u8) -> Self {
        Self { profile, statement: Sha256::digest(journal).into() }
    }

    /// Splits a proof section into head and rest.
    ///
    /// # Errors
    /// `receipt.truncated`, `verify.journal-mismatch`, `receipt.non-canonical`.
    pub fn split<'a>(journal: &[u8], proof: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let statement: [u8; 32] = Sha256::digest(journal).into();
        let answered = proof.get(..32).ok_or_else(short)?;
        if answered != statement {
            return Err(Error::new(
                "verify.journal-mismatch",
                "the proof was made for another statement",
            )
            .expected(hex(&statement))
            .received(hex(answered)));
        }
        let profile = *proof.get(32).ok_or_else(short)?;
        if profile > FOLDABLE && profile != SUCCINCT {
            return Err(Error::new("receipt.non-canonical", "unknown profile")
                .expected("0, 1, 2 or 4")
                .received(profile));
        }
        Ok((Self { profile, statement }, &proof[Self::BYTES..]))
    }

    /// The profile of the proofs of segments.
    pub fn of_segments(&self) -> u8 {
        if self.profile == SUCCINCT { FOLDABLE } else { self.profile }
    }

    /// What the proof of a segment is bound to (docs/hybrid.md section 5).
    pub fn context(&self, segment: usize, segments: usize) -> [u8; 32] {
        Sha256::new()
            .chain_update(TAG)
            .chain_update(self.statement)
            .chain_update([self.of_segments()])
            .chain_update((segment as u32).to_le_bytes())
            .chain_update((segments as u32).to_le_bytes())
            .finalize()
            .into()
    }
}

fn short() -> Error {
    Error::new("receipt.truncated", "the proof ends inside its head")
}
