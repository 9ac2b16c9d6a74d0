"""Where an element of a tensor lies among its Merkle leaves (protocol section 1, Layout).

All functions take the layout and the shape of one tensor. Offsets are row-major in the tensor's own
axis order; leaves are numbered as in its tree.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .program.types import Layout
from .sums import Numbers, divided

Ints = NDArray[np.int64]


def row_length(layout: Layout, shape: tuple[int, ...]) -> int:
    """`row`: the number of elements of a row, the merged trailing axes of the permuted shape."""
    return math.prod(shape[axis] for axis in layout.order[-layout.trailing :])


def leaf_count(layout: Layout, shape: tuple[int, ...]) -> int:
    """Number of leaves of the tensor."""
    row = row_length(layout, shape)
    return math.prod(shape) // row * _pieces(layout, row)


def leaf_lengths(layout: Layout, shape: tuple[int, ...], leaves: Ints) -> Ints:
    """Number of elements in each of these leaves: `piece`, or less for the last of a row."""
    row = row_length(layout, shape)
    start = leaves % _pieces(layout, row) * layout.piece
    return np.minimum(row - start, layout.piece)


def locate(layout: Layout, shape: tuple[int, ...], offsets: Numbers) -> tuple[Numbers, Numbers]:
    """The leaf, and the slot within it, of each element; arrays shaped like `offsets`, or sums."""
    at = offsets if _in_order(layout) else permuted_offsets(layout, shape, offsets)
    row = row_length(layout, shape)
    number, within = divided(at, row)
    if layout.piece >= row:
        return number, within
    piece, slot = divided(within, layout.piece)
    return number * _pieces(layout, row) + piece, slot


def leaf_starts(layout: Layout, shape: tuple[int, ...], leaves: Ints) -> Ints:
    """Number of elements in all leaves before each of these."""
    row = row_length(layout, shape)
    pieces = _pieces(layout, row)
    return leaves // pieces * row + leaves % pieces * layout.piece


def to_leaves(layout: Layout, array: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """The values of every leaf in leaf order: 1-D arrays of the tensor's dtype.

    `array` has the tensor's shape.
    """
    rows = array.transpose(layout.order).reshape(-1, row_length(layout, array.shape))
    starts = range(0, rows.shape[1], layout.piece)
    return [row[start : start + layout.piece] for row in rows for start in starts]


def permuted_offsets(layout: Layout, shape: tuple[int, ...], offsets: Numbers) -> Numbers:
    """Row-major offsets in the permuted shape of elements at row-major offsets.

    By division, axis by axis: numpy's `unravel_index` works in buffers and got arrays of more than
    8,192 rows wrong from 2.3 on (docs/adr/0015).
    """
    strides, step = {}, 1
    for axis in reversed(layout.order):
        strides[axis] = step
        step *= shape[axis]
    at, rest = offsets * 0, offsets
    for axis in reversed(range(len(shape))):
        rest, within = divided(rest, shape[axis])
        at = at + within * strides[axis]
    return at


def inverted(layout: Layout, shape: tuple[int, ...]) -> tuple[Layout, tuple[int, ...]]:
    """The layout of the permuted shape whose permuted offsets are the original ones; that shape."""
    order = tuple(layout.order.index(axis) for axis in range(len(shape)))
    return Layout(order, 1, 1), tuple(shape[axis] for axis in layout.order)


def _in_order(layout: Layout) -> bool:
    return layout.order == tuple(range(len(layout.order)))


def _pieces(layout: Layout, row: int) -> int:
    return -(-row // layout.piece)
