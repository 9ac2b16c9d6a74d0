//! Dots: terms as matrix products or over planes where that pays, the others row by row, then one pass
//! from accumulators to values, block by block while these are in cache.

use rayon::prelude::*;

use super::acc::Acc;
use super::affine::{Affine, Fetched, ROW, Rows, table};
use super::array::{Array, Element};
use super::planes::Planes;
use super::product::{Products, Scratch, Sums, TermOf};
use super::rows::LONG;
use super::{Arrays, TASK, by_blocks};
use crate::program::*;

/// A dot over affine operands.
#[derive(Debug)]
pub(super) struct DotPlan {
    pub(super) products: Option<Products>,
    pub(super) planes: Option<Planes>,
    tail: Tail,
}

impl DotPlan {
    /// `None` if an operand is not affine.
    pub fn new(program: &Program, op: &Op, arrays: &Arrays<'_>) -> Option<Self> {
        let OpKind::Dot(dot) = &op.kind else { return None };
        let affine = |operand: &Operand, window: &[usize]| {
            Affine::new(program, OperandRef::of(operand), &op.space, window)
        };
        let mut terms = Vec::new();
        for term in &dot.terms {
            terms.push((
                term.window.as_slice(),
                affine(&term.a, &term.window)?,
                affine(&term.b, &term.window)?,
            ));
        }
        let narrow = reach(program, dot, &terms) <= i32::MAX.into();
        let (products, mut direct) = Products::split(terms, op, narrow, arrays);
        let planes = match (narrow, &products, direct.as_slice()) {
            (true, None, [(window, a, b)]) => Planes::new(op, window, a, b),
            _ => None,
        };
        if planes.is_some() {
            direct.clear();
        }
        let single = |operand: &Operand| affine(operand, &[]);
        let tail = Tail::new(program, op, dot, direct, narrow, single)?;
        Some(Self { products, planes, tail })
    }

    /// How it is summed, in words.
    #[cfg(test)]
    pub fn way(&self) -> String {
        let way = match (&self.planes, &self.products) {
            (Some(_), _) => "planes",
            (_, Some(products)) => products.way(),
            _ => "direct",
        };
        format!("{way}{}", if self.tail.narrow { " narrow" } else { "" })
    }

    pub fn run<T: Element>(&self, op: &Op, arrays: &Arrays<'_>) -> Array {
        match self.tail.narrow {
            true => self.run_in::<T, i32>(op, arrays),
            false => self.run_in::<T, i64>(op, arrays),
        }
    }

    fn run_in<T: Element, A: Acc>(&self, op: &Op, arrays: &Arrays<'_>) -> Array {
        let tail = self.tail.fetch(arrays);
        if let Some(planes) = &self.planes {
            return over_planes::<T, A>(planes, op, &tail, arrays);
        }
        let Some(products) = &self.products else {
            return by_blocks::<T>(op.gates(), self.tail.work, |gates, out| {
                tail.finish(gates.start, None, out, &mut Buffers::<A>::new());
            });
        };
        let products = products.fetch(arrays);
        let blocks: Vec<_> = products
            .blocks()
            .into_par_iter()
            .map_init(
                || (Scratch::default(), Buffers::<A>::new()),
                |(scratch, buffers), block| {
                    let sums = products.sums(&block, scratch);
                    let mut out = vec![T::narrow(0); block.size()];
                    products.runs(&block, |at, gate, len| {
                        tail.finish(gate, Some((&sums, at)), &mut out[at..at + len], buffers);
                    });
                    (block, out)
                },
            )
            .collect();
        let mut out = vec![T::narrow(0); op.gates()];
        for (block, values) in blocks {
            products.runs(&block, |at, gate, len| {
                out[gate..gate + len].copy_from_slice(&values[at..at + len]);
            });
        }
        T::array(out)
    }
}

