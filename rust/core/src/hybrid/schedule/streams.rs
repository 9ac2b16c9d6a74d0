//! The products of dot gates, as streams of rows (docs/hybrid.md section 4, tables 4 and 5).

use p3_field::PrimeCharacteristicRing;

use super::operands::{At, Context, Factor, Pairs, Stretch};
use super::plans::TermPlan;
use super::rows::{GateAt, Rows, Scratch};
use crate::error::Result;
use crate::hash::Elem;
use crate::hybrid::tables::{BLOCK, PRODUCTS, SLOTS};

/// Products that a row of two blocks must hold on average.
const PER_ROW: usize = 12;
/// Limbs of an operand of a wide accumulator.
const LIMBS: usize = 3;

/// Products of two blocks.
#[derive(Clone)]
pub struct BlockRow {
    pub blocks: [u32; 2],
    /// `128 + zero` of both sides.
    pub centers: [Elem; 2],
    pub times: Times,
    pub slot: u32,
    pub last: bool,
}

/// How often each pair of bytes of two blocks is multiplied.
#[derive(Clone)]
pub enum Times {
    /// Once where a bit is set, from the lowest on: nearly all rows, so they are kept short.
    Once(u64),
    Often(Box<[u32; BLOCK]>),
}

impl Times {
    fn of(times: [u32; BLOCK]) -> Self {
        if times.iter().any(|&times| times > 1) {
            return Self::Often(Box::new(times));
        }
        Self::Once(times.iter().rev().fold(0, |bits, &times| (2 * bits) | u64::from(times)))
    }

    /// As columns.
    pub fn elements(&self) -> [Elem; BLOCK] {
        match self {
            Self::Once(bits) => std::array::from_fn(|j| Elem::from_bool(bits >> j & 1 == 1)),
            Self::Often(times) => times.map(Elem::from_u32),
        }
    }
}

/// A row of [`PRODUCTS`] products.
#[derive(Clone, Copy)]
pub struct ReadRow {
    pub slot: u32,
    pub last: bool,
}

#[derive(Default)]
pub struct Streams {
    pub blocks: Vec<BlockRow>,
    pub reads: Vec<ReadRow>,
    /// Those of all `reads`, one after the other.
    pub products: Vec<[Factor; 2]>,
    /// Values that are read by limbs although their tensors have narrower ranges than bytes.
    pub ranged: Vec<At>,
}

/// Part of a block beside part of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    blocks: [u32; 2],
    first: u32,
    len: u32,
}

impl Streams {
    /// Makes room for the rows of others.
    pub fn reserve(&mut self, others: &[Rows]) {
        let all = |len: fn(&Self) -> usize| others.iter().map(|rows| len(&rows.streams)).sum();
        self.blocks.reserve_exact(all(|streams| streams.blocks.len()));
        self.reads.reserve_exact(all(|streams| streams.reads.len()));
        self.products.reserve_exact(all(|streams| streams.products.len()));
    }

    pub fn append(&mut self, mut other: Self) {
        self.blocks.append(&mut other.blocks);
        self.reads.append(&mut other.reads);
        self.products.append(&mut other.products);
        self.ranged.append(&mut other.ranged);
    }

    /// Adds the products of a direct accumulator: whether there are aligned ones, and others.
    pub fn add_direct(
        &mut self,
        context: &Context,
        terms: &[TermPlan],
        at: GateAt,
        number: usize,
        scratch: &mut Scratch,
    ) -> Result<(bool, bool)> {
        let (blocks, products) = (self.blocks.len(), self.products.len());
        let slot = (SLOTS * number) as u32;
        if scratch.terms.len() < terms.len() {
            scratch.terms.resize_with(terms.len(), Default::default);
        }
        for (term, [a, b]) in terms.iter().zip(&mut scratch.terms) {
            a.fill(&term.a, context, at, term.size)?;
            b.fill(&term.b, context, at, term.size)?;
            let (a, b) = (&a.stretches, &b.stretches);
            let cuts = term.committed.then(|| aligned(a, b, term.size)).flatten();
            match cuts {
                Some(cuts) => {
                    let centers =
                        [&term.a, &term.b].map(|source| Elem::from_i64(128 + source.zero()));
                    self.add_blocks(&cuts, centers, slot);
                }
                None => {
                    for pair in Pairs::new(a, b) {
                        let (a, b) = pair.first;
                        let product = |j: usize| [pair.a.factor(a + j), pair.b.factor(b + j)];
                        self.products.extend((0..pair.len).map(product));
                    }
                }
            }
        }
        if let Some(row) = self.blocks[blocks..].last_mut() {
            row.last = true;
        }
        let has_reads = self.products.len() > products;
        self.end_reads(slot + 1);
        Ok((self.blocks.len() > blocks, has_reads))
    }

