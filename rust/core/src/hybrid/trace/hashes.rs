//! Main columns of what is hashed and read: tables 0 to 3, 11 and 12.

use p3_field::{PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::dots::times;
use super::memory::{Memory, limbs, number, signed};
use super::opened::Opened;
use super::records::Chain;
use super::{Filler, MainOf, fill};
use crate::error::Result;
use crate::hash::keys::{PRF_PER_CALL, Salt};
use crate::hash::{Elem, Key, Tree, domain};
use crate::hybrid::leaves::{blocks, data_elements};
use crate::hybrid::tables::{
    BLOCK, LIMB, RATE, TABLES, WORD_BITS, bits, index, node, noise, sponge, spread, wide,
};
use crate::stark::{Grid, MainTable};
use crate::table::columns::Row;
use crate::table::permutation::{HALF, P16, P24};

/// A leaf, a record or the seed that is to be hashed.
struct Job<'a> {
    bytes: &'a [u8],
    rest: &'a [Elem],
    /// Domain and aux.
    hash: (u32, usize),
    cells: &'a mut [Elem],
    plain: &'a mut [u8],
}

impl Job<'_> {
    /// Fills its rows.
    fn run(self) {
        let width = TABLES.airs[index::SPONGE].mains;
        let elements = data_elements(self.bytes.len());
        let mut state = [Elem::ZERO; 24];
        state[RATE] = Elem::from_u32((elements + self.rest.len()) as u32);
        state[RATE + 1] = Elem::from_u32(self.hash.0);
        state[RATE + 2] = Elem::from_u32(self.hash.1 as u32);
        let plain = self.plain.chunks_exact_mut(BLOCK);
        for (b, (cells, plain)) in self.cells.chunks_exact_mut(width).zip(plain).enumerate() {
            let (first, end) = (b * BLOCK, self.bytes.len().min((b + 1) * BLOCK));
            let bytes = self.bytes.get(first..end).unwrap_or_default();
            plain[..bytes.len()].copy_from_slice(bytes);
            let mut own = [Elem::ZERO; BLOCK];
            own.iter_mut().zip(bytes).for_each(|(cell, &byte)| *cell = Elem::from_u8(byte));
            for (i, &element) in self.rest.iter().enumerate() {
                let at = elements + i;
                if at / RATE == b {
                    own[at % RATE * 3] = element;
                }
            }
            sponge_row(own, &mut state).write(cells);
        }
    }
}

/// The row of a block; `state` is what stands before it, and then behind it.
fn sponge_row(bytes: [Elem; BLOCK], state: &mut [Elem; 24]) -> sponge::Main<Elem> {
    for (state, three) in state.iter_mut().zip(bytes.as_chunks::<3>().0) {
        let [low, middle, high] = *three;
        *state = low + middle * Elem::from_u32(1 << 8) + high * Elem::from_u32(1 << 16);
    }
    let mut row = sponge::Main {
        bytes,
        cap: std::array::from_fn(|i| state[RATE + i]),
        early: [[Elem::ZERO; 24]; HALF],
        cubes: [Elem::ZERO; 23],
        late: [[Elem::ZERO; 24]; HALF],
    };
    P24.trace(state, &mut row.early, &mut row.cubes, &mut row.late);
    row
}

fn node_row(left_digest: [Elem; 8], right_digest: [Elem; 8]) -> node::Main<Elem> {
    let mut row = node::Main {
        left_digest,
        right_digest,
        early: [[Elem::ZERO; 16]; HALF],
        cubes: [Elem::ZERO; 20],
        late: [[Elem::ZERO; 16]; HALF],
    };
    let mut state = joined(left_digest, right_digest);
    P16.trace(&mut state, &mut row.early, &mut row.cubes, &mut row.late);
    row
}

