"""Indices of gathers and scatters: constants, or values whose declared range is that of an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...verifier.program.types import AxisMap, Read
from ..builder import Builder, Value
from ..errors import UnsupportedOp, named
from ..graph import Array, Graph, Node
from ..quantise import Ints


def in_range(index: Array, dim: int) -> Ints:
    """Constant indices, those that count from the end brought to the front."""
    numbers = index.astype(np.int64)
    return np.where(numbers < 0, numbers + dim, numbers)


def outside(node: Node, graph: Graph, dim: int) -> str | None:
    """A reason if input 1 is a constant that leaves an axis."""
    index = graph.constant(node.input(1))
    if index is None or not index.size or (index.min() >= -dim and index.max() < dim):
        return None
    return f"an index lies outside its axis of {dim}"


def computed_index(
    node: Node, builder: Builder, value: Value, dim: int, maps: Sequence[AxisMap]
) -> Read:
    """A read of indices that are computed, or given at run time: they must fit by their range.

    Raises:
        UnsupportedOp: they may leave the axis, or count from its end.
    """
    low, high = value.code.lo, value.code.hi
    if not value.integer or low < 0 or high >= dim:
        raise UnsupportedOp(
            f"node {named(node.name)} ({node.op}): its indices may leave the axis",
            expected=f"integers in 0 to {dim - 1}",
            received=f"{'integers' if value.integer else 'reals'} in {low} to {high}",
            hint="indices that count from the end must be constants",
        )
    return builder.read(value, maps, raw=True)
