//! Operands as affine reads: element `base + Σ i·space + Σ k·window` of an array.
//!
//! Where an index can be broken or out of range, the tensor is first *expanded*: each such view axis
//! becomes one of all its numerators, filled with pads, so that the read is affine again.

use rayon::prelude::*;

use super::array::{Array, Element, typed};
use crate::program::{OperandRef, Program, Range, Read, operand_range};

/// An expanded tensor may be this many times larger than the tensor, plus `EXPANSION_SLACK`.
const EXPANSION_FACTOR: u128 = 8;
const EXPANSION_SLACK: u128 = 1 << 16;

/// Longest row that is worked on at once: its buffers stay in the first cache.
pub(super) const ROW: usize = 1024;

/// An operand of a dot, pick, gather or div.
#[derive(Clone, Debug)]
pub(super) struct Affine {
    pub source: Source,
    pub base: isize,
    pub space: Vec<isize>,
    pub window: Vec<isize>,
    pub zero: i32,
    pub range: Range,
}

/// Where the elements are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// An array of one element.
    Const(Array),
    Tensor(usize),
    Expanded(Expansion),
}

/// How a tensor is expanded.
#[derive(Clone, Debug)]
pub(super) struct Expansion {
    tensor: usize,
    pad: i32,
    axes: Vec<ExpandedAxis>,
}

/// The runs of an expanded axis that are not pads: `(to, from, len)`.
#[derive(Clone, Debug)]
struct ExpandedAxis {
    dim: usize,
    view: usize,
    runs: Vec<(usize, usize, usize)>,
}

impl Affine {
    /// The operand over a space and window, or `None` if it cannot be made affine at a sane size or
    /// its values leave i32.
    pub fn new(
        program: &Program,
        operand: OperandRef<'_>,
        space: &[usize],
        window: &[usize],
    ) -> Option<Self> {
        let range = operand_range(program, operand);
        if range.abs() > i32::MAX.into() {
            return None;
        }
        let mut affine = Self {
            source: Source::Const(Array::I32(vec![0])),
            base: 0,
            space: vec![0; space.len()],
            window: vec![0; window.len()],
            zero: 0,
            range,
        };
        match operand {
            OperandRef::Const(value) => affine.source = Source::Const(Array::I32(vec![value])),
            OperandRef::Read(read) => affine.read(program, read, space, window)?,
        }
        Some(affine)
    }

    fn read(
        &mut self,
        program: &Program,
        read: &Read,
        space: &[usize],
        window: &[usize],
    ) -> Option<()> {
        let size = program.tensors[read.tensor].size() as u128;
        let limit = (EXPANSION_FACTOR * size + EXPANSION_SLACK).min(1 << 30);
        let mut axes = Vec::new();
        let mut stride = 1u128;
        let mut guarded = false;
        for (map, &view) in read.maps.iter().zip(&read.view).rev() {
            let (lo, hi) = map.extremes(space, window);
            let inside = map.d == 1 && lo >= 0 && hi < view as i64;
            guarded |= !inside;
            let (first, axis) = if inside {
                (0, ExpandedAxis::whole(view))
            } else {
                let dim = u128::from(hi.abs_diff(lo)) + 1;
                (
                    lo,
                    (stride * dim <= limit)
                        .then(|| ExpandedAxis::of(lo, dim as usize, map.d.into(), view))?,
                )
            };
            let unit = stride as i64;
            self.base += ((i64::from(map.c) - first) * unit) as isize;
            // On an axis of one element the factor is void and could be anything.
            if let Some(i) = map.i_axis.filter(|&i| space[i] > 1) {
                self.space[i] += (i64::from(map.a) * unit) as isize;
            }
            if let Some(k) = map.k_axis.filter(|&k| window[k] > 1) {
                self.window[k] += (i64::from(map.b) * unit) as isize;
            }
            stride *= axis.dim as u128;
            if stride > limit {
                return None;
            }
            axes.push(axis);
        }
        axes.reverse();
        self.zero = read.zero;
        self.source = match read.pad {
            Some(pad) if guarded => Source::Expanded(Expansion { tensor: read.tensor, pad, axes }),
            _ => Source::Tensor(read.tensor),
        };
        Some(())
    }

    /// Number of the tensor read as it is or expanded.
    pub fn tensor(&self) -> Option<usize> {
        match &self.source {
            Source::Const(_) => None,
            Source::Tensor(tensor) => Some(*tensor),
            Source::Expanded(expansion) => Some(expansion.tensor),
        }
    }
}

impl ExpandedAxis {
    fn whole(view: usize) -> Self {
        Self { dim: view, view, runs: vec![(0, 0, view)] }
    }

    /// `dim` numerators from `lo` on.
    fn of(lo: i64, dim: usize, d: i64, view: usize) -> Self {
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        let first = (lo.max(0) + d - 1) / d * d;
        let mut numerator = first;
        while numerator < lo + dim as i64 && numerator / d < view as i64 {
            let (to, from) = ((numerator - lo) as usize, (numerator / d) as usize);
            match runs.last_mut() {
                Some((_, _, len)) if d == 1 => *len += 1,
                _ => runs.push((to, from, 1)),
            }
            numerator += d;
        }
        Self { dim, view, runs }
    }
}

impl Expansion {
    /// The expanded array of the tensor's.
    fn expand(&self, array: &Array) -> Array {
        match array {
            Array::I8(values) if i8::try_from(self.pad).is_ok() => {
                self.copy(values, self.pad as i8, |v| v)
            }
            Array::I16(values) if i16::try_from(self.pad).is_ok() => {
                self.copy(values, self.pad as i16, |v| v)
            }
            array => typed!(array, values => self.copy(values, self.pad, |v| v.wide())),
        }
    }

