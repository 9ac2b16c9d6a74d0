//! Walking an operand over its window: which elements a gate reads, in order, as runs.

use super::divisor::Divisor;
use super::types::{AxisMap, Read};

/// Axes of a space, a window or a view are at most 8.
const MAX_RANK: usize = 8;

/// Elements `start`, `start + step`, … (`len` of them) of a tensor, as row-major offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub start: usize,
    pub step: isize,
    pub len: usize,
}

/// The next few values of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    Run(Run),
    /// So many pads.
    Pad(usize),
}

/// A read, prepared for one space and window.
///
/// View axes whose index is always whole and in range are folded into one affine row-major offset;
/// only the others (`guarded`) are looked at element by element.
#[derive(Clone, Debug)]
pub struct Walk {
    space: Vec<Divisor>,
    window: Vec<usize>,
    base: i64,
    by_space: [i64; MAX_RANK],
    by_window: [i64; MAX_RANK],
    guarded: Vec<Guarded>,
}

/// A view axis whose index can be broken or out of range.
#[derive(Clone, Debug)]
struct Guarded {
    map: AxisMap,
    dim: i64,
    stride: i64,
}

impl Guarded {
    /// The factor of a window axis.
    fn step(&self, axis: usize) -> i64 {
        if self.map.k_axis == Some(axis) { self.map.b.into() } else { 0 }
    }

    /// The part of the offset that belongs to a numerator, if it gives an index.
    fn offset(&self, numerator: i64) -> Option<i64> {
        let d = i64::from(self.map.d);
        let inside = numerator % d == 0 && (0..self.dim).contains(&(numerator / d));
        inside.then(|| numerator / d * self.stride)
    }
}

impl Walk {
    /// Prepares a read of a validated program.
    pub fn new(read: &Read, space: &[usize], window: &[usize]) -> Self {
        let mut walk = Self {
            space: space.iter().map(|&dim| Divisor::new(dim)).collect(),
            window: window.to_vec(),
            base: 0,
            by_space: [0; MAX_RANK],
            by_window: [0; MAX_RANK],
            guarded: Vec::new(),
        };
        let mut stride = 1i64;
        for (map, &dim) in read.maps.iter().zip(&read.view).rev() {
            let (lo, hi) = map.extremes(space, window);
            let dim = dim as i64;
            if map.d == 1 && lo >= 0 && hi < dim {
                walk.base += i64::from(map.c) * stride;
                // On an axis of one element the factor is void and could be anything.
                if let Some(axis) = map.i_axis.filter(|&axis| space[axis] > 1) {
                    walk.by_space[axis] += i64::from(map.a) * stride;
                }
                if let Some(axis) = map.k_axis.filter(|&axis| window[axis] > 1) {
                    walk.by_window[axis] += i64::from(map.b) * stride;
                }
            } else {
                walk.guarded.push(Guarded { map: *map, dim, stride });
            }
            stride *= dim;
        }
        walk
    }

    /// Whether every element is in range: then `segments` gives runs only, at affine offsets.
    pub fn affine(&self) -> bool {
        self.guarded.is_empty()
    }

    /// The offset at the origin of space and window, without guarded axes.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Offset per unit of each axis of the space, without guarded axes.
    pub fn space_strides(&self) -> &[i64] {
        &self.by_space[..self.space.len()]
    }

    /// Offset per unit of each axis of the window, without guarded axes.
    pub fn window_strides(&self) -> &[i64] {
        &self.by_window[..self.window.len()]
    }

    /// The first gate that reads the same elements as `gate`: along an axis on which no index depends, all
    /// of them do.
    pub fn first(&self, gate: usize) -> usize {
        let (mut rest, mut first, mut stride) = (gate, 0, 1);
        for (axis, dim) in self.space.iter().enumerate().rev() {
            let (before, i) = dim.divide(rest);
            rest = before;
            let guards = |guarded: &Guarded| guarded.map.i_axis == Some(axis) && guarded.map.a != 0;
            if self.by_space[axis] != 0 || self.guarded.iter().any(guards) {
                first += i * stride;
            }
            stride *= dim.get();
        }
        first
    }

