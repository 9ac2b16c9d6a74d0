"""dot: bias + Σ a·b, requantised, then clamped or looked up (protocol section 1)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..program.ranges import operand_range
from ..program.types import Dot, Operand, Program, Read, Table, Tensor, Term
from .operand import Ints, Values, chunks, operand_offsets, operand_values, points


def evaluate(program: Program, op: Dot, gates: Ints, values: Values) -> Ints:
    """The outputs [G] of these gates [G]."""
    runs = [_run(program, op, run, values) for run in chunks(gates, _window(op))]
    return np.concatenate(runs) if runs else np.zeros(0, np.int64)


def reads(op: Dot, gates: Ints) -> Iterator[tuple[int, Ints]]:
    """The tensors and 1-D offsets that these gates read."""
    for run in chunks(gates, _window(op)):
        for term in op.terms:
            at = points(op.space, term.window, run)
            for operand in (term.a, term.b):
                if isinstance(operand, Read):
                    yield operand.tensor, operand_offsets(operand, at)
        at = points(op.space, (), run)
        for side in (op.bias, op.mult, op.shift, op.rounding):
            if isinstance(side, Read):
                yield side.tensor, operand_offsets(side, at)


def requantise(acc: Ints, mult: Ints, shift: Ints, rounding: Ints | None, bits: int) -> Ints:
    """floor((acc·mult + h) / 2^shift): h is half a unit, or `rounding` parts in 2^bits of it."""
    if rounding is None:
        half = np.where(shift == 0, 0, np.int64(1) << np.maximum(shift - 1, 0))
    else:
        half = rounding << (shift - bits)
    return (acc * mult + half) >> shift


def activate(q: Ints, out: Tensor, table: Table | None) -> Ints:
    """Clamp to the output's range, or look up with the index clamped to the table's domain."""
    if table is None:
        return np.clip(q, out.lo, out.hi)
    entries = np.array(table.entries, np.int64)
    return entries[np.clip(q - table.lo, 0, len(entries) - 1)]


def _window(op: Dot) -> int:
    return max(term.size for term in op.terms)


def _run(program: Program, op: Dot, gates: Ints, values: Values) -> Ints:
    acc = np.zeros(len(gates), np.int64)
    for term in op.terms:
        acc += _sum_of_products(op, term, gates, values)
    at = points(op.space, (), gates)

    def side(operand: Operand) -> Ints:
        return operand_values(operand, at, values)[:, 0]

    if op.bias is not None:
        acc += side(op.bias)
    rounding, bits = None, 0
    if op.rounding is not None:
        rounding, bits = side(op.rounding), _rounding_bits(program, op.rounding)
    q = requantise(acc, side(op.mult), side(op.shift), rounding, bits) + op.out_zero
    table = None if op.table is None else program.tables[op.table]
    return activate(q, program.tensors[op.out], table)


def _sum_of_products(op: Dot, term: Term, gates: Ints, values: Values) -> Ints:
    at = points(op.space, term.window, gates)
    shape = (at.gates, at.window)
    a = np.broadcast_to(operand_values(term.a, at, values), shape)
    b = np.broadcast_to(operand_values(term.b, at, values), shape)
    sums: Ints = (a * b).sum(axis=1, dtype=np.int64)
    return sums


def _rounding_bits(program: Program, operand: Operand) -> int:
    """Number of bits of a rounding operand, whose range is [0, 2^bits - 1]."""
    return operand_range(program, operand)[1].bit_length()
