//! Terms of a dot as exact matrix products, of 16-bit integers or of floats.
//!
//! Of the axes of a space, those along which only one operand varies are its side of the product; those
//! along which both vary are batch axes. The side that holds the innermost axis gives the columns, so
//! that sums come out in the order of the output.
//!
//! Where operands fit 16 bits and the accumulator 32, products are those of [`pairs`]. Others are
//! multiplied as floats: the window is cut so that no sum of absolute products exceeds 2^24 (f32) or 2^53
//! (f64), and every partial sum is then an exact integer.

use std::ops::Range;

use super::Arrays;
use super::acc::Acc;
use super::affine::{Affine, Fetched, table};
use super::pairs::{self, COLS, ROWS};
use super::side::{Kind, Offsets, PANEL, Real, Side, multiply, runs};
use crate::program::Op;

/// Sums of absolute products up to here are exact in f32.
const EXACT: i64 = 1 << 24;

/// Longest piece of a window, in f32 and f64: staged operands should stay in the second cache.
const PIECE: usize = 1024;
const PIECE_DOUBLE: usize = 512;

/// Below this, a piece of a window costs more in f32 than a whole one in f64.
const PIECE_MIN: usize = 32;

/// Elements of a staged operand, and sums of a block.
pub(super) const STAGED: usize = 1 << 16;
const SUMS: usize = 1 << 15;

/// Products of a task that is not cut further for want of tasks.
const TASK_PRODUCTS: usize = 1 << 19;

/// Fewest rows, columns and window positions, and products, that are worth a matrix product.
const MIN_EXTENT: usize = 4;
const MIN_PRODUCTS: usize = 4096;

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

/// One term as a product.
#[derive(Debug)]
struct Product {
    rows: Side,
    cols: Side,
    piece: usize,
    kind: Multiplied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Multiplied {
    Pairs,
    Single,
    Double,
}

impl Multiplied {
    /// What its operands of rows and columns are packed as.
    fn packed(self) -> (Kind, Kind) {
        match self {
            Self::Pairs => (Kind::Pairs(ROWS), Kind::Pairs(COLS)),
            Self::Single => (Kind::Single, Kind::Single),
            Self::Double => (Kind::Double, Kind::Double),
        }
    }
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
    ///
    /// `narrow`: the whole accumulator fits 32 bits.
    pub fn split<'a>(
        terms: Vec<TermOf<'a>>,
        op: &Op,
        narrow: bool,
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
                    products.push((window, rows, cols));
                    common = Some(split);
                }
                _ => others.push((window, a, b)),
            }
        }
        let Some(split) = common else { return (None, others) };
        let pairs = narrow && products.iter().all(|(_, a, b)| short(a) && short(b));
        let new = |(window, rows, cols): TermOf<'a>| {
            Product::new(&op.space, window, &split, (rows, cols), pairs, arrays)
        };
        let products = products.into_iter().map(new).collect();
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
        // An element of a pair has half the bytes of a float.
        let elements = if self.pairs() { 2 * STAGED } else { STAGED };
        let staged = |side: fn(&Product) -> &Side| {
            let pieces =
                self.terms.iter().filter(|term| side(term).packed.is_none()).map(|term| term.piece);
            pieces.max().map(|piece| (elements / piece).clamp(64, 1024))
        };
        let (of_rows, of_cols) = (staged(|term| &term.rows), staged(|term| &term.cols));
        let mut c = cols.min(of_cols.unwrap_or(1024));
        let mut r = rows.min(of_rows.unwrap_or(1024));
        if of_cols.is_none() {
            // All rows at once, so that constant columns come from memory once.
            r = r.min(SUMS / 64);
            c = c.min(SUMS / r);
        } else {
            r = r.min((SUMS / c).max(16));
        }
        let others = self.rows.batch.len() * self.rows.lead.len() * self.cols.lead.len();
        let k: usize = self.terms.iter().map(|term| term.rows.k.len()).sum();
        let wanted = 2 * rayon::current_num_threads();
        let few = |r, c| others * rows.div_ceil(r) * cols.div_ceil(c) < wanted;
        while few(r, c) && r * c * k > TASK_PRODUCTS && r.max(c) > 1 {
            if c >= r { c = c.div_ceil(2) } else { r = r.div_ceil(2) }
        }
        // Of packed columns a block takes whole panels, even if only one term has them.
        let unit = match self.pairs() && self.terms.iter().any(|term| term.cols.packed.is_some()) {
            true => COLS,
            false => *self.align.iter().rev().find(|&&unit| unit <= c).unwrap_or(&1),
        };
        (even(rows, r, if self.pairs() { ROWS } else { 1 }), even(cols, c, unit))
    }

    /// What the numbers of the first term are, in words.
    #[cfg(test)]
    pub fn way(&self) -> &'static str {
        match self.terms[0].kind {
            Multiplied::Pairs => "pairs",
            Multiplied::Single => "single",
            Multiplied::Double => "double",
        }
    }

    /// Whether sums are those of pairs, in 32 bits.
    fn pairs(&self) -> bool {
        self.terms.iter().all(|term| term.kind == Multiplied::Pairs)
    }
}

