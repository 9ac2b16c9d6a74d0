//! Terms of a dot as exact float matrix products.
//!
//! Of the axes of a space, those along which only one operand varies are its side of the product; those
//! along which both vary are batch axes. The side that holds the innermost axis gives the columns, so
//! that sums come out in the order of the output. A product is cut over the window so that no sum of
//! absolute products exceeds 2^24 (f32) or 2^53 (f64): every partial sum is then an exact integer.

use std::ops::Range;

use gemm::{Parallelism, gemm};

use super::Arrays;
use super::affine::{Affine, Fetched, table};
use super::array::{Array, Element, typed};
use crate::program::Op;

/// Sums of absolute products up to here are exact in f32.
const EXACT: i64 = 1 << 24;

/// Longest piece of a window, in f32 and f64: staged operands should stay in the second cache.
const PIECE: usize = 1024;
const PIECE_DOUBLE: usize = 512;

/// Below this, a piece of a window costs more in f32 than a whole one in f64.
const PIECE_MIN: usize = 32;

/// Elements of a staged operand, and sums of a block.
const STAGED: usize = 1 << 16;
const SUMS: usize = 1 << 15;

/// Products of a task that is not cut further for want of tasks.
const TASK_PRODUCTS: usize = 1 << 19;

/// Fewest rows, columns and window positions, and products, that are worth a matrix product.
const MIN_EXTENT: usize = 4;
const MIN_PRODUCTS: usize = 4096;

/// Longest offset table of a side; more leading axes go into a second table.
const MAX_TAIL: usize = 1 << 16;

/// A term: its window and operands.
pub(super) type TermOf<'a> = (&'a [usize], Affine, Affine);

/// Axes of a space by what varies along them.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    batch: Vec<usize>,
    rows: Vec<usize>,
    cols: Vec<usize>,
}

impl Split {
    /// The split of a term, and whether `a` gives the columns; `None` where a product does not pay.
    fn of(space: &[usize], window: &[usize], a: &Affine, b: &Affine) -> Option<(Self, bool)> {
        let (mut batch, mut of_a, mut of_b) = (vec![], vec![], vec![]);
        for axis in (0..space.len()).filter(|&axis| space[axis] > 1) {
            match (a.space[axis] != 0, b.space[axis] != 0) {
                (true, true) => batch.push(axis),
                (false, true) => of_b.push(axis),
                _ => of_a.push(axis),
            }
        }
        let last = |axes: &[usize]| axes.last().map_or(-1, |&axis| axis as isize);
        let a_gives_cols = last(&of_a) > last(&of_b);
        let (rows, cols) = if a_gives_cols { (of_b, of_a) } else { (of_a, of_b) };
        let size = |axes: &[usize]| axes.iter().map(|&axis| space[axis]).product::<usize>();
        let (r, c, k) = (size(&rows), size(&cols), window.iter().product::<usize>());
        let pays = r.min(c).min(k) >= MIN_EXTENT
            && r * c * k >= MIN_PRODUCTS
            && last(&cols) > last(&batch);
        pays.then_some((Self { batch, rows, cols }, a_gives_cols))
    }
}

/// Offsets along the axes of one side, as `lead[l] + tail[t]`.
#[derive(Clone, Debug)]
struct Offsets {
    batch: Vec<isize>,
    lead: Vec<isize>,
    tail: Vec<isize>,
}

impl Offsets {
    fn new(space: &[usize], batch: &[usize], side: &[usize], strides: &[isize]) -> Self {
        let (lead, tail) = side.split_at(first_of_tail(space, side));
        let table = |axes: &[usize]| {
            let (dims, strides): (Vec<_>, Vec<_>) =
                axes.iter().map(|&axis| (space[axis], strides[axis])).unzip();
            table(&dims, &strides)
        };
        Self { batch: table(batch), lead: table(lead), tail: table(tail) }
    }

