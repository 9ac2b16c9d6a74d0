//! A verifier written as rows: what is computed, in which order, from where (docs/recursion.md section 3).
//!
//! Everything has a number: blocks of 8 elements, cells (elements of K), coefficients (8 elements of K),
//! bits. One row gives it, others take it. The rows follow from what is verified, never from a proof.

use p3_field::PrimeCharacteristicRing;

use super::tables::{BITS, BLOCK, CELLS, TOP_BITS, cells::BLOCKS};
use crate::hash::{Digest, Elem};
use crate::stark::field::{K, root};

/// Numbers of blocks, cells, coefficients and bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coefficients(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit(pub u32);

/// What a row does on a bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Use<T> {
    #[default]
    Nothing,
    Take(T),
    Give(T),
}

#[derive(Clone, Debug, Default)]
pub struct HashRow {
    pub left: Use<Block>,
    pub right: Use<Block>,
    pub out: Use<Block>,
    pub bit: Option<Bit>,
    pub feed: bool,
    /// What the right half begins with, where it is not witness.
    pub begin: Option<[u32; 2]>,
    pub keep: bool,
    pub path: bool,
    /// Elements of the left half that are zero, at its end.
    pub zeros: usize,
}

#[derive(Clone, Debug)]
pub struct DotRow {
    pub block: Block,
    pub coefficients: Coefficients,
    pub link: bool,
    /// Of the last row of a sum.
    pub cell: Option<Cell>,
}

#[derive(Clone, Debug)]
pub struct CellsRow {
    pub first: Block,
    pub blocks: usize,
    pub cells: [Use<Cell>; CELLS],
    pub coefficients: Option<Coefficients>,
}

#[derive(Clone, Debug)]
pub struct BitsRow {
    /// Number of the bit: from 30 down to 0.
    pub number: usize,
    pub zero: bool,
    /// Less one, what the next row's bit multiplies the point by.
    pub step: Elem,
    pub bit: Bit,
    pub cell: Cell,
    /// Of the last row.
    pub end: Option<BitsEnd>,
}

#[derive(Clone, Copy, Debug)]
pub struct BitsEnd {
    pub block: Block,
    pub element: usize,
    pub point: Cell,
}

#[derive(Clone, Debug, Default)]
pub struct FieldRow {
    pub a: Use<Cell>,
    pub b: Use<Cell>,
    pub c: Use<Cell>,
    pub d: Use<Cell>,
    pub product: [Elem; 2],
    pub sum: [Elem; 3],
    pub constant: K,
}

/// The next row of which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Hash,
    Dot,
    Cells,
    Bits,
    Field,
}

/// The rows of all tables.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub hash: Vec<HashRow>,
    pub dot: Vec<DotRow>,
    pub cells: Vec<CellsRow>,
    pub bits: Vec<BitsRow>,
    pub field: Vec<FieldRow>,
    /// In which order the rows are worked out.
    pub order: Vec<Step>,
    /// How often each block, cell, coefficients and bit is taken.
    pub block_uses: Vec<u32>,
    pub cell_uses: Vec<u32>,
    pub coefficient_uses: Vec<u32>,
    pub bit_uses: Vec<u32>,
    /// Blocks that the verifier knows.
    pub known: Vec<(Block, Digest)>,
    /// Halves of hash rows that come from a proof, in order; only a prover has them.
    pub inputs: Vec<[Elem; BLOCK]>,
    one: Option<Cell>,
    zero: Option<Cell>,
}

/// The data blocks of a sponge (one after the other), and its digest, if it does not go on in a path.
pub struct Sponge {
    pub first: Block,
    pub digest: Option<Block>,
}

/// Where a sponge ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Digest,
    Path,
}

/// The bits of an element, lowest first, and the point that the low ones choose.
pub struct Bits {
    pub bits: Vec<Bit>,
    pub cells: Vec<Cell>,
    pub point: Cell,
}

fn new(uses: &mut Vec<u32>) -> u32 {
    uses.push(0);
    uses.len() as u32 - 1
}

fn padded(elements: &[Elem]) -> [Elem; BLOCK] {
    std::array::from_fn(|i| elements.get(i).copied().unwrap_or_default())
}