    /// Adds a row for each pair of blocks.
    fn add_blocks(&mut self, cuts: &[Cut], centers: [Elem; 2], slot: u32) {
        for of_row in cuts.chunk_by(|a, b| a.blocks == b.blocks) {
            let mut times = [0; BLOCK];
            for cut in of_row {
                let (first, len) = (cut.first as usize, cut.len as usize);
                times[first..first + len].iter_mut().for_each(|times| *times += 1);
            }
            let (blocks, times) = (of_row[0].blocks, Times::of(times));
            self.blocks.push(BlockRow { blocks, centers, times, slot, last: false });
        }
    }

    /// Makes rows of the products that have none yet.
    fn end_reads(&mut self, slot: u32) {
        let rows = self.products.len().div_ceil(PRODUCTS);
        self.products.resize(rows * PRODUCTS, [Factor::default(); 2]);
        let row = |row| ReadRow { slot, last: row + 1 == rows };
        self.reads.extend((self.reads.len()..rows).map(row));
    }

    /// Adds the products of a wide accumulator; bit `3i + j` of the result: limbs i and j have some.
    pub fn add_wide(
        &mut self,
        context: &Context,
        terms: &[TermPlan],
        at: GateAt,
        number: usize,
    ) -> Result<u16> {
        let mut operands = Vec::with_capacity(terms.len());
        for term in terms {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for (source, stretches) in [(&term.a, &mut a), (&term.b, &mut b)] {
                source.fill(context, at.place(), term.size, stretches)?;
                if source.is_narrow(context) {
                    let wide = stretches.iter().filter(|stretch| stretch.width > 1);
                    let each = |s: &Stretch| (0..s.len).map(|j| s.factor(j).at).collect::<Vec<_>>();
                    self.ranged.extend(wide.flat_map(each));
                }
            }
            operands.push((a, b));
        }
        let mut has = 0;
        for n in 0..LIMBS * LIMBS {
            let before = self.products.len();
            for (a, b) in &operands {
                self.add_limbs(a, b, (n / LIMBS, n % LIMBS));
            }
            has |= u16::from(self.products.len() > before) << n;
            self.end_reads((SLOTS * number + 2 + n) as u32);
        }
        Ok(has)
    }

    fn add_limbs(&mut self, a: &[Stretch], b: &[Stretch], (i, j): (usize, usize)) {
        for pair in Pairs::new(a, b) {
            if pair.a.limbs() > i && pair.b.limbs() > j {
                let (a, b) = pair.first;
                let product = |n: usize| [pair.a.limb(a + n, i), pair.b.limb(b + n, j)];
                self.products.extend((0..pair.len).map(product));
            }
        }
    }
}

/// The parts of blocks of which a term consists, sorted; `None` if it is not aligned.
fn aligned(a: &[Stretch], b: &[Stretch], size: usize) -> Option<Vec<Cut>> {
    let mut cuts: Vec<Cut> = Vec::new();
    let mut sorted = true;
    for pair in Pairs::new(a, b) {
        let (x, y) = (pair.a.bytes()? + pair.first.0, pair.b.bytes()? + pair.first.1);
        if x % BLOCK != y % BLOCK {
            return None;
        }
        let mut done = 0;
        while done < pair.len {
            let first = (x + done) % BLOCK;
            let len = (pair.len - done).min(BLOCK - first);
            let blocks = [x + done, y + done].map(|address| (address / BLOCK) as u32);
            let cut = Cut { blocks, first: first as u32, len: len as u32 };
            sorted &= cuts.last().is_none_or(|last| *last <= cut);
            cuts.push(cut);
            done += len;
        }
    }
    if !sorted {
        cuts.sort_unstable();
    }
    let rows = cuts.chunk_by(|a, b| a.blocks == b.blocks).count();
    (PER_ROW * rows <= size).then_some(cuts)
}