/// Whether all values of an operand fit 16 bits.
fn short(affine: &Affine) -> bool {
    affine.range.lo >= i16::MIN.into() && affine.range.hi <= i16::MAX.into()
}

/// The size of about equal pieces, multiples of `unit`, of about `limit` of a whole at most.
fn even(whole: usize, limit: usize, unit: usize) -> usize {
    let limit = (limit / unit * unit).max(unit);
    whole.div_ceil(whole.div_ceil(limit)).next_multiple_of(unit).min(limit)
}

impl Product {
    fn new(
        space: &[usize],
        window: &[usize],
        split: &Split,
        (rows, cols): (Affine, Affine),
        pairs: bool,
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
        // Columns over the window are transposed inside the product, each time; constants only once.
        rows.by_k = rows.constant(arrays).is_some() || rows.cost(true) <= rows.cost(false);
        cols.by_k = cols.constant(arrays).is_none() && 2.0 * cols.cost(true) < cols.cost(false);
        let k = rows.k.len();
        let mut piece = k.div_ceil(k.div_ceil(PIECE));
        if pairs {
            // Nothing is transposed inside these products; a piece ends with a pair.
            cols.by_k = cols.cost(true) < cols.cost(false);
            piece = piece.next_multiple_of(2);
            return Self::packed(rows, cols, piece, Multiplied::Pairs, arrays);
        }
        let mut reach = Self::reach(&rows, &cols, piece, arrays);
        while piece >= PIECE_MIN && reach > EXACT {
            piece = piece.div_ceil(2);
            reach = Self::reach(&rows, &cols, piece, arrays);
        }
        let double = reach > EXACT;
        if double {
            piece = k.div_ceil(k.div_ceil(PIECE_DOUBLE));
        }
        let kind = if double { Multiplied::Double } else { Multiplied::Single };
        Self::packed(rows, cols, piece, kind, arrays)
    }

    fn packed(
        mut rows: Side,
        mut cols: Side,
        piece: usize,
        kind: Multiplied,
        arrays: &Arrays<'_>,
    ) -> Self {
        let (of_rows, of_cols) = kind.packed();
        rows.pack(of_rows, arrays);
        cols.pack(of_cols, arrays);
        Self { rows, cols, piece, kind }
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

impl Block {
    /// Number of sums.
    pub fn size(&self) -> usize {
        self.rows.len() * self.cols.len()
    }
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

    /// Visits where the sums of a block belong: position in the block, first gate, number of gates.
    pub fn runs(&self, block: &Block, mut visit: impl FnMut(usize, usize, usize)) {
        let Products { rows, cols, .. } = self.products;
        let start = rows.at(block.batch, block.row_lead) + cols.lead[block.col_lead];
        let gates = &cols.tail[block.cols.clone()];
        let mut together = runs(gates);
        if together.iter().any(|&(_, step, len)| step != 1 && len > 1) {
            together = (0..gates.len()).map(|at| (at, 1, 1)).collect();
        }
        for (n, row) in rows.tail[block.rows.clone()].iter().enumerate() {
            for &(at, _, len) in &together {
                visit(n * gates.len() + at, (start + row + gates[at]) as usize, len);
            }
        }
    }

    /// The sums of all terms over a block, row-major.
    pub fn sums<'s>(&self, block: &Block, scratch: &'s mut Scratch) -> Sums<'s> {
        if self.products.pairs() {
            return Sums::Narrow(self.pair_sums(block, &mut scratch.pairs));
        }
        if let ([term], [fetched]) = (self.products.terms.as_slice(), self.terms.as_slice())
            && term.piece >= term.rows.k.len()
        {
            let k = 0..term.rows.k.len();
            return match term.kind == Multiplied::Double {
                true => Sums::Double(piece_sums(term, fetched, block, k, &mut scratch.double)),
                false => Sums::Single(piece_sums(term, fetched, block, k, &mut scratch.single)),
            };
        }
        scratch.whole.clear();
        scratch.whole.resize(block.size(), 0);
        for (term, fetched) in self.products.terms.iter().zip(&self.terms) {
            let k = term.rows.k.len();
            for first in (0..k).step_by(term.piece) {
                let piece = first..k.min(first + term.piece);
                match term.kind == Multiplied::Double {
                    true => add(
                        piece_sums(term, fetched, block, piece, &mut scratch.double),
                        &mut scratch.whole,
                    ),
                    false => add(
                        piece_sums(term, fetched, block, piece, &mut scratch.single),
                        &mut scratch.whole,
                    ),
                }
            }
        }
        Sums::Whole(&scratch.whole)
    }