impl Machine {
    fn give_block(&mut self) -> (Block, Use<Block>) {
        let block = Block(new(&mut self.block_uses));
        (block, Use::Give(block))
    }

    fn take_block(&mut self, block: Block) -> Use<Block> {
        self.block_uses[block.0 as usize] += 1;
        Use::Take(block)
    }

    fn give(&mut self) -> (Cell, Use<Cell>) {
        let cell = Cell(new(&mut self.cell_uses));
        (cell, Use::Give(cell))
    }

    fn take(&mut self, cell: Cell) -> Use<Cell> {
        self.cell_uses[cell.0 as usize] += 1;
        Use::Take(cell)
    }

    fn push_hash(&mut self, row: HashRow) {
        self.hash.push(row);
        self.order.push(Step::Hash);
    }

    fn push_field(&mut self, row: FieldRow) {
        self.field.push(row);
        self.order.push(Step::Field);
    }

    fn input(&mut self, block: Option<[Elem; BLOCK]>) {
        self.inputs.extend(block);
    }

    /// A block whose elements the verifier knows: its own row of the hash table has it on the left.
    pub fn known_block(&mut self, digest: Digest) -> Block {
        let (block, left) = self.give_block();
        self.take_block(block);
        self.known.push((block, digest));
        self.input(Some(digest.0));
        self.push_hash(HashRow { left, begin: Some([0, 0]), ..HashRow::default() });
        block
    }

    /// `S(domain, state ‖ data)`; `data` are `count` elements, of which a prover has the values.
    pub fn sponge(
        &mut self,
        domain: u32,
        state: Option<Block>,
        count: usize,
        data: Option<&[Elem]>,
        end: End,
    ) -> Sponge {
        assert!(data.is_none_or(|data| data.len() == count));
        let blocks = count.div_ceil(BLOCK);
        let (ahead, total) = (usize::from(state.is_some()), usize::from(state.is_some()) + blocks);
        let length = (ahead * BLOCK + count) as u32;
        let first = Block(self.block_uses.len() as u32);
        let mut digest = None;
        for i in 0..total {
            let last = i + 1 == total;
            let mut row = HashRow { keep: !last, ..HashRow::default() };
            if i == 0 {
                row.begin = Some([length, domain]);
            }
            match state {
                Some(state) if i == 0 => row.left = self.take_block(state),
                _ => {
                    row.left = self.give_block().1;
                    let at = (i - ahead) * BLOCK;
                    self.input(data.map(|data| padded(&data[at..count.min(at + BLOCK)])));
                }
            }
            if last {
                row.zeros = total * BLOCK - length as usize;
                row.path = end == End::Path;
            }
            self.push_hash(row);
        }
        if end == End::Digest {
            let (block, out) = self.give_block();
            self.hash.last_mut().expect("a sponge has a row").out = out;
            digest = Some(block);
        }
        Sponge { first, digest }
    }

    /// `C(state, (begin, 0 …))`.
    pub fn squeeze(&mut self, state: Block, begin: [u32; 2]) -> Block {
        let left = self.take_block(state);
        let (block, out) = self.give_block();
        let row = HashRow { left, out, begin: Some(begin), feed: true, ..HashRow::default() };
        self.push_hash(row);
        block
    }

    /// One level of a path: the digest of the row above and a sibling, by a bit of the index.
    pub fn ascend(&mut self, bit: Bit, sibling: Option<Digest>) {
        self.bit_uses[bit.0 as usize] += 1;
        self.input(sibling.map(|sibling| sibling.0));
        let row = HashRow { bit: Some(bit), feed: true, path: true, ..HashRow::default() };
        self.push_hash(row);
    }

    /// The digest of the row above joined by that of an opened row.
    pub fn join(&mut self, digest: Block) {
        let right = self.take_block(digest);
        self.push_hash(HashRow { right, feed: true, path: true, ..HashRow::default() });
    }

    /// The path ends in this root.
    pub fn arrive(&mut self, root: Block) {
        let out = self.take_block(root);
        let last = self.hash.last_mut().expect("a path has a row");
        (last.path, last.out) = (false, out);
    }

