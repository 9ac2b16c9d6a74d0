//! Shares: what a segment is proven from without the openings of others.

use super::fixture::Case;
use super::programs::{convolution, lookups, padded, wide};
use super::proofs::{GOLDEN, prover};
use crate::commit::Prepared;
use crate::fast::Proof;
use crate::hybrid::Outline;
use crate::hybrid::outline::Held;
use crate::hybrid::segments::Limits;
use crate::hybrid::shares::reduced;
use crate::hybrid::support::check_supported;
use crate::program::testing::{Rng, learner, map, random, read, shuffle_layouts};
use crate::program::{Operand, Program, encode, load};
use crate::receipt::{MAX_BYTES, Receipt};
use std::sync::Arc;

const SMALL: Limits = Limits { blocks: 30, cost: 2000 };

/// Every segment's witness follows from its share, which holds the salt of no other leaf.
fn check(program: &Program, steps: usize) -> usize {
    let case = Case::new(program, steps, 300_000);
    let (course, prepared) = (case.course(), &case.prepared);
    let marks = prepared.marks(&course, &case.plan(), u64::MAX).unwrap();
    let held = Held { openings: &case.openings, marks: &marks };
    let whole = case.proof();
    let segments = case.segments(SMALL);
    for items in &segments {
        let schedule = case.schedule(items).unwrap();
        let share = reduced(prepared, &course, held, &schedule.leaves).unwrap();
        let proof = Proof::parse(&share, prepared, &course, &schedule.leaves.marks()).unwrap();
        let (found, wanted) = (case.witness_of(&schedule, &proof), case.witness(&schedule));
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found.main.values, wanted.main.values);
            assert_eq!(found.padding, wanted.padding);
        }
        let salts = |proof: &Proof| -> Vec<_> {
            proof.trees.iter().flat_map(|tree| tree.salts.clone()).collect()
        };
        let kept = salts(&proof);
        assert_eq!(kept.len(), schedule.leaves.count);
        assert!(kept.iter().all(|salt| salts(&whole).contains(salt)));
        if !schedule.leaves.prf.is_empty() {
            assert_eq!(proof.prf_seed, whole.prf_seed);
        } else if prepared.shows_seed(&course) {
            assert_eq!(proof.prf_seed.unwrap().to_bytes(), [0; 32]);
        }
    }
    segments.len()
}

#[test]
fn a_witness_follows_from_its_share() {
    let bias = || padded(read(1, &[8], &[map(Some(1), 3, None, 0, 0)]), 17, -5);
    let mut cut = 0;
    for program in [convolution(), lookups(), learner(), wide(bias()), wide(Operand::Const(0))] {
        for steps in [1, 3] {
            cut += usize::from(check(&program, steps) > 1);
        }
    }
    assert!(cut > 5, "only {cut} were cut into segments");
}

#[test]
fn shares_of_random_programs() {
    let mut cut = 0;
    for seed in 0..60 {
        let mut program = random(seed);
        shuffle_layouts(&mut program, &mut Rng(seed + 1));
        if check_supported(&load(&encode(&program)).unwrap()).is_ok() {
            cut += usize::from(check(&program, 2) > 1);
        }
    }
    assert!(cut > 5, "only {cut} were cut into segments");
}

fn outline(fast: &[u8], profile: u8) -> Outline {
    let sections = Receipt::split(fast, MAX_BYTES).unwrap();
    let prepared = Arc::new(Prepared::new(Arc::new(load(sections.program).unwrap())));
    Outline::new(prepared, super::proofs::as_hybrid(sections.journal), profile).unwrap()
}

#[test]
fn a_share_is_proven_elsewhere_and_checked_here() {
    for fast in GOLDEN {
        let (prover, elsewhere) = (prover(fast, 0), outline(fast, 0));
        assert_eq!(prover.segments(), elsewhere.segments());
        let share = prover.share(0).unwrap();
        let (proof, _) = elsewhere.prove_share(0, &share).unwrap();
        let head = prover.head();
        prover.outline().check(0, &head, &proof).unwrap();
        // Whatever else comes back is not kept.
        let mut longer = proof.clone();
        longer.push(0);
        let code = |proof: &[u8]| prover.outline().check(0, &head, proof).unwrap_err().code;
        assert_eq!(code(&longer), "receipt.trailing-bytes");
        assert_eq!(code(&proof[..100]), "receipt.truncated");
        for at in [0, proof.len() / 2, proof.len() - 1] {
            let mut other = proof.clone();
            other[at] ^= 1;
            assert!(prover.outline().check(0, &head, &other).is_err(), "byte {at}");
        }
        let of_another_profile = outline(fast, 1).prove_share(0, &share).unwrap().0;
        assert!(prover.outline().check(0, &head, &of_another_profile).is_err());
        let error = prover.share(1).unwrap_err();
        assert_eq!(
            (error.code, elsewhere.prove_share(1, &share).unwrap_err().code),
            ("usage", "usage")
        );
    }
}

#[test]
fn a_share_answers_its_statement_and_passes_the_checks() {
    let [dense, average] = GOLDEN;
    let share = prover(dense, 0).share(0).unwrap();
    let code = |share: &[u8]| outline(dense, 0).prove_share(0, share).unwrap_err().code;
    assert_eq!(
        outline(average, 0).prove_share(0, &share).unwrap_err().code,
        "verify.journal-mismatch"
    );
    assert_eq!(code(&share[..share.len() - 1]), "receipt.truncated");
    assert_eq!(code(&[&share[..], &[0]].concat()), "receipt.trailing-bytes");
    let mut other = share.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(["prove.witness", "receipt.non-canonical"].contains(&code(&other)));
}
