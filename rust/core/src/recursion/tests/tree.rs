//! Attacks on a whole tree of proofs: points, leaves, the outer proof.

use std::sync::LazyLock;

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;

use super::subjects::{Subject, TOYS};
use crate::bytes::{Codes, Reader};
use crate::error::Result;
use crate::hash::Elem;
use crate::recursion::child::{Child, Points};
use crate::recursion::inner::Proven;
use crate::recursion::layers;
use crate::stark::field::K;

/// Leaves, and what proves them: the points of three nodes, the outer proof.
struct Tree {
    subjects: Vec<Subject>,
    leaves: Vec<Child>,
    proof: Vec<u8>,
}

impl Tree {
    fn new(subjects: Vec<Subject>) -> Self {
        let proven: Vec<Proven> = subjects.iter().map(Subject::proven).collect();
        let leaves = proven.iter().map(|proven| proven.child.clone()).collect();
        let proof = layers::prove(proven, 0).unwrap().0;
        Self { subjects, leaves, proof }
    }

    /// A leaf with other points.
    fn at(&self, leaf: usize, points: Points) -> Child {
        Child::new(&self.subjects[leaf].statement(), &TOYS, points).unwrap()
    }
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let heights = [[12, 11], [12, 11], [11, 13]];
    let subject = |(i, log_rows)| Subject::of(log_rows, 300 - i as u32, 20 + i as u8);
    Tree::new(heights.into_iter().enumerate().map(subject).collect())
});

/// Nodes of the tree, from the first layer on.
const NODES: usize = 3;

fn verify(leaves: Vec<Child>, proof: &[u8]) -> Result<f64> {
    const CODES: Codes = Codes { short: "short", trailing: "trailing", bad: "bad" };
    let mut reader = Reader::new(proof, CODES);
    let bits = layers::verify(leaves, 0, &mut reader)?;
    assert_eq!(reader.remaining(), 0);
    Ok(bits)
}

#[test]
fn a_tree_of_toys_verifies() {
    assert_eq!(layers::layers(3), [2, 1]);
    assert!(verify(TREE.leaves.clone(), &TREE.proof).unwrap() >= 103.0);
}

type Attack = (&'static str, &'static str, Box<dyn Fn() -> Result<f64> + Send + Sync>);

/// Other leaves under the same proof.
fn leaves(name: &'static str, change: impl Fn(&mut Vec<Child>) + Send + Sync + 'static) -> Attack {
    let run = move || {
        let mut leaves = TREE.leaves.clone();
        change(&mut leaves);
        verify(leaves, &TREE.proof)
    };
    (name, "verify.stark", Box::new(run))
}

/// Another proof under the same leaves.
fn bytes(
    name: &'static str,
    code: &'static str,
    change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static,
) -> Attack {
    let run = move || {
        let mut proof = TREE.proof.clone();
        change(&mut proof);
        verify(TREE.leaves.clone(), &proof)
    };
    (name, code, Box::new(run))
}

/// The points of a node.
fn of_node(node: usize) -> std::ops::Range<usize> {
    node * Points::BYTES..(node + 1) * Points::BYTES
}

fn exchange(proof: &mut [u8], [a, b]: [usize; 2]) {
    let (first, second) = (proof[of_node(a)].to_vec(), proof[of_node(b)].to_vec());
    proof[of_node(a)].copy_from_slice(&second);
    proof[of_node(b)].copy_from_slice(&first);
}

