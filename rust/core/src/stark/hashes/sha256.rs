//! Rows and nodes under SHA-256: a byte tells them apart.

use p3_field::PrimeField32;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::super::grid::Grid;
use super::super::lanes::{MOST, Messages, Unit, words_of};
use super::{HASH_BYTES, Hash, SALT_BYTES, Salt, TASK};
use crate::hash::Elem;

const ROW: u8 = 0;
const NODE: u8 = 1;

pub fn row(elements: &[Elem], salt: Option<&Salt>) -> Hash {
    let mut bytes = vec![ROW];
    bytes.extend(elements.iter().flat_map(|x| x.as_canonical_u32().to_le_bytes()));
    bytes.extend(salt.into_iter().flatten());
    Sha256::digest(&bytes).into()
}

pub fn node(left: &Hash, right: &Hash, row: Option<&Hash>) -> Hash {
    let hash = Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right);
    match row {
        Some(row) => hash.chain_update(row).finalize().into(),
        None => hash.finalize().into(),
    }
}

pub fn rows(matrices: &[Grid], salts: Option<&[Salt]>, rows: usize) -> Vec<Hash> {
    let width = matrices.iter().map(|matrix| matrix.width).sum::<usize>();
    let salted = salts.map_or(0, |_| SALT_BYTES / 4);
    hash_all(ROW, width + salted, rows, |i, mut words| {
        for matrix in matrices {
            let (own, rest) = words.split_at_mut(matrix.width);
            own.iter_mut().zip(matrix.row(i)).for_each(|(word, x)| *word = x.as_canonical_u32());
            words = rest;
        }
        if let Some(salts) = salts {
            words_of(&salts[i], words);
        }
    })
}

pub fn nodes(below: &[Hash], rows: Option<&[Hash]>) -> Vec<Hash> {
    const WORDS: usize = HASH_BYTES / 4;
    let length = if rows.is_some() { 3 * WORDS } else { 2 * WORDS };
    hash_all(NODE, length, below.len() / 2, |i, words| {
        let (pair, row) = words.split_at_mut(2 * WORDS);
        words_of(below[2 * i..2 * i + 2].as_flattened(), pair);
        if let Some(rows) = rows {
            words_of(&rows[i], row);
        }
    })
}

/// Hashes `count` messages of `length` words behind a byte; `fill` writes the words of one.
fn hash_all(
    prefix: u8,
    length: usize,
    count: usize,
    fill: impl Fn(usize, &mut [u32]) + Sync,
) -> Vec<Hash> {
    let unit = Unit::best();
    let mut hashes = vec![Hash::default(); count];
    let tasks = hashes.par_chunks_mut(TASK).enumerate();
    tasks.for_each_init(
        || Messages::new(length),
        |messages, (task, hashes)| {
            for (group, hashes) in hashes.chunks_mut(MOST).enumerate() {
                let first = task * TASK + group * MOST;
                (0..hashes.len()).for_each(|j| fill(first + j, messages.message(j)));
                messages.hash(unit, prefix, hashes);
            }
        },
    );
    hashes
}
