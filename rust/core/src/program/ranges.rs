//! Bounds of every op, derived from the program alone (docs/protocol.md section 2), and the rounding
//! that they keep exact. Every breach is `program.invalid`.

use super::invalid;
use super::operands::OperandRef;
use super::types::*;
use crate::error::{Error, Result};

const P: i128 = (1 << 31) - (1 << 24) + 1;
/// `(p − 1)/2`.
pub const P_HALF: i128 = (P - 1) / 2;
/// The accumulators that are checked without limbs.
pub const ACC_MAX: i128 = (1 << 30) - (1 << 23) - 1;
const WIDE_MAX: i128 = 1 << 46;
/// A multiplier times a limb of 12 bits, with its carry.
const PARTIAL_PRODUCT: i128 = (1 << 27) + (1 << 16);
const Q_MAX: i128 = (1 << 23) - 1;
const FACTOR_MAX: i64 = (1 << 15) - 1;
const SHIFT_MAX: i64 = 44;
const LIMB_BITS: u32 = 12;

/// An upper bound on the absolute value of one quantity of an op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub op: usize,
    /// What is bounded: "accumulator", "limb accumulator", "quotient", "requantisation",
    /// "comparison", "division" or "root".
    pub identity: &'static str,
    pub bound: i128,
    pub limit: i128,
    /// 1 if checked directly in the field, else the number of limbs (bytes for an accumulator,
    /// 12 bits for the others).
    pub limbs: u32,
}

/// All values that an operand can have: `lo ≤ value ≤ hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub lo: i64,
    pub hi: i64,
}

impl Range {
    /// The largest absolute value.
    pub fn abs(self) -> i64 {
        self.lo.abs().max(self.hi.abs())
    }

    fn inside(self, lo: i64, hi: i64) -> bool {
        lo <= self.lo && self.hi <= hi
    }
}

/// The range of an operand: its constant, or its tensor's range joined with the pad, minus the zero.
pub fn operand_range(program: &Program, operand: OperandRef<'_>) -> Range {
    match operand {
        OperandRef::Const(value) => Range { lo: value.into(), hi: value.into() },
        OperandRef::Read(read) => {
            let tensor = &program.tensors[read.tensor];
            let (lo, hi) = (
                tensor.lo.min(read.pad.unwrap_or(tensor.lo)),
                tensor.hi.max(read.pad.unwrap_or(tensor.hi)),
            );
            let zero = i64::from(read.zero);
            Range { lo: i64::from(lo) - zero, hi: i64::from(hi) - zero }
        }
    }
}

/// `floor((acc·mult + half) / 2^shift) + zero`: ties up for `half = 2^(shift−1)`.
///
/// Validated programs keep `|acc| ≤ 2^46`, `mult < 2^15`, `shift ≤ 44`: nothing overflows.
pub fn requantise(acc: i64, mult: i64, shift: u32, half: i64, zero: i64) -> i64 {
    ((acc * mult + half) >> shift) + zero
}

/// `b` of a rounding operand of range `[0, 2^b − 1]`.
pub fn rounding_bits(range: Range) -> Option<u32> {
    let values = range.hi + 1;
    (range.lo == 0 && values > 0 && values & (values - 1) == 0).then(|| values.trailing_zeros())
}

/// The bounds of all ops, in op order; call after `validate`.
pub(super) fn derive(program: &Program) -> Result<Vec<Bound>> {
    let mut bounds = Vec::new();
    for (number, op) in program.ops.iter().enumerate() {
        let mut judge = Judge { program, number, op, bounds: &mut bounds };
        match &op.kind {
            OpKind::Dot(dot) => judge.dot(dot),
            OpKind::Pick(pick) => judge.pick(pick),
            OpKind::Gather(gather) => judge.gather(gather),
            OpKind::Div(div) => judge.div(div),
        }?;
    }
    Ok(bounds)
}