/// A bound on the absolute value of the accumulator: that of section 2.
fn reach(program: &Program, dot: &Dot, terms: &[TermOf<'_>]) -> i64 {
    let bias =
        dot.bias.as_ref().map_or(0, |bias| operand_range(program, OperandRef::of(bias)).abs());
    terms.iter().fold(bias, |sum, (window, a, b)| {
        let count = window.iter().product::<usize>() as i64;
        let term = count.saturating_mul(a.range.abs()).saturating_mul(b.range.abs());
        sum.saturating_add(term)
    })
}

/// A dot whose only term is summed over planes.
fn over_planes<T: Element, A: Acc>(
    planes: &Planes,
    op: &Op,
    tail: &FetchedTail<'_>,
    arrays: &Arrays<'_>,
) -> Array {
    let fetched = planes.fetch(arrays);
    let mut out = vec![T::narrow(0); op.gates()];
    out.par_chunks_mut(planes.size())
        .with_min_len((TASK / planes.work()).max(1))
        .enumerate()
        .for_each_init(
            || (Vec::new(), Vec::new(), Buffers::<A>::new()),
            |(sums, strip, buffers), (plane, out)| {
                fetched.sums(plane, sums, strip);
                tail.finish(plane * out.len(), Some((&Sums::Narrow(sums), 0)), out, buffers);
            },
        );
    T::array(out)
}

/// A term that is summed row by row.
#[derive(Debug)]
pub(super) struct Direct {
    /// Offsets of `a` and `b` over the window.
    a: Vec<isize>,
    b: Vec<isize>,
    /// The window as runs: first position, its steps in `a` and `b`, length.
    runs: Vec<(usize, isize, isize, usize)>,
    by_gate: bool,
}

/// Everything of a dot but its matrix products. The operands are, in order: a and b of each direct
/// term, bias, multiplier, shift, rounding.
#[derive(Debug)]
struct Tail {
    operands: Vec<Affine>,
    terms: Vec<Direct>,
    bias: bool,
    rounding_bits: Option<u32>,
    /// Whether the accumulator fits 32 bits.
    narrow: bool,
    rows: Rows,
    zero: i64,
    lo: i64,
    hi: i64,
    table: Option<Table>,
    work: usize,
}

/// Room for one row.
pub(super) struct Buffers<A> {
    offsets: Vec<isize>,
    acc: Vec<A>,
    a: Vec<i32>,
    b: Vec<i32>,
    c: Vec<i32>,
}

impl<A: Acc> Buffers<A> {
    fn new() -> Self {
        let row = || vec![0; ROW];
        Self { offsets: vec![], acc: vec![A::default(); ROW], a: row(), b: row(), c: row() }
    }
}

impl Tail {
    fn new(
        program: &Program,
        op: &Op,
        dot: &Dot,
        direct: Vec<TermOf<'_>>,
        narrow: bool,
        single: impl Fn(&Operand) -> Option<Affine>,
    ) -> Option<Self> {
        let mut operands = Vec::new();
        let mut windows = Vec::new();
        for (window, a, b) in direct {
            windows.push((table(window, &a.window), table(window, &b.window)));
            operands.extend([a, b]);
        }
        let rest = [dot.bias.as_ref(), Some(&dot.mult), Some(&dot.shift), dot.rounding.as_ref()];
        for operand in rest.into_iter().flatten() {
            operands.push(single(operand)?);
        }
        let rows = Rows::new(&op.space, &operands.iter().collect::<Vec<_>>());
        let steps = rows.steps();
        let terms: Vec<Direct> = (0..)
            .step_by(2)
            .zip(windows)
            .map(|(o, (a, b))| Direct::new(a, b, (steps[o], steps[o + 1]), rows.inner()))
            .collect();
        let out = &program.tensors[op.out];
        let range =
            |operand: &Operand| rounding_bits(operand_range(program, OperandRef::of(operand)));
        Some(Self {
            work: 4 + terms.iter().map(|term| term.a.len()).sum::<usize>(),
            operands,
            terms,
            bias: dot.bias.is_some(),
            rounding_bits: dot.rounding.as_ref().and_then(range),
            narrow,
            rows,
            zero: dot.out_zero.into(),
            lo: out.lo.into(),
            hi: out.hi.into(),
            table: dot.table.map(|t| program.tables[t].clone()),
        })
    }

    fn fetch<'a>(&'a self, arrays: &'a Arrays<'_>) -> FetchedTail<'a> {
        FetchedTail {
            tail: self,
            operands: self.operands.iter().map(|affine| arrays.fetch(affine)).collect(),
        }
    }
}

impl Direct {
    fn new(a: Vec<isize>, b: Vec<isize>, steps: (isize, isize), inner: usize) -> Self {
        let runs = runs(&a, &b);
        let long = a.len() >= LONG * runs.len() && runs[0].1.abs() + runs[0].2.abs() <= 2;
        let even_rows =
            inner >= LONG && [steps.0, steps.1].iter().all(|step| (0..=1).contains(step));
        Self { by_gate: long && !even_rows, a, b, runs }
    }
}

