//! The beginning of a hybrid proof: which statement, which profile, the roots of all trees.

use sha2::{Digest as _, Sha256};

use crate::commit::{AllRoots, Place, Prepared};
use crate::error::{Error, Result};
use crate::hash::{Digest, hex};
use crate::stark::parameters::{FOLDABLE, SUCCINCT};

const TAG: &[u8] = b"zktally hybrid v1\0";
/// Bytes before the roots: the digest of the journal, the profile.
const FIXED: usize = PROFILE_AT + 1;
/// Where the profile stands, behind the digest of the journal.
pub const PROFILE_AT: usize = 32;

/// The parsed head of a proof section.
pub struct Head {
    pub profile: u8,
    statement: [u8; 32],
    roots_digest: [u8; 32],
    pub weights: Vec<Digest>,
    pub data: Vec<Digest>,
    pub initial: Vec<Digest>,
    /// Of all steps, one after the other.
    pub steps: Vec<Digest>,
    per_step: usize,
}

/// The bytes of a head.
pub fn encode(journal: &[u8], profile: u8, roots: &[u8]) -> Vec<u8> {
    let mut head = Sha256::digest(journal).to_vec();
    head.push(profile);
    head.extend(roots);
    head
}

impl Head {
    /// Splits a proof section into head and rest.
    ///
    /// # Errors
    /// `receipt.truncated`, `verify.journal-mismatch`, `receipt.non-canonical`.
    pub fn split<'a>(
        prepared: &Prepared,
        journal: &[u8],
        steps: usize,
        proof: &'a [u8],
    ) -> Result<(Self, &'a [u8])> {
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
        let (roots, rest) = proof[FIXED..]
            .split_at_checked(prepared.roots_bytes(steps) as usize)
            .ok_or_else(short)?;
        let digests: Option<Vec<Digest>> =
            roots.as_chunks::<{ Digest::BYTES }>().0.iter().map(Digest::from_bytes).collect();
        let mut weights = digests.ok_or_else(|| {
            Error::new("receipt.non-canonical", "a word of a root is not below p")
        })?;
        let committed = &prepared.committed;
        let mut data = weights.split_off(committed.weights.len());
        let mut initial = data.split_off(committed.data.len());
        let of_steps = initial.split_off(committed.states.len());
        let head = Self {
            profile,
            statement,
            roots_digest: Sha256::digest(roots).into(),
            weights,
            data,
            initial,
            steps: of_steps,
            per_step: committed.steps.len(),
        };
        Ok((head, rest))
    }

    /// The roots of each step.
    pub fn of_steps(&self) -> Vec<&[Digest]> {
        self.steps.chunks_exact(self.per_step).collect()
    }

    /// The root of a tree.
    pub fn root(&self, prepared: &Prepared, place: Place, tensor: usize) -> Digest {
        let Self { weights, data, initial, steps, .. } = self;
        prepared.committed.root(AllRoots { weights, data, initial, steps }, place, tensor)
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
            .chain_update(self.roots_digest)
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