    /// The elements of K in blocks that follow each other, from the first one on.
    pub fn unpack(&mut self, first: Block, count: usize) -> Vec<Cell> {
        let mut found = Vec::with_capacity(count);
        for start in (0..count).step_by(CELLS) {
            let here = (count - start).min(CELLS);
            let first = Block(first.0 + (start / CELLS * BLOCKS) as u32);
            let blocks = (here * 5).div_ceil(BLOCK);
            (0..blocks).for_each(|i| {
                self.take_block(Block(first.0 + i as u32));
            });
            let mut cells = [Use::Nothing; CELLS];
            for place in &mut cells[..here] {
                let (cell, give) = self.give();
                *place = give;
                found.push(cell);
            }
            self.cells.push(CellsRow { first, blocks, cells, coefficients: None });
            self.order.push(Step::Cells);
        }
        found
    }

    /// Eight cells as coefficients.
    pub fn pack(&mut self, cells: [Cell; CELLS]) -> Coefficients {
        let cells = cells.map(|cell| self.take(cell));
        let coefficients = Coefficients(new(&mut self.coefficient_uses));
        let row = CellsRow { first: Block(0), blocks: 0, cells, coefficients: Some(coefficients) };
        self.cells.push(row);
        self.order.push(Step::Cells);
        coefficients
    }

    /// `Σ words·coefficients` over blocks.
    pub fn dot(&mut self, parts: &[(Block, Coefficients)]) -> Cell {
        let cell = Cell(new(&mut self.cell_uses));
        for (i, &(block, coefficients)) in parts.iter().enumerate() {
            self.take_block(block);
            self.coefficient_uses[coefficients.0 as usize] += 1;
            let last = i + 1 == parts.len();
            let row = DotRow { block, coefficients, link: !last, cell: last.then_some(cell) };
            self.dot.push(row);
            self.order.push(Step::Dot);
        }
        cell
    }

    /// The bits of an element of a block, `zeros` low ones of which are zero. The low `log_size` bits are an
    /// index in bit-reversed order; the point is that of the subgroup of this size.
    pub fn bits(&mut self, block: Block, element: usize, zeros: usize, log_size: usize) -> Bits {
        self.take_block(block);
        let (mut bits, mut cells) = (Vec::new(), Vec::new());
        let point = Cell(new(&mut self.cell_uses));
        for number in (0..BITS).rev() {
            let bit = Bit(new(&mut self.bit_uses));
            let cell = Cell(new(&mut self.cell_uses));
            // Bit j of the index stands for ω^(2^(log_size − 1 − j)), the generator of order 2^(j + 1).
            let step = if (1..=log_size).contains(&number) {
                root(number) - Elem::ONE
            } else {
                Elem::ZERO
            };
            let end = (number == 0).then_some(BitsEnd { block, element, point });
            self.bits.push(BitsRow { number, zero: number < zeros, step, bit, cell, end });
            self.order.push(Step::Bits);
            bits.push(bit);
            cells.push(cell);
        }
        bits.reverse();
        cells.reverse();
        Bits { bits, cells, point }
    }

    /// A row of arithmetic, whose result is new.
    pub fn compute(&mut self, terms: Terms) -> Cell {
        let (cell, d) = self.give();
        let row = self.row(terms, d);
        self.push_field(row);
        cell
    }

    /// A row of arithmetic, whose result is this cell.
    pub fn demand(&mut self, terms: Terms, result: Cell) {
        let d = self.take(result);
        let row = self.row(terms, d);
        self.push_field(row);
    }

    fn row(&mut self, terms: Terms, d: Use<Cell>) -> FieldRow {
        let mut take = |cell: Option<Cell>| cell.map_or(Use::Nothing, |cell| self.take(cell));
        let (a, b, c) = (take(terms.a), take(terms.b), take(terms.c));
        FieldRow { a, b, c, d, product: terms.product, sum: terms.sum, constant: terms.constant }
    }

    /// `1/x`: what is multiplied by x to one.
    pub fn invert(&mut self, x: Cell) -> Cell {
        let one = self.one();
        let (cell, a) = self.give();
        let (b, d) = (self.take(x), self.take(one));
        let product = [Elem::ONE, Elem::ZERO];
        self.push_field(FieldRow { a, b, d, product, ..FieldRow::default() });
        cell
    }

