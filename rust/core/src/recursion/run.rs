//! The rows of a machine worked out, from what a proof says.

use p3_field::{Field, PrimeCharacteristicRing};

use super::machine::{Block, Cell, DotRow, FieldRow, HashRow, Machine, Step, Use};
use super::tables::{BLOCK, CELLS, TABLES, bits, cells, dot, field, hash, index};
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::hash::poseidon::p16;
use crate::stark::MainTable;
use crate::stark::field::{DIM, K, coefficients, from_coefficients};
use crate::table::columns::{Row, written};
use crate::table::permutation::{HALF, P16};

/// Everything that has a number, and what rows hold beyond it.
struct Memory {
    blocks: Vec<[Elem; BLOCK]>,
    cells: Vec<K>,
    coefficients: Vec<[K; CELLS]>,
    bits: Vec<bool>,
    /// Inputs of the hash rows; halves of a path are swapped already.
    hash: Vec<([Elem; 16], bool)>,
    /// Sums before each row, and after; whether the last one goes on.
    dot: Vec<[K; 2]>,
    linked: bool,
    /// The elements of K of each row.
    packed: Vec<[Elem; CELLS * DIM]>,
    drawn: Vec<Drawn>,
    field: Vec<[K; 4]>,
    /// Whether a demand that is not met is passed over, which only those who try to lie do.
    lenient: bool,
}

#[derive(Clone, Copy)]
struct Drawn {
    digit: bool,
    sum: Elem,
    ones: bool,
    x: Elem,
}

fn unsatisfied(what: &str) -> Error {
    Error::new("prove.witness", "a proof that is to be proven does not verify").received(what)
}

fn half(input: &[Elem; 16], right: bool) -> [Elem; BLOCK] {
    let at = if right { BLOCK } else { 0 };
    std::array::from_fn(|i| input[at + i])
}

impl Machine {
    /// The main columns of all tables.
    ///
    /// # Errors
    /// `prove.witness` where a demand is not met.
    pub fn witness(&self) -> Result<Vec<MainTable>> {
        Ok(self.columns(&self.run(false)?))
    }

    /// The same, whatever is demanded: the rows must refuse it.
    #[cfg(test)]
    pub fn lenient_witness(&self) -> Result<Vec<MainTable>> {
        Ok(self.columns(&self.run(true)?))
    }

    /// What stands in these cells, whatever is demanded.
    #[cfg(test)]
    pub fn values(&self, cells: &[Cell]) -> Result<Vec<K>> {
        let memory = self.run(true)?;
        Ok(cells.iter().map(|cell| memory.cells[cell.0 as usize]).collect())
    }

    fn columns(&self, memory: &Memory) -> Vec<MainTable> {
        let one = |index: usize, main, padding: Option<Vec<Elem>>| MainTable {
            main,
            padding: padding.unwrap_or_else(|| vec![Elem::ZERO; TABLES.airs[index].mains]),
        };
        let mut idle = vec![Elem::ZERO; TABLES.airs[index::HASH].mains];
        hash_row(&[Elem::ZERO; 16], false, false).write(&mut idle);
        let mains = |index: usize| TABLES.airs[index].mains;
        let hash = written(mains(index::HASH), self.hash.len(), |i| {
            let (input, swap) = &memory.hash[i];
            hash_row(input, self.hash[i].feed, *swap)
        });
        let dot = written(mains(index::DOT), self.dot.len(), |i| memory.dot_row(&self.dot[i], i));
        let cells = written(mains(index::CELLS), memory.packed.len(), |i| cells::Main {
            elements: memory.packed[i],
        });
        let bits = written(mains(index::BITS), self.bits.len(), |i| {
            let Drawn { digit, sum, ones, x } = memory.drawn[i];
            let words = self.bits[i].end.map_or([Elem::ZERO; BLOCK], |end| memory.block(end.block));
            let [digit, ones] = [digit, ones].map(Elem::from_bool);
            bits::Main { digit, sum, ones, x, words }
        });
        let field = written(mains(index::FIELD), memory.field.len(), |number| field::Main {
            x: memory.field[number].map(|x| std::array::from_fn(|i| coefficients(&x)[i])),
        });
        vec![
            one(index::HASH, hash, Some(idle)),
            one(index::DOT, dot, None),
            one(index::CELLS, cells, None),
            one(index::BITS, bits, None),
            one(index::FIELD, field, None),
        ]
    }

