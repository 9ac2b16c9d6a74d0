//! One operand of a matrix product: its values as floats, staged per block or packed once.

use std::ops::Range;

use gemm::{Parallelism, gemm};

use super::Arrays;
use super::affine::{Affine, Fetched, table};
use super::array::{Array, Element, typed};
use super::product::STAGED;

/// Columns of a panel of a packed operand: one is read from end to end by the innermost loops.
pub(super) const PANEL: usize = 64;

/// Longest offset table of a side; more leading axes go into a second table.
const MAX_TAIL: usize = 1 << 16;

/// Offsets along the axes of one side, as `lead[l] + tail[t]`.
#[derive(Clone, Debug)]
pub(super) struct Offsets {
    pub batch: Vec<isize>,
    pub lead: Vec<isize>,
    pub tail: Vec<isize>,
}

impl Offsets {
    pub fn new(space: &[usize], batch: &[usize], side: &[usize], strides: &[isize]) -> Self {
        let (lead, tail) = side.split_at(first_of_tail(space, side));
        let table = |axes: &[usize]| {
            let (dims, strides): (Vec<_>, Vec<_>) =
                axes.iter().map(|&axis| (space[axis], strides[axis])).unzip();
            table(&dims, &strides)
        };
        Self { batch: table(batch), lead: table(lead), tail: table(tail) }
    }

    pub fn at(&self, batch: usize, lead: usize) -> isize {
        self.batch[batch] + self.lead[lead]
    }
}

/// Where the tail of a side begins: as many last axes as fit a table, at least one.
fn first_of_tail(space: &[usize], side: &[usize]) -> usize {
    let mut size = 1;
    let fits = |&&axis: &&usize| {
        let first = size == 1;
        size *= space[axis];
        first || size <= MAX_TAIL
    };
    side.len() - side.iter().rev().take_while(fits).count()
}

/// One operand of a product.
#[derive(Debug)]
pub(super) struct Side {
    pub affine: Affine,
    pub offsets: Offsets,
    pub k: Vec<isize>,
    /// Whether staged rows run over `k` instead of the side.
    pub by_k: bool,
    pub packed: Option<Packed>,
}

/// A constant operand, staged once, block by `[batch][lead]` block.
#[derive(Debug)]
pub(super) enum Packed {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Side {
    /// An estimate of the time to stage a block, rows over `k` or over the side.
    pub fn cost(&self, by_k: bool) -> f64 {
        let (inner, outer) =
            if by_k { (&self.k, &self.offsets.tail) } else { (&self.offsets.tail, &self.k) };
        let run = |(_, step, len): (usize, isize, usize)| {
            4.0 + len as f64 * if step == 1 { 0.25 } else { 1.0 }
        };
        runs(inner).into_iter().map(run).sum::<f64>() * outer.len() as f64
    }

    pub fn constant<'a>(&'a self, arrays: &'a Arrays<'_>) -> Option<Fetched<'a>> {
        let known = self.affine.tensor().is_none_or(|tensor| arrays.known(tensor));
        known.then(|| arrays.fetch(&self.affine))
    }

    /// Of a constant operand, the largest sum of absolute values over a piece of the window.
    pub fn largest_sum(&self, piece: usize, arrays: &Arrays<'_>) -> Option<i64> {
        let fetched = self.constant(arrays)?;
        let runs = runs(&self.k);
        let mut values = vec![0; self.k.len()];
        let mut largest = 0;
        for start in self.blocks() {
            for tail in &self.offsets.tail {
                for &(first, step, len) in &runs {
                    let values = &mut values[first..first + len];
                    fetched.load(start + tail + self.k[first], step, values);
                }
                let abs = |piece: &[i32]| piece.iter().map(|&v| i64::from(v.unsigned_abs())).sum();
                largest = values.chunks(piece).map(abs).fold(largest, i64::max);
            }
        }
        Some(largest)
    }

    /// Offsets of all `[batch][lead]` blocks.
    fn blocks(&self) -> impl Iterator<Item = isize> {
        let Offsets { batch, lead, .. } = &self.offsets;
        let base = self.affine.base;
        batch.iter().flat_map(move |b| lead.iter().map(move |l| base + b + l))
    }

    /// Elements of a packed block.
    fn packed_len(&self) -> usize {
        let (k, tail) = (self.k.len(), self.offsets.tail.len());
        if self.by_k { tail * k } else { tail.next_multiple_of(PANEL) * k }
    }

    /// Stages a constant operand once: its rows over the window, or panels of its columns.
    pub fn pack(&mut self, double: bool, arrays: &Arrays<'_>) {
        fn all<F: Real>(side: &Side, fetched: &Fetched<'_>, size: usize) -> Vec<F> {
            let mut out = vec![F::default(); size];
            let (k, tail) = (side.k.len(), side.offsets.tail.len());
            let (panel, ld) = if side.by_k { (tail, k) } else { (PANEL, PANEL) };
            for (start, block) in side.blocks().zip(out.chunks_mut(side.packed_len())) {
                for (n, out) in block.chunks_mut(panel * k).enumerate() {
                    let tail = n * panel..tail.min((n + 1) * panel);
                    side.stage(fetched, start, tail, 0..k, ld, out);
                }
            }
            out
        }
        let size = self.offsets.batch.len() * self.offsets.lead.len() * self.packed_len();
        let Some(fetched) = self.constant(arrays) else { return };
        if size > 4 * fetched.array().len() + STAGED {
            return;
        }
        let packed = match double {
            true => Packed::Double(all(self, &fetched, size)),
            false => Packed::Single(all(self, &fetched, size)),
        };
        drop(fetched);
        self.packed = Some(packed);
    }

    /// Converts the operand's values of part of a block into rows `ld` apart.
    fn stage<F: Real>(
        &self,
        fetched: &Fetched<'_>,
        start: isize,
        tail: Range<usize>,
        k: Range<usize>,
        ld: usize,
        out: &mut [F],
    ) {
        let (tail, k) = (&self.offsets.tail[tail], &self.k[k]);
        let (inner, outer) = if self.by_k { (k, tail) } else { (tail, k) };
        let runs = runs(inner);
        for (at, row) in outer.iter().zip(out.chunks_mut(ld)) {
            for &(first, step, len) in &runs {
                let from = start + at + inner[first];
                load(fetched.array(), from, step, self.affine.zero, &mut row[first..first + len]);
            }
        }
    }
}

