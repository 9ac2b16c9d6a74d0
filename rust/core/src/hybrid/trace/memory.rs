//! The values on the read bus.

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use crate::hash::{Elem, P};
use crate::hybrid::tables::columns::{Carry, Factor};

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

    /// What the factor at these columns of a row reads (zero if nothing), and its value.
    pub fn factor(&self, publics: &[Elem], at: Factor<usize>) -> (Elem, Elem) {
        let Factor { x, r, k } = at.map(|c| publics[c]);
        if r.is_zero() {
            return (Elem::ZERO, k);
        }
        let read = self.read(number(x));
        (read, read + k)
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

/// The carries between digits that sum up to zero, base 4096; each is at least −2^17.
pub fn carries<const N: usize>(digits: &[i128]) -> [Carry<Elem>; N] {
    let mut carry = 0;
    std::array::from_fn(|i| {
        carry = (digits[i] + carry) >> 12;
        let [low, high] = limbs(carry + (1 << 17));
        Carry { low, high }
    })
}
