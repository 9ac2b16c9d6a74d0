//! Main columns of what is hashed and read: tables 0 to 3, 11 and 12.

use p3_field::{PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::memory::{Memory, Row, limbs, number, signed};
use super::opened::Opened;
use super::{Filler, MainOf, fill};
use crate::error::Result;
use crate::hash::keys::{PRF_PER_CALL, Salt};
use crate::hash::{Digest, Elem, Key, domain};
use crate::hybrid::leaves::{blocks, data_elements};
use crate::hybrid::permutation::{P16, P24, Rounds};
use crate::hybrid::tables::{BLOCK, TABLES, index};
use crate::stark::{Grid, MainTable};

const RATE: usize = 16;
const WIDTH: usize = 24;
const LIMB: u32 = 12;
/// Bits of a prf word below its top.
const WORD_BITS: u32 = 24;

/// A leaf that is to be hashed.
struct Job<'a> {
    bytes: &'a [u8],
    rest: &'a [Elem],
    domain: u32,
    cells: &'a mut [Elem],
    plain: &'a mut [u8],
}

impl Job<'_> {
    /// Fills the rows of a leaf (or of the seed).
    fn run(self) {
        let width = TABLES.airs[index::SPONGE].mains;
        let elements = data_elements(self.bytes.len());
        let mut state = [Elem::ZERO; WIDTH];
        state[RATE] = Elem::from_u32((elements + self.rest.len()) as u32);
        state[RATE + 1] = Elem::from_u32(self.domain);
        let plain = self.plain.chunks_exact_mut(BLOCK);
        for (b, (cells, plain)) in self.cells.chunks_exact_mut(width).zip(plain).enumerate() {
            let (first, end) = (b * BLOCK, self.bytes.len().min((b + 1) * BLOCK));
            let bytes = self.bytes.get(first..end).unwrap_or_default();
            plain[..bytes.len()].copy_from_slice(bytes);
            let mut row = Row::new(cells);
            let own = row.rest(BLOCK);
            own.iter_mut().zip(bytes).for_each(|(cell, &byte)| *cell = Elem::from_u8(byte));
            for (i, &element) in self.rest.iter().enumerate() {
                let at = elements + i;
                if at / RATE == b {
                    own[at % RATE * 3] = element;
                }
            }
            for (state, three) in state.iter_mut().zip(own.as_chunks::<3>().0) {
                let [low, middle, high] = *three;
                *state = low + middle * Elem::from_u32(1 << 8) + high * Elem::from_u32(1 << 16);
            }
            row.all(&state[RATE..]);
            P24.trace(&mut state, row.rest(P24.columns()));
        }
    }
}

