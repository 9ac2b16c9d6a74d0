//! One operand of a matrix product: its values as floats, staged per block or packed once.

use std::ops::Range;

use gemm::{Parallelism, gemm};

use super::Arrays;
use super::affine::{Affine, Fetched, table};
use super::array::{Array, Element, typed};
use super::pairs::{Tiles, pair};
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
    Pairs(Vec<i32>),
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// What the numbers of a product are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pairs of 16-bit integers, in tiles of this many.
    Pairs(usize),
    Single,
    Double,
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

    /// Elements of a block in tiles.
    fn tiled_len(&self, tile: usize) -> usize {
        self.offsets.tail.len().next_multiple_of(tile) * self.k.len().div_ceil(2)
    }

    /// Stages a constant operand once: its rows over the window, or panels of its columns.
    pub fn pack(&mut self, kind: Kind, arrays: &Arrays<'_>) {
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
        fn tiled(side: &Side, fetched: &Fetched<'_>, size: usize, tile: usize) -> Vec<i32> {
            let mut out = vec![0; size];
            let (k, tail) = (side.k.len(), side.offsets.tail.len());
            for (start, block) in side.blocks().zip(out.chunks_mut(side.tiled_len(tile))) {
                side.tile(fetched, start, 0..tail, 0..k, tile, block);
            }
            out
        }
        let len = match kind {
            Kind::Pairs(tile) => self.tiled_len(tile),
            Kind::Single | Kind::Double => self.packed_len(),
        };
        let size = self.offsets.batch.len() * self.offsets.lead.len() * len;
        let Some(fetched) = self.constant(arrays) else { return };
        if size > 4 * fetched.array().len() + STAGED {
            return;
        }
        let packed = match kind {
            Kind::Pairs(tile) => Packed::Pairs(tiled(self, &fetched, size, tile)),
            Kind::Single => Packed::Single(all(self, &fetched, size)),
            Kind::Double => Packed::Double(all(self, &fetched, size)),
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

impl Side {
    /// Writes the operand's values of part of a block as tiles of pairs; room beyond its end stays.
    fn tile(
        &self,
        fetched: &Fetched<'_>,
        start: isize,
        tail: Range<usize>,
        k: Range<usize>,
        tile: usize,
        out: &mut [i32],
    ) {
        let (tail, k) = (&self.offsets.tail[tail], &self.k[k]);
        let pairs = k.len().div_ceil(2);
        let line = |runs: &[(usize, isize, usize)], inner: &[isize], at: isize, out: &mut [i16]| {
            for &(first, step, len) in runs {
                let from = start + at + inner[first];
                load(fetched.array(), from, step, self.affine.zero, &mut out[first..first + len]);
            }
        };
        if self.by_k {
            let runs = runs(k);
            let mut values = vec![0; 2 * pairs];
            for (n, &at) in tail.iter().enumerate() {
                line(&runs, k, at, &mut values);
                let places = out[n / tile * tile * pairs + n % tile..].iter_mut().step_by(tile);
                places.zip(values.chunks_exact(2)).for_each(|(out, v)| *out = pair(v[0], v[1]));
            }
        } else {
            let runs = runs(tail);
            let (mut first, mut second) = (vec![0; tail.len()], vec![0; tail.len()]);
            for (n, two) in k.chunks(2).enumerate() {
                line(&runs, tail, two[0], &mut first);
                match two.get(1) {
                    Some(&at) => line(&runs, tail, at, &mut second),
                    None => second.fill(0),
                }
                let tiles = out.chunks_mut(tile * pairs);
                for (out, (a, b)) in tiles.zip(first.chunks(tile).zip(second.chunks(tile))) {
                    let places = out[n * tile..].iter_mut().zip(a.iter().zip(b));
                    places.for_each(|(out, (&a, &b))| *out = pair(a, b));
                }
            }
        }
    }

    /// The operand's part of a block and piece of the window in tiles of pairs, packed or staged now.
    ///
    /// Where it is packed, the part begins with a tile, and the piece with a pair.
    pub fn tiles<'m>(
        &'m self,
        fetched: Option<&Fetched<'_>>,
        (batch, lead): (usize, usize),
        tail: Range<usize>,
        k: Range<usize>,
        tile: usize,
        staged: &'m mut Vec<i32>,
    ) -> Tiles<'m> {
        if let Some(packed) = &self.packed {
            let Packed::Pairs(pairs) = packed else { unreachable!("packed in its product's kind") };
            assert!(tail.start.is_multiple_of(tile) && k.start.is_multiple_of(2));
            let all = self.k.len().div_ceil(2);
            let block = (batch * self.offsets.lead.len() + lead) * self.tiled_len(tile);
            let at = block + tail.start * all + k.start / 2 * tile;
            return Tiles { pairs: &pairs[at..], stride: tile * all };
        }
        let fetched = fetched.expect("what is not packed is fetched");
        let pairs = k.len().div_ceil(2);
        staged.resize(tail.len().next_multiple_of(tile) * pairs, 0);
        let start = self.affine.base + self.offsets.at(batch, lead);
        self.tile(fetched, start, tail, k, tile, staged);
        Tiles { pairs: staged, stride: tile * pairs }
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

/// What an operand is staged as.
pub(super) trait Number: Copy + Default + Send + Sync + 'static {
    /// The value, which fits.
    fn of(value: i32) -> Self;
}

impl Number for i16 {
    fn of(value: i32) -> Self {
        value as i16
    }
}

impl Number for f32 {
    fn of(value: i32) -> Self {
        value as f32
    }
}

impl Number for f64 {
    fn of(value: i32) -> Self {
        value.into()
    }
}

/// The float types of products.
pub(super) trait Real: Number {
    fn exact(self) -> i64;
    fn packed(packed: &Packed) -> &[Self];
    const ONE: Self;
}

impl Real for f32 {
    const ONE: Self = 1.0;

    fn exact(self) -> i64 {
        // Sums are at most 2^24; through i32 is what vector units do at once.
        (self as i32).into()
    }

    fn packed(packed: &Packed) -> &[Self] {
        match packed {
            Packed::Single(values) => values,
            Packed::Double(_) | Packed::Pairs(_) => {
                unreachable!("packed in the type of its product")
            }
        }
    }
}

impl Real for f64 {
    const ONE: Self = 1.0;

    fn exact(self) -> i64 {
        self as i64
    }

    fn packed(packed: &Packed) -> &[Self] {
        match packed {
            Packed::Double(values) => values,
            Packed::Single(_) | Packed::Pairs(_) => {
                unreachable!("packed in the type of its product")
            }
        }
    }
}

/// As [`Array::load`], to the numbers of a product.
fn load<F: Number>(array: &Array, start: isize, step: isize, zero: i32, out: &mut [F]) {
    fn all<T: Element, F: Number>(
        values: &[T],
        start: isize,
        step: isize,
        zero: i32,
        out: &mut [F],
    ) {
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
