//! Sums over a window that slides over planes, as those of depthwise convolutions.
//!
//! Along the last two axes of the space only one operand moves, by constant steps. A *strip* of lines is
//! then summed as one long row from the first element that it reads to the last: what lies between two
//! lines, or two steps, is summed in vain, which costs less than to begin anew at every line.

use super::affine::{Affine, Fetched, table};
use super::array::{Element, typed};
use super::{Array, Arrays};
use crate::program::Op;

/// Elements of a strip: its sums and what they read stay in the first cache.
const STRIP: usize = 2048;

/// A strip is worth it if at least one sum of so many is used.
const WASTE: usize = 2;

/// Fewest gates of a plane, and positions of its window.
const MIN_PLANE: usize = 16;
const MIN_WINDOW: usize = 2;

/// A term whose sums are taken over planes.
#[derive(Debug)]
pub(super) struct Planes {
    /// What moves, and what it is multiplied by.
    moving: Affine,
    factor: Affine,
    /// Offsets of both at each position of the window.
    windows: (Vec<isize>, Vec<isize>),
    /// Offsets of both at each plane.
    planes: (Vec<isize>, Vec<isize>),
    lines: usize,
    width: usize,
    /// Elements from one line to the next, from one gate of a line to the next.
    steps: (usize, usize),
}

impl Planes {
    /// `None` where this is no such term, or strips do not pay.
    pub fn new(op: &Op, window: &[usize], a: &Affine, b: &Affine) -> Option<Self> {
        let axes: Vec<usize> = (0..op.space.len()).filter(|&axis| op.space[axis] > 1).collect();
        let [outer @ .., line, across] = axes.as_slice() else { return None };
        let still = |affine: &Affine| affine.space[*line] == 0 && affine.space[*across] == 0;
        let (moving, factor) = if still(b) { (a, b) } else { (b, a) };
        let step = |axis: usize| usize::try_from(moving.space[axis]).ok().filter(|&step| step > 0);
        let (lines, width) = (op.space[*line], op.space[*across]);
        let steps = (step(*line)?, step(*across)?);
        let planes = outer.iter().map(|&axis| op.space[axis]).product::<usize>();
        let pays = still(factor)
            && lines * width >= MIN_PLANE
            && window.iter().product::<usize>() >= MIN_WINDOW
            && steps.1 <= WASTE
            && planes <= 1 << 16;
        let offsets = |affine: &Affine| {
            let (dims, strides): (Vec<_>, Vec<_>) =
                outer.iter().map(|&axis| (op.space[axis], affine.space[axis])).unzip();
            table(&dims, &strides)
        };
        pays.then(|| Self {
            windows: (table(window, &moving.window), table(window, &factor.window)),
            planes: (offsets(moving), offsets(factor)),
            moving: moving.clone(),
            factor: factor.clone(),
            lines,
            width,
            steps,
        })
    }

    /// Gates of a plane.
    pub fn size(&self) -> usize {
        self.lines * self.width
    }

    /// Operations for a plane.
    pub fn work(&self) -> usize {
        self.size() * self.windows.0.len()
    }

    /// Lines that are summed as one row.
    fn together(&self) -> usize {
        let (line, step) = self.steps;
        let dense = line <= WASTE * self.width && step == 1;
        if dense { (STRIP / line).clamp(1, self.lines) } else { 1 }
    }

    pub fn fetch<'a>(&'a self, arrays: &'a Arrays<'_>) -> FetchedPlanes<'a> {
        let (moving, factor) = (arrays.fetch(&self.moving), arrays.fetch(&self.factor));
        FetchedPlanes { planes: self, moving, factor }
    }
}

/// Planes with their arrays at hand.
pub(super) struct FetchedPlanes<'a> {
    planes: &'a Planes,
    moving: Fetched<'a>,
    factor: Fetched<'a>,
}

impl FetchedPlanes<'_> {
    /// The sums of a plane, modulo 2^32; `strip` is room for what is not used, too.
    pub fn sums(&self, plane: usize, out: &mut Vec<i32>, strip: &mut Vec<i32>) {
        let Planes { windows, planes, lines, width, steps, .. } = self.planes;
        let factors: Vec<i32> = windows
            .1
            .iter()
            .map(|at| self.factor.one(self.factor.affine.base + planes.1[plane] + at))
            .collect();
        // Σ (x − zero)·w = Σ x·w − zero·Σ w.
        let total = factors.iter().fold(0i32, |sum, &factor| sum.wrapping_add(factor));
        let start = self.moving.affine.base + planes.0[plane];
        let together = self.planes.together();
        out.clear();
        for first in (0..*lines).step_by(together) {
            let here = together.min(lines - first);
            strip.clear();
            strip.resize(
                (here - 1) * steps.0 + (width - 1) * steps.1 + 1,
                total.wrapping_mul(self.moving.affine.zero).wrapping_neg(),
            );
            add_window(
                self.moving.array(),
                start + (first * steps.0) as isize,
                (&windows.0, &factors),
                strip,
            );
            for line in 0..here {
                let from = &strip[line * steps.0..];
                match steps.1 {
                    1 => out.extend_from_slice(&from[..*width]),
                    step => out.extend(from.iter().step_by(step).take(*width)),
                }
            }
        }
    }
}

/// Adds to `sums[p]` the products of the elements `start + p + offset` with their factors.
fn add_window(array: &Array, start: isize, window: (&[isize], &[i32]), sums: &mut [i32]) {
    fn all<T: Element>(values: &[T], start: isize, window: (&[isize], &[i32]), sums: &mut [i32]) {
        let len = sums.len();
        let from = |offset: isize| &values[(start + offset) as usize..][..len];
        let product = |v: T, factor: i32| v.wide().wrapping_mul(factor);
        let (threes, rest) = window.0.as_chunks::<3>();
        let (factors, others) = window.1.as_chunks::<3>();
        for (offsets, factors) in threes.iter().zip(factors) {
            let [x, y, z] = offsets.map(from);
            for (sum, (&x, (&y, &z))) in sums.iter_mut().zip(x.iter().zip(y.iter().zip(z))) {
                let two = product(x, factors[0]).wrapping_add(product(y, factors[1]));
                *sum = sum.wrapping_add(two).wrapping_add(product(z, factors[2]));
            }
        }
        for (&offset, &factor) in rest.iter().zip(others) {
            let sums = sums.iter_mut().zip(from(offset));
            sums.for_each(|(sum, &v)| *sum = sum.wrapping_add(product(v, factor)));
        }
    }
    typed!(array, values => all(values, start, window, sums));
}
