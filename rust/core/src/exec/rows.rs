//! Picks, gathers and divs, row by row; and any op gate by gate.

use std::ops::Range;

use super::affine::{Affine, Fetched, ROW, Rows, table};
use super::array::{Array, Element};
use super::{Arrays, by_blocks};
use crate::error::Result;
use crate::program::*;

/// Windows at least this long, and contiguous, are walked gate by gate.
pub(super) const LONG: usize = 16;

/// A pick, gather or div over affine operands.
#[derive(Debug)]
pub(super) struct RowOp {
    operands: Vec<Affine>,
    rows: Rows,
    windows: Vec<isize>,
    kind: RowKind,
}

#[derive(Debug)]
enum RowKind {
    Max,
    Argmax,
    Copy,
    Greater,
    Equal,
    Select,
    /// The stride of the gathered axis.
    Gather(isize),
    Quotient(Scaled),
    Sqrt(Scaled),
}

#[derive(Debug)]
struct Scaled {
    scale: i64,
    zero: i64,
    lo: i64,
    hi: i64,
}

impl Scaled {
    /// `floor((2·n·c + d) / 2d) + zero`, clamped, in floats: numbers are at most 2^46 (section 2), so
    /// products and differences are exact, and the quotient's floor is off by 1 at most.
    fn quotient(&self, num: i32, den: i32) -> i64 {
        let den = f64::from(den);
        let (num, den) = (2.0 * f64::from(num) * self.scale as f64 + den, 2.0 * den);
        let floor = (num / den).floor();
        let rest = num - floor * den;
        let off = f64::from(i8::from(rest >= den) - i8::from(rest < 0.0));
        ((floor + off) as i64).wrapping_add(self.zero).clamp(self.lo, self.hi)
    }
}

impl RowOp {
    /// `None` if an operand is not affine.
    pub fn new(program: &Program, op: &Op) -> Option<Self> {
        let uses = op.operands();
        let affine =
            |used: &OperandUse<'_>| Affine::new(program, used.operand, &op.space, used.window);
        let operands: Vec<Affine> = uses.iter().map(affine).collect::<Option<_>>()?;
        let kind = match &op.kind {
            OpKind::Dot(_) => return None,
            OpKind::Pick(pick) => match pick.mode {
                PickMode::Max => RowKind::Max,
                PickMode::Argmax => RowKind::Argmax,
                PickMode::Copy => RowKind::Copy,
                PickMode::Greater => RowKind::Greater,
                PickMode::Equal => RowKind::Equal,
                PickMode::Select => RowKind::Select,
            },
            OpKind::Gather(gather) if gather.source.pad.is_none() => RowKind::Gather(
                gather.source.view[gather.axis + 1..].iter().product::<usize>() as isize,
            ),
            OpKind::Gather(_) => return None,
            OpKind::Div(div) => {
                let out = &program.tensors[op.out];
                let scaled = Scaled {
                    scale: div.scale.into(),
                    zero: div.out_zero.into(),
                    lo: out.lo.into(),
                    hi: out.hi.into(),
                };
                if div.den.is_some() { RowKind::Quotient(scaled) } else { RowKind::Sqrt(scaled) }
            }
        };
        let rows = Rows::new(&op.space, &operands.iter().collect::<Vec<_>>());
        let windows = table(uses[0].window, &operands[0].window);
        Some(Self { operands, rows, windows, kind })
    }

    pub fn run<T: Element>(&self, op: &Op, arrays: &Arrays<'_>) -> Array {
        let fetched: Vec<Fetched<'_>> =
            self.operands.iter().map(|affine| arrays.fetch(affine)).collect();
        let work = self.windows.len() * self.operands.len();
        by_blocks::<T>(op.gates(), work, |gates, out| {
            let mut loaded = vec![vec![0i32; ROW]; self.operands.len() + 1];
            let steps = self.rows.steps();
            self.rows.visit(gates.start, gates.len(), &mut vec![], |at, len, offsets| {
                let out = &mut out[at..at + len];
                if let RowKind::Max | RowKind::Argmax = self.kind {
                    return self.extreme(&fetched[0], offsets[0], steps[0], &mut loaded, out);
                }
                for (o, operand) in fetched.iter().enumerate() {
                    // What a gather reads depends on its index.
                    if !(matches!(self.kind, RowKind::Gather(_)) && o == 0) {
                        operand.load(offsets[o], steps[o], &mut loaded[o][..len]);
                    }
                }
                self.row(&fetched, offsets[0], &loaded, out);
            });
        })
    }