struct Judge<'a> {
    program: &'a Program,
    number: usize,
    op: &'a Op,
    bounds: &'a mut Vec<Bound>,
}

impl Judge<'_> {
    fn refuse(&self, rule: &str) -> Error {
        invalid(format!("op {:?}: {rule}", self.op.name))
    }

    fn require(&self, holds: bool, rule: &str) -> Result<()> {
        if holds { Ok(()) } else { Err(self.refuse(rule)) }
    }

    fn range(&self, operand: &Operand) -> Range {
        operand_range(self.program, OperandRef::of(operand))
    }

    fn inside_output(&self, range: Range, what: &str) -> Result<()> {
        let out = &self.program.tensors[self.op.out];
        let rule = format!("the range of its {what} is not inside that of its output");
        self.require(range.inside(out.lo.into(), out.hi.into()), &rule)
    }

    fn no_pad(&self, operand: &Operand, what: &str) -> Result<()> {
        let padded = matches!(operand, Operand::Read(Read { pad: Some(_), .. }));
        self.require(!padded, &format!("its {what} has a pad"))
    }

    fn bound(
        &mut self,
        identity: &'static str,
        bound: i128,
        limit: i128,
        limbs: u32,
    ) -> Result<()> {
        if bound > limit {
            let rule = format!("the bound of its {identity} is too large");
            return Err(self.refuse(&rule).expected(format!("at most {limit}")).received(bound));
        }
        self.bounds.push(Bound { op: self.number, identity, bound, limit, limbs });
        Ok(())
    }

    fn dot(&mut self, dot: &Dot) -> Result<()> {
        let mut acc = dot.bias.as_ref().map_or(0, |bias| i128::from(self.range(bias).abs()));
        for term in &dot.terms {
            let product =
                i128::from(self.range(&term.a).abs()) * i128::from(self.range(&term.b).abs());
            acc += term.size() as i128 * product;
        }
        self.accumulator(dot, acc)?;
        let (mult, shift) = (self.range(&dot.mult), self.range(&dot.shift));
        self.no_pad(&dot.mult, "multiplier")?;
        self.no_pad(&dot.shift, "shift")?;
        self.require(mult.inside(0, FACTOR_MAX), "its multiplier leaves [0, 2^15 - 1]")?;
        self.require(shift.inside(0, SHIFT_MAX), "its shift leaves [0, 44]")?;
        if let Some(rounding) = &dot.rounding {
            self.rounding(rounding, &dot.shift)?;
        }
        let scaled = acc * i128::from(mult.hi) + (1 << shift.hi);
        let quotient = (scaled >> shift.lo) + i128::from(dot.out_zero).abs();
        self.bound("quotient", quotient, Q_MAX, 1)?;
        let identity = scaled.max((quotient + 1) << shift.hi);
        if identity <= P_HALF {
            self.bound("requantisation", identity, P_HALF, 1)?;
        } else {
            self.bound("requantisation", PARTIAL_PRODUCT, P_HALF, limbs(acc))?;
        }
        match dot.table {
            Some(table) => self.table(&self.program.tables[table]),
            None => Ok(()),
        }
    }

    fn accumulator(&mut self, dot: &Dot, acc: i128) -> Result<()> {
        if acc <= ACC_MAX {
            return self.bound("accumulator", acc, ACC_MAX, 1);
        }
        let mut bytes = 1;
        for operand in dot.terms.iter().flat_map(|term| [&term.a, &term.b]) {
            bytes = bytes.max(match operand {
                Operand::Const(value) => (32 - value.unsigned_abs().leading_zeros()).div_ceil(8),
                Operand::Read(read) => {
                    self.require(read.zero == 0, "an operand of a wide accumulator has a zero")?;
                    self.program.tensors[read.tensor].width as u32
                }
            });
        }
        let products: i128 = dot.terms.iter().map(|term| term.size() as i128).sum();
        self.bound("accumulator", acc, WIDE_MAX, bytes)?;
        self.bound("limb accumulator", products * 255 * 255, ACC_MAX, 1)
    }

    fn rounding(&self, rounding: &Operand, shift: &Operand) -> Result<()> {
        let Some(bits) = rounding_bits(self.range(rounding)) else {
            return Err(self.refuse("the range of its rounding is not [0, 2^b - 1]"));
        };
        match shift {
            Operand::Const(shift) => {
                self.require(i64::from(*shift) >= bits.into(), "its rounding exceeds its shift")
            }
            Operand::Read(_) => Err(self.refuse("it has a rounding, and its shift is no constant")),
        }
    }

    fn table(&self, table: &Table) -> Result<()> {
        let (lo, hi) =
            table.entries.iter().fold((i32::MAX, i32::MIN), |(lo, hi), &e| (lo.min(e), hi.max(e)));
        self.inside_output(Range { lo: lo.into(), hi: hi.into() }, "table")
    }

    fn pick(&mut self, pick: &Pick) -> Result<()> {
        let ranges: Vec<Range> = pick.operands.iter().map(|operand| self.range(operand)).collect();
        match pick.mode {
            PickMode::Max | PickMode::Copy => self.inside_output(ranges[0], "operand")?,
            PickMode::Select => {
                self.inside_output(ranges[1], "first choice")?;
                self.inside_output(ranges[2], "second choice")?;
            }
            PickMode::Greater | PickMode::Equal => {
                self.inside_output(Range { lo: 0, hi: 1 }, "result")?
            }
            PickMode::Argmax => {
                let window: usize = pick.window.iter().product();
                self.inside_output(Range { lo: 0, hi: window as i64 - 1 }, "result")?;
            }
        }
        if matches!(pick.mode, PickMode::Copy | PickMode::Select) {
            return Ok(());
        }
        let compared = ranges.into_iter().map(Range::abs).max().unwrap_or(0);
        self.bound("comparison", compared.into(), Q_MAX, 1)
    }

    fn gather(&self, gather: &Gather) -> Result<()> {
        let dim = gather.source.view[gather.axis] as i64;
        self.no_pad(&gather.index, "index")?;
        self.require(
            self.range(&gather.index).inside(0, dim - 1),
            "its index leaves the gathered axis",
        )?;
        self.inside_output(operand_range(self.program, OperandRef::Read(&gather.source)), "source")
    }

    fn div(&mut self, div: &Div) -> Result<()> {
        let scale = i64::from(div.scale);
        self.require((1..=FACTOR_MAX).contains(&scale), "its scale leaves [1, 2^15 - 1]")?;
        let num = self.range(&div.num);
        let scaled = i128::from(num.abs()) * i128::from(scale);
        let zero = i128::from(div.out_zero).abs();
        let Some(den) = &div.den else {
            self.require(num.lo >= 0, "its root can be of a negative number")?;
            self.bound("root", scaled, WIDE_MAX, limbs_of_identity(scaled))?;
            return self.bound("quotient", scaled.isqrt() + zero, Q_MAX, 1);
        };
        self.no_pad(den, "denominator")?;
        let den = self.range(den);
        self.require(den.lo >= 1, "its denominator can be less than 1")?;
        let (numerator, den_hi) = (2 * scaled + i128::from(den.hi), i128::from(den.hi));
        self.bound("division", numerator, WIDE_MAX, limbs_of_identity(numerator + 2 * den_hi))?;
        self.bound("quotient", numerator / (2 * i128::from(den.lo)) + zero + 1, Q_MAX, 1)
    }
}

fn limbs_of_identity(reach: i128) -> u32 {
    if reach <= P_HALF { 1 } else { limbs(reach) }
}

/// Limbs of 12 bits of a number that is not negative, at least 1.
fn limbs(value: i128) -> u32 {
    (i128::BITS - value.leading_zeros()).div_ceil(LIMB_BITS).max(1)
}