    fn at(&self, batch: usize, lead: usize) -> isize {
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
struct Side {
    affine: Affine,
    offsets: Offsets,
    k: Vec<isize>,
    /// Whether staged rows run over `k` instead of the side.
    by_k: bool,
    packed: Option<Packed>,
}

/// A constant operand, staged once: `[batch][lead]` blocks of `outer × ld`.
#[derive(Debug)]
enum Packed {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// One term as a product.
#[derive(Debug)]
struct Product {
    rows: Side,
    cols: Side,
    piece: usize,
    double: bool,
}

/// All terms of a dot that share one split.
#[derive(Debug)]
pub(super) struct Products {
    terms: Vec<Product>,
    /// Gate numbers along rows and columns; the batch part stands in `rows`.
    rows: Offsets,
    cols: Offsets,
    /// Multiples of this many columns end with whole rows of the output.
    align: Vec<usize>,
}

impl Products {
    /// Takes the terms that pay as products and share a split; gives back the others.
    pub fn split<'a>(
        terms: Vec<TermOf<'a>>,
        op: &Op,
        arrays: &Arrays<'_>,
    ) -> (Option<Self>, Vec<TermOf<'a>>) {
        let mut common: Option<Split> = None;
        let (mut products, mut others) = (vec![], vec![]);
        for (window, a, b) in terms {
            match Split::of(&op.space, window, &a, &b) {
                Some((split, a_gives_cols))
                    if common.as_ref().is_none_or(|common| *common == split) =>
                {
                    let (rows, cols) = if a_gives_cols { (b, a) } else { (a, b) };
                    products.push(Product::new(&op.space, window, &split, rows, cols, arrays));
                    common = Some(split);
                }
                _ => others.push((window, a, b)),
            }
        }
        let Some(split) = common else { return (None, others) };
        let mut strides = vec![1isize; op.space.len()];
        for axis in (1..op.space.len()).rev() {
            strides[axis - 1] = strides[axis] * op.space[axis] as isize;
        }
        let mut align = vec![1];
        for &axis in split.cols.iter().rev() {
            align.push(align[align.len() - 1] * op.space[axis]);
        }
        let grid = Self {
            terms: products,
            rows: Offsets::new(&op.space, &split.batch, &split.rows, &strides),
            cols: Offsets::new(&op.space, &split.batch, &split.cols, &strides),
            align,
        };
        (Some(grid), others)
    }

    pub fn fetch<'a>(&'a self, arrays: &'a Arrays<'_>) -> FetchedProducts<'a> {
        let side = |side: &'a Side| side.packed.is_none().then(|| arrays.fetch(&side.affine));
        let terms = self.terms.iter().map(|term| (side(&term.rows), side(&term.cols))).collect();
        FetchedProducts { products: self, terms }
    }

    /// Rows and columns of a block: operands and sums in cache, and enough blocks for all threads.
    fn extents(&self) -> (usize, usize) {
        let (rows, cols) = (self.rows.tail.len(), self.cols.tail.len());
        let staged = |side: fn(&Product) -> &Side| {
            let pieces =
                self.terms.iter().filter(|term| side(term).packed.is_none()).map(|term| term.piece);
            pieces.max().map_or(1024, |piece| (STAGED / piece).clamp(64, 1024))
        };
        let mut c = cols.min(staged(|term| &term.cols));
        let mut r = rows.min(staged(|term| &term.rows)).min((SUMS / c).max(16));
        let others = self.rows.batch.len() * self.rows.lead.len() * self.cols.lead.len();
        let k: usize = self.terms.iter().map(|term| term.rows.k.len()).sum();
        let wanted = 2 * rayon::current_num_threads();
        while others * rows.div_ceil(r) * cols.div_ceil(c) < wanted && r * c * k > TASK_PRODUCTS {
            if c >= r { c = c.div_ceil(2) } else { r = r.div_ceil(2) }
        }
        let unit = self.align.iter().rev().find(|&&unit| unit <= c).unwrap_or(&1);
        (even(rows, r, 1), even(cols, c / unit * unit, *unit))
    }
}

/// The size of about equal pieces, multiples of `unit`, of at most `limit` of a whole.
fn even(whole: usize, limit: usize, unit: usize) -> usize {
    whole.div_ceil(whole.div_ceil(limit)).next_multiple_of(unit).min(limit)
}

impl Product {
    fn new(
        space: &[usize],
        window: &[usize],
        split: &Split,
        rows: Affine,
        cols: Affine,
        arrays: &Arrays<'_>,
    ) -> Self {
        let side = |affine: Affine, axes: &[usize]| Side {
            offsets: Offsets::new(space, &split.batch, axes, &affine.space),
            k: table(window, &affine.window),
            by_k: false,
            packed: None,
            affine,
        };
        let (mut rows, mut cols) = (side(rows, &split.rows), side(cols, &split.cols));
        rows.by_k = rows.cost(true) <= rows.cost(false);
        // Rows over the window would have to be transposed inside the product.
        cols.by_k = 2.0 * cols.cost(true) < cols.cost(false);
        let k = rows.k.len();
        let mut piece = k.div_ceil(k.div_ceil(PIECE));
        while piece >= PIECE_MIN && Self::reach(&rows, &cols, piece, arrays) > EXACT {
            piece = piece.div_ceil(2);
        }
        let double = Self::reach(&rows, &cols, piece, arrays) > EXACT;
        if double {
            piece = k.div_ceil(k.div_ceil(PIECE_DOUBLE));
        }
        for side in [&mut rows, &mut cols] {
            side.pack(double, arrays);
        }
        Self { rows, cols, piece, double }
    }

