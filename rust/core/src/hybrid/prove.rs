//! Proving: from the openings of a fast receipt to the segments of a hybrid one.

use std::sync::Arc;

use super::outline::{Held, Outline, Timings, accepted};
use super::shares;
use crate::commit::Prepared;
use crate::error::{Error, Result};
use crate::fast::Proof;
use crate::sampling::{Mark, SEED_BYTES};

/// Proves the segments of one receipt, in any order, as often as wanted.
pub struct Prover {
    outline: Outline,
    /// The openings behind their seed.
    openings: Vec<u8>,
    marks: Vec<Mark>,
}

impl Prover {
    /// Takes a journal of mode 1 and the proof section of a fast receipt with the same claims.
    ///
    /// # Errors
    /// Those of [`Outline::new`]; those of a proof section that does not fit;
    /// `verify.journal-mismatch` for openings of other samples.
    pub fn new(
        prepared: Arc<Prepared>,
        journal_bytes: Vec<u8>,
        openings: Vec<u8>,
        profile: u8,
    ) -> Result<Self> {
        let seed = crate::sampling::seed(&journal_bytes);
        let room = || match openings.strip_prefix(&seed) {
            Some(rest) => Ok(rest.len() as u64),
            None => Err(Error::new("verify.journal-mismatch", "openings of another statement")),
        };
        let (outline, marks) = Outline::with_marks(prepared, journal_bytes, profile, room)?;
        let openings = openings[SEED_BYTES..].to_vec();
        Proof::parse(&openings, &outline.prepared, &outline.course, &marks)?;
        Ok(Self { outline, openings, marks })
    }

    /// What is known without the openings.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    pub fn segments(&self) -> usize {
        self.outline.segments()
    }

    /// Proven bits that each segment reaches at least.
    pub fn stark_bits(&self) -> f64 {
        self.outline.stark_bits()
    }

    /// The proof section up to the first segment.
    pub fn head(&self) -> Vec<u8> {
        self.outline.head()
    }

    /// Proves a segment with fresh masks and salts, and verifies the proof.
    ///
    /// # Errors
    /// `prove.witness` where the openings do not pass the checks; `prove.randomness`, `prove.retry`.
    pub fn prove_segment(&self, segment: usize) -> Result<(Vec<u8>, Timings)> {
        self.outline.prove(segment, self.held(), accepted)
    }

    /// Proves a segment whatever the openings are: what a liar would send.
    ///
    /// # Errors
    /// `prove.witness` where a constraint fails, so that there is no proof at all.
    pub fn prove_unchecked(&self, segment: usize) -> Result<Vec<u8>> {
        self.outline.prove(segment, self.held(), |_, _| Ok(())).map(|(proof, _)| proof)
    }

    /// What a segment alone is proven from, for [`Outline::prove_share`]: secret as the openings are.
    ///
    /// # Errors
    /// `usage` for a segment that is not there.
    pub fn share(&self, segment: usize) -> Result<Vec<u8>> {
        shares::share(&self.outline, self.held(), segment)
    }

    fn held(&self) -> Held<'_> {
        Held { openings: &self.openings, marks: &self.marks }
    }
}
