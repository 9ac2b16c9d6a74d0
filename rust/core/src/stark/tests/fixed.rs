//! A proof is a function of its statement, witness and randomness: the same bytes whatever computes it.

use sha2::{Digest, Sha256};

use super::super::memory::Keeper;
use super::super::prove::prove_with;
use super::*;
use crate::hash::hex;

fn stream() -> Stream {
    Stream::scripted([1, 2, 3, 4, 5, 6].map(Some))
}

fn digest(toy: &Toy) -> String {
    let (proof, _) = prove_with(&toy.statement(7), toy.mains.clone(), stream()).unwrap();
    hex(&<[u8; 32]>::from(Sha256::digest(proof)))
}

#[test]
fn a_proof_has_the_bytes_it_had() {
    // Those that the engine made when it evaluated nodes one by one and hashed rows one by one.
    let wanted = "3357a3a86370d2d63a46fd121abf4d378e929d8364f4b8be4d9f123fd2bd9003";
    assert_eq!(digest(&toy(&values(1500), [11, 11])), wanted);
}

#[test]
fn a_foldable_proof_has_the_bytes_it_had() {
    let wanted = "b973bcdbbbeadb273f5980aac66f35f2cb73a38486c5dfa33c4295119dabddc0";
    let toy = toy(&values(1500), [11, 11]).hashed(Hashing::Poseidon2);
    assert_eq!(digest(&toy), wanted);
}

/// In tests every large block of memory is full of garbage when it is given.
#[test]
fn memory_that_was_used_before_does_not_show_in_a_proof() {
    let toy = toy(&values(700), [11, 14]);
    let first = digest(&toy);
    let _keeper = Keeper::new();
    assert!((0..3).all(|_| digest(&toy) == first));
}

#[test]
fn threads_do_not_show_in_a_proof() {
    for hashing in BOTH {
        let toy = toy(&values(700), [11, 12]).hashed(hashing);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| digest(&toy))
        };
        let one = on(1);
        assert!([2, 3, 7].into_iter().all(|threads| on(threads) == one));
    }
}