    fn run(&self, lenient: bool) -> Result<Memory> {
        let mut memory = Memory {
            blocks: vec![[Elem::ZERO; BLOCK]; self.block_uses.len()],
            cells: vec![K::ZERO; self.cell_uses.len()],
            coefficients: vec![[K::ZERO; CELLS]; self.coefficient_uses.len()],
            bits: vec![false; self.bit_uses.len()],
            hash: Vec::with_capacity(self.hash.len()),
            dot: Vec::with_capacity(self.dot.len()),
            linked: false,
            packed: Vec::with_capacity(self.cells.len()),
            drawn: Vec::with_capacity(self.bits.len()),
            field: Vec::with_capacity(self.field.len()),
            lenient,
        };
        let mut inputs = self.inputs.iter().copied();
        let mut last = [Elem::ZERO; 16];
        for step in &self.order {
            match step {
                Step::Hash => {
                    let number = memory.hash.len();
                    let above = number.checked_sub(1).map(|i| &self.hash[i]);
                    memory.hash(&self.hash[number], above, &mut last, &mut inputs)?;
                }
                Step::Dot => memory.dot(&self.dot[memory.dot.len()]),
                Step::Cells => memory.pack(self),
                Step::Bits => memory.draw(self)?,
                Step::Field => memory.compute(&self.field[memory.field.len()])?,
            }
        }
        if inputs.next().is_some() {
            return Err(unsatisfied("blocks are left over"));
        }
        Ok(memory)
    }
}

impl Memory {
    /// Fails, unless demands are passed over.
    fn unmet(&self, what: &str) -> Result<()> {
        if self.lenient { Ok(()) } else { Err(unsatisfied(what)) }
    }

    fn block(&self, block: Block) -> [Elem; BLOCK] {
        self.blocks[block.0 as usize]
    }

    fn cell(&self, cell: Use<Cell>) -> K {
        match cell {
            Use::Take(cell) => self.cells[cell.0 as usize],
            _ => K::ZERO,
        }
    }

    /// `last` is the output of the row above: a digest or what a sponge goes on with.
    fn hash(
        &mut self,
        row: &HashRow,
        above: Option<&HashRow>,
        last: &mut [Elem; 16],
        inputs: &mut impl Iterator<Item = [Elem; BLOCK]>,
    ) -> Result<()> {
        let mut next = || inputs.next().ok_or_else(|| unsatisfied("a block is missing"));
        let swap = row.bit.is_some_and(|bit| self.bits[bit.0 as usize]);
        let mut input = [Elem::ZERO; 16];
        if above.is_some_and(|above| above.path) {
            let beside = match row.right {
                Use::Take(block) => self.block(block),
                _ => next()?,
            };
            let (own, other) = if swap { (BLOCK, 0) } else { (0, BLOCK) };
            input[own..own + BLOCK].copy_from_slice(&last[..BLOCK]);
            input[other..other + BLOCK].copy_from_slice(&beside);
        } else {
            let left = match row.left {
                Use::Take(block) => self.block(block),
                _ => next()?,
            };
            input[..BLOCK].copy_from_slice(&left);
            if let Some(begin) = row.begin {
                input[BLOCK..BLOCK + 2].copy_from_slice(&begin.map(Elem::from_u32));
            } else {
                input[BLOCK..].copy_from_slice(&last[BLOCK..]);
            }
        }
        let mut output = input;
        p16(&mut output);
        if row.feed {
            (0..BLOCK).for_each(|i| output[i] += input[i]);
        }
        if let Use::Give(block) = row.left {
            self.blocks[block.0 as usize] = half(&input, false);
        }
        let digest = half(&output, false);
        match row.out {
            Use::Give(block) => self.blocks[block.0 as usize] = digest,
            Use::Take(block) if self.block(block) != digest => {
                self.unmet("a path does not end in its root")?;
            }
            _ => {}
        }
        self.hash.push((input, swap));
        *last = output;
        Ok(())
    }

    fn dot(&mut self, row: &DotRow) {
        let base = self.dot.last().filter(|_| self.linked).map_or(K::ZERO, |[_, run]| *run);
        let words = self.block(row.block);
        let factors = &self.coefficients[row.coefficients.0 as usize];
        let part: K = factors.iter().zip(words).map(|(&k, x)| k * x).sum();
        self.dot.push([base, base + part]);
        self.linked = row.link;
        if let Some(cell) = row.cell {
            self.cells[cell.0 as usize] = base + part;
        }
    }