fn noise_row(bytes: [Elem; BLOCK], rest: [Elem; 8]) -> noise::Main<Elem> {
    let mut row = noise::Main {
        bytes,
        rest,
        early: [[Elem::ZERO; 16]; HALF],
        cubes: [Elem::ZERO; 20],
        late: [[Elem::ZERO; 16]; HALF],
    };
    let mut state = joined(std::array::from_fn(|i| bytes[3 * i]), rest);
    P16.trace(&mut state, &mut row.early, &mut row.cubes, &mut row.late);
    row
}

fn joined(first: [Elem; 8], second: [Elem; 8]) -> [Elem; 16] {
    std::array::from_fn(|i| if i < 8 { first[i] } else { second[i - 8] })
}

impl Filler<'_> {
    /// The sponge table, and the plain bytes of its blocks.
    pub(super) fn sponge(
        &self,
        (opened, chain): (&Opened, &Chain),
        contents: &[Vec<Elem>],
        seed: &[Elem],
    ) -> Result<(MainOf, Vec<u8>)> {
        let leaves = &self.schedule.leaves;
        let (rows, width) = (leaves.sponge_rows(), TABLES.airs[index::SPONGE].mains);
        let (mut main, mut plain) = (Grid::zeros(width, rows), vec![0; rows * BLOCK]);
        let (mut cells, mut bytes) = (&mut main.values[..], &mut plain[..]);
        let mut jobs = Vec::with_capacity(leaves.hashed() + 1);
        let mut add = |values, rest, hash, blocks: usize| {
            let (own, left) = std::mem::take(&mut cells).split_at_mut(blocks * width);
            let (own_bytes, left_bytes) = std::mem::take(&mut bytes).split_at_mut(blocks * BLOCK);
            (cells, bytes) = (left, left_bytes);
            jobs.push(Job { bytes: values, rest, hash, cells: own, plain: own_bytes });
        };
        for tree in &leaves.trees {
            let nodes = opened.tree(tree.place, tree.tensor)?;
            for &leaf in &tree.leaves {
                let (values, salt): (&[u8], &Salt) = nodes.leaf(leaf)?;
                add(values, &salt[..], (domain::LEAF, 0), blocks(values.len()));
            }
        }
        let records = &leaves.records;
        let ends = records.firsts.windows(2);
        for ((&record, ends), elements) in records.list.iter().zip(ends).zip(contents) {
            add(&[], elements, self.hash_of(chain, record), ends[1] - ends[0]);
        }
        if !leaves.prf.is_empty() {
            add(&[], seed, (domain::SEED, 0), 1);
        }
        jobs.into_par_iter().with_min_len(8).for_each(Job::run);
        let padding = sponge_row([Elem::ZERO; BLOCK], &mut [Elem::ZERO; 24]);
        Ok((
            padded((index::SPONGE, MainTable { main, padding: vec![Elem::ZERO; width] }), padding),
            plain,
        ))
    }

    pub(super) fn node(&self, opened: &Opened, chain: &Chain) -> Result<Option<MainOf>> {
        let rows = &self.schedule.nodes.rows;
        let trees = &self.schedule.leaves.trees;
        let trees: Vec<_> =
            trees.iter().map(|tree| opened.tree(tree.place, tree.tensor)).collect::<Result<_>>()?;
        let filled = fill(self.schedule, index::NODE, |i, _| {
            let row = rows[i];
            let child = |side| {
                let (level, index) = (usize::from(row.level), row.index as usize + side);
                let of = |tree: &Tree| tree.levels()[level].get(index).copied().unwrap_or_default();
                match (row.tree as usize).checked_sub(trees.len()) {
                    None => trees[row.tree as usize].node(level, index).0,
                    Some(0) => of(&chain.records).0,
                    Some(_) => of(&chain.inputs).0,
                }
            };
            node_row(child(0), child(1))
        });
        let padding = node_row([Elem::ZERO; 8], [Elem::ZERO; 8]);
        Ok(filled.map(|table| padded(table, padding)))
    }

    pub(super) fn spread(&self, sponge: &Grid) -> Option<MainOf> {
        fill(self.schedule, index::SPREAD, |_, publics| spread::Main {
            bytes: *block(sponge, publics[spread::PUBLIC.block]),
        })
    }

    pub(super) fn wide(&self, memory: &Memory) -> Option<MainOf> {
        use wide::PUBLIC;
        fill(self.schedule, index::WIDE, |_, publics| {
            let (x, three) = (number(publics[PUBLIC.x]), number(publics[PUBLIC.three]));
            let (lo, hi) = (signed(publics[PUBLIC.lo]), signed(publics[PUBLIC.hi]));
            let bytes = memory.bytes(x, 2 + three);
            let raw = bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | i64::from(byte));
            let value = raw - signed(publics[PUBLIC.offset]);
            let byte = |i| if i < 2 + three { memory.read(x + i) } else { Elem::ZERO };
            wide::Main {
                bytes: std::array::from_fn(byte),
                v: Elem::from_i64(value),
                above: limbs((value - lo).into()),
                under: limbs((hi - value).into()),
            }
        })
    }

    /// The noise table, and all words.
    pub(super) fn noise(&self, sponge: &Grid, seed: &Key) -> (Option<MainOf>, Vec<u32>) {
        use noise::PUBLIC;
        let call = [PUBLIC.step, PUBLIC.domain, PUBLIC.block];
        let filled = fill(self.schedule, index::NOISE, |_, publics| {
            let [step, domain, block_at] = call.map(|c| publics[c]);
            let (prf, none) = (Elem::from_u32(domain::PRF), Elem::ZERO);
            let rest = [prf, step, domain, block_at, none, none, none, none];
            noise_row(*block(sponge, publics[PUBLIC.seed_block]), rest)
        });
        let words = self.schedule.table(index::NOISE).map(|table| {
            let words = |row: usize| {
                let [step, domain, block] = call.map(|c| number(table.publics.row(row)[c]));
                seed.prf_block(step, domain as u32, block)
            };
            (0..table.publics.rows()).flat_map(words).collect()
        });
        let padding = noise_row([Elem::ZERO; BLOCK], [Elem::ZERO; 8]);
        (filled.map(|table| padded(table, padding)), words.unwrap_or_default())
    }

    pub(super) fn bits(&self, words: &[u32]) -> Option<MainOf> {
        use bits::PUBLIC;
        debug_assert!(words.len().is_multiple_of(PRF_PER_CALL));
        fill(self.schedule, index::BITS, |_, publics| {
            let word = words.get(number(publics[PUBLIC.word_at])).copied().unwrap_or(0);
            let bits = publics[PUBLIC.power].as_canonical_u32().trailing_zeros();
            let (low, top) = (word & ((1 << WORD_BITS) - 1), word >> WORD_BITS);
            let (value, high) = (low & ((1 << bits) - 1), low >> bits);
            let mask = (1 << LIMB) - 1;
            let parts = |x: u32| [x & mask, x >> LIMB].map(Elem::from_u32);
            let (v, h) = (parts(value), parts(high));
            bits::Main {
                word: Elem::from_u32(word),
                v,
                h,
                v_scaled: times(v, &PUBLIC.sigma_v.map(|c| publics[c])),
                h_scaled: times(h, &PUBLIC.sigma_h.map(|c| publics[c])),
                top: Elem::from_u32(if top < 127 { top } else { 0 }),
                largest: Elem::from_bool(top >= 127),
            }
        })
    }
}

/// The bytes of a block, as they stand in the sponge table.
pub fn block(sponge: &Grid, number: Elem) -> &[Elem; BLOCK] {
    let row = sponge.row(self::number(number).min(sponge.rows() - 1));
    row[sponge::MAIN.bytes[0]..].first_chunk().expect("as many as a block has")
}

/// A table with this row on all rows that are not used: a permutation of zeros is not zero.
fn padded((index, mut table): MainOf, row: impl Row) -> MainOf {
    row.write(&mut table.padding);
    (index, table)
}
