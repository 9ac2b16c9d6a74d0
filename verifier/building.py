"""Roots of trees that are built from all values of a tensor, in portions.

Two are: those of the state that a run declares to start from, which a verifier works out itself,
and those of a data set, which its holder does. Memory does not follow the size of the tensor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .inputs import pack_values
from .keys import SALT, drawn_start, salts_between
from .layout import (
    inverted,
    leaf_count,
    leaf_lengths,
    leaf_starts,
    permuted_offsets,
    row_length,
)
from .merkle import leaf_digests, subtree_root, tree_roots
from .poseidon2 import DIGEST, Elements, compress
from .program.types import ConstantStart, Layout, Start, Tensor

Ints = NDArray[np.int64]

Values = Callable[[Ints], Ints]
"""The values at row-major offsets [n]."""

Salts = Callable[[int, int], Elements]
"""The salts of the leaves from the first to before the second number, [n, 5]."""

_LOG_LEAVES = 13
_LOG_VALUES = 20
"""Leaves, and about as many values, that are worked on at once."""

_PERIOD = 1 << 16
"""Leaves of a row that are kept, where rows repeat."""


def data_tree_root(
    key: Elements, rank: int, tensor: Tensor, records: NDArray[np.integer]
) -> Elements:
    """The root [8] of a data tensor.

    Args:
        key: of the data set, [8]; zero of a public one.
        rank: of the tensor among the data tensors.
        tensor: the data tensor.
        records: all records, [R, ...].
    """
    flat = records.reshape(-1)

    def values(offsets: Ints) -> Ints:
        found: Ints = flat[offsets].astype(np.int64)
        return found

    def salts(first: int, end: int) -> Elements:
        return salts_between(key, 0, rank, first, end)

    return tree_root(tensor, values, salts)


def start_root(tensor: Tensor, start: Start, seed: Elements) -> Elements:
    """The root [8] of a state as a run declares that it starts, all of whose salts are zero.

    Args:
        tensor: the state.
        start: what it starts with.
        seed: of the run, [8].
    """
    if isinstance(start, ConstantStart):
        return _constant_root(tensor, start.value)

    def values(offsets: Ints) -> Ints:
        return drawn_start(seed, start.domain, offsets, start.lo, start.hi)

    return tree_root(tensor, values, _no_salts)


def tree_root(tensor: Tensor, values: Values, salts: Salts) -> Elements:
    """The root [8] of the tree over all values of a tensor."""
    layout = _layout(tensor)
    leaves = leaf_count(layout, tensor.tree_shape)
    log = max(0, min(_LOG_LEAVES, _LOG_VALUES - (layout.piece - 1).bit_length()))
    if leaves <= 1 << log:
        return _only(tree_roots(_digests(tensor, values, salts, 0, leaves)[None]))
    nodes = [
        subtree_root(_digests(tensor, values, salts, at, min(at + (1 << log), leaves)), log)
        for at in range(0, leaves, 1 << log)
    ]
    return _only(tree_roots(np.array(nodes)[None]))


def _only(digests: Elements) -> Elements:
    root: Elements = digests[0]
    return root


def _digests(tensor: Tensor, values: Values, salts: Salts, first: int, end: int) -> Elements:
    """Digests [end - first, 8] of some leaves."""
    layout, shape, width = _layout(tensor), tensor.tree_shape, tensor.width
    leaves = np.arange(first, end, dtype=np.int64)
    lengths = leaf_lengths(layout, shape, leaves)
    starts = leaf_starts(layout, shape, leaves)
    within = np.arange(starts[0], starts[-1] + lengths[-1], dtype=np.int64)
    packed = np.frombuffer(pack_values(values(_offsets(layout, shape, within)), width), np.uint8)
    starts = width * (starts - starts[0])
    salt, found = salts(first, end), np.empty((len(leaves), DIGEST), np.uint64)
    for length in sorted({int(lengths.min()), int(lengths.max())}):
        rows = np.flatnonzero(lengths == length)
        cut = np.lib.stride_tricks.sliding_window_view(packed, width * length)[starts[rows]]
        found[rows] = leaf_digests(cut, salt[rows])
    return found


def _offsets(layout: Layout, shape: tuple[int, ...], within: Ints) -> Ints:
    """Row-major offsets of elements that are counted in the order of the leaves."""
    backwards, permuted = inverted(layout, shape)
    return permuted_offsets(backwards, permuted, within)


def _constant_root(tensor: Tensor, value: int) -> Elements:
    """The root of a tensor that holds one value: equal nodes are hashed once.

    The nodes of a level repeat, row by row, since the last leaf of a row may be shorter; but for
    the last one, which may be missing a right child.
    """
    layout = _layout(tensor)
    row, nodes = row_length(layout, tensor.tree_shape), leaf_count(layout, tensor.tree_shape)
    pieces = -(-row // layout.piece)
    rest = row - (pieces - 1) * layout.piece
    whole, last = (_leaf_of(tensor, value, length) for length in (layout.piece, rest))
    period = whole
    if rest < layout.piece and pieces < nodes:
        if pieces > _PERIOD:
            return tree_root(tensor, lambda offsets: np.full(len(offsets), value), _no_salts)
        period = np.concatenate([np.repeat(whole, pieces - 1, axis=0), last])
    while nodes > 1:
        period, last, nodes = _level_above(period, last, nodes)
    return _only(last)


def _level_above(period: Elements, last: Elements, nodes: int) -> tuple[Elements, Elements, int]:
    """Of a level of so many nodes that repeat [n, 8], but for the last [1, 8]: the one above."""
    count, above = len(period), -(-nodes // 2)
    distinct = min(count if count % 2 else count // 2, max(above - 1, 1))
    left = 2 * np.arange(distinct)
    one = slice((2 * above - 2) % count, (2 * above - 2) % count + 1)
    end = compress(last, np.zeros_like(last)) if nodes % 2 else compress(period[one], last)
    return compress(period[left % count], period[(left + 1) % count]), end, above


def _leaf_of(tensor: Tensor, value: int, length: int) -> Elements:
    """The digest [1, 8] of an unsalted leaf that holds one value so often."""
    packed = np.frombuffer(pack_values(np.full(length, value), tensor.width), np.uint8)
    return leaf_digests(packed[None], np.zeros((1, SALT), np.uint64))


def _no_salts(first: int, end: int) -> Elements:
    return np.zeros((end - first, SALT), np.uint64)


def _layout(tensor: Tensor) -> Layout:
    if tensor.layout is None:
        raise TypeError(f"prf tensor {tensor.name} has no tree")
    return tensor.layout
