//! The leaves of a segment, their blocks and those of its records (docs/hybrid.md section 2).

use rayon::prelude::*;

use super::records::Records;
use super::schedule::too_large;
use super::segments::Item;
use super::tables::{BLOCK, RATE};
use crate::commit::{Course, Place, Prepared};
use crate::error::{Error, Result};
use crate::program::{GatePlan, Op, Run, Source};

/// Sponge rows that a segment can have at most.
pub const MAX_BLOCKS: usize = 1 << 22;
/// Elements of a salt.
pub const SALT: usize = 5;
/// Items that one task looks at.
pub const ITEMS_PER_TASK: usize = 64;

/// Field elements of a leaf of so many bytes, without its salt.
pub fn data_elements(bytes: usize) -> usize {
    bytes.div_ceil(3)
}

/// Sponge blocks of a leaf of so many bytes.
pub fn blocks(bytes: usize) -> usize {
    (data_elements(bytes) + SALT).div_ceil(RATE)
}

/// A leaf of a tree; ordered like trees and leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    fn new(place: Place, tensor: usize, leaf: usize) -> Self {
        Self(place.number() << 38 | (tensor as u64) << 26 | leaf as u64)
    }

    fn place(self) -> Place {
        Place::of_number(self.0 >> 38)
    }

    fn tensor(self) -> usize {
        (self.0 >> 26 & 0xfff) as usize
    }

    fn leaf(self) -> usize {
        (self.0 & 0x3ff_ffff) as usize
    }
}

/// A value of a prf tensor that some gate reads; ordered like the rows of the bits table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrfRead {
    /// Global position of the step.
    pub step: u32,
    pub domain: u32,
    pub index: u32,
    /// Two tensors could share a domain.
    pub tensor: u32,
}

/// What the items of a segment read and define.
#[derive(Default)]
struct Reads {
    leaves: Vec<Key>,
    prf: Vec<PrfRead>,
}

impl Reads {
    fn add_run(
        &mut self,
        (prepared, course): (&Prepared, &Course),
        tensor: usize,
        step: usize,
        run: Run,
    ) -> Result<()> {
        if run.len > MAX_BLOCKS {
            return Err(too_large("elements of one read"));
        }
        let Some((place, number)) = prepared.tree_of(tensor, step) else {
            let Source::Prf { domain } = prepared.checked.program.tensors[tensor].source else {
                return Ok(());
            };
            let index = |j: usize| run.start.wrapping_add_signed(run.step * j as isize) as u32;
            let position = course.position(step) as u32;
            let read =
                |j| PrfRead { step: position, domain, index: index(j), tensor: tensor as u32 };
            self.prf.extend((0..run.len).map(read));
            return Ok(());
        };
        prepared.parts(tensor, run, |leaf, _, _| {
            let leaf = prepared.leaf_in(course, tensor, step, leaf)?;
            let key = Key::new(place, number, leaf);
            if self.leaves.last() != Some(&key) {
                self.leaves.push(key);
            }
            Ok(())
        })
    }

    /// Of the gates of one op, each of a step: what several of them read is looked at once.
    fn of_gates(
        prepared: &Prepared,
        course: &Course,
        op: &Op,
        gates: impl Iterator<Item = (usize, usize)> + Clone,
    ) -> Result<Self> {
        let plan = GatePlan::new(&prepared.checked.program, op);
        let mut all = Self::default();
        for operand in 0..plan.operand_count() {
            let firsts = plan.distinct(operand, gates.clone());
            let tasks = firsts.par_chunks(ITEMS_PER_TASK).map(|firsts| {
                let (mut reads, mut done) = (Self::default(), Ok(()));
                for &(step, gate) in firsts {
                    plan.runs_of(operand, gate, None, &mut |tensor, run| {
                        if done.is_ok() {
                            done = reads.add_run((prepared, course), tensor, step, run);
                        }
                    });
                }
                reads.tidy();
                done.map(|()| reads)
            });
            all = all.join(tasks.try_reduce(Self::default, |a, b| Ok(a.join(b)))?);
        }
        for (step, gate) in gates {
            let run = Run { start: gate, step: 0, len: 1 };
            all.add_run((prepared, course), op.out, step, run)?;
        }
        all.tidy();
        Ok(all)
    }

    fn of_items(prepared: &Prepared, course: &Course, items: &[Item]) -> Result<Self> {
        let program = &prepared.checked.program;
        let mut all = Self::default();
        for items in items.chunk_by(|a, b| a.op() == b.op()) {
            if let Some(op) = items[0].op() {
                let gates = items.iter().filter_map(Item::gate);
                all = all.join(Self::of_gates(prepared, course, &program.ops[op], gates)?);
            }
            for item in items {
                if let Item::Output { step, port, leaf } = *item {
                    let tensor = program.outputs[port].tensor;
                    all.leaves.push(Key::new(Place::Step(step), tensor, leaf));
                }
            }
        }
        all.tidy();
        Ok(all)
    }

