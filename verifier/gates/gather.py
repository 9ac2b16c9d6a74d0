"""gather: a copy through an index that is itself a value (protocol section 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..program.types import Gather, Read
from .operand import (
    Ints,
    Values,
    chunks,
    locate,
    operand_offsets,
    operand_values,
    padded,
    points,
)


def evaluate(op: Gather, gates: Ints, values: Values) -> Ints:
    """The outputs [G] of these gates [G]."""
    runs = [_run(op, run, values) for run in chunks(gates, 1)]
    return np.concatenate(runs) if runs else np.zeros(0, np.int64)


def reads(op: Gather, gates: Ints) -> Iterator[tuple[int, Ints]]:
    """The tensors and 1-D offsets that these gates may read.

    Of the source that is every position on the chosen axis: what must be opened may not depend on
    the values, which are known only once it has been opened.
    """
    dim = op.source.view[op.axis]
    for run in chunks(gates, dim):
        at = points(op.space, (), run)
        if isinstance(op.index, Read):
            yield op.index.tensor, operand_offsets(op.index, at)
        first = operand_offsets(op.source, at)
        for steps in chunks(np.arange(dim, dtype=np.int64), len(run)):
            yield op.source.tensor, (first[:, None] + steps * _stride(op)).ravel()


def _run(op: Gather, gates: Ints, values: Values) -> Ints:
    at = points(op.space, (), gates)
    first, inside = locate(op.source, at)
    index = operand_values(op.index, at, values)
    offsets = np.broadcast_to(first + index * _stride(op), (at.gates, 1))
    if inside is not None:
        inside = np.broadcast_to(inside, offsets.shape)
    return padded(op.source, offsets, inside, values)[:, 0]


def _stride(op: Gather) -> int:
    return math.prod(op.source.view[op.axis + 1 :])
