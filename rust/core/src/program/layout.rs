//! Layouts: which Merkle leaf and slot holds which element (docs/protocol.md section 1, Layout).

use std::borrow::Cow;
use std::ops::Range;

use super::divisor::Divisor;
use super::types::Layout;

impl Layout {
    /// Elements in a row.
    pub fn row(&self, shape: &[usize]) -> usize {
        self.order[self.order.len() - self.trailing..].iter().map(|&axis| shape[axis]).product()
    }

    /// Number of leaves.
    pub fn leaves(&self, shape: &[usize]) -> usize {
        let row = self.row(shape);
        shape.iter().product::<usize>() / row * row.div_ceil(self.piece)
    }

    /// Number of elements in a leaf.
    pub fn leaf_len(&self, shape: &[usize], leaf: usize) -> usize {
        LayoutMap::new(self, shape).leaf_len(leaf)
    }

    /// The (leaf, slot) of a row-major offset.
    pub fn locate(&self, shape: &[usize], offset: usize) -> (usize, usize) {
        LayoutMap::new(self, shape).locate(offset)
    }
}

/// One axis of the shape whose place in the permuted order matters.
#[derive(Clone, Debug)]
struct Axis {
    dim: Divisor,
    /// Row-major stride in the shape.
    stride: Divisor,
    /// Row-major stride in the permuted shape.
    permuted: Divisor,
}

/// A layout prepared for one shape.
///
/// *Leaf order* is the row-major order of the permuted shape: there, leaf `l` is the slice
/// `start(l) .. start(l) + leaf_len(l)`.
#[derive(Clone, Debug)]
pub struct LayoutMap {
    size: usize,
    row: Divisor,
    piece: Divisor,
    /// Leaves of a row.
    pieces: Divisor,
    /// Axes in permuted order; empty where leaf order is row-major order.
    axes: Vec<Axis>,
}

impl LayoutMap {
    pub fn new(layout: &Layout, shape: &[usize]) -> Self {
        let stride_of = |axis: usize| shape[axis + 1..].iter().product();
        let mut permuted = 1;
        let mut axes: Vec<Axis> = Vec::new();
        for &axis in layout.order.iter().rev().filter(|&&axis| shape[axis] > 1) {
            let [dim, stride, before] = [shape[axis], stride_of(axis), permuted].map(Divisor::new);
            axes.push(Axis { dim, stride, permuted: before });
            permuted *= shape[axis];
        }
        axes.reverse();
        if axes.iter().all(|axis| axis.stride.get() == axis.permuted.get()) {
            axes.clear();
        }
        let row = layout.row(shape);
        let [row, piece, pieces] =
            [row, layout.piece, row.div_ceil(layout.piece)].map(Divisor::new);
        Self { size: permuted, row, piece, pieces, axes }
    }

    /// Leaves of a row.
    pub fn pieces(&self) -> usize {
        self.pieces.get()
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.row.quotient(self.size) * self.pieces()
    }

    /// Number of elements in a leaf.
    pub fn leaf_len(&self, leaf: usize) -> usize {
        let piece = self.piece.get();
        piece.min(self.row.get() - self.pieces.remainder(leaf) * piece)
    }

    /// Position in leaf order of a leaf's first element.
    pub fn start(&self, leaf: usize) -> usize {
        let (row, piece) = self.pieces.divide(leaf);
        row * self.row.get() + piece * self.piece.get()
    }

    /// Position in leaf order of a row-major offset.
    pub fn position(&self, offset: usize) -> usize {
        if self.axes.is_empty() {
            return offset;
        }
        let along = |axis: &Axis| axis.dim.remainder(axis.stride.quotient(offset));
        self.axes.iter().map(|axis| along(axis) * axis.permuted.get()).sum()
    }

    /// The (leaf, slot) of a row-major offset.
    pub fn locate(&self, offset: usize) -> (usize, usize) {
        let (row, within) = self.row.divide(self.position(offset));
        let (piece, slot) = self.piece.divide(within);
        (row * self.pieces() + piece, slot)
    }