/// Cuts two offset tables into runs of constant steps.
fn runs(a: &[isize], b: &[isize]) -> Vec<(usize, isize, isize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < a.len() {
        let step = |k: usize| (a[k] - a[k - 1], b[k] - b[k - 1]);
        let (first, mut len) = (at + 1, 1);
        let (da, db) = if first < a.len() { step(first) } else { (0, 0) };
        while at + len < a.len() && step(at + len) == (da, db) {
            len += 1;
        }
        found.push((at, da, db, len));
        at += len;
    }
    found
}

struct FetchedTail<'a> {
    tail: &'a Tail,
    operands: Vec<Fetched<'a>>,
}

impl FetchedTail<'_> {
    /// The outputs of gates `first ..`, whose matrix products (if any) stand in sums from a position on.
    fn finish<T: Element, A: Acc>(
        &self,
        first: usize,
        sums: Option<(&Sums<'_>, usize)>,
        out: &mut [T],
        buffers: &mut Buffers<A>,
    ) {
        let steps = self.tail.rows.steps();
        let mut offsets = std::mem::take(&mut buffers.offsets);
        self.tail.rows.visit(first, out.len(), &mut offsets, |at, len, offsets| {
            match sums {
                Some((sums, from)) => sums.load(from + at, &mut buffers.acc[..len]),
                None => buffers.acc[..len].fill(A::default()),
            }
            for (n, term) in self.tail.terms.iter().enumerate() {
                if term.by_gate {
                    self.add_by_gate(n, term, (offsets, steps), len, buffers);
                } else {
                    self.add_by_row(n, term, (offsets, steps), len, buffers);
                }
            }
            let bias = 2 * self.tail.terms.len();
            if self.tail.bias {
                self.operands[bias].load(offsets[bias], steps[bias], &mut buffers.a[..len]);
                let acc = buffers.acc[..len].iter_mut();
                acc.zip(&buffers.a).for_each(|(acc, &v)| *acc = acc.plus(A::of(v.into())));
            }
            self.requantise(
                bias + usize::from(self.tail.bias),
                (offsets, steps),
                &mut out[at..at + len],
                buffers,
            );
        });
        buffers.offsets = offsets;
    }

    /// Position by position of the window, over the whole row.
    fn add_by_row<A: Acc>(
        &self,
        n: usize,
        term: &Direct,
        row: (&[isize], &[isize]),
        len: usize,
        buffers: &mut Buffers<A>,
    ) {
        let (offsets, steps) = row;
        let (mut x, mut y) = (2 * n, 2 * n + 1);
        let (mut at_x, mut at_y) = (&term.a, &term.b);
        if steps[x] == 0 {
            ((x, y), (at_x, at_y)) = ((y, x), (at_y, at_x));
        }
        let acc = &mut buffers.acc[..len];
        for (&kx, &ky) in at_x.iter().zip(at_y) {
            let values = &mut buffers.a[..len];
            self.operands[x].load(offsets[x] + kx, steps[x], values);
            if steps[y] == 0 {
                let factor = self.operands[y].one(offsets[y] + ky);
                acc.iter_mut()
                    .zip(&*values)
                    .for_each(|(acc, &v)| *acc = acc.plus(A::product(v, factor)));
            } else {
                let others = &mut buffers.b[..len];
                self.operands[y].load(offsets[y] + ky, steps[y], others);
                let pairs = values.iter().zip(&*others);
                acc.iter_mut()
                    .zip(pairs)
                    .for_each(|(acc, (&v, &w))| *acc = acc.plus(A::product(v, w)));
            }
        }
    }

    /// Gate by gate, over the whole window.
    fn add_by_gate<A: Acc>(
        &self,
        n: usize,
        term: &Direct,
        row: (&[isize], &[isize]),
        len: usize,
        buffers: &mut Buffers<A>,
    ) {
        let (offsets, steps) = row;
        let (x, y) = (2 * n, 2 * n + 1);
        for j in 0..len as isize {
            let (at_x, at_y) = (offsets[x] + j * steps[x], offsets[y] + j * steps[y]);
            let mut sum = A::default();
            for &(first, dx, dy, run) in &term.runs {
                let mut done = 0;
                while done < run {
                    let here = (run - done).min(ROW);
                    let (a, b) = (&mut buffers.a[..here], &mut buffers.b[..here]);
                    let k = done as isize;
                    self.operands[x].load(at_x + term.a[first] + k * dx, dx, a);
                    self.operands[y].load(at_y + term.b[first] + k * dy, dy, b);
                    let products = a.iter().zip(&*b).map(|(&v, &w)| A::product(v, w));
                    sum = products.fold(sum, A::plus);
                    done += here;
                }
            }
            buffers.acc[j as usize] = buffers.acc[j as usize].plus(sum);
        }
    }

    /// One row from accumulators to outputs; operand `o` is the multiplier, then shift and rounding.
    fn requantise<T: Element, A: Acc>(
        &self,
        o: usize,
        row: (&[isize], &[isize]),
        out: &mut [T],
        buffers: &mut Buffers<A>,
    ) {
        let (offsets, steps) = row;
        let len = out.len();
        let Buffers { acc, a: mults, b: shifts, c: noise, .. } = buffers;
        let (acc, mults) = (&mut acc[..len], &mut mults[..len]);
        self.operands[o].load(offsets[o], steps[o], mults);
        // Wrapping without wrapping: |acc| ≤ 2^46, m < 2^15, s ≤ 44 (section 2).
        match self.tail.rounding_bits {
            None if steps[o + 1] == 0 => {
                let shift = self.operands[o + 1].one(offsets[o + 1]) as u32 & 63;
                scale(acc, mults, shift, self.tail.zero);
            }
            bits => {
                let (shifts, noise) = (&mut shifts[..len], &mut noise[..len]);
                self.operands[o + 1].load(offsets[o + 1], steps[o + 1], shifts);
                if bits.is_some() {
                    self.operands[o + 2].load(offsets[o + 2], steps[o + 2], noise);
                }
                for (j, acc) in acc.iter_mut().enumerate() {
                    let shift = shifts[j] as u32 & 63;
                    let half = match bits {
                        None => (1i64 << shift) >> 1,
                        Some(bits) => i64::from(noise[j]) << ((shift - bits) & 63),
                    };
                    let sum: i64 = (*acc).into();
                    let scaled = sum.wrapping_mul(mults[j].into()).wrapping_add(half);
                    *acc = A::of((scaled >> shift).wrapping_add(self.tail.zero));
                }
            }
        }
        match &self.tail.table {
            Some(table) => out
                .iter_mut()
                .zip(acc)
                .for_each(|(y, q)| *y = T::narrow(table.at((*q).into()).into())),
            None => {
                let (lo, hi) = (A::of(self.tail.lo), A::of(self.tail.hi));
                out.iter_mut()
                    .zip(acc)
                    .for_each(|(y, q)| *y = T::narrow((*q).clamp(lo, hi).into()));
            }
        }
    }
}