    fn dot_row(&self, row: &DotRow, number: usize) -> dot::Main<Elem> {
        let [base, run] = self.dot[number].map(|x| std::array::from_fn(|i| coefficients(&x)[i]));
        let factors = self.coefficients[row.coefficients.0 as usize];
        let factors = factors.map(|x| std::array::from_fn(|i| coefficients(&x)[i]));
        dot::Main { words: self.block(row.block), factors, base, run }
    }

    fn pack(&mut self, machine: &Machine) {
        let row = &machine.cells[self.packed.len()];
        let mut elements = [Elem::ZERO; CELLS * DIM];
        for i in 0..row.blocks {
            let block = self.block(Block(row.first.0 + i as u32));
            elements[i * BLOCK..(i + 1) * BLOCK].copy_from_slice(&block);
        }
        for (i, cell) in row.cells.iter().enumerate() {
            let own = &mut elements[i * DIM..(i + 1) * DIM];
            match *cell {
                Use::Give(cell) => self.cells[cell.0 as usize] = from_coefficients(own),
                Use::Take(cell) => {
                    own.copy_from_slice(coefficients(&self.cells[cell.0 as usize]));
                }
                Use::Nothing => {}
            }
        }
        if let Some(number) = row.coefficients {
            let cell = |i: usize| from_coefficients(&elements[i * DIM..(i + 1) * DIM]);
            self.coefficients[number.0 as usize] = std::array::from_fn(cell);
        }
        self.packed.push(elements);
    }

    fn draw(&mut self, machine: &Machine) -> Result<()> {
        let number = self.drawn.len();
        let row = &machine.bits[number];
        // The row that names the element comes last.
        let end = machine.bits[number + row.number].end.expect("every element has its last row");
        let word = self.block(end.block)[end.element];
        let value = p3_field::PrimeField32::as_canonical_u32(&word);
        let digit = value >> row.number & 1 == 1;
        if row.zero && digit {
            self.unmet("no proof of work")?;
        }
        let top = super::machine::is_top(row.number);
        let before = self.drawn.last().filter(|_| row.number + 1 < super::tables::BITS).copied();
        let step = number.checked_sub(1).map_or(Elem::ZERO, |above| machine.bits[above].step);
        let (ones, x) = match before {
            Some(Drawn { ones, x, .. }) => {
                let x = if digit { x * (step + Elem::ONE) } else { x };
                (if top { ones && digit } else { ones }, x)
            }
            None => (digit, Elem::ONE),
        };
        let sum = Elem::from_u32(value >> row.number);
        self.drawn.push(Drawn { digit, sum, ones, x });
        self.bits[row.bit.0 as usize] = digit;
        self.cells[row.cell.0 as usize] = K::from(Elem::from_bool(digit));
        if let Some(end) = row.end {
            self.cells[end.point.0 as usize] = K::from(x);
        }
        Ok(())
    }

    fn compute(&mut self, row: &FieldRow) -> Result<()> {
        let (mut a, b, c) = (self.cell(row.a), self.cell(row.b), self.cell(row.c));
        if let Use::Give(cell) = row.a {
            a = b.try_inverse().unwrap_or_default();
            self.cells[cell.0 as usize] = a;
        }
        let [by_b, by_c] = row.product;
        let [of_a, of_b, of_c] = row.sum;
        let d = a * b * by_b + a * c * by_c + a * of_a + b * of_b + c * of_c + row.constant;
        match row.d {
            Use::Give(cell) => self.cells[cell.0 as usize] = d,
            Use::Take(cell) if self.cells[cell.0 as usize] != d => {
                self.unmet("two values that should be equal are not")?;
            }
            _ => {}
        }
        self.field.push([a, b, c, d]);
        Ok(())
    }
}

pub(super) fn hash_row(input: &[Elem; 16], feed: bool, swap: bool) -> hash::Main<Elem> {
    let mut state = *input;
    let (mut early, mut late) = ([[Elem::ZERO; 16]; HALF], [[Elem::ZERO; 16]; HALF]);
    let mut cubes = [Elem::ZERO; 20];
    P16.trace(&mut state, &mut early, &mut cubes, &mut late);
    let own = if feed { Elem::ONE } else { Elem::ZERO };
    let digest = std::array::from_fn(|i| state[i] + own * input[i]);
    hash::Main { input: *input, early, cubes, late, digest, swap: Elem::from_bool(swap) }
}
