//! Whole receipts: proven, verified, and refused once anything is changed.

use std::sync::Arc;

use crate::commit::{Prepared, model_id};
use crate::error::Result;
use crate::hybrid::{Outline, Prover, Timings, aggregate};
use crate::program::load;
use crate::receipt::aggregate::Aggregate;
use crate::receipt::{Journal, MAX_BYTES, Receipt};
use crate::stark::parameters::{FOLDABLE, SUCCINCT};
use crate::statement::{Expectations, Policy, Verified};
use crate::{verify, verify_aggregate};

/// Golden fast receipts of programs that hybrid receipts cover.
pub const GOLDEN: [&[u8]; 2] = [
    include_bytes!("../../../../../tests/vectors/dense.receipt"),
    include_bytes!("../../../../../tests/vectors/average.receipt"),
];

/// A golden foldable receipt.
const GOLDEN_FOLDABLE: &[u8] =
    include_bytes!("../../../../../tests/vectors/foldable-dense.receipt");

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
    verify(receipt, &expectations(sections.journal)?, None)
}

/// What a receipt with this journal is.
fn expectations(journal: &[u8]) -> Result<Expectations> {
    let journal = Journal::decode(journal)?;
    Ok(Expectations {
        model_id: model_id(&journal.program_id, journal.weights_root),
        policy: Policy::lax(&["fast", "hybrid", "strict"], 500_000),
        audience: journal.audience,
        nonce: journal.nonce,
        initial_state: None,
        dataset_root: None,
        any_dataset: true,
        input_root: None,
    })
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
    for profile in [3, 5, 255] {
        let mut proof = sections.proof.to_vec();
        proof[32] = profile;
        let other = Receipt { proof: &proof, ..sections }.join().unwrap();
        assert_eq!(judge(&other).unwrap_err().code, "receipt.non-canonical");
    }
    // The same words under another hash, or as if they stood for others, are no proof.
    for profile in [0, 1, 4] {
        let mut proof = sections.proof.to_vec();
        proof[32] = profile;
        let other = Receipt { proof: &proof, ..sections }.join().unwrap();
        assert!(judge(&other).is_err());
    }
}

fn outline(receipt: &Receipt) -> Outline {
    let prepared = Arc::new(Prepared::new(Arc::new(load(receipt.program).unwrap())));
    Outline::new(prepared, receipt.journal.to_vec(), FOLDABLE).unwrap()
}

#[test]
fn a_compressed_receipt_says_what_it_said() {
    // Its target is the usual one: a larger λ asks for more queries, and bytes.
    let receipt = GOLDEN_FOLDABLE.to_vec();
    let sections = Receipt::split(&receipt, MAX_BYTES).unwrap();
    let proof = outline(&sections).compress(sections.proof).unwrap().0;
    let small = Receipt { proof: &proof, ..sections }.join().unwrap();
    assert!(small.len() < 200_000 && small.len() < receipt.len());
    let (long, short) = (judge(&receipt).unwrap(), judge(&small).unwrap());
    assert_eq!(short.outputs, long.outputs);
    let stark = short.facts.stark.unwrap();
    assert_eq!((stark.profile, stark.segments), (SUCCINCT, 1));
    assert!(short.facts.headline_bits >= 100);
    // A bit of the head, of the points of the segment, of those of the node, of the outer proof.
    for at in [0, 32, 33, 33 + 60, 33 + 120, proof.len() - 4] {
        let mut other = proof.clone();
        other[at] ^= 1;
        assert!(judge(&Receipt { proof: &other, ..sections }.join().unwrap()).is_err(), "{at}");
    }
    let cut = Receipt { proof: &proof[..proof.len() - 1], ..sections }.join().unwrap();
    assert_eq!(judge(&cut).unwrap_err().code, "receipt.truncated");
    let more = [&proof[..], b"x"].concat();
    let more = Receipt { proof: &more, ..sections }.join().unwrap();
    assert_eq!(judge(&more).unwrap_err().code, "receipt.trailing-bytes");
    // Only a foldable receipt is compressed.
    assert_eq!(outline(&sections).compress(&proof).unwrap_err().code, "usage");
}

#[test]
fn an_aggregate_is_judged_receipt_by_receipt() {
    let receipts = [0, 1].map(|i: usize| wrap(GOLDEN[i], FOLDABLE).0);
    let journals = receipts.each_ref().map(|receipt| {
        let sections = Receipt::split(receipt, MAX_BYTES).unwrap();
        (sections.program, sections.journal)
    });
    let [dense, average] = journals.map(|(_, journal)| expectations(journal).unwrap());
    let both = [dense.clone(), average.clone()];
    let bytes = aggregate(&[&receipts[0], &receipts[1]]).unwrap();
    let found = verify_aggregate(&bytes, &both).unwrap();
    assert_eq!(found.len(), 2);
    for (found, receipt) in found.iter().zip(&receipts) {
        assert_eq!(found.outputs, judge(receipt).unwrap().outputs);
    }
    let code =
        |bytes: &[u8], expect: &[Expectations]| verify_aggregate(bytes, expect).unwrap_err().code;
    // Who expects nothing, a model twice, or one that no receipt is about.
    assert_eq!(code(&bytes, &[]), "usage");
    assert_eq!(code(&bytes, &[dense.clone(), dense.clone()]), "usage");
    assert_eq!(code(&bytes, std::slice::from_ref(&dense)), "verify.model-mismatch");
    let absent = Expectations { model_id: [7; 32], ..dense.clone() };
    assert_eq!(code(&bytes, &[dense, average, absent]), "verify.model-mismatch");
    // Receipts swapped, one alone, one twice, a fast statement, the proof changed.
    let proof = Aggregate::split(&bytes).unwrap().proof;
    let joined = |receipts: Vec<(&[u8], &[u8])>| Aggregate { receipts, proof }.join().unwrap();
    let [a, b] = journals;
    assert_eq!(code(&joined(vec![b, a]), &both), "verify.stark");
    assert!(verify_aggregate(&joined(vec![a]), &both[..1]).is_err());
    assert_eq!(code(&joined(vec![a, a]), &both), "receipt.non-canonical");
    let mut fast = a.1.to_vec();
    fast[2] = 0;
    assert_eq!(code(&joined(vec![(a.0, &fast), b]), &both), "receipt.unsupported-mode");
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(verify_aggregate(&other, &both).is_err());
    assert_eq!(aggregate(&[]).unwrap_err().code, "usage");
}