impl Filler<'_> {
    /// The sponge table, and the plain bytes of its blocks.
    pub(super) fn sponge(&self, opened: &Opened, seed: &[Elem]) -> Result<(MainOf, Vec<u8>)> {
        let leaves = &self.schedule.leaves;
        let (rows, width) = (leaves.sponge_rows(), TABLES.airs[index::SPONGE].mains);
        let (mut main, mut plain) = (Grid::zeros(width, rows), vec![0; rows * BLOCK]);
        let (mut cells, mut bytes) = (&mut main.values[..], &mut plain[..]);
        let mut jobs = Vec::with_capacity(leaves.count + 1);
        let mut add = |values, rest, domain, blocks: usize| {
            let (own, left) = std::mem::take(&mut cells).split_at_mut(blocks * width);
            let (own_bytes, left_bytes) = std::mem::take(&mut bytes).split_at_mut(blocks * BLOCK);
            (cells, bytes) = (left, left_bytes);
            jobs.push(Job { bytes: values, rest, domain, cells: own, plain: own_bytes });
        };
        for tree in &leaves.trees {
            let nodes = opened.tree(tree.place, tree.tensor)?;
            for &leaf in &tree.leaves {
                let (values, salt): (&[u8], &Salt) = nodes.leaf(leaf)?;
                add(values, &salt[..], domain::LEAF, blocks(values.len()));
            }
        }
        if !leaves.prf.is_empty() {
            add(&[], seed, domain::SEED, 1);
        }
        jobs.into_par_iter().with_min_len(8).for_each(Job::run);
        let mut padding = vec![Elem::ZERO; width];
        P24.trace(&mut [Elem::ZERO; WIDTH], &mut padding[width - P24.columns()..]);
        Ok(((index::SPONGE, MainTable { main, padding }), plain))
    }

    pub(super) fn node(&self, opened: &Opened) -> Result<Option<MainOf>> {
        let rows = &self.schedule.nodes.rows;
        let trees = &self.schedule.leaves.trees;
        let trees: Vec<_> =
            trees.iter().map(|tree| opened.tree(tree.place, tree.tensor)).collect::<Result<_>>()?;
        let filled = fill(self.schedule, index::NODE, |i, _, out| {
            let (row, tree) = (rows[i], trees[rows[i].tree as usize]);
            let child = |side| tree.node(row.level.into(), row.index as usize + side);
            let mut state = [Elem::ZERO; RATE];
            for (half, Digest(digest)) in state.chunks_exact_mut(8).zip([child(0), child(1)]) {
                half.copy_from_slice(&digest);
            }
            out.all(&state);
            P16.trace(&mut state, out.rest(P16.columns()));
        });
        Ok(filled.map(|(index, table)| (index, padded(table, &P16))))
    }

    pub(super) fn spread(&self, sponge: &Grid) -> Option<MainOf> {
        fill(self.schedule, index::SPREAD, |_, publics, out| {
            out.all(block(sponge, publics[3]));
        })
    }

    pub(super) fn wide(&self, memory: &Memory) -> Option<MainOf> {
        fill(self.schedule, index::WIDE, |_, publics, out| {
            let (x, three, offset) = (number(publics[3]), number(publics[4]), publics[5]);
            let (lo, hi) = (signed(publics[6]), signed(publics[7]));
            let bytes = memory.bytes(x, 2 + three);
            let raw = bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | i64::from(byte));
            let value = raw - signed(offset);
            for i in 0..3 {
                out.one(if i < 2 + three { memory.read(x + i) } else { Elem::ZERO });
            }
            out.signed(value);
            out.all(&limbs::<2>((value - lo).into()));
            out.all(&limbs::<2>((hi - value).into()));
        })
    }

    /// The noise table, and all words.
    pub(super) fn noise(&self, sponge: &Grid, seed: &Key) -> (Option<MainOf>, Vec<u32>) {
        let filled = fill(self.schedule, index::NOISE, |_, publics, out| {
            let bytes = block(sponge, publics[3]);
            let mut state = [Elem::ZERO; RATE];
            let elements = bytes.iter().step_by(3).copied();
            state.iter_mut().zip(elements).take(8).for_each(|(state, element)| *state = element);
            state[8] = Elem::from_u32(domain::PRF);
            state[9..12].copy_from_slice(&publics[4..7]);
            out.all(bytes);
            out.all(&state[8..]);
            P16.trace(&mut state, out.rest(P16.columns()));
        });
        let words = self.schedule.table(index::NOISE).map(|table| {
            let call = |row: usize| {
                let [step, domain, block] = [4, 5, 6].map(|c| number(table.publics.row(row)[c]));
                seed.prf_block(step, domain as u32, block)
            };
            (0..table.publics.rows()).flat_map(call).collect()
        });
        (filled.map(|(index, table)| (index, padded(table, &P16))), words.unwrap_or_default())
    }

    pub(super) fn bits(&self, words: &[u32]) -> Option<MainOf> {
        debug_assert!(words.len().is_multiple_of(PRF_PER_CALL));
        fill(self.schedule, index::BITS, |_, publics, out| {
            let word = words.get(number(publics[3])).copied().unwrap_or(0);
            let bits = publics[5].as_canonical_u32().trailing_zeros();
            let (low, top) = (word & ((1 << WORD_BITS) - 1), word >> WORD_BITS);
            let (value, high) = (low & ((1 << bits) - 1), low >> bits);
            let mask = (1 << LIMB) - 1;
            let parts = [value & mask, value >> LIMB, high & mask, high >> LIMB];
            out.one(Elem::from_u32(word));
            parts.iter().for_each(|&part| out.one(Elem::from_u32(part)));
            let sigmas = &publics[6..10];
            let scaled = parts.iter().zip(sigmas).map(|(&part, &s)| Elem::from_u32(part) * s);
            scaled.for_each(|product| out.one(product));
            out.one(Elem::from_u32(if top < 127 { top } else { 0 }));
            out.flag(top >= 127);
        })
    }
}

/// The bytes of a block, as they stand in the sponge table.
pub fn block(sponge: &Grid, number: Elem) -> &[Elem] {
    &sponge.row(self::number(number).min(sponge.rows() - 1))[1..=BLOCK]
}

/// The table with a padding row whose last columns are a permutation of zeros.
fn padded(mut table: MainTable, rounds: &Rounds) -> MainTable {
    let first = table.padding.len() - rounds.columns();
    rounds.trace(&mut vec![Elem::ZERO; rounds.width()], &mut table.padding[first..]);
    table
}
