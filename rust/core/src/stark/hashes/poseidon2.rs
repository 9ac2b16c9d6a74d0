//! Rows and nodes under Poseidon2: `S` of rows, `C` of nodes; the row of a level joins by one more `C`.
//!
//! Heights are the verifier's own, so leaf, node and joined node cannot be taken for each other.

use std::array;
use std::ops::Range;

use p3_field::{PackedValue, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::super::grid::Grid;
use super::super::tiles;
use super::{Hash, Salt, TASK};
use crate::hash::packing::packed;
use crate::hash::poseidon::{Digest, Elem, LANES, Packed, compress};
use crate::hash::sponge16::{RATE16, Sponges16, compress_packed, lane, sponge16};

/// The domain of rows in `S`.
const ROW: u32 = 0x40;
const SALT: usize = 4;

/// Elements of bytes that are words below p.
fn elements<const N: usize>(bytes: &[u8]) -> [Elem; N] {
    let words = bytes.as_chunks::<4>().0;
    array::from_fn(|i| Elem::new(u32::from_le_bytes(words[i])))
}

fn salt_of(salt: &Salt) -> [Elem; SALT] {
    elements(salt)
}

pub fn row(row: &[Elem], salt: Option<&Salt>) -> Hash {
    let salt = salt.map(salt_of);
    sponge16(ROW, &[row, salt.as_slice().as_flattened()].concat()).to_bytes()
}

pub fn node(left: &Hash, right: &Hash, row: Option<&Hash>) -> Hash {
    let digest = |hash: &Hash| Digest(elements(hash));
    let node = compress(digest(left), digest(right));
    row.map_or(node, |row| compress(node, digest(row))).to_bytes()
}

pub fn rows(matrices: &[Grid], salts: Option<&[Salt]>, rows: usize) -> Vec<Hash> {
    let width = matrices.iter().map(|matrix| matrix.width).sum::<usize>();
    let length = width + salts.map_or(0, |_| SALT);
    // A row in each lane, with zeros behind it to whole blocks.
    let stride = length.next_multiple_of(RATE16);
    hash_all(
        rows,
        || vec![Packed::ZERO; stride],
        |elements, rows| {
            // Lanes behind the last row have it once more.
            let row = |lane: usize| (rows.start + lane).min(rows.end - 1);
            let mut rest = &mut elements[..];
            for matrix in matrices {
                let (own, behind) = rest.split_at_mut(matrix.width);
                tiles::read(array::from_fn(|lane| matrix.row(row(lane))), own);
                rest = behind;
            }
            if let Some(salts) = salts {
                let salts: [_; LANES] = array::from_fn(|lane| salt_of(&salts[row(lane)]));
                for (i, element) in rest[..SALT].iter_mut().enumerate() {
                    *element = Packed::from_fn(|lane| salts[lane][i]);
                }
            }
            let mut sponges = Sponges16::new(ROW, length);
            elements.as_chunks().0.iter().for_each(|block| sponges.absorb(block));
            sponges.digests()
        },
    )
}

pub fn nodes(below: &[Hash], rows: Option<&[Hash]>) -> Vec<Hash> {
    hash_all(
        below.len() / 2,
        || (),
        |(), nodes| {
            let child = |side| in_lanes(nodes.clone().map(|i| &below[2 * i + side]));
            let node = compress_packed(&child(0), &child(1));
            match rows {
                Some(rows) => compress_packed(&node, &in_lanes(nodes.map(|i| &rows[i]))),
                None => node,
            }
        },
    )
}

/// At most `LANES` digests, one in each lane.
fn in_lanes<'a>(hashes: impl Iterator<Item = &'a Hash>) -> [Packed; RATE16] {
    let mut words = [[0; LANES]; RATE16];
    for (lane, hash) in hashes.enumerate() {
        for (words, bytes) in words.iter_mut().zip(hash.as_chunks::<4>().0) {
            words[lane] = u32::from_le_bytes(*bytes);
        }
    }
    words.map(packed)
}

/// `count` digests, `LANES` at a time: `hash` makes those of a range of at most so many.
fn hash_all<B>(
    count: usize,
    buffer: impl Fn() -> B + Sync + Send,
    hash: impl Fn(&mut B, Range<usize>) -> [Packed; RATE16] + Sync,
) -> Vec<Hash> {
    let mut hashes = vec![Hash::default(); count];
    let tasks = hashes.par_chunks_mut(TASK).enumerate();
    tasks.for_each_init(buffer, |buffer, (task, hashes)| {
        for (group, hashes) in hashes.chunks_mut(LANES).enumerate() {
            let first = task * TASK + group * LANES;
            let digests = hash(buffer, first..first + hashes.len());
            let each = hashes.iter_mut().enumerate();
            each.for_each(|(i, hash)| *hash = lane(&digests, i).to_bytes());
        }
    });
    hashes
}
