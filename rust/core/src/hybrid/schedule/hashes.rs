//! Public columns of what is hashed and read: tables 0 to 3 and 11 to 14 of docs/hybrid.md section 4.

use p3_field::PrimeCharacteristicRing;

use super::requant::scale;
use super::write::{Row, table};
use super::{Builder, too_large};
use crate::commit::prf_bits;
use crate::error::Result;
use crate::hash::keys::PRF_PER_CALL;
use crate::hash::{Elem, domain};
use crate::hybrid::leaves::{PrfRead, blocks, data_elements};
use crate::hybrid::tables::{BLOCK, class, index};
use crate::stark::PublicTable;

/// Elements of a block.
const RATE: usize = BLOCK / 3;
/// Elements of a salt.
const SALT: usize = 5;
/// Elements of a prf seed.
const SEED: usize = 8;
/// Bits of a prf word that a value can have.
const WORD_BITS: u32 = 24;
const LIMB: u32 = 12;

/// A leaf, as its blocks need it.
struct LeafRows {
    block: usize,
    bytes: usize,
    tensor: usize,
}

impl Builder<'_> {
    pub(super) fn sponge(&self) -> Result<Option<PublicTable>> {
        let mut leaves = Vec::with_capacity(self.leaves.count);
        self.leaves.each(|tree, leaf, block| {
            let tensor = tree.tensor;
            let width = self.prepared.checked.program.tensors[tensor].width;
            let bytes = self.prepared.layout(tensor).leaf_len(leaf) * width;
            leaves.push(LeafRows { block, bytes, tensor });
        });
        let takes = self.takes();
        let classes: Vec<Elem> =
            (0..self.classes.ranges.len()).map(|class| Elem::from_u32(class as u32)).collect();
        table(index::SPONGE, takes.len(), self.hiding_rows, |row, out| {
            let uses = takes[row] as usize;
            if row >= self.leaves.blocks {
                return self.seed_row(row, uses, out);
            }
            let number = leaves.partition_point(|leaf| leaf.block <= row) - 1;
            let leaf = &leaves[number];
            let (block, elements) = (row - leaf.block, data_elements(leaf.bytes));
            let last = block + 1 == blocks(leaf.bytes);
            out.flag(block == 0);
            out.number(if block == 0 { elements + SALT } else { 0 });
            out.number(if block == 0 { domain::LEAF as usize } else { 0 });
            out.flag(!last);
            out.number(uses);
            out.flag(last);
            out.number(if last { number } else { 0 });
            let data = elements.saturating_sub(block * RATE).min(RATE);
            let filled = leaf.bytes.saturating_sub(block * BLOCK).min(BLOCK);
            (0..RATE).for_each(|j| out.flag(j < data));
            let of_byte = |j: usize| match j {
                _ if j < filled => classes[self.classes.of(leaf.tensor)],
                _ if j < 3 * data => classes[class::ZERO as usize],
                _ => Elem::ZERO,
            };
            (0..BLOCK).for_each(|j| out.element(of_byte(j)));
            out.number(row);
            let end = elements + SALT - block * RATE;
            (0..RATE).for_each(|j| out.flag(j >= end));
        })
    }

    fn seed_row(&self, row: usize, uses: usize, out: &mut Row) {
        out.flag(true);
        out.number(SEED);
        out.number(domain::SEED as usize);
        out.flag(false);
        out.number(uses);
        out.flag(true);
        out.number(self.leaves.count + self.nodes.rows.len());
        (0..RATE + BLOCK).for_each(|_| out.flag(false));
        out.number(row);
        (0..RATE).for_each(|j| out.flag(j >= SEED));
    }

    /// How often each block is taken.
    fn takes(&self) -> Vec<u32> {
        let mut takes = vec![0; self.leaves.sponge_rows()];
        self.addresses.spread.iter().for_each(|&block| takes[block as usize] += 1);
        for row in &self.rows.streams.blocks {
            row.blocks.iter().for_each(|&block| takes[block as usize] += 1);
        }
        if let Some(seed) = takes.get_mut(self.leaves.blocks) {
            *seed = self.calls().len() as u32;
        }
        takes
    }

    pub(super) fn node(&self) -> Result<Option<PublicTable>> {
        let rows = &self.nodes.rows;
        table(index::NODE, rows.len(), self.hiding_rows, |i, out| {
            out.flag(true);
            for child in [rows[i].left, rows[i].right] {
                out.number(child.unwrap_or(0) as usize);
                out.flag(child.is_some());
            }
            out.number(self.leaves.count + i);
            out.flag(rows[i].alone);
        })
    }

    pub(super) fn spread(&self) -> Result<Option<PublicTable>> {
        let rows = &self.addresses.spread;
        table(index::SPREAD, rows.len(), self.hiding_rows, |i, out| {
            out.flag(true);
            out.number(rows[i] as usize);
            self.addresses.of_block(rows[i]).iter().for_each(|&uses| out.number(uses as usize));
        })
    }

    pub(super) fn wide(&self) -> Result<Option<PublicTable>> {
        let rows = &self.addresses.wide;
        table(index::WIDE, rows.len(), self.hiding_rows, |i, out| {
            let tensor = &self.prepared.checked.program.tensors[rows[i].tensor as usize];
            out.flag(true);
            out.number(rows[i].x as usize);
            out.flag(tensor.width == 3);
            out.number(1 << (8 * tensor.width - 1));
            out.signed(tensor.lo.into());
            out.signed(tensor.hi.into());
            out.number(rows[i].uses as usize);
            out.number(self.addresses.first_wide + i);
        })
    }

    /// The calls of the prf, each with the values that it gives.
    fn calls(&self) -> Vec<&[PrfRead]> {
        let call = |read: &PrfRead| (read.step, read.domain, read.index as usize / PRF_PER_CALL);
        self.leaves.prf.chunk_by(|a, b| call(a) == call(b)).collect()
    }

    pub(super) fn noise(&self) -> Result<Option<PublicTable>> {
        let calls = self.calls();
        table(index::NOISE, calls.len(), self.hiding_rows, |i, out| {
            let first = calls[i][0];
            out.flag(true);
            out.number(self.leaves.blocks);
            out.number(first.step as usize);
            out.number(first.domain as usize);
            out.number(first.index as usize / PRF_PER_CALL);
            out.number(PRF_PER_CALL * i);
            let mut uses = [0; PRF_PER_CALL];
            calls[i].iter().for_each(|read| uses[read.index as usize % PRF_PER_CALL] += 1);
            uses.iter().for_each(|&uses| out.number(uses));
        })
    }

    pub(super) fn bits(&self) -> Result<Option<PublicTable>> {
        let reads: Vec<(usize, &PrfRead)> = self
            .calls()
            .into_iter()
            .enumerate()
            .flat_map(|(call, reads)| reads.iter().map(move |read| (call, read)))
            .collect();
        table(index::BITS, reads.len(), self.hiding_rows, |i, out| {
            let (call, read) = reads[i];
            let tensor = &self.prepared.checked.program.tensors[read.tensor as usize];
            let bits = prf_bits(tensor.lo, tensor.hi);
            out.flag(true);
            out.number(PRF_PER_CALL * call + read.index as usize % PRF_PER_CALL);
            out.signed(tensor.lo.into());
            out.number(1 << bits);
            for width in [bits, WORD_BITS - bits] {
                out.element(scale(width));
                out.element(scale(width.saturating_sub(LIMB)));
            }
            out.number(self.addresses.bits[i] as usize);
            out.number(self.addresses.first_bits + i);
        })
    }

    pub(super) fn act(&self) -> Result<Option<PublicTable>> {
        let program = &self.prepared.checked.program;
        let mut used = vec![false; program.tables.len()];
        for requant in self.plans.iter().flatten().filter_map(|plan| plan.requant()) {
            requant.table.iter().for_each(|&table| used[table] = true);
        }
        let mut rows = Vec::new();
        for number in (0..used.len()).filter(|&number| used[number]) {
            let table = &program.tables[number];
            let entries = (i64::from(table.lo)..).zip(&table.entries);
            rows.extend(entries.map(|(x, &y)| (number, x, i64::from(y))));
        }
        table(index::ACT, rows.len(), self.hiding_rows, |i, out| {
            let (number, x, y) = rows[i];
            out.flag(true);
            out.number(number);
            out.signed(x);
            out.signed(y);
        })
    }

    pub(super) fn range(&self) -> Result<Option<PublicTable>> {
        let rows = self.classes.rows();
        if rows.len() > 1 << super::write::MAX_LOG_ROWS {
            return Err(too_large("values in all ranges"));
        }
        table(index::RANGE, rows.len(), self.hiding_rows, |i, out| {
            out.flag(true);
            out.number(rows[i].0 as usize);
            out.number(rows[i].1 as usize);
        })
    }
}
