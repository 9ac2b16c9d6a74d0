"""pick: max, argmax, copy, greater, equal, select (protocol section 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..program.types import Pick, PickMode, Read
from .operand import Ints, Values, chunks, operand_offsets, operand_values, points


def evaluate(op: Pick, gates: Ints, values: Values) -> Ints:
    """The outputs [G] of these gates [G]."""
    runs = [_run(op, run, values) for run in chunks(gates, math.prod(op.window))]
    return np.concatenate(runs) if runs else np.zeros(0, np.int64)


def reads(op: Pick, gates: Ints) -> Iterator[tuple[int, Ints]]:
    """The tensors and 1-D offsets that these gates read."""
    for run in chunks(gates, math.prod(op.window)):
        at = points(op.space, op.window, run)
        for operand in op.operands:
            if isinstance(operand, Read):
                yield operand.tensor, operand_offsets(operand, at)


def _run(op: Pick, gates: Ints, values: Values) -> Ints:
    at = points(op.space, op.window, gates)
    shape = (at.gates, at.window)
    found = [np.broadcast_to(operand_values(o, at, values), shape) for o in op.operands]
    return _choose(op.mode, found)


def _choose(mode: PickMode, found: list[Ints]) -> Ints:
    if mode is PickMode.MAX:
        largest: Ints = found[0].max(axis=1)
        return largest
    if mode is PickMode.ARGMAX:
        first: Ints = found[0].argmax(axis=1).astype(np.int64)  # numpy gives the first of equals
        return first
    single = [operand[:, 0] for operand in found]
    match mode:
        case PickMode.COPY:
            return single[0]
        case PickMode.GREATER:
            return np.greater(single[0], single[1]).astype(np.int64)
        case PickMode.EQUAL:
            return np.equal(single[0], single[1]).astype(np.int64)
        case PickMode.SELECT:
            return np.where(single[0] != 0, single[1], single[2])
