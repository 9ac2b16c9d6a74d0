"""A second reading of protocol section 1: one gate at a time, in Python's own integers.

Shares no code with `zktally.verifier.gates`; what it reads is recorded for the tests of openings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zktally.verifier.program.types import (
    ABSENT,
    AxisMap,
    Const,
    Div,
    Dot,
    Gather,
    Op,
    Operand,
    Pick,
    PickMode,
    Program,
    Read,
)

Point = tuple[int, ...]


class Oracle:
    """Evaluates gates over whole arrays; `seen` collects the (tensor, offset) pairs read."""

    def __init__(self, program: Program, arrays: dict[int, NDArray[np.integer]]) -> None:
        self._program = program
        self._values = {t: array.ravel().tolist() for t, array in arrays.items()}
        self.seen: set[tuple[int, int]] = set()

    def gate(self, op: Op, number: int) -> int:
        at = coordinates(number, op.space)
        out = self._program.tensors[op.out]
        match op:
            case Dot():
                return self._dot(op, at)
            case Pick():
                return self._pick(op, at)
            case Gather():
                index = self._read(op.index, at, ())
                return self._read(op.source, at, (), {op.axis: index})
            case Div():
                num = self._read(op.num, at, ())
                if op.den is None:
                    q = math.isqrt(num * op.scale)
                else:
                    den = self._read(op.den, at, ())
                    q = (2 * num * op.scale + den) // (2 * den)
                return clamp(q + op.out_zero, out.lo, out.hi)

    def _dot(self, op: Dot, at: Point) -> int:
        acc = 0 if op.bias is None else self._read(op.bias, at, ())
        for term in op.terms:
            for k in itertools.product(*map(range, term.window)):
                acc += self._read(term.a, at, k) * self._read(term.b, at, k)
        mult, shift = self._read(op.mult, at, ()), self._read(op.shift, at, ())
        half = 0 if shift == 0 else 2 ** (shift - 1)
        if op.rounding is not None:
            assert isinstance(op.rounding, Read)
            bits = self._program.tensors[op.rounding.tensor].hi.bit_length()
            half = self._read(op.rounding, at, ()) * 2 ** (shift - bits)
        q = (acc * mult + half) // 2**shift + op.out_zero
        if op.table is None:
            out = self._program.tensors[op.out]
            return clamp(q, out.lo, out.hi)
        table = self._program.tables[op.table]
        return table.entries[clamp(q, table.lo, table.lo + len(table.entries) - 1) - table.lo]

    def _pick(self, op: Pick, at: Point) -> int:
        windows = list(itertools.product(*map(range, op.window)))
        rows = [[self._read(operand, at, k) for k in windows] for operand in op.operands]
        match op.mode:
            case PickMode.MAX:
                return max(rows[0])
            case PickMode.ARGMAX:
                return rows[0].index(max(rows[0]))
            case PickMode.COPY:
                return rows[0][0]
            case PickMode.GREATER:
                return int(rows[0][0] > rows[1][0])
            case PickMode.EQUAL:
                return int(rows[0][0] == rows[1][0])
            case PickMode.SELECT:
                return rows[1][0] if rows[0][0] != 0 else rows[2][0]

    def _read(
        self, operand: Operand, i: Point, k: Point, chosen: dict[int, int] | None = None
    ) -> int:
        if isinstance(operand, Const):
            return operand.value
        offset = 0
        for axis, (dim, m) in enumerate(zip(operand.view, operand.maps, strict=True)):
            index = (chosen or {}).get(axis, position(m, i, k))
            if index is None or not 0 <= index < dim:
                assert operand.pad is not None
                return operand.pad - operand.zero
            offset = offset * dim + index
        self.seen.add((operand.tensor, offset))
        return self._values[operand.tensor][offset] - operand.zero


def position(m: AxisMap, i: Point, k: Point) -> int | None:
    top = m.c
    top += m.a * i[m.i_axis] if m.i_axis != ABSENT else 0
    top += m.b * k[m.k_axis] if m.k_axis != ABSENT else 0
    return top // m.d if top % m.d == 0 else None


def coordinates(number: int, dims: Sequence[int]) -> Point:
    found = []
    for dim in reversed(dims):
        found.append(number % dim)
        number //= dim
    return tuple(reversed(found))


def clamp(value: int, lo: int, hi: int) -> int:
    return max(lo, min(value, hi))
