"""div: a rounded quotient, or the floor of a square root (protocol section 1)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..program.types import Div, Program, Read
from .operand import Ints, Values, chunks, operand_offsets, operand_values, points


def evaluate(program: Program, op: Div, gates: Ints, values: Values) -> Ints:
    """The outputs [G] of these gates [G]."""
    runs = [_run(program, op, run, values) for run in chunks(gates, 1)]
    return np.concatenate(runs) if runs else np.zeros(0, np.int64)


def reads(op: Div, gates: Ints) -> Iterator[tuple[int, Ints]]:
    """The tensors and 1-D offsets that these gates read."""
    for run in chunks(gates, 1):
        at = points(op.space, (), run)
        for operand in (op.num, op.den):
            if isinstance(operand, Read):
                yield operand.tensor, operand_offsets(operand, at)


def rounded_quotient(num: Ints, scale: int, den: Ints) -> Ints:
    """floor((2·num·scale + den) / (2·den)): the nearest integer, ties up."""
    return (2 * num * scale + den) // (2 * den)


def floor_sqrt(square: Ints) -> Ints:
    """The integer square root of values up to 2^46, exactly.

    A float64 holds the square exactly, and its correctly rounded root can only reach the next
    integer from below if the square is that integer's own; the correction costs nothing and does
    not ask the reader to believe that.
    """
    root = np.sqrt(square.astype(np.float64)).astype(np.int64)
    root -= root * root > square
    root += (root + 1) * (root + 1) <= square
    return root


def _run(program: Program, op: Div, gates: Ints, values: Values) -> Ints:
    at = points(op.space, (), gates)
    num = operand_values(op.num, at, values)
    if op.den is None:
        q = floor_sqrt(num * op.scale)
    else:
        q = rounded_quotient(num, op.scale, operand_values(op.den, at, values))
    out = program.tensors[op.out]
    return np.broadcast_to(np.clip(q + op.out_zero, out.lo, out.hi), (at.gates, 1))[:, 0]
