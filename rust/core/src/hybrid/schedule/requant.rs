//! The numbers of a dot's requantisation (docs/hybrid.md section 4, table 7).

use p3_field::PrimeCharacteristicRing;

use super::write::{number, signed};
use crate::hash::Elem;
use crate::hybrid::support::{accumulator, is_direct};
use crate::hybrid::tables::columns::Factor;
use crate::hybrid::tables::{DIGITS, LIMB, LIMB_OFFSET, WIDE_OFFSET, class, gate};
use crate::program::{Checked, Dot, Operand, OperandRef, operand_range, rounding_bits};

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
    /// The public columns; zero where they are each row's own.
    pub shared: gate::Public<Elem>,
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
            offset: if direct { LIMB_OFFSET } else { WIDE_OFFSET },
            half: if has_rounding { 0 } else { (1 << shift) >> 1 },
            quotient_offset: i64::from(dot.out_zero) - (1 << reach),
            ends,
            table: dot.table,
            shared: gate::PUBLIC.map(|_| Elem::ZERO),
        };
        requant.shared = requant.shared(has_rounding);
        requant
    }

    /// What all rows share.
    fn shared(&self, has_rounding: bool) -> gate::Public<Elem> {
        let none = Elem::ZERO;
        let nothing = Factor { x: none, r: none, k: none };
        let constant = self.half as u128 + (1 << (self.reach + self.shift));
        let [alpha, beta] = power(Some(self.shift));
        let rest = has_rounding.then(|| self.shift.saturating_sub(self.rounding));
        let [gamma, delta] = power(rest);
        gate::Public {
            on: Elem::ONE,
            direct: Elem::from_bool(self.direct),
            slot_a: none,
            has_a: none,
            slot_b: none,
            has_b: none,
            row: none,
            bias: nothing,
            mult: nothing,
            rounding: nothing,
            y_at: none,
            offset: signed(if self.direct { self.offset } else { 0 }),
            class_u2: signed(if self.direct { class::TOP } else { class::LIMB }),
            sigma_u3: number(if self.direct { 1 << LIMB } else { 1 }),
            o: digits(self.offset as u128),
            cst: digits(constant),
            alpha,
            beta,
            gamma,
            delta,
            sigma_t: scales(self.reach + 1),
            sigma_r: scales(self.shift),
            sigma_p: scales(self.rounding),
            qoff: signed(self.quotient_offset),
            clo: signed(self.ends.0),
            chi: signed(self.ends.1),
            has_act: Elem::from_bool(self.table.is_some()),
            act: number(self.table.unwrap_or(0)),
        }
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

/// Of each limb of a number of so many bits `2^(12 − n)`, where the limb has n of them.
pub fn scales<const N: usize>(bits: u32) -> [Elem; N] {
    let own = |i| bits.saturating_sub(LIMB * i as u32).min(LIMB);
    std::array::from_fn(|i| number(1 << (LIMB - own(i))))
}
