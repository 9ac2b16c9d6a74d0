//! Dots: terms as matrix products where that pays, the others row by row, then one pass from
//! accumulators to values.

use rayon::prelude::*;

use super::affine::{Affine, Fetched, ROW, Rows, table};
use super::array::{Array, Element};
use super::product::{Products, Scratch, Sums};
use super::rows::LONG;
use super::{Arrays, by_blocks};
use crate::program::*;

/// A dot over affine operands.
#[derive(Debug)]
pub(super) struct DotPlan {
    pub(super) products: Option<Products>,
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
        let (products, direct) = Products::split(terms, op, arrays);
        let single = |operand: &Operand| affine(operand, &[]);
        let tail = Tail::new(program, op, dot, direct, single)?;
        Some(Self { products, tail })
    }

    pub fn run<T: Element>(&self, op: &Op, arrays: &Arrays<'_>) -> Array {
        let tail = self.tail.fetch(arrays);
        let Some(products) = &self.products else {
            return by_blocks::<T>(op.gates(), self.tail.work, |gates, out| {
                tail.finish(gates.start, None, out, &mut Buffers::new());
            });
        };
        let products = products.fetch(arrays);
        let blocks: Vec<_> = products
            .blocks()
            .into_par_iter()
            .map_init(
                || (Scratch::default(), Buffers::new()),
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
    rows: Rows,
    zero: i64,
    lo: i64,
    hi: i64,
    table: Option<Table>,
    work: usize,
}

/// Room for one row.
pub(super) struct Buffers {
    acc: Vec<i64>,
    a: Vec<i32>,
    b: Vec<i32>,
    c: Vec<i32>,
}

impl Buffers {
    fn new() -> Self {
        Self { acc: vec![0; ROW], a: vec![0; ROW], b: vec![0; ROW], c: vec![0; ROW] }
    }
}

impl Tail {
    fn new(
        program: &Program,
        op: &Op,
        dot: &Dot,
        direct: Vec<(&[usize], Affine, Affine)>,
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
    fn finish<T: Element>(
        &self,
        first: usize,
        sums: Option<(&Sums<'_>, usize)>,
        out: &mut [T],
        buffers: &mut Buffers,
    ) {
        let steps = self.tail.rows.steps();
        self.tail.rows.visit(first, out.len(), |at, len, offsets| {
            match sums {
                Some((sums, from)) => sums.load(from + at, &mut buffers.acc[..len]),
                None => buffers.acc[..len].fill(0),
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
                acc.zip(&buffers.a).for_each(|(acc, &v)| *acc = acc.wrapping_add(v.into()));
            }
            self.requantise(
                bias + usize::from(self.tail.bias),
                (offsets, steps),
                &mut out[at..at + len],
                buffers,
            );
        });
    }

    /// Position by position of the window, over the whole row.
    fn add_by_row(
        &self,
        n: usize,
        term: &Direct,
        row: (&[isize], &[isize]),
        len: usize,
        buffers: &mut Buffers,
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
                let factor = i64::from(self.operands[y].one(offsets[y] + ky));
                acc.iter_mut().zip(&*values).for_each(|(acc, &v)| {
                    *acc = acc.wrapping_add(i64::from(v).wrapping_mul(factor))
                });
            } else {
                let others = &mut buffers.b[..len];
                self.operands[y].load(offsets[y] + ky, steps[y], others);
                let pairs = values.iter().zip(&*others);
                acc.iter_mut().zip(pairs).for_each(|(acc, (&v, &w))| {
                    *acc = acc.wrapping_add(i64::from(v).wrapping_mul(w.into()));
                });
            }
        }
    }

    /// Gate by gate, over the whole window.
    fn add_by_gate(
        &self,
        n: usize,
        term: &Direct,
        row: (&[isize], &[isize]),
        len: usize,
        buffers: &mut Buffers,
    ) {
        let (offsets, steps) = row;
        let (x, y) = (2 * n, 2 * n + 1);
        for j in 0..len as isize {
            let (at_x, at_y) = (offsets[x] + j * steps[x], offsets[y] + j * steps[y]);
            let mut sum = 0i64;
            for &(first, dx, dy, run) in &term.runs {
                let mut done = 0;
                while done < run {
                    let here = (run - done).min(ROW);
                    let (a, b) = (&mut buffers.a[..here], &mut buffers.b[..here]);
                    let k = done as isize;
                    self.operands[x].load(at_x + term.a[first] + k * dx, dx, a);
                    self.operands[y].load(at_y + term.b[first] + k * dy, dy, b);
                    let products =
                        a.iter().zip(&*b).map(|(&v, &w)| i64::from(v).wrapping_mul(w.into()));
                    sum = products.fold(sum, i64::wrapping_add);
                    done += here;
                }
            }
            buffers.acc[j as usize] = buffers.acc[j as usize].wrapping_add(sum);
        }
    }

    /// One row from accumulators to outputs; operand `o` is the multiplier, then shift and rounding.
    fn requantise<T: Element>(
        &self,
        o: usize,
        row: (&[isize], &[isize]),
        out: &mut [T],
        buffers: &mut Buffers,
    ) {
        let (offsets, steps) = row;
        let len = out.len();
        let acc = &mut buffers.acc[..len];
        let zero = self.tail.zero;
        let one = |o: usize| i64::from(self.operands[o].one(offsets[o]));
        // Wrapping without wrapping: |acc| ≤ 2^46, m < 2^15, s ≤ 44 (section 2).
        match self.tail.rounding_bits {
            None if steps[o] == 0 && steps[o + 1] == 0 => {
                let (mult, shift) = (one(o), one(o + 1));
                let half = (1i64 << shift) >> 1;
                for acc in acc.iter_mut() {
                    *acc = (acc.wrapping_mul(mult).wrapping_add(half) >> shift).wrapping_add(zero);
                }
            }
            bits => {
                let (mults, shifts, noise) =
                    (&mut buffers.a[..len], &mut buffers.b[..len], &mut buffers.c[..len]);
                self.operands[o].load(offsets[o], steps[o], mults);
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
                    let scaled = acc.wrapping_mul(mults[j].into()).wrapping_add(half);
                    *acc = (scaled >> shift).wrapping_add(zero);
                }
            }
        }
        match &self.tail.table {
            Some(table) => {
                out.iter_mut().zip(acc).for_each(|(y, q)| *y = T::narrow(table.at(*q).into()))
            }
            None => {
                let (lo, hi) = (self.tail.lo, self.tail.hi);
                out.iter_mut().zip(acc).for_each(|(y, q)| *y = T::narrow((*q).clamp(lo, hi)));
            }
        }
    }
}