/// Cuts an offset table into runs of constant step: first position, step, length.
pub(super) fn runs(offsets: &[isize]) -> Vec<(usize, isize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < offsets.len() {
        let step = offsets.get(at + 1).map_or(1, |next| next - offsets[at]);
        let steps = offsets[at..].windows(2).take_while(|pair| pair[1] - pair[0] == step);
        let len = 1 + steps.count();
        found.push((at, step, len));
        at += len;
    }
    found
}

/// The float types of products.
pub(super) trait Real: Copy + Default + Send + Sync + 'static {
    fn of(value: i32) -> Self;
    fn exact(self) -> i64;
    fn packed(packed: &Packed) -> &[Self];
    const ONE: Self;
}

impl Real for f32 {
    const ONE: Self = 1.0;

    fn of(value: i32) -> Self {
        value as f32
    }

    fn exact(self) -> i64 {
        // Sums are at most 2^24; through i32 is what vector units do at once.
        (self as i32).into()
    }

    fn packed(packed: &Packed) -> &[Self] {
        match packed {
            Packed::Single(values) => values,
            Packed::Double(_) => unreachable!("packed in the type of its product"),
        }
    }
}

impl Real for f64 {
    const ONE: Self = 1.0;

    fn of(value: i32) -> Self {
        value.into()
    }

    fn exact(self) -> i64 {
        self as i64
    }

    fn packed(packed: &Packed) -> &[Self] {
        match packed {
            Packed::Double(values) => values,
            Packed::Single(_) => unreachable!("packed in the type of its product"),
        }
    }
}

/// As [`Array::load`], to floats.
fn load<F: Real>(array: &Array, start: isize, step: isize, zero: i32, out: &mut [F]) {
    fn all<T: Element, F: Real>(values: &[T], start: isize, step: isize, zero: i32, out: &mut [F]) {
        let real = |v: T| F::of(v.wide().wrapping_sub(zero));
        match step {
            1 => {
                let source = &values[start as usize..start as usize + out.len()];
                out.iter_mut().zip(source).for_each(|(out, &v)| *out = real(v));
            }
            _ => {
                (0..).zip(out).for_each(|(j, out)| *out = real(values[(start + j * step) as usize]))
            }
        }
    }
    typed!(array, values => all(values, start, step, zero, out));
}

/// A matrix in memory: its elements, and the strides along the side and along the window.
pub(super) struct Matrix<'a, F> {
    values: &'a [F],
    by_side: usize,
    by_k: usize,
}

impl Side {
    /// The operand's part of a block and piece of the window, packed or staged now.
    pub fn matrix<'m, F: Real>(
        &'m self,
        fetched: Option<&Fetched<'_>>,
        (batch, lead): (usize, usize),
        tail: Range<usize>,
        k: Range<usize>,
        staged: &'m mut Vec<F>,
    ) -> Matrix<'m, F> {
        let (values, ld) = match (&self.packed, fetched) {
            (Some(packed), _) => {
                let block = (batch * self.offsets.lead.len() + lead) * self.packed_len();
                let all = self.k.len();
                let (at, ld) = match self.by_k {
                    true => (tail.start * all + k.start, all),
                    false => (
                        tail.start / PANEL * PANEL * all + k.start * PANEL + tail.start % PANEL,
                        PANEL,
                    ),
                };
                (&F::packed(packed)[block + at..], ld)
            }
            (None, Some(fetched)) => {
                let (outer, ld) =
                    if self.by_k { (tail.len(), k.len()) } else { (k.len(), tail.len()) };
                staged.resize(outer * ld, F::default());
                let start = self.affine.base + self.offsets.at(batch, lead);
                self.stage(fetched, start, tail, k, ld, staged);
                (staged.as_slice(), ld)
            }
            (None, None) => unreachable!("what is not packed is fetched"),
        };
        let (by_side, by_k) = if self.by_k { (ld, 1) } else { (1, ld) };
        Matrix { values, by_side, by_k }
    }
}

/// `out[r][c] = Σ_k rows[r][k]·cols[k][c]`, row-major with rows `ld` apart.
pub(super) fn multiply<F: Real>(
    rows: &Matrix<'_, F>,
    cols: &Matrix<'_, F>,
    (r, c, k): (usize, usize, usize),
    out: &mut [F],
    ld: usize,
) {
    let last = |m: &Matrix<'_, F>, side: usize| (side - 1) * m.by_side + (k - 1) * m.by_k;
    assert!(
        out.len() >= (r - 1) * ld + c
            && last(rows, r) < rows.values.len()
            && last(cols, c) < cols.values.len()
    );
    // SAFETY: all three matrices lie inside their slices by the assertion above; `out` is not read
    // and does not overlap the others, being borrowed mutably.
    unsafe {
        gemm(
            c,
            r,
            k,
            out.as_mut_ptr(),
            ld as isize,
            1,
            false,
            cols.values.as_ptr(),
            cols.by_k as isize,
            cols.by_side as isize,
            rows.values.as_ptr(),
            rows.by_side as isize,
            rows.by_k as isize,
            F::default(),
            F::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