    fn pair_sums<'s>(&self, block: &Block, staged: &'s mut Staged<i32>) -> &'s [i32] {
        let Staged { rows, cols, out } = staged;
        out.clear();
        out.resize(block.size(), 0);
        let (r, c) = (block.rows.len(), block.cols.len());
        let (of_rows, of_cols) = ((block.batch, block.row_lead), (block.batch, block.col_lead));
        for (term, fetched) in self.products.terms.iter().zip(&self.terms) {
            let all = term.rows.k.len();
            for first in (0..all).step_by(term.piece) {
                let k = first..all.min(first + term.piece);
                let pairs = k.len().div_ceil(2);
                let (place, fetched_rows) = (block.rows.clone(), fetched.0.as_ref());
                let rows = term.rows.tiles(fetched_rows, of_rows, place, k.clone(), ROWS, rows);
                let (place, fetched_cols) = (block.cols.clone(), fetched.1.as_ref());
                let cols = term.cols.tiles(fetched_cols, of_cols, place, k, COLS, cols);
                pairs::add_products(&rows, &cols, (r, c, pairs), out, c);
            }
        }
        out
    }
}

/// Room for the operands and sums of a block, kept between blocks.
#[derive(Default)]
pub(super) struct Scratch {
    pairs: Staged<i32>,
    single: Staged<f32>,
    double: Staged<f64>,
    whole: Vec<i64>,
}

#[derive(Default)]
struct Staged<F> {
    rows: Vec<F>,
    cols: Vec<F>,
    out: Vec<F>,
}

/// The sums of a block.
pub(super) enum Sums<'s> {
    Narrow(&'s [i32]),
    Single(&'s [f32]),
    Double(&'s [f64]),
    Whole(&'s [i64]),
}

impl Sums<'_> {
    /// Copies the sums from position `at` on.
    pub fn load<A: Acc>(&self, at: usize, out: &mut [A]) {
        fn all<S: Copy, A>(sums: &[S], out: &mut [A], of: impl Fn(S) -> A) {
            out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = of(sum));
        }
        let end = at + out.len();
        match self {
            Self::Narrow(sums) => all(&sums[at..end], out, |sum| A::of(sum.into())),
            Self::Single(sums) => all(&sums[at..end], out, |sum| A::of(sum.exact())),
            Self::Double(sums) => all(&sums[at..end], out, |sum| A::of(sum.exact())),
            Self::Whole(sums) => all(&sums[at..end], out, A::of),
        }
    }
}

fn add<F: Real>(piece: &[F], sums: &mut [i64]) {
    sums.iter_mut().zip(piece).for_each(|(sum, value)| *sum = sum.wrapping_add(value.exact()));
}

/// One term's sums over a block and a piece of the window.
fn piece_sums<'s, F: Real>(
    term: &Product,
    (fetched_rows, fetched_cols): &(Option<Fetched<'_>>, Option<Fetched<'_>>),
    block: &Block,
    k: Range<usize>,
    staged: &'s mut Staged<F>,
) -> &'s [F] {
    let (r, c) = (block.rows.len(), block.cols.len());
    let place = (block.batch, block.row_lead);
    let rows = term.rows.matrix(
        fetched_rows.as_ref(),
        place,
        block.rows.clone(),
        k.clone(),
        &mut staged.rows,
    );
    staged.out.resize(r * c, F::default());
    let place = (block.batch, block.col_lead);
    let mut at = block.cols.start;
    while at < block.cols.end {
        let end =
            if term.cols.packed.is_some() { (at + 1).next_multiple_of(PANEL) } else { usize::MAX };
        let tail = at..end.min(block.cols.end);
        let extents = (r, tail.len(), k.len());
        let out = &mut staged.out[at - block.cols.start..];
        at = tail.end;
        let cols =
            term.cols.matrix(fetched_cols.as_ref(), place, tail, k.clone(), &mut staged.cols);
        multiply(&rows, &cols, extents, out, c);
    }
    &staged.out
}