    /// Visits the values of a leaf in order, as row-major runs; the inverse of `locate`.
    pub fn runs(&self, leaf: usize, mut visit: impl FnMut(Range<usize>)) {
        let (start, mut left) = (self.start(leaf), self.leaf_len(leaf));
        let Some(last) = self.axes.last() else { return visit(start..start + left) };
        let mut at = start;
        while left > 0 {
            // One stretch along the last axis: no division per value.
            let along = |axis: &Axis| axis.dim.remainder(axis.permuted.quotient(at));
            let count = left.min(last.dim.get() - along(last));
            let first = self.axes.iter().map(|axis| along(axis) * axis.stride.get()).sum();
            if last.stride.get() == 1 {
                visit(first..first + count);
            } else {
                (first..)
                    .step_by(last.stride.get())
                    .take(count)
                    .for_each(|offset| visit(offset..offset + 1));
            }
            (at, left) = (at + count, left - count);
        }
    }

    /// Row-major values in leaf order; borrowed where the two are the same.
    pub fn to_leaf_order<'a, T: Copy>(&self, values: &'a [T]) -> Cow<'a, [T]> {
        let Some((last, outer)) = self.axes.split_last() else {
            return Cow::Borrowed(values);
        };
        let (stride, dim) = (last.stride.get(), last.dim.get());
        let mut out = Vec::with_capacity(values.len());
        let mut index = vec![0; outer.len()];
        let mut base = 0;
        loop {
            if stride == 1 {
                out.extend_from_slice(&values[base..base + dim]);
            } else {
                out.extend(values[base..].iter().step_by(stride).take(dim));
            }
            // Odometer over the outer axes, the last one fastest.
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return Cow::Owned(out);
                }
                axis -= 1;
                index[axis] += 1;
                let (stride, dim) = (outer[axis].stride.get(), outer[axis].dim.get());
                base += stride;
                if index[axis] < dim {
                    break;
                }
                base -= stride * index[axis];
                index[axis] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of the specification, word for word.
    fn by_definition(layout: &Layout, shape: &[usize], index: &[usize]) -> (usize, usize) {
        let x = layout.order.iter().fold(0, |x, &axis| x * shape[axis] + index[axis]);
        let row: usize =
            layout.order[shape.len() - layout.trailing..].iter().map(|&a| shape[a]).product();
        (x / row * row.div_ceil(layout.piece) + x % row / layout.piece, x % row % layout.piece)
    }

    #[test]
    fn every_element_has_its_leaf_and_slot() {
        let shape = [2, 3, 1, 5];
        for (order, trailing, piece) in [
            ([0, 1, 2, 3], 2, 4),
            ([0, 2, 1, 3], 1, 2),
            ([3, 1, 0, 2], 2, 5),
            ([1, 0, 3, 2], 4, 30),
            ([0, 3, 2, 1], 3, 7),
        ] {
            let layout = Layout { order: order.to_vec(), trailing, piece };
            let map = LayoutMap::new(&layout, &shape);
            let values: Vec<usize> = (0..30).collect();
            let leaf_order = map.to_leaf_order(&values);
            for offset in 0..30 {
                let index = [offset / 15, offset / 5 % 3, 0, offset % 5];
                let (leaf, slot) = by_definition(&layout, &shape, &index);
                assert_eq!(layout.locate(&shape, offset), (leaf, slot));
                let mut runs = vec![];
                map.runs(leaf, |run| runs.extend(run));
                assert_eq!((runs.len(), runs[slot]), (map.leaf_len(leaf), offset));
                assert_eq!(leaf_order[map.start(leaf) + slot], offset);
                assert!(slot < layout.leaf_len(&shape, leaf) && leaf < layout.leaves(&shape));
            }
            assert_eq!((0..map.leaves()).map(|leaf| map.leaf_len(leaf)).sum::<usize>(), 30);
        }
    }

    #[test]
    fn axes_of_one_element_do_not_cost_a_copy() {
        let layout = Layout { order: vec![1, 0, 2], trailing: 1, piece: 3 };
        assert!(matches!(
            LayoutMap::new(&layout, &[4, 1, 3]).to_leaf_order(&[0; 12]),
            Cow::Borrowed(_)
        ));
    }
}
