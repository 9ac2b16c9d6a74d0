//! The values on the read bus.

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use crate::hash::{Elem, P};

/// What stands at each address: bytes of blocks, wide values, bits.
pub struct Memory {
    bytes: Vec<u8>,
    pub wide: Vec<Elem>,
    pub bits: Vec<Elem>,
    first_wide: usize,
    first_bits: usize,
    /// `byte − 128`.
    centered: [Elem; 256],
}

impl Memory {
    /// Of the bytes of all blocks; wide values and bits come later.
    pub fn new(bytes: Vec<u8>, first_wide: usize, first_bits: usize) -> Self {
        let centered = std::array::from_fn(|byte| Elem::from_i32(byte as i32 - 128));
        Self { bytes, wide: Vec::new(), bits: Vec::new(), first_wide, first_bits, centered }
    }

    /// A byte of a block, as it stands in the leaf.
    pub fn byte(&self, address: usize) -> u8 {
        self.bytes.get(address).copied().unwrap_or(0)
    }

    /// The bytes from an address on.
    pub fn bytes(&self, address: usize, len: usize) -> &[u8] {
        self.bytes.get(address..address + len).unwrap_or_default()
    }

    /// The value at an address; zero where there is none.
    pub fn read(&self, address: usize) -> Elem {
        if address < self.first_wide {
            self.centered[usize::from(self.byte(address))]
        } else if address < self.first_bits {
            self.wide.get(address - self.first_wide).copied().unwrap_or_default()
        } else {
            self.bits.get(address - self.first_bits).copied().unwrap_or_default()
        }
    }

    /// What a factor reads (zero if nothing), and its value; `cells` are its columns x, r, k.
    pub fn factor(&self, cells: &[Elem]) -> (Elem, Elem) {
        if cells[1].is_zero() {
            return (Elem::ZERO, cells[2]);
        }
        let read = self.read(number(cells[0]));
        (read, read + cells[2])
    }
}

/// An element as an index.
pub fn number(value: Elem) -> usize {
    value.as_canonical_u32() as usize
}

/// An element as the integer of least absolute value.
pub fn signed(value: Elem) -> i64 {
    let value = i64::from(value.as_canonical_u32());
    if value > i64::from(P) / 2 { value - i64::from(P) } else { value }
}

/// The lowest `N` limbs of 12 bits of a number; those of zero where it is negative.
pub fn limbs<const N: usize>(value: i128) -> [Elem; N] {
    let value = value.max(0);
    std::array::from_fn(|i| Elem::from_u32((value >> (12 * i) & 0xfff) as u32))
}

/// The main columns of a row, from left to right.
pub struct Row<'a> {
    cells: &'a mut [Elem],
    at: usize,
}

impl<'a> Row<'a> {
    /// Behind the engine's column.
    pub fn new(cells: &'a mut [Elem]) -> Self {
        Self { cells, at: 1 }
    }

    pub fn one(&mut self, value: Elem) {
        self.cells[self.at] = value;
        self.at += 1;
    }

    pub fn all(&mut self, values: &[Elem]) {
        self.cells[self.at..self.at + values.len()].copy_from_slice(values);
        self.at += values.len();
    }

    pub fn signed(&mut self, value: i64) {
        self.one(Elem::from_i64(value));
    }

    pub fn flag(&mut self, value: bool) {
        self.one(if value { Elem::ONE } else { Elem::ZERO });
    }

    /// Two limbs of a carry, which is at least −2^17.
    pub fn carry(&mut self, value: i128) {
        self.all(&limbs::<2>(value + (1 << 17)));
    }

    /// The columns that are left, of which the next `count` are taken.
    pub fn rest(&mut self, count: usize) -> &mut [Elem] {
        self.at += count;
        &mut self.cells[self.at - count..self.at]
    }
}

/// The carries between digits that sum up to zero, base 4096.
pub fn carries<const N: usize>(digits: &[i128]) -> [i128; N] {
    let mut carry = 0;
    std::array::from_fn(|i| {
        carry = (digits[i] + carry) >> 12;
        carry
    })
}