    /// One row, its operands loaded.
    fn row<T: Element>(
        &self,
        fetched: &[Fetched<'_>],
        start: isize,
        loaded: &[Vec<i32>],
        out: &mut [T],
    ) {
        let each = |out: &mut [T], value: &dyn Fn(usize) -> i64| {
            out.iter_mut().enumerate().for_each(|(j, y)| *y = T::narrow(value(j)));
        };
        let at = |o: usize, j: usize| loaded[o][j];
        match &self.kind {
            RowKind::Copy => {
                out.iter_mut().zip(&loaded[0]).for_each(|(y, &v)| *y = T::narrow(v.into()))
            }
            RowKind::Greater => each(out, &|j| (at(0, j) > at(1, j)).into()),
            RowKind::Equal => each(out, &|j| (at(0, j) == at(1, j)).into()),
            RowKind::Select => {
                each(out, &|j| if at(0, j) != 0 { at(1, j) } else { at(2, j) }.into())
            }
            RowKind::Gather(stride) => {
                let step = self.rows.steps()[0];
                each(out, &|j| {
                    fetched[0].one(start + j as isize * step + at(1, j) as isize * stride).into()
                });
            }
            RowKind::Quotient(s) => {
                let operands = loaded[0].iter().zip(&loaded[1]);
                out.iter_mut()
                    .zip(operands)
                    .for_each(|(y, (&num, &den))| *y = T::narrow(s.quotient(num, den)));
            }
            RowKind::Sqrt(s) => {
                each(out, &|j| {
                    ((i64::from(at(0, j)) * s.scale).isqrt() + s.zero).clamp(s.lo, s.hi)
                });
            }
            RowKind::Max | RowKind::Argmax => unreachable!("see `extreme`"),
        }
    }

    /// One row of a max or argmax.
    fn extreme<T: Element>(
        &self,
        operand: &Fetched<'_>,
        start: isize,
        step: isize,
        loaded: &mut [Vec<i32>],
        out: &mut [T],
    ) {
        let argmax = matches!(self.kind, RowKind::Argmax);
        let [best, next] = loaded else { unreachable!("max and argmax have one operand") };
        let len = out.len();
        if argmax {
            let choose = |j: isize| {
                let value = |k: usize| operand.one(start + j * step + self.windows[k]);
                // Strictly greater: the first position wins a tie.
                let first = (0, value(0));
                (1..self.windows.len())
                    .fold(first, |b, k| if value(k) > b.1 { (k, value(k)) } else { b })
                    .0
            };
            return (0..).zip(out).for_each(|(j, y)| *y = T::narrow(choose(j) as i64));
        }
        let long =
            self.windows.len() >= LONG && step != 1 && self.windows[1] - self.windows[0] == 1;
        if long && self.windows.windows(2).all(|pair| pair[1] - pair[0] == 1) {
            for (j, y) in (0..).zip(out) {
                let first = (start + j * step + self.windows[0]) as usize;
                let largest = operand.array().max(first..first + self.windows.len());
                *y = T::narrow(largest.wrapping_sub(operand.affine.zero).into());
            }
            return;
        }
        if long {
            for (j, y) in (0..).zip(out) {
                let values = self.windows.iter().map(|k| operand.one(start + j * step + k));
                *y = T::narrow(values.max().unwrap_or(0).into());
            }
            return;
        }
        operand.load(start + self.windows[0], step, &mut best[..len]);
        for &k in &self.windows[1..] {
            operand.load(start + k, step, &mut next[..len]);
            best[..len].iter_mut().zip(&*next).for_each(|(best, &next)| *best = next.max(*best));
        }
        out.iter_mut().zip(&*best).for_each(|(y, &v)| *y = T::narrow(v.into()));
    }
}

/// Any op, gate by gate: for reads that are not affine at a sane size.
pub(super) fn by_gates<T: Element>(
    program: &Program,
    op: &Op,
    arrays: &Arrays<'_>,
) -> Result<Array> {
    let plan = GatePlan::new(program, op);
    Ok(by_blocks::<T>(op.gates(), op.own() as usize, |gates: Range<usize>, out| {
        let mut scratch = Scratch::default();
        for (gate, y) in gates.zip(out) {
            let value =
                plan.evaluate(gate, arrays, &mut scratch).expect("all operands are at hand");
            *y = T::narrow(value.into());
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_those_of_integers_up_to_their_bound() {
        for scale in [1, 3, 255, (1 << 15) - 1] {
            let (lo, hi) = (-(1 << 45), 1 << 45);
            let scaled = Scaled { scale, zero: -7, lo, hi };
            for den in [1, 2, 3, 7, 1 << 10, (1 << 23) - 1] {
                let most = (((1i64 << 46) - den) / (2 * scale)).min((1 << 23) - 1);
                let near = |at: i64| (at - 3..=at + 3).filter(move |num| num.abs() <= most);
                // Around ties and multiples of the denominator, where a float rounds to the next one.
                let multiples =
                    [0, 1, 2, 1000, most / den - 1, most / den].map(|k| k * den / scale);
                for at in multiples.into_iter().chain([most, -most, den / 2, -den / 2]) {
                    for num in near(at) {
                        let exact = (2 * num * scale + den).div_euclid(2 * den) - 7;
                        assert_eq!(scaled.quotient(num as i32, den as i32), exact);
                    }
                }
            }
        }
    }
}