    /// Visits the elements that gate `gate` reads, in the row-major order of the window.
    pub fn segments(&self, gate: usize, mut visit: impl FnMut(Segment)) {
        let mut offset = self.base;
        let mut numerators = [0i64; MAX_RANK];
        for (numerator, guarded) in numerators.iter_mut().zip(&self.guarded) {
            *numerator = guarded.map.c.into();
        }
        let mut rest = gate;
        for (axis, dim) in self.space.iter().enumerate().rev() {
            let (before, i) = dim.divide(rest);
            rest = before;
            let i = i as i64;
            offset += i * self.by_space[axis];
            for (numerator, guarded) in numerators.iter_mut().zip(&self.guarded) {
                if guarded.map.i_axis == Some(axis) {
                    *numerator += i * i64::from(guarded.map.a);
                }
            }
        }
        let outer = self.window.len().saturating_sub(1);
        let mut k = [0usize; MAX_RANK];
        loop {
            self.row(offset, &numerators, &mut visit);
            // Odometer over the outer axes of the window, the last one fastest.
            let mut axis = outer;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let dim = self.window[axis];
                k[axis] += 1;
                // One step on, or all the way back to 0.
                let moved = if k[axis] < dim { 1 } else { 1 - dim as i64 };
                offset += moved * self.by_window[axis];
                for (numerator, guarded) in numerators.iter_mut().zip(&self.guarded) {
                    *numerator += moved * guarded.step(axis);
                }
                if k[axis] < dim {
                    break;
                }
                k[axis] = 0;
            }
        }
    }

    /// One row of the window: its innermost axis.
    fn row(&self, offset: i64, numerators: &[i64; MAX_RANK], visit: &mut impl FnMut(Segment)) {
        let Some(inner) = self.window.len().checked_sub(1).filter(|&inner| self.window[inner] > 1)
        else {
            return self.broken_row(1, offset, numerators, visit);
        };
        let len = self.window[inner] as i64;
        // The valid part of the row: [from, to).
        let (mut from, mut to) = (0, len);
        for (guarded, &numerator) in self.guarded.iter().zip(numerators) {
            let (first, end) = match guarded.step(inner) {
                0 if guarded.offset(numerator).is_some() => (0, len),
                0 => (0, 0),
                _ if guarded.map.d > 1 => return self.broken_row(len, offset, numerators, visit),
                by => valid(numerator, by, guarded.dim),
            };
            (from, to) = (from.max(first), to.min(end));
        }
        if from >= to {
            return visit(Segment::Pad(len as usize));
        }
        if from > 0 {
            visit(Segment::Pad(from as usize));
        }
        visit(Segment::Run(self.run(offset, numerators, from, to - from)));
        if to < len {
            visit(Segment::Pad((len - to) as usize));
        }
    }

    /// The run of `len` valid elements from position `from` of a row.
    fn run(&self, offset: i64, numerators: &[i64; MAX_RANK], from: i64, len: i64) -> Run {
        let inner = self.window.len() - 1;
        let mut start = offset + from * self.by_window[inner];
        let mut step = self.by_window[inner];
        for (guarded, &numerator) in self.guarded.iter().zip(numerators) {
            let by = guarded.step(inner);
            start += (numerator + from * by) / i64::from(guarded.map.d) * guarded.stride;
            // Of one element, the step is void and could be anything.
            step += if len > 1 { by * guarded.stride } else { 0 };
        }
        Run { start: start as usize, step: step as isize, len: len as usize }
    }

    /// A row of one element, or one along which a divisor makes some indices broken: one by one.
    fn broken_row(
        &self,
        len: i64,
        offset: i64,
        numerators: &[i64; MAX_RANK],
        visit: &mut impl FnMut(Segment),
    ) {
        let inner = self.window.len().saturating_sub(1);
        for k in 0..len {
            let start = self.guarded.iter().zip(numerators).try_fold(
                offset + k * self.by_window[inner],
                |start, (guarded, &numerator)| {
                    guarded.offset(numerator + k * guarded.step(inner)).map(|more| start + more)
                },
            );
            visit(match start {
                Some(start) => Segment::Run(Run { start: start as usize, step: 0, len: 1 }),
                None => Segment::Pad(1),
            });
        }
    }
}

/// The `k ≥ 0` with `0 ≤ numerator + by·k < dim`, as `[first, end)`.
fn valid(numerator: i64, by: i64, dim: i64) -> (i64, i64) {
    let ceil = |a: i64, b: i64| -(-a).div_euclid(b);
    let (first, end) = if by > 0 {
        (ceil(-numerator, by), ceil(dim - numerator, by))
    } else {
        (ceil(numerator - dim + 1, -by), numerator.div_euclid(-by) + 1)
    };
    (first.max(0), end)
}
