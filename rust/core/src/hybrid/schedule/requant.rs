//! The numbers of a dot's requantisation (docs/hybrid.md section 4, table 7).

use p3_field::PrimeCharacteristicRing;

use crate::hash::Elem;
use crate::hybrid::support::{accumulator, is_direct};
use crate::program::{Checked, Dot, Operand, OperandRef, operand_range, rounding_bits};

pub const LIMB: u32 = 12;
pub const DIGITS: usize = 6;

/// What all gates of a dot share.
#[derive(Clone, Debug)]
pub struct Requant {
    pub direct: bool,
    pub shift: u32,
    /// `b` of the rounding operand; 0 without one.
    pub rounding: u32,
    /// `κ`: the quotient less its zero lies in `[−2^κ, 2^κ)`.
    pub reach: u32,
    /// What makes the accumulator positive: `127·2^23` or `2^47`.
    pub offset: i64,
    /// `h`, unless there is a rounding.
    pub half: i64,
    /// `z − 2^κ`.
    pub quotient_offset: i64,
    /// Ends of the clamp.
    pub ends: (i64, i64),
    pub table: Option<usize>,
    /// The public columns from `offset` to `act` without the ends of each gate.
    pub columns: Vec<Elem>,
}

impl Requant {
    /// The numbers of a dot whose shift is a constant; anything where it is not.
    pub fn new(checked: &Checked, number: usize, dot: &Dot) -> Self {
        let program = &checked.program;
        let range = |operand: &Operand| operand_range(program, OperandRef::of(operand));
        let shift = range(&dot.shift).hi.clamp(0, 44) as u32;
        let has_rounding = dot.rounding.is_some();
        let bits = dot.rounding.as_ref().and_then(|operand| rounding_bits(range(operand)));
        let rounding = bits.unwrap_or(0);
        let scaled = accumulator(checked, number) * i128::from(range(&dot.mult).hi) + (1 << shift);
        let reach = (128 - (scaled >> shift).leading_zeros()).max(1);
        let direct = is_direct(checked, number);
        let out = &program.tensors[program.ops[number].out];
        let ends = dot
            .table
            .map(|table| &program.tables[table])
            .map_or((out.lo.into(), out.hi.into()), |table| {
                (table.lo.into(), i64::from(table.lo) + table.entries.len() as i64 - 1)
            });
        let mut requant = Self {
            direct,
            shift,
            rounding,
            reach,
            offset: if direct { 127 << 23 } else { 1 << 47 },
            half: if has_rounding { 0 } else { (1 << shift) >> 1 },
            quotient_offset: i64::from(dot.out_zero) - (1 << reach),
            ends,
            table: dot.table,
            columns: Vec::new(),
        };
        requant.columns = requant.columns(has_rounding);
        requant
    }

    /// `O`, then all digits and scales, in the order of the table's columns.
    fn columns(&self, has_rounding: bool) -> Vec<Elem> {
        let small = |value: i64| Elem::from_i64(value);
        let direct = if self.direct { [self.offset, 2, 4096] } else { [0, 0, 1] };
        let mut columns = direct.map(small).to_vec();
        let constant = self.half as u128 + (1 << (self.reach + self.shift));
        columns.extend(digits(self.offset as u128));
        columns.extend(digits(constant));
        columns.extend(power(Some(self.shift)).concat());
        let rest = has_rounding.then(|| self.shift.saturating_sub(self.rounding));
        columns.extend(power(rest).concat());
        let width = self.reach + 1;
        columns.extend([width, width.saturating_sub(LIMB)].map(scale));
        columns.extend((0..4).map(|i| scale(self.shift.saturating_sub(LIMB * i))));
        columns.extend([self.rounding, self.rounding.saturating_sub(LIMB)].map(scale));
        let table = [self.table.is_some() as i64, self.table.unwrap_or(0) as i64];
        columns.extend([self.quotient_offset, self.ends.0, self.ends.1].map(small));
        columns.extend(table.map(small));
        columns
    }
}

/// Digits, base 4096.
fn digits(value: u128) -> [Elem; DIGITS] {
    std::array::from_fn(|i| Elem::from_u32((value >> (LIMB * i as u32) & 0xfff) as u32))
}

/// What `2^s` times a low limb and a high limb adds to each digit; nothing for `None`.
fn power(exponent: Option<u32>) -> [[Elem; DIGITS]; 2] {
    let mut columns = [[Elem::ZERO; DIGITS]; 2];
    if let Some(exponent) = exponent {
        let (digit, bits) = ((exponent / LIMB) as usize, exponent % LIMB);
        columns[0][digit] = Elem::from_u32(1 << bits);
        columns[1][digit + 1] = Elem::from_u32(1 << bits);
    }
    columns
}

/// `2^(12 − n)`, `n` at most 12.
pub fn scale(bits: u32) -> Elem {
    Elem::from_u32(1 << (LIMB - bits.min(LIMB)))
}
