//! How fast trees are built, SHA-256 beside ours: the figures of `zktally bench hash`.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{Salting, salted_tree};
use crate::hash::{Ints, Key};
use crate::program::{Layout, LayoutMap};

/// Times one salted tree over `rows` rows of `row` int8 values, and one SHA-256 tree over the same
/// rows with a salt of the same size, on the current pool.
pub fn tree_times(rows: usize, row: usize) -> (Duration, Duration) {
    let values: Vec<i8> =
        (0..rows * row).map(|i: usize| (i.wrapping_mul(2_654_435_761) >> 9) as i8).collect();
    let layout = Layout { order: vec![0, 1], trailing: 1, piece: row };
    let layout = LayoutMap::new(&layout, &[rows, row]);
    let start = Instant::now();
    let salting = Salting::Keyed { key: Key::default(), position: 0, tensor: 0 };
    std::hint::black_box(salted_tree(Ints::I8(&values), &layout, salting).root());
    let ours = start.elapsed();
    let start = Instant::now();
    std::hint::black_box(sha256_root(&values, row));
    (ours, start.elapsed())
}

fn sha256_root(values: &[i8], row: usize) -> [u8; 32] {
    let leaf = |row: &[i8]| {
        let bytes: Vec<u8> = row.iter().map(|&v| v as u8).collect();
        Sha256::new().chain_update([0; 20]).chain_update(bytes).finalize().into()
    };
    let mut level: Vec<[u8; 32]> = values.par_chunks(row).map(leaf).collect();
    while level.len() > 1 {
        level = level.par_chunks(2).map(|pair| Sha256::digest(pair.concat()).into()).collect();
    }
    level[0]
}
