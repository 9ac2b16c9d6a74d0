//! Addresses of the read bus and how often each is read (docs/hybrid.md section 2).

use super::operands::{At, Place};
use super::rows::Rows;
use crate::commit::Prepared;
use crate::hybrid::leaves::Leaves;
use crate::hybrid::tables::BLOCK;

/// A value of width 2 or 3 that is read whole.
#[derive(Clone, Copy)]
pub struct WideRow {
    pub x: u32,
    pub tensor: u32,
    pub uses: u32,
}

/// Where everything that is read stands, and how often it is.
pub struct Addresses {
    pub wide: Vec<WideRow>,
    /// Row of the wide table, by address of the first byte.
    wide_rows: Vec<u32>,
    /// Reads of each byte.
    bytes: Vec<u32>,
    /// Blocks of which some byte is read, ascending.
    pub spread: Vec<u32>,
    /// Reads of each row of the bits table.
    pub bits: Vec<u32>,
    /// Address of the first wide value and of the first bits value.
    pub first_wide: usize,
    pub first_bits: usize,
}

impl Addresses {
    /// Of these rows, and of `outputs`: ranges of bytes that the public terms read.
    pub fn new(
        prepared: &Prepared,
        leaves: &Leaves,
        rows: &Rows,
        outputs: &[std::ops::Range<usize>],
    ) -> Self {
        let size = BLOCK * leaves.sponge_rows();
        // Zeroed pages cost nothing until they are touched.
        let (mut bytes, mut whole) = (vec![0u32; size], vec![0u32; size]);
        let mut bits = vec![0u32; leaves.prf.len()];
        let mut touched = vec![false; leaves.blocks];
        rows.each_read(|place| match place {
            Place::Nowhere => {}
            Place::Byte(at) => {
                bytes[at] += 1;
                touched[at / BLOCK] = true;
            }
            Place::Wide(at) => {
                whole[at] += 1;
                touched[at / BLOCK] = true;
            }
            Place::Bits(row) => bits[row] += 1,
        });
        // Values that are only ranged take a row of the wide table, too.
        let mut ranged = vec![false; if rows.streams.ranged.is_empty() { 0 } else { size }];
        for at in &rows.streams.ranged {
            if let Place::Wide(at) = at.place() {
                ranged[at] = true;
                touched[at / BLOCK] = true;
            }
        }
        for range in outputs {
            bytes[range.clone()].iter_mut().for_each(|uses| *uses += 1);
            range.clone().step_by(BLOCK).for_each(|at| touched[at / BLOCK] = true);
        }
        let mut wide = Vec::new();
        leaves.each(|tree, leaf, block| {
            let width = prepared.checked.program.tensors[tree.tensor].width;
            if width == 1 {
                return;
            }
            let first = BLOCK * block;
            let end = first + prepared.layout(tree.tensor).leaf_len(leaf) * width;
            for block in (first..end).step_by(BLOCK).filter(|at| touched[at / BLOCK]) {
                for x in (block..end.min(block + BLOCK)).step_by(width) {
                    let uses = whole[x];
                    if uses > 0 || ranged.get(x) == Some(&true) {
                        whole[x] = wide.len() as u32;
                        bytes[x..x + width].iter_mut().for_each(|uses| *uses += 1);
                        wide.push(WideRow { x: x as u32, tensor: tree.tensor as u32, uses });
                    }
                }
            }
        });
        let spread = (0..).zip(&touched).filter(|(_, touched)| **touched).map(|(block, _)| block);
        Self {
            first_wide: size,
            first_bits: size + wide.len(),
            spread: spread.collect(),
            wide,
            wide_rows: whole,
            bytes,
            bits,
        }
    }

    /// Reads of the bytes of a block.
    pub fn of_block(&self, block: u32) -> &[u32] {
        &self.bytes[block as usize * BLOCK..][..BLOCK]
    }

    /// The address of a place; `None` of nowhere.
    pub fn address(&self, at: At) -> Option<usize> {
        match at.place() {
            Place::Nowhere => None,
            Place::Byte(address) => Some(address),
            Place::Wide(address) => Some(self.first_wide + self.wide_rows[address] as usize),
            Place::Bits(row) => Some(self.first_bits + row),
        }
    }
}