fn add_to_word(proof: &mut [u8], at: usize, by: u32) {
    let word: [u8; 4] = proof[at..at + 4].try_into().unwrap();
    let word = u32::from_le_bytes(word).wrapping_add(by);
    proof[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

fn attacks() -> Vec<Attack> {
    let at = |leaf: usize, change: fn(&mut Points)| {
        move |leaves: &mut Vec<Child>| {
            let mut points = leaves[leaf].points;
            change(&mut points);
            leaves[leaf] = TREE.at(leaf, points);
        }
    };
    let mut all = vec![
        leaves("leaves exchanged", |leaves| leaves.swap(0, 1)),
        leaves("leaves of two nodes exchanged", |leaves| leaves.swap(1, 2)),
        leaves("a leaf twice", |leaves| leaves[1] = leaves[0].clone()),
        leaves("the start of a leaf", |leaves| leaves[2].start.0[7] += Elem::ONE),
        leaves("α of a leaf", at(0, |points| points.alpha += K::ONE)),
        leaves("β of a leaf", at(1, |points| points.beta += K::ONE)),
        leaves("ζ of a leaf", at(2, |points| points.zeta += K::ONE)),
        leaves("points of another leaf", |leaves| leaves[0] = TREE.at(0, leaves[1].points)),
        // The context is that of the proof; the columns of a node are not.
        leaves("a public column of a leaf", |leaves| leaves[2].publics[1][2] += K::ONE),
        leaves("a public sum of a leaf", |leaves| leaves[0].public_sum += K::ONE),
        leaves("the end of a leaf's rows", |leaves| leaves[1].heights[0].last += K::ONE),
        bytes("nodes exchanged", "verify.stark", |proof| exchange(proof, [0, 1])),
        bytes("nodes of two layers exchanged", "verify.stark", |proof| exchange(proof, [1, 2])),
        bytes("a node twice", "verify.stark", |proof| {
            proof.copy_within(of_node(0), of_node(1).start);
        }),
        bytes("a node left out", "short or bad", |proof| {
            proof.drain(of_node(0));
        }),
        bytes("one byte less", "short", |proof| {
            proof.pop();
        }),
    ];
    for node in 0..NODES {
        for word in [0, 6, 14] {
            let at = of_node(node).start + 4 * word;
            all.push(bytes("a word of a node's points", "verify.stark", move |proof| {
                // Never to p or beyond.
                let top = proof[at + 3];
                add_to_word(proof, at, if top < 0x40 { 1 } else { u32::MAX });
            }));
        }
        let at = of_node(node).start;
        all.push(bytes("a point that is no element", "bad", move |proof| {
            proof[at..at + 4].copy_from_slice(&crate::hash::P.to_le_bytes());
        }));
    }
    all
}

#[test]
fn another_tree_is_refused() {
    let wrong: Vec<String> = attacks()
        .into_par_iter()
        .with_max_len(1)
        .filter_map(|(name, code, attack)| match attack() {
            Ok(_) => Some(format!("{name}: accepted")),
            Err(error) if !code.contains(error.code) => Some(format!("{name}: {error:?}")),
            Err(_) => None,
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Fewer or more leaves have another tree, and other parameters.
#[test]
fn leaves_that_are_missing_or_too_many_are_refused() {
    for count in [1, 2, 4, 5] {
        let leaves = (0..count).map(|i| TREE.leaves[i % 3].clone()).collect();
        assert!(verify(leaves, &TREE.proof).is_err(), "{count}");
    }
}

/// An outer proof of other leaves, of the same shape.
#[test]
fn an_outer_proof_of_another_receipt_is_refused() {
    let pair = |context: u8| {
        let subject = |i: u8| Subject::of([11, 11], 200, context + i);
        Tree::new([0, 1].map(subject).into())
    };
    let (one, other) = (pair(1), pair(3));
    verify(one.leaves.clone(), &one.proof).unwrap();
    verify(other.leaves.clone(), &other.proof).unwrap();
    let refused = |leaves: &[Child], proof: &[u8]| {
        let error = verify(leaves.to_vec(), proof).expect_err("another receipt");
        assert!(["verify.stark", "short"].contains(&error.code), "{error:?}");
    };
    refused(&one.leaves, &other.proof);
    // With the node's points of its own, and the other way round.
    let splice =
        |points: &[u8], outer: &[u8]| [&points[of_node(0)], &outer[Points::BYTES..]].concat();
    refused(&one.leaves, &splice(&one.proof, &other.proof));
    refused(&one.leaves, &splice(&other.proof, &one.proof));
}
