//! Whole proofs by liars who keep to the transcript: only the queries can tell.
//!
//! A liar commits to a true witness and says wrong values at ζ, of which the constraints hold. His batched
//! word then has poles. He commits to the polynomial through an eighth of it, the points that an honest
//! prover works with, and folds that as he should: roots, challenges, work and paths are all in order.

use super::subjects::{FEW, Subject, TOYS, machine, refusal};
use crate::bytes::{Codes, Reader};
use crate::recursion::inner::Proven;
use crate::stark::field::K;
use crate::stark::parameters::{FOLDABLE, Parameters};
use crate::stark::prove::prove_with;
use crate::stark::rng::Stream;
use crate::stark::statement::Statement;
use crate::stark::tests::{Toy, toy, values};
use crate::stark::verify;
use p3_field::PrimeCharacteristicRing;

/// Chunks of the tallest quotient that weigh as much as the true ones.
fn shifted_chunks(statement: &Statement, zeta: K, opened: &mut [Vec<K>]) {
    let rows = (1u64 << statement.heights()[0]) - statement.parameters.hiding_rows as u64;
    let chunks = &mut opened[statement.publics.len()];
    chunks[0] += zeta.exp_u64(rows);
    chunks[1] -= K::ONE;
}

/// A toy, and a proof of it by one who may lie; a seed makes one proof.
fn told(parameters: Parameters, seed: u64, lies: bool) -> Subject {
    let toy = Toy { parameters, ..toy(&values(300), [12, 11]) };
    let mut stream = Stream::scripted([Some(seed); 6]);
    stream.lie = lies.then_some(shifted_chunks);
    let (proof, _) = prove_with(&toy.statement(5), toy.mains.clone(), stream).unwrap();
    Subject::told(toy, 5, proof)
}

/// What the verifier says of it, and whether the rows that verify it can be filled.
fn verdicts(subject: &Subject) -> (Option<String>, bool) {
    let statement = subject.statement();
    let mut reader = Reader::new(subject.proof(), Codes::all("receipt.truncated"));
    let native = verify::verify(&statement, &mut reader).err().map(|error| error.to_string());
    let Proven { child, inner } = Proven::read(&statement, &TOYS, subject.proof()).unwrap();
    let machine = machine([(&child, &inner)]);
    let satisfied = refusal(&machine).is_none();
    assert_eq!(machine.witness().is_ok(), satisfied);
    (native, satisfied)
}

#[test]
fn a_liar_who_keeps_to_the_transcript_is_told_by_the_queries_alone() {
    let usual = Parameters { target: 0.0, ..Parameters::new(FOLDABLE, 1, 0).unwrap() };
    assert_eq!(verdicts(&told(usual, 1, false)), (None, true));
    let (native, satisfied) = verdicts(&told(usual, 1, true));
    assert!(native.unwrap().contains("a query does not fold"));
    assert!(!satisfied);
}

/// A query finds one lie in eight at a point where it fits. The rows are fooled by these, and by no other.
#[test]
fn rows_are_fooled_where_the_verifier_is() {
    let one = Parameters { queries: 1, ..*FEW };
    let fooled = (0..64).filter(|&seed| {
        let (native, satisfied) = verdicts(&told(one, seed, true));
        assert_eq!(native.is_none(), satisfied, "seed {seed}: {native:?}");
        satisfied
    });
    let fooled = fooled.count();
    println!("{fooled} of 64 lies passed one query");
    assert!((2..=20).contains(&fooled), "{fooled}");
}