    fn tidy(&mut self) {
        self.leaves.sort_unstable();
        self.leaves.dedup();
        self.prf.sort_unstable();
        self.prf.dedup();
    }

    fn join(mut self, mut other: Self) -> Self {
        self.leaves.append(&mut other.leaves);
        self.prf.append(&mut other.prf);
        self
    }
}

/// The opened leaves of one tree.
#[derive(Clone, Debug)]
pub struct TreeLeaves {
    pub place: Place,
    pub tensor: usize,
    /// Number of the first leaf among those of the segment.
    pub first: usize,
    /// Leaves within the tree, ascending.
    pub leaves: Vec<usize>,
    /// First block of each leaf.
    blocks: Vec<u32>,
    /// First block by leaf, plus 1, where that is not much longer than `leaves`.
    dense: Vec<u32>,
    width: usize,
}

impl TreeLeaves {
    /// The address of the value in a slot of a leaf.
    pub fn address(&self, leaf: usize, slot: usize) -> Result<u32> {
        let block = match self.dense.get(leaf) {
            Some(&block) => block.checked_sub(1),
            None => self.leaves.binary_search(&leaf).ok().map(|i| self.blocks[i]),
        };
        let address = |block: u32| block * BLOCK as u32 + (slot * self.width) as u32;
        block.map(address).ok_or_else(|| Error::new("internal", "a leaf is not in its segment"))
    }
}

/// All leaves of a segment.
#[derive(Clone, Debug)]
pub struct Leaves {
    pub trees: Vec<TreeLeaves>,
    /// Number of leaves.
    pub count: usize,
    /// Blocks of all leaves.
    pub blocks: usize,
    /// What the roots of their trees stand in, and what the items ask for.
    pub records: Records,
    /// Prf values read, ascending.
    pub prf: Vec<PrfRead>,
}

impl Leaves {
    /// The leaves that these items open.
    ///
    /// # Errors
    /// `verify.too-large` for more blocks than a table can have.
    pub fn new(prepared: &Prepared, course: &Course, items: &[Item]) -> Result<Self> {
        let reads = Reads::of_items(prepared, course, items)?;
        let (mut trees, mut count, mut total) = (Vec::new(), 0, 0usize);
        for keys in reads.leaves.chunk_by(|a, b| a.0 >> 26 == b.0 >> 26) {
            let (place, tensor) = (keys[0].place(), keys[0].tensor());
            let width = prepared.checked.program.tensors[tensor].width;
            let layout = prepared.layout(tensor);
            let leaves: Vec<usize> = keys.iter().map(|key| key.leaf()).collect();
            let mut firsts = Vec::with_capacity(leaves.len());
            for &leaf in &leaves {
                firsts.push(total as u32);
                total += blocks(layout.leaf_len(leaf) * width);
                if total > MAX_BLOCKS {
                    return Err(too_large("blocks"));
                }
            }
            let mut dense = Vec::new();
            if layout.leaves() <= 8 * leaves.len() + 16 {
                dense.resize(layout.leaves(), 0);
                leaves.iter().zip(&firsts).for_each(|(&leaf, &first)| dense[leaf] = first + 1);
            }
            let first = count;
            count += leaves.len();
            trees.push(TreeLeaves { place, tensor, first, leaves, blocks: firsts, dense, width });
        }
        let records = Records::new(prepared, course.steps, &trees, items);
        if total + records.blocks() > MAX_BLOCKS {
            return Err(too_large("blocks"));
        }
        Ok(Self { trees, count, blocks: total, records, prf: reads.prf })
    }

    /// The leaves of one tree.
    ///
    /// # Errors
    /// Where none is opened.
    pub fn tree(&self, place: Place, tensor: usize) -> Result<&TreeLeaves> {
        let found = self.trees.binary_search_by_key(&(place, tensor), |t| (t.place, t.tensor));
        found
            .map(|i| &self.trees[i])
            .map_err(|_| Error::new("internal", "a tree is not in its segment"))
    }

    /// Blocks of leaves and records.
    pub fn hashed_blocks(&self) -> usize {
        self.blocks + self.records.blocks()
    }

    /// Rows of the sponge table: the blocks, and the prf seed's.
    pub fn sponge_rows(&self) -> usize {
        self.hashed_blocks() + usize::from(!self.prf.is_empty())
    }

    /// Leaves and records: what nodes are numbered behind.
    pub fn hashed(&self) -> usize {
        self.count + self.records.list.len()
    }

    /// Visits every leaf in order: its tree, its number within, its first block.
    pub fn each(&self, mut visit: impl FnMut(&TreeLeaves, usize, usize)) {
        for tree in &self.trees {
            for (&leaf, &block) in tree.leaves.iter().zip(&tree.blocks) {
                visit(tree, leaf, block as usize);
            }
        }
    }
}
