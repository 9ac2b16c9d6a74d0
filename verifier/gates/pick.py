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
    match mode:
        case PickMode.MAX:
            return found[0].max(axis=1)
        case PickMode.ARGMAX:
            return found[0].argmax(axis=1).astype(np.int64)  # the first of equals
        case PickMode.COPY:
            return found[0][:, 0]
        case PickMode.GREATER:
            return (found[0] > found[1])[:, 0].astype(np.int64)
        case PickMode.EQUAL:
            return (found[0] == found[1])[:, 0].astype(np.int64)
        case PickMode.SELECT:
            return np.where(found[0] != 0, found[1], found[2])[:, 0]
