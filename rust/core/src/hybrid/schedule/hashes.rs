//! Public columns of what is hashed and read: tables 0 to 3, 11, 12, 15 and 16 of docs/hybrid.md section 4.

use p3_field::PrimeCharacteristicRing;

use super::Draft;
use super::requant::scales;
use super::write::{number, signed, table};
use crate::commit::prf_bits;
use crate::error::Result;
use crate::hash::keys::PRF_PER_CALL;
use crate::hash::{Elem, domain};
use crate::hybrid::leaves::{PrfRead, SALT, blocks, data_elements};
use crate::hybrid::tables::{
    BLOCK, RATE, WORD_BITS, act, bits, class, index, node, noise, range, sponge, spread, wide,
};
use crate::table::unwritten::Unwritten;

/// Elements of a prf seed.
const SEED: usize = 8;

/// A leaf, as its blocks need it.
struct LeafRows {
    block: usize,
    bytes: usize,
    class: Elem,
}

/// A record, as its blocks need it.
struct RecordRows {
    domain: Elem,
    aux: Elem,
    elements: usize,
    blocks: usize,
}

/// Flags of which the first ones are set, so many or all.
fn flags<const N: usize>(count: usize) -> [Elem; N] {
    let mut flags = [Elem::ZERO; N];
    flags[..count.min(N)].fill(Elem::ONE);
    flags
}

/// Flags of what stands behind the last of so many elements.
fn behind(elements: usize) -> [Elem; RATE] {
    flags(elements).map(|flag| Elem::ONE - flag)
}

/// A block of a leaf, which has a number among the leaves.
fn leaf_row(row: usize, (own, leaf): (usize, &LeafRows), uses: Elem) -> sponge::Public<Elem> {
    let (block, elements) = (row - leaf.block, data_elements(leaf.bytes));
    let (first, last) = (block == 0, block + 1 == blocks(leaf.bytes));
    let data = elements.saturating_sub(block * RATE).min(RATE);
    let filled = leaf.bytes.saturating_sub(block * BLOCK).min(BLOCK);
    // What is left of the last element is zero.
    let mut class = flags(3 * data).map(|flag| flag * number(class::ZERO as usize));
    class[..filled].fill(leaf.class);
    sponge::Public {
        first: Elem::from_bool(first),
        n: number(if first { elements + SALT } else { 0 }),
        domain: number(if first { domain::LEAF as usize } else { 0 }),
        aux: Elem::ZERO,
        link: Elem::from_bool(!last),
        uses,
        last: Elem::from_bool(last),
        node: number(if last { own } else { 0 }),
        data: flags(data),
        class,
        block: number(row),
        filling: behind(elements + SALT - block * RATE),
    }
}

/// A block of a record, which has a number among what is hashed: no element of it is made of bytes.
fn record_row(
    row: usize,
    (own, record): (usize, &RecordRows),
    block: usize,
    uses: Elem,
) -> sponge::Public<Elem> {
    let (first, last) = (block == 0, block + 1 == record.blocks);
    let on_first = |value: Elem| if first { value } else { Elem::ZERO };
    sponge::Public {
        first: Elem::from_bool(first),
        n: on_first(number(record.elements)),
        domain: on_first(record.domain),
        aux: on_first(record.aux),
        link: Elem::from_bool(!last),
        uses,
        last: Elem::from_bool(last),
        node: number(if last { own } else { 0 }),
        data: [Elem::ZERO; RATE],
        class: [Elem::ZERO; BLOCK],
        block: number(row),
        filling: behind(record.elements.saturating_sub(block * RATE)),
    }
}

