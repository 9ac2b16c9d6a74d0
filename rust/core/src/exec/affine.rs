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
    pub fn new(program: &Program, operand: OperandRef<'_>, space: &[usize], window: &[usize]) -> Option<Self> {
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

    fn read(&mut self, program: &Program, read: &Read, space: &[usize], window: &[usize]) -> Option<()> {
        let size = program.tensors[read.tensor].size() as u128;
        let limit = (EXPANSION_FACTOR * size + EXPANSION_SLACK).min(1 << 30);
        let mut axes = Vec::new();
        let mut stride = 1u128;
        let mut guarded = false;
        for (map, &view) in read.maps.iter().zip(&read.view).rev() {
            let (lo, hi) = map.extremes(space, window);
            let inside = map.d == 1 && lo >= 0 && hi < view as i64;
            guarded |= !inside;
            let (first, axis) = if inside { (0, ExpandedAxis::whole(view)) } else {
                let dim = u128::from(hi.abs_diff(lo)) + 1;
                (lo, (stride * dim <= limit).then(|| ExpandedAxis::of(lo, dim as usize, map.d.into(), view))?)
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
            axes.push(axis);
        }
        if stride > limit {
            return None;
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

    /// All numerators from `lo` on.
    fn of(lo: i64, dim: usize, d: i64, view: usize) -> Self {
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        let first = lo.max(0).next_multiple_of_i64(d);
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

/// The least multiple of `d` that is not below a number `≥ 0`.
trait NextMultiple {
    fn next_multiple_of_i64(self, d: i64) -> i64;
}

impl NextMultiple for i64 {
    fn next_multiple_of_i64(self, d: i64) -> i64 {
        (self + d - 1) / d * d
    }
}
