//! Folding and queries (docs/stark.md section 6), for both sides.

use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::field::{DIM, K, coefficients, from_coefficients, put, reverse, root};
use super::grid::Grid;
use super::parameters::Hashing;
use super::statement::{Round, Statement};
use super::transcript::{Transcript, tag};
use super::tree::{Hash, Opened, Shape, Tree, Widths, above};
use crate::bytes::Reader;
use crate::error::Result;
use crate::hash::Elem;

/// Folds one row of `2^a` values at position `row` of the folded vector of `2^log_out` elements.
pub fn fold_row(values: &[K], row: usize, log_out: usize, beta: K) -> K {
    let mut values = values.to_vec();
    let mut beta = beta;
    let mut bits = log_out + values.len().ilog2() as usize;
    let half = Elem::ONE.halve();
    while values.len() > 1 {
        let omega = root(bits);
        values = values
            .as_chunks::<2>()
            .0
            .iter()
            .enumerate()
            .map(|(i, [even, odd])| {
                // Pair i of this row is pair `row·n + i` of the vector.
                let pair = row * (values.len() / 2) + i;
                let x = omega.exp_u64(reverse(pair, bits - 1) as u64);
                (*even + *odd) * half + beta * (*even - *odd) * (half * x.inverse())
            })
            .collect();
        beta = beta.square();
        bits -= 1;
    }
    values[0]
}

/// Folds a whole vector by two.
fn halve(vector: &[K], beta: K) -> Vec<K> {
    let bits = vector.len().ilog2() as usize;
    let inverse = root(bits).inverse();
    let half = Elem::ONE.halve();
    let natural: Vec<Elem> = super::field::powers(inverse, vector.len() / 2);
    (0..vector.len() / 2)
        .into_par_iter()
        .with_min_len(1 << 10)
        .map(|i| {
            let (even, odd) = (vector[2 * i], vector[2 * i + 1]);
            let x = natural[reverse(i, bits - 1)];
            (even + odd) * half + beta * (even - odd) * (half * x)
        })
        .collect()
}

/// The folded oracles of a proof.
pub struct Folded {
    trees: Vec<(Round, Tree)>,
}

/// Folds the batched codewords, tallest first, through all rounds; appends roots, proofs of work and
/// the final polynomial.
pub fn fold(
    statement: &Statement,
    mut words: Vec<Vec<K>>,
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
) -> Folded {
    words.reverse();
    let mut vector = words.pop().expect("at least one height");
    let mut trees = Vec::new();
    for round in statement.rounds() {
        let width = DIM << round.log_arity;
        let values = vector.iter().flat_map(coefficients).copied().collect();
        let matrices = vec![Grid { width, values }];
        let tree = Tree::new(statement.parameters.hashing, matrices, None);
        transcript.absorb(tag::ROUND, &tree.root());
        out.extend(tree.root());
        let witness = transcript.grind(statement.parameters.commit_bits);
        out.extend(witness.to_le_bytes());
        let mut beta = transcript.element();
        for _ in 0..round.log_arity {
            vector = halve(&vector, beta);
            beta = beta.square();
        }
        if let Some(word) = words.pop_if(|word| word.len() == vector.len()) {
            vector.par_iter_mut().zip(&word).for_each(|(v, &w)| *v += beta * w);
        }
        trees.push((round, tree));
    }
    let polynomial = final_polynomial(&vector, statement.parameters.log_final);
    let mut bytes = Vec::new();
    polynomial.iter().for_each(|c| put(&mut bytes, c));
    transcript.absorb(tag::FINAL, &bytes);
    out.extend(bytes);
    Folded { trees }
}

/// The coefficients of the final vector, whose first values are those on the subgroup of its length.
fn final_polynomial(vector: &[K], log_final: usize) -> Vec<K> {
    let size = 1usize << log_final;
    let omega = root(log_final).inverse();
    let scale = Elem::from_u64(size as u64).inverse();
    (0..size)
        .map(|j| {
            let terms = (0..size).map(|i| {
                let exponent = reverse(i, log_final) * j % size;
                vector[i] * omega.exp_u64(exponent as u64)
            });
            terms.sum::<K>() * scale
        })
        .collect()
}

impl Folded {
    /// Appends the openings of all rounds at these indices of the tallest domain.
    pub fn open(&self, indices: &[usize], out: &mut Vec<u8>) {
        let mut shift = 0;
        for (round, tree) in &self.trees {
            shift += round.log_arity;
            tree.open(&above(indices, shift), out);
        }
    }
}

/// What a verifier read of the folding before the queries.
pub struct Commitments {
    pub rounds: Vec<(Round, Hash, K)>,
    pub last: Vec<K>,
}

/// Reads the openings of the rounds; `None` where one does not lead to its root.
///
/// # Errors
/// `receipt.truncated`, `receipt.non-canonical`.
pub fn read_rounds(
    reader: &mut Reader,
    hashing: Hashing,
    commitments: &Commitments,
    indices: &[usize],
) -> Result<Vec<Option<Opened>>> {
    let mut shift = 0;
    let mut opened = Vec::new();
    for (round, root, _) in &commitments.rounds {
        shift += round.log_arity;
        let widths: Widths =
            [(round.log_size - round.log_arity, vec![DIM << round.log_arity])].into();
        let shape = Shape { hashing, widths: &widths, salted: false };
        opened.push(Opened::read(reader, shape, &above(indices, shift), root)?);
    }
    Ok(opened)
}

/// Whether the folding of one query is right; `word(log size, index)` gives the batched codewords.
pub fn check_query(
    commitments: &Commitments,
    opened: &[Opened],
    index: usize,
    has_word: impl Fn(usize) -> bool,
    word: impl Fn(usize) -> K,
) -> bool {
    let Some((first, ..)) = commitments.rounds.first() else { return false };
    let mut value = word(first.log_size);
    let mut at = index;
    let mut log_size = first.log_size;
    for ((round, _, beta), opened) in commitments.rounds.iter().zip(opened) {
        let row = at >> round.log_arity;
        log_size -= round.log_arity;
        let values: Vec<K> = opened.row(log_size, row).chunks(DIM).map(from_coefficients).collect();
        // The committed word of the round is the batched one at first, then what the one before folds to.
        if values[at & ((1 << round.log_arity) - 1)] != value {
            return false;
        }
        value = fold_row(&values, row, log_size, *beta);
        // A height of this size joins with a power of β that the fold itself has not (folding).
        if has_word(log_size) {
            value += beta.exp_power_of_2(round.log_arity) * word(log_size);
        }
        at = row;
    }
    // What is left is a polynomial of low degree, sent whole.
    let x = root(log_size).exp_u64(reverse(at, log_size) as u64);
    value == commitments.last.iter().rev().fold(K::ZERO, |sum, &c| sum * x + c)
}