/// `floor((acc·m + h) / 2^s) + zero`, in place of the accumulators.
///
/// A multiple of 2^s makes numerators positive first: vector units shift those of 64 bits at once, but
/// not all of them negative ones.
fn scale<A: Acc>(acc: &mut [A], mults: &[i32], shift: u32, zero: i64) {
    let half = (1i64 << shift) >> 1;
    if A::NARROW {
        // |acc|·m < 2^46, and s ≤ 44; quotients fit 32 bits, so they are right modulo 2^32.
        const LIFT: i64 = 1 << 47;
        let (added, down) = (half + LIFT, zero.wrapping_sub(LIFT >> shift) as i32);
        for (acc, &mult) in acc.iter_mut().zip(mults) {
            let sum: i64 = (*acc).into();
            let scaled = sum.wrapping_mul(mult.into()).wrapping_add(added) as u64;
            *acc = A::of(i64::from(((scaled >> shift) as i32).wrapping_add(down)));
        }
    } else {
        for (acc, &mult) in acc.iter_mut().zip(mults) {
            let sum: i64 = (*acc).into();
            *acc = A::of(
                (sum.wrapping_mul(mult.into()).wrapping_add(half) >> shift).wrapping_add(zero),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_accumulators_are_scaled_alike() {
        let sums =
            [0, 1, -1, 2, 3, -3, 12_345, -54_321, (1 << 30) - 1, -(1 << 30), i32::MAX, i32::MIN];
        for shift in 0..=44 {
            for mult in [0, 1, 2, 1000, (1 << 15) - 1] {
                // Quotients beyond 24 bits do not occur (section 2).
                let fits = |&sum: &i32| ((i64::from(sum) * mult) >> shift).abs() < 1 << 24;
                let mut narrow: Vec<i32> = sums.into_iter().filter(fits).collect();
                let mut wide: Vec<i64> = narrow.iter().map(|&sum| sum.into()).collect();
                let mults = vec![mult as i32; narrow.len()];
                scale(&mut narrow, &mults, shift, -9);
                scale(&mut wide, &mults, shift, -9);
                assert!(
                    narrow.iter().zip(&wide).all(|(&a, &b)| i64::from(a) == b),
                    "{shift}, {mult}"
                );
            }
        }
    }
}
