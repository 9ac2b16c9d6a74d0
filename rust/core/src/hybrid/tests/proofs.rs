//! Whole receipts: proven, verified, and refused once anything is changed.

use std::sync::Arc;

use crate::commit::{Prepared, model_id};
use crate::error::Result;
use crate::hybrid::{Prover, Timings};
use crate::program::load;
use crate::receipt::{Journal, MAX_BYTES, Receipt};
use crate::statement::{Expectations, Policy, Verified};
use crate::verify;

/// Golden fast receipts of programs that hybrid receipts cover.
pub const GOLDEN: [&[u8]; 2] = [
    include_bytes!("../../../../../tests/vectors/dense.receipt"),
    include_bytes!("../../../../../tests/vectors/average.receipt"),
];

/// The journal of a fast receipt as that of a hybrid one.
pub fn as_hybrid(journal: &[u8]) -> Vec<u8> {
    let mut journal = journal.to_vec();
    journal[2] = 1;
    journal
}

pub fn prover(fast: &[u8], profile: u8) -> Prover {
    let sections = Receipt::split(fast, MAX_BYTES).unwrap();
    let checked = Arc::new(load(sections.program).unwrap());
    let prepared = Arc::new(Prepared::new(checked));
    Prover::new(prepared, as_hybrid(sections.journal), sections.proof.to_vec(), profile).unwrap()
}

pub fn wrap(fast: &[u8], profile: u8) -> (Vec<u8>, Vec<Timings>) {
    let prover = prover(fast, profile);
    let mut proof = prover.head();
    let mut timings = Vec::new();
    for segment in 0..prover.segments() {
        let (bytes, of_segment) = prover.prove_segment(segment).unwrap();
        proof.extend(bytes);
        timings.push(of_segment);
    }
    let sections = Receipt::split(fast, MAX_BYTES).unwrap();
    let journal = as_hybrid(sections.journal);
    let receipt = Receipt { program: sections.program, journal: &journal, proof: &proof };
    (receipt.join().unwrap(), timings)
}

pub fn judge(receipt: &[u8]) -> Result<Verified> {
    let sections = Receipt::split(receipt, MAX_BYTES)?;
    let journal = Journal::decode(sections.journal)?;
    let expect = Expectations {
        model_id: model_id(&journal.program_id, journal.weights_root),
        policy: Policy::lax(&["fast", "hybrid"], 500_000),
        audience: journal.audience,
        nonce: journal.nonce,
        initial_state: None,
        dataset_root: None,
        any_dataset: true,
        input_root: None,
    };
    verify(receipt, &expect, None)
}

#[test]
fn golden_receipts_are_wrapped_and_verified() {
    for fast in GOLDEN {
        let wanted = judge(fast).unwrap();
        for profile in [0, 1, 2] {
            let (receipt, _) = wrap(fast, profile);
            let found = judge(&receipt).unwrap();
            assert_eq!(found.outputs, wanted.outputs);
            // The lowest bit of the last word, which stays below p.
            let mut other = receipt.clone();
            other[receipt.len() - 4] ^= 1;
            assert_eq!(judge(&other).unwrap_err().code, "verify.stark");
            other.push(0);
            other.truncate(receipt.len() - 1);
            assert!(judge(&other).is_err());
        }
    }
}

/// The outer profile is that of a proof around others, and no receipt's.
#[test]
fn only_profiles_of_receipts_are_named() {
    let (receipt, _) = wrap(GOLDEN[0], 2);
    let sections = Receipt::split(&receipt, MAX_BYTES).unwrap();
    for profile in [3, 4, 255] {
        let mut proof = sections.proof.to_vec();
        proof[32] = profile;
        let other = Receipt { proof: &proof, ..sections }.join().unwrap();
        assert_eq!(judge(&other).unwrap_err().code, "receipt.non-canonical");
    }
    // The same words under another hash are no proof.
    for profile in [0, 1] {
        let mut proof = sections.proof.to_vec();
        proof[32] = profile;
        let other = Receipt { proof: &proof, ..sections }.join().unwrap();
        assert!(judge(&other).is_err());
    }
}