    /// A bound on the sum of absolute products over any piece of the window.
    fn reach(rows: &Side, cols: &Side, piece: usize, arrays: &Arrays<'_>) -> i64 {
        let by_range = |one: &Side, other: &Side| {
            let sum = one.largest_sum(piece, arrays)?;
            sum.checked_mul(other.affine.range.abs())
        };
        let blind = (piece as i64)
            .saturating_mul(rows.affine.range.abs())
            .saturating_mul(cols.affine.range.abs());
        [by_range(rows, cols), by_range(cols, rows)].into_iter().flatten().fold(blind, i64::min)
    }
}

impl Side {
    /// An estimate of the time to stage a block, rows over `k` or over the side.
    fn cost(&self, by_k: bool) -> f64 {
        let (inner, outer) =
            if by_k { (&self.k, &self.offsets.tail) } else { (&self.offsets.tail, &self.k) };
        let run = |(_, step, len): (usize, isize, usize)| {
            4.0 + len as f64 * if step == 1 { 0.25 } else { 1.0 }
        };
        runs(inner).into_iter().map(run).sum::<f64>() * outer.len() as f64
    }

    fn constant<'a>(&'a self, arrays: &'a Arrays<'_>) -> Option<Fetched<'a>> {
        let known = self.affine.tensor().is_none_or(|tensor| arrays.known(tensor));
        known.then(|| arrays.fetch(&self.affine))
    }

    /// Of a constant operand, the largest sum of absolute values over a piece of the window.
    fn largest_sum(&self, piece: usize, arrays: &Arrays<'_>) -> Option<i64> {
        let fetched = self.constant(arrays)?;
        let mut largest = 0;
        for start in self.blocks() {
            for tail in &self.offsets.tail {
                for ks in self.k.chunks(piece) {
                    let abs = |k: &isize| i64::from(fetched.one(start + tail + k)).abs();
                    largest = largest.max(ks.iter().map(abs).sum());
                }
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

    fn outer(&self) -> usize {
        if self.by_k { self.offsets.tail.len() } else { self.k.len() }
    }

    /// Row length of the packed block; not a multiple of the page size, so that rows spread over the cache.
    fn ld(&self) -> usize {
        let inner = if self.by_k { self.k.len() } else { self.offsets.tail.len() };
        inner.next_multiple_of(16) + if inner >= 256 { 16 } else { 0 }
    }

    fn pack(&mut self, double: bool, arrays: &Arrays<'_>) {
        let size = self.offsets.batch.len() * self.offsets.lead.len() * self.outer() * self.ld();
        let Some(fetched) = self.constant(arrays) else { return };
        if size > 4 * fetched.array().len() + STAGED {
            return;
        }
        fn all<F: Real>(side: &Side, fetched: &Fetched<'_>, size: usize) -> Vec<F> {
            let mut out = vec![F::default(); size];
            let ld = side.ld();
            let tail = 0..side.offsets.tail.len();
            for (start, block) in side.blocks().zip(out.chunks_mut(side.outer() * ld)) {
                side.stage(fetched, start, tail.clone(), 0..side.k.len(), ld, block);
            }
            out
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
fn runs(offsets: &[isize]) -> Vec<(usize, isize, usize)> {
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
trait Real: Copy + Default + Send + Sync + 'static {
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
        let real = |v: T| F::of(v.into().wrapping_sub(zero));
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

/// Products with their arrays at hand.
pub(super) struct FetchedProducts<'a> {
    products: &'a Products,
    /// Rows and columns of each term, where they are not packed.
    terms: Vec<(Option<Fetched<'a>>, Option<Fetched<'a>>)>,
}

/// A part of the output: some rows times some columns.
pub(super) struct Block {
    batch: usize,
    row_lead: usize,
    rows: Range<usize>,
    col_lead: usize,
    cols: Range<usize>,
}

/// A matrix in memory: its elements, and the strides along the side and along the window.
struct Matrix<'a, F> {
    values: &'a [F],
    by_side: usize,
    by_k: usize,
}

impl FetchedProducts<'_> {
    /// All blocks of the output.
    pub fn blocks(&self) -> Vec<Block> {
        let Products { rows, cols, .. } = self.products;
        let (r, c) = self.products.extents();
        let pieces = |whole: usize, piece: usize| {
            (0..whole).step_by(piece).map(move |at| at..whole.min(at + piece))
        };
        let mut blocks = Vec::new();
        for batch in 0..rows.batch.len() {
            for (row_lead, col_lead) in
                (0..rows.lead.len()).flat_map(|r| (0..cols.lead.len()).map(move |c| (r, c)))
            {
                for row in pieces(rows.tail.len(), r) {
                    let block = |cols| Block { batch, row_lead, rows: row.clone(), col_lead, cols };
                    blocks.extend(pieces(cols.tail.len(), c).map(block));
                }
            }
        }
        blocks
    }

    /// Where the sums of a block belong: position in the block, first gate, number of gates.
    pub fn runs(&self, block: &Block) -> impl Iterator<Item = (usize, usize, usize)> {
        let Products { rows, cols, .. } = self.products;
        let start = rows.at(block.batch, block.row_lead) + cols.lead[block.col_lead];
        let gates = &cols.tail[block.cols.clone()];
        let mut together = runs(gates);
        if together.iter().any(|&(_, step, len)| step != 1 && len > 1) {
            together = (0..gates.len()).map(|at| (at, 1, 1)).collect();
        }
        block.rows.clone().enumerate().flat_map(move |(n, row)| {
            let start = start + rows.tail[row];
            let run = move |&(at, _, len): &(usize, isize, usize)| {
                (n * gates.len() + at, (start + gates[at]) as usize, len)
            };
            together.iter().map(run).collect::<Vec<_>>()
        })
    }

    /// The sums of all terms over a block, row-major.
    pub fn sums(&self, block: &Block) -> Vec<i64> {
        let mut sums = vec![0; block.rows.len() * block.cols.len()];
        for (term, fetched) in self.products.terms.iter().zip(&self.terms) {
            if term.double {
                add::<f64>(term, fetched, block, &mut sums);
            } else {
                add::<f32>(term, fetched, block, &mut sums);
            }
        }
        sums
    }
}

/// Adds one term's sums over a block, piece by piece of the window.
fn add<F: Real>(
    term: &Product,
    fetched: &(Option<Fetched<'_>>, Option<Fetched<'_>>),
    block: &Block,
    sums: &mut [i64],
) {
    let (mut staged_rows, mut staged_cols) = (vec![], vec![]);
    let mut out = vec![F::default(); sums.len()];
    let k = term.rows.k.len();
    for first in (0..k).step_by(term.piece) {
        let piece = first..k.min(first + term.piece);
        let (lead, tail) = (block.row_lead, block.rows.clone());
        let rows = term.rows.matrix(
            fetched.0.as_ref(),
            (block.batch, lead),
            tail,
            piece.clone(),
            &mut staged_rows,
        );
        let (lead, tail) = (block.col_lead, block.cols.clone());
        let cols = term.cols.matrix(
            fetched.1.as_ref(),
            (block.batch, lead),
            tail,
            piece.clone(),
            &mut staged_cols,
        );
        multiply(&rows, &cols, (block.rows.len(), block.cols.len(), piece.len()), &mut out);
        sums.iter_mut().zip(&out).for_each(|(sum, value)| *sum = sum.wrapping_add(value.exact()));
    }
}

impl Side {
    /// The operand's part of a block and piece of the window, packed or staged now.
    fn matrix<'m, F: Real>(
        &'m self,
        fetched: Option<&Fetched<'_>>,
        (batch, lead): (usize, usize),
        tail: Range<usize>,
        k: Range<usize>,
        staged: &'m mut Vec<F>,
    ) -> Matrix<'m, F> {
        let strides = |ld| if self.by_k { (ld, 1) } else { (1, ld) };
        let (values, ld) = match (&self.packed, fetched) {
            (Some(packed), _) => {
                let ld = self.ld();
                let (by_side, by_k) = strides(ld);
                let block = (batch * self.offsets.lead.len() + lead) * self.outer() * ld;
                (&F::packed(packed)[block + tail.start * by_side + k.start * by_k..], ld)
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
        let (by_side, by_k) = strides(ld);
        Matrix { values, by_side, by_k }
    }
}

/// `out[r][c] = Σ_k rows[r][k]·cols[k][c]`, row-major.
fn multiply<F: Real>(
    rows: &Matrix<'_, F>,
    cols: &Matrix<'_, F>,
    (r, c, k): (usize, usize, usize),
    out: &mut [F],
) {
    let last = |m: &Matrix<'_, F>, side: usize| (side - 1) * m.by_side + (k - 1) * m.by_k;
    assert!(
        out.len() >= r * c
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
            c as isize,
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