impl Draft<'_> {
    pub(super) fn sponge(&self) -> Result<Option<Unwritten<'_>>> {
        let (mut leaves, mut owners) = (Vec::with_capacity(self.leaves.count), Vec::new());
        self.leaves.each(|tree, leaf, block| {
            let tensor = tree.tensor;
            let width = self.prepared.checked.program.tensors[tensor].width;
            let bytes = self.prepared.layout(tensor).leaf_len(leaf) * width;
            owners.resize(block + blocks(bytes), leaves.len() as u32);
            leaves.push(LeafRows { block, bytes, class: number(self.classes.of(tensor)) });
        });
        let takes = self.takes();
        let records: Vec<RecordRows> =
            (0..self.contents.parts.len()).map(|record| self.record_rows(record)).collect();
        table(index::SPONGE, takes.len(), self.heights, move |row| {
            let uses = number(takes[row] as usize);
            if let Some(&own) = owners.get(row) {
                return leaf_row(row, (own as usize, &leaves[own as usize]), uses);
            }
            if row < self.leaves.hashed_blocks() {
                let (record, block) = self.contents.rows[row - self.leaves.blocks];
                let own = (self.leaves.count + record as usize, &records[record as usize]);
                return record_row(row, own, block as usize, uses);
            }
            self.seed_row(row, uses)
        })
    }

    fn record_rows(&self, record: usize) -> RecordRows {
        let (domain, aux) = self.leaves.records.list[record].hash(self.prepared);
        let parts = self.contents.parts[record].iter();
        let firsts = &self.leaves.records.firsts;
        RecordRows {
            domain: number(domain as usize),
            aux: number(aux),
            elements: parts.map(|part| part.elements()).sum(),
            blocks: firsts[record + 1] - firsts[record],
        }
    }

    fn seed_row(&self, row: usize, uses: Elem) -> sponge::Public<Elem> {
        sponge::Public {
            first: Elem::ONE,
            n: number(SEED),
            domain: number(domain::SEED as usize),
            aux: Elem::ZERO,
            link: Elem::ZERO,
            uses,
            last: Elem::ONE,
            node: number(self.nodes.number(self.nodes.rows.len())),
            data: [Elem::ZERO; RATE],
            class: [Elem::ZERO; BLOCK],
            block: number(row),
            filling: behind(SEED),
        }
    }

    /// How often each block is taken.
    fn takes(&self) -> Vec<u32> {
        let mut takes = vec![0; self.leaves.sponge_rows()];
        self.addresses.spread.iter().for_each(|&block| takes[block as usize] += 1);
        for row in &self.rows.streams.blocks {
            row.blocks.iter().for_each(|&block| takes[block as usize] += 1);
        }
        let (blocks, hashed) = (self.leaves.blocks, self.leaves.hashed_blocks());
        takes[blocks..hashed].fill(1);
        if let Some(seed) = takes.get_mut(hashed) {
            *seed = self.calls().len() as u32;
        }
        takes
    }

    pub(super) fn node(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.nodes.rows;
        table(index::NODE, rows.len(), self.heights, move |i| {
            let child = |child: Option<u32>| {
                (number(child.unwrap_or(0) as usize), Elem::from_bool(child.is_some()))
            };
            let ((left, has_left), (right, has_right)) =
                (child(rows[i].left), child(rows[i].right));
            node::Public {
                on: Elem::ONE,
                left,
                has_left,
                right,
                has_right,
                out: number(self.nodes.number(i)),
                alone: Elem::from_bool(rows[i].alone),
            }
        })
    }

    pub(super) fn spread(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.addresses.spread;
        table(index::SPREAD, rows.len(), self.heights, move |i| spread::Public {
            on: Elem::ONE,
            block: number(rows[i] as usize),
            uses: self.addresses.of_block(rows[i]).map(|uses| number(uses as usize)),
        })
    }

    pub(super) fn wide(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.addresses.wide;
        table(index::WIDE, rows.len(), self.heights, move |i| {
            let tensor = &self.prepared.checked.program.tensors[rows[i].tensor as usize];
            wide::Public {
                on: Elem::ONE,
                x: number(rows[i].x as usize),
                three: Elem::from_bool(tensor.width == 3),
                offset: number(1 << (8 * tensor.width - 1)),
                lo: signed(tensor.lo),
                hi: signed(tensor.hi),
                uses: number(rows[i].uses as usize),
                address: number(self.addresses.first_wide + i),
            }
        })
    }

    /// The calls of the prf, each with the values that it gives.
    fn calls(&self) -> Vec<&[PrfRead]> {
        let call = |read: &PrfRead| (read.step, read.domain, read.index as usize / PRF_PER_CALL);
        self.leaves.prf.chunk_by(|a, b| call(a) == call(b)).collect()
    }

    pub(super) fn noise(&self) -> Result<Option<Unwritten<'_>>> {
        let calls = self.calls();
        table(index::NOISE, calls.len(), self.heights, move |i| {
            let first = calls[i][0];
            let mut uses = [0; PRF_PER_CALL];
            calls[i].iter().for_each(|read| uses[read.index as usize % PRF_PER_CALL] += 1);
            noise::Public {
                on: Elem::ONE,
                seed_block: number(self.leaves.hashed_blocks()),
                step: number(first.step as usize),
                domain: number(first.domain as usize),
                block: number(first.index as usize / PRF_PER_CALL),
                first_word: number(PRF_PER_CALL * i),
                uses: uses.map(number),
            }
        })
    }

    pub(super) fn bits(&self) -> Result<Option<Unwritten<'_>>> {
        let reads: Vec<(usize, &PrfRead)> = self
            .calls()
            .into_iter()
            .enumerate()
            .flat_map(|(call, reads)| reads.iter().map(move |read| (call, read)))
            .collect();
        table(index::BITS, reads.len(), self.heights, move |i| {
            let (call, read) = reads[i];
            let tensor = &self.prepared.checked.program.tensors[read.tensor as usize];
            let bits = prf_bits(tensor.lo, tensor.hi);
            bits::Public {
                on: Elem::ONE,
                word_at: number(PRF_PER_CALL * call + read.index as usize % PRF_PER_CALL),
                lo: signed(tensor.lo),
                power: number(1 << bits),
                sigma_v: scales(bits),
                sigma_h: scales(WORD_BITS - bits),
                uses: number(self.addresses.bits[i] as usize),
                address: number(self.addresses.first_bits + i),
            }
        })
    }

    pub(super) fn act(&self) -> Result<Option<Unwritten<'_>>> {
        let program = &self.prepared.checked.program;
        let mut used = vec![false; program.tables.len()];
        for requant in self.plans.iter().flatten().filter_map(|plan| plan.requant()) {
            requant.table.iter().for_each(|&table| used[table] = true);
        }
        let used: Vec<usize> = (0..used.len()).filter(|&number| used[number]).collect();
        self.heights
            .judge(used.iter().map(|&number| program.tables[number].entries.len()).sum())?;
        let mut rows = Vec::new();
        for number in used {
            let table = &program.tables[number];
            let entries = (i64::from(table.lo)..).zip(&table.entries);
            rows.extend(entries.map(|(x, &y)| (number, x, i64::from(y))));
        }
        table(index::ACT, rows.len(), self.heights, move |i| {
            let (table, x, y) = rows[i];
            act::Public { on: Elem::ONE, table: number(table), x: signed(x), y: signed(y) }
        })
    }

    pub(super) fn range(&self) -> Result<Option<Unwritten<'_>>> {
        self.heights.judge(self.classes.len())?;
        let rows = self.classes.rows();
        table(index::RANGE, rows.len(), self.heights, move |i| {
            let [class, x] = [rows[i].0, rows[i].1].map(|value| number(value as usize));
            range::Public { on: Elem::ONE, class, x }
        })
    }
}
