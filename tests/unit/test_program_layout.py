"""Leaves of a tensor: `locate` and `to_leaves` against the formula of protocol section 1."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from zktally.verifier.layout import leaf_count, leaf_lengths, locate, row_length, to_leaves
from zktally.verifier.program.types import Layout

SHAPE = (2, 3, 5)
LAYOUTS = [
    Layout(order, trailing, piece)
    for order in itertools.permutations(range(3))
    for trailing, piece in ((1, 1), (1, 2), (2, 4), (2, 6), (3, 7), (3, 30))
]


def expected(layout: Layout, shape: tuple[int, ...], at: tuple[int, ...]) -> tuple[int, int]:
    permuted = [shape[axis] for axis in layout.order]
    x = 0
    for axis, dim in zip(layout.order, permuted, strict=True):
        x = x * dim + at[axis]
    row = math.prod(permuted[len(permuted) - layout.trailing :])
    leaf = (x // row) * -(-row // layout.piece) + (x % row) // layout.piece
    return leaf, (x % row) % layout.piece


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_element_lies_where_the_formula_says(layout: Layout) -> None:
    array = np.arange(math.prod(SHAPE)).reshape(SHAPE)
    leaf, slot = locate(layout, SHAPE, array)
    leaves = to_leaves(layout, array)
    assert len(leaves) == leaf_count(layout, SHAPE)
    lengths = leaf_lengths(layout, SHAPE, np.arange(len(leaves)))
    assert [len(values) for values in leaves] == lengths.tolist()
    for at in np.ndindex(SHAPE):
        assert (leaf[at], slot[at]) == expected(layout, SHAPE, at)
        assert leaves[leaf[at]][slot[at]] == array[at]


def test_the_last_piece_of_each_row_is_shorter() -> None:
    layout = Layout((1, 0), 1, 3)
    assert row_length(layout, (4, 2)) == 4
    leaves = to_leaves(layout, np.arange(8).reshape(4, 2))
    assert [values.tolist() for values in leaves] == [[0, 2, 4], [6], [1, 3, 5], [7]]