    fn copy<S: Element, T: Element>(
        &self,
        from: &[S],
        pad: T,
        convert: impl Fn(S) -> T + Sync,
    ) -> Array {
        let (inner, outer) = self.axes.split_last().expect("a view has an axis");
        let mut out = vec![pad; self.axes.iter().map(|axis| axis.dim).product()];
        out.par_chunks_mut(inner.dim).with_min_len(256).enumerate().for_each(|(row, out)| {
            let Some(start) = source_row(outer, row) else { return };
            let from = &from[start * inner.view..(start + 1) * inner.view];
            for &(to, at, len) in &inner.runs {
                let target = out[to..to + len].iter_mut();
                target.zip(&from[at..at + len]).for_each(|(out, &v)| *out = convert(v));
            }
        });
        T::array(out)
    }
}

/// The row of the tensor that an expanded row copies, if it does not consist of pads.
fn source_row(outer: &[ExpandedAxis], mut row: usize) -> Option<usize> {
    let mut source = 0;
    let mut stride = 1;
    for axis in outer.iter().rev() {
        let at = row % axis.dim;
        row /= axis.dim;
        let run = axis.runs.partition_point(|&(to, _, _)| to <= at).checked_sub(1)?;
        let (to, from, len) = axis.runs[run];
        if at - to >= len {
            return None;
        }
        source += (from + at - to) * stride;
        stride *= axis.view;
    }
    Some(source)
}

/// An operand with its array at hand.
pub(super) struct Fetched<'a> {
    pub affine: &'a Affine,
    array: FetchedArray<'a>,
}

enum FetchedArray<'a> {
    Borrowed(&'a Array),
    Expanded(Array),
}

impl<'a> Fetched<'a> {
    /// Finds (and expands) the array of an operand.
    pub fn new(affine: &'a Affine, arrays: &dyn Fn(usize) -> &'a Array) -> Self {
        let array = match &affine.source {
            Source::Const(array) => FetchedArray::Borrowed(array),
            Source::Tensor(tensor) => FetchedArray::Borrowed(arrays(*tensor)),
            Source::Expanded(expansion) => {
                FetchedArray::Expanded(expansion.expand(arrays(expansion.tensor)))
            }
        };
        Self { affine, array }
    }

    pub fn array(&self) -> &Array {
        match &self.array {
            FetchedArray::Borrowed(array) => array,
            FetchedArray::Expanded(array) => array,
        }
    }

    /// Loads the values (zero subtracted) at `start`, `start + step`, …
    pub fn load(&self, start: isize, step: isize, out: &mut [i32]) {
        self.array().load(start, step, self.affine.zero, out);
    }

    pub fn one(&self, at: isize) -> i32 {
        self.array().get(at as usize).wrapping_sub(self.affine.zero)
    }
}

/// Several operands walked together over one space; neighbouring axes are merged where every operand
/// goes on evenly from one to the next.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    dims: Vec<usize>,
    base: Vec<isize>,
    /// `[axis][operand]`
    strides: Vec<Vec<isize>>,
}

impl Rows {
    pub fn new(space: &[usize], operands: &[&Affine]) -> Self {
        let base = operands.iter().map(|operand| operand.base).collect();
        let mut rows = Self { dims: vec![], base, strides: vec![] };
        for (axis, &dim) in space.iter().enumerate().filter(|&(_, &dim)| dim > 1) {
            let strides: Vec<isize> = operands.iter().map(|operand| operand.space[axis]).collect();
            let even = |outer: &Vec<isize>| {
                outer.iter().zip(&strides).all(|(o, s)| *o == s * dim as isize)
            };
            if rows.strides.last().is_some_and(even) {
                *rows.dims.last_mut().expect("as many dims as strides") *= dim;
                *rows.strides.last_mut().expect("just seen") = strides;
            } else {
                rows.dims.push(dim);
                rows.strides.push(strides);
            }
        }
        if rows.dims.is_empty() {
            rows.dims.push(1);
            rows.strides.push(vec![0; operands.len()]);
        }
        rows
    }

    /// Gates in a whole row.
    pub fn inner(&self) -> usize {
        self.dims[self.dims.len() - 1]
    }

    /// Offset from one gate of a row to the next, per operand.
    pub fn steps(&self) -> &[isize] {
        &self.strides[self.strides.len() - 1]
    }

    /// Visits gates `first .. first + len` as pieces of rows of at most [`ROW`] gates: position in the
    /// range, length, and per operand the offset of the piece's first gate.
    ///
    /// `offsets` is room for those offsets.
    pub fn visit(
        &self,
        first: usize,
        len: usize,
        offsets: &mut Vec<isize>,
        mut piece: impl FnMut(usize, usize, &[isize]),
    ) {
        let mut done = 0;
        while done < len {
            offsets.clone_from(&self.base);
            let mut rest = first + done;
            for (&dim, strides) in self.dims.iter().zip(&self.strides).rev() {
                let at = (rest % dim) as isize;
                rest /= dim;
                offsets.iter_mut().zip(strides).for_each(|(offset, stride)| *offset += at * stride);
            }
            let row = self.inner() - (first + done) % self.inner();
            let here = row.min(len - done).min(ROW);
            piece(done, here, offsets);
            done += here;
        }
    }
}

/// Offsets of all positions of some axes, row-major.
pub(super) fn table(dims: &[usize], strides: &[isize]) -> Vec<isize> {
    dims.iter().zip(strides).fold(vec![0], |table, (&dim, &stride)| {
        table.iter().flat_map(|at| (0..dim as isize).map(move |j| at + j * stride)).collect()
    })
}