    pub fn constant(&mut self, value: K) -> Cell {
        self.compute(Terms { constant: value, ..Terms::default() })
    }

    pub fn one(&mut self) -> Cell {
        let found = self.one;
        let cell = found.unwrap_or_else(|| self.constant(K::ONE));
        *self.one.insert(cell)
    }

    pub fn zero(&mut self) -> Cell {
        let found = self.zero;
        let cell = found.unwrap_or_else(|| self.constant(K::ZERO));
        *self.zero.insert(cell)
    }

    /// `a·b`.
    pub fn product(&mut self, a: Cell, b: Cell) -> Cell {
        self.compute(Terms::default().product(a, b))
    }

    /// `a·b + c`.
    pub fn fused(&mut self, a: Cell, b: Cell, c: Cell) -> Cell {
        self.compute(Terms::default().product(a, b).plus_c(c, Elem::ONE))
    }

    /// `a + b`.
    pub fn sum(&mut self, a: Cell, b: Cell) -> Cell {
        self.compute(Terms::default().plus_a(a, Elem::ONE).plus_b(b, Elem::ONE))
    }

    /// `a − b`.
    pub fn difference(&mut self, a: Cell, b: Cell) -> Cell {
        self.compute(Terms::default().plus_a(a, Elem::ONE).plus_b(b, Elem::NEG_ONE))
    }

    /// The sum of all.
    pub fn total(&mut self, cells: &[Cell]) -> Cell {
        let Some((&first, rest)) = cells.split_first() else { return self.zero() };
        rest.chunks(2).fold(first, |sum, pair| {
            let mut terms = Terms::default().plus_a(sum, Elem::ONE).plus_b(pair[0], Elem::ONE);
            if let Some(&c) = pair.get(1) {
                terms = terms.plus_c(c, Elem::ONE);
            }
            self.compute(terms)
        })
    }

    /// `Σ x^i·cells[i]`.
    pub fn horner(&mut self, x: Cell, cells: &[Cell]) -> Cell {
        let Some((&last, rest)) = cells.split_last() else { return self.zero() };
        rest.iter().rev().fold(last, |sum, &cell| self.fused(sum, x, cell))
    }
}

/// `m·a·b + n·a·c + f·a + g·b + h·c + k`.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    a: Option<Cell>,
    b: Option<Cell>,
    c: Option<Cell>,
    product: [Elem; 2],
    sum: [Elem; 3],
    constant: K,
}

impl Terms {
    /// Adds `a·b`.
    pub fn product(self, a: Cell, b: Cell) -> Self {
        self.scaled(a, b, Elem::ONE)
    }

    /// Adds `m·a·b`.
    pub fn scaled(mut self, a: Cell, b: Cell, m: Elem) -> Self {
        (self.a, self.b, self.product[0]) = (Some(a), Some(b), m);
        self
    }

    /// Adds `m·a·b + n·a·c`.
    pub fn products(mut self, a: Cell, [b, c]: [Cell; 2], factors: [Elem; 2]) -> Self {
        (self.a, self.b, self.c, self.product) = (Some(a), Some(b), Some(c), factors);
        self
    }

    /// Adds `f·a`; the operand a may not be another cell already.
    pub fn plus_a(mut self, a: Cell, factor: Elem) -> Self {
        assert!(self.a.is_none_or(|other| other == a));
        (self.a, self.sum[0]) = (Some(a), factor);
        self
    }

    /// Adds `g·b`.
    pub fn plus_b(mut self, b: Cell, factor: Elem) -> Self {
        assert!(self.b.is_none_or(|other| other == b));
        (self.b, self.sum[1]) = (Some(b), factor);
        self
    }

    /// Adds `h·c`.
    pub fn plus_c(mut self, c: Cell, factor: Elem) -> Self {
        assert!(self.c.is_none_or(|other| other == c));
        (self.c, self.sum[2]) = (Some(c), factor);
        self
    }

    /// Adds a constant.
    pub fn plus(mut self, constant: K) -> Self {
        self.constant += constant;
        self
    }
}

/// Whether a bit is one of the top ones.
pub fn is_top(number: usize) -> bool {
    number >= BITS - TOP_BITS
}
