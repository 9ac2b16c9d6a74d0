"""Bounds of every identity of a program, derived from declared ranges (protocol section 2).

Nothing here is taken from the prover: a program whose accumulators or quotients could wrap, in
64-bit integers or in the field, is refused before any value is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InvalidProgram
from .types import Const, Div, Dot, Gather, Op, Operand, Pick, PickMode, Program, Tensor

P_HALF = (2**31 - 2**24) // 2
ACC_MAX = 2**30 - 2**23 - 1
WIDE_MAX = 2**46
Q_MAX = 2**23 - 1
FACTOR_MAX = 2**15 - 1
SHIFT_MAX = 44
LIMB_BITS = 12
PARTIAL_PRODUCT = 2 ** (15 + LIMB_BITS) + 2**16
"""A multiplier times a limb, with the carry of the limb below."""

Range = tuple[int, int]


@dataclass(frozen=True)
class Bound:
    """The largest absolute value that one identity of an op can reach, and the limit it obeys.

    `limbs` is 1 where the field holds the identity directly, else the number of limbs that its left
    side is split into (bytes for an accumulator, 12 bits for the others).
    """

    op: int
    identity: str
    bound: int
    limit: int
    limbs: int = 1


def bounds(program: Program) -> list[Bound]:
    """The bounds of all ops, in op order; call after `validate`.

    Raises:
        InvalidProgram: a bound exceeds its limit, or an operand's range does not fit its place.
    """
    return [bound for c in range(len(program.ops)) for bound in _Judge(program, c).bounds()]


def abs_max(bound: Range) -> int:
    """The largest absolute value in a range."""
    return max(abs(bound[0]), abs(bound[1]))


def operand_range(program: Program, operand: Operand) -> Range:
    """Least and greatest value: the constant, or the declared range and the pad, minus the zero."""
    if isinstance(operand, Const):
        return operand.value, operand.value
    tensor = program.tensors[operand.tensor]
    ends = [tensor.lo, tensor.hi] + ([] if operand.pad is None else [operand.pad])
    return min(ends) - operand.zero, max(ends) - operand.zero


class _Judge:
    """The rules of one op."""

    def __init__(self, program: Program, number: int) -> None:
        self._program = program
        self._number = number
        self._op: Op = program.ops[number]
        self._out: Tensor = program.tensors[self._op.out]

    def bounds(self) -> list[Bound]:
        match self._op:
            case Dot() as op:
                return self._dot(op)
            case Pick() as op:
                return self._pick(op)
            case Gather() as op:
                return self._gather(op)
            case Div() as op:
                return self._div(op)

    def _range(self, operand: Operand) -> Range:
        return operand_range(self._program, operand)

    def _refuse(self, message: str, expected: object = None, received: object = None) -> None:
        text = f"op {self._op.name!r}: {message}"
        raise InvalidProgram(text, expected=expected, received=received)

    def _bound(self, identity: str, bound: int, limit: int, limbs: int = 1) -> Bound:
        if bound > limit:
            self._refuse(f"the bound of its {identity} is too large", f"at most {limit}", bound)
        return Bound(self._number, identity, bound, limit, limbs)

    def _inside(self, what: str, inner: Range, lo: int, hi: int) -> None:
        if not (lo <= inner[0] and inner[1] <= hi):
            self._refuse(
                f"the range of its {what} is too large",
                f"inside [{lo}, {hi}]",
                f"[{inner[0]}, {inner[1]}]",
            )

    def _no_pad(self, what: str, operand: Operand) -> None:
        if not isinstance(operand, Const) and operand.pad is not None:
            self._refuse(f"its {what} has a pad")

    # dot

    def _dot(self, op: Dot) -> list[Bound]:
        acc = abs_max(self._range(op.bias)) if op.bias is not None else 0
        for term in op.terms:
            acc += term.size * abs_max(self._range(term.a)) * abs_max(self._range(term.b))
        mult, shift = self._range(op.mult), self._range(op.shift)
        self._no_pad("multiplier", op.mult)
        self._no_pad("shift", op.shift)
        self._inside("multiplier", mult, 0, FACTOR_MAX)
        self._inside("shift", shift, 0, SHIFT_MAX)
        if op.rounding is not None:
            self._rounding(op.rounding, op.shift)
        unit = 1 << shift[1]
        scaled = acc * mult[1] + unit
        quotient = (scaled >> shift[0]) + abs(op.out_zero)
        found = [
            *self._accumulator(op, acc),
            self._bound("quotient", quotient, Q_MAX),
            self._requantisation(acc, max(scaled, (quotient + 1) * unit)),
        ]
        if op.table is not None:
            entries = self._program.tables[op.table].entries
            self._inside("table", (min(entries), max(entries)), self._out.lo, self._out.hi)
        return found

    def _accumulator(self, op: Dot, acc: int) -> list[Bound]:
        if acc <= ACC_MAX:
            return [self._bound("accumulator", acc, ACC_MAX)]
        limbs = max(self._limbs(operand) for term in op.terms for operand in (term.a, term.b))
        one = sum(term.size for term in op.terms) * 255**2
        return [
            self._bound("accumulator", acc, WIDE_MAX, limbs),
            self._bound("limb accumulator", one, ACC_MAX),
        ]

    def _requantisation(self, acc: int, sides: int) -> Bound:
        if sides <= P_HALF:
            return Bound(self._number, "requantisation", sides, P_HALF)
        limbs = max(1, -(-acc.bit_length() // LIMB_BITS))
        return Bound(self._number, "requantisation", PARTIAL_PRODUCT, P_HALF, limbs)

    def _limbs(self, operand: Operand) -> int:
        if isinstance(operand, Const):
            return max(1, -(-abs(operand.value).bit_length() // 8))
        if operand.zero:
            self._refuse("an operand of a wide accumulator has a zero point", 0, operand.zero)
        return self._program.tensors[operand.tensor].width

    def _rounding(self, rounding: Operand, shift: Operand) -> None:
        lo, hi = self._range(rounding)
        if lo != 0 or hi & (hi + 1):
            self._refuse("the range of its rounding is not [0, 2^b - 1]", received=f"[{lo}, {hi}]")
        if not isinstance(shift, Const):
            self._refuse("it has a rounding operand, and its shift is no constant")
        elif shift.value < hi.bit_length():
            self._refuse("its rounding has more bits than its shift", shift.value, hi.bit_length())

    # pick

    def _pick(self, op: Pick) -> list[Bound]:
        ranges = [self._range(operand) for operand in op.operands]
        lo, hi = self._out.lo, self._out.hi
        match op.mode:
            case PickMode.MAX | PickMode.COPY:
                self._inside("operand", ranges[0], lo, hi)
            case PickMode.SELECT:
                self._inside("first choice", ranges[1], lo, hi)
                self._inside("second choice", ranges[2], lo, hi)
            case PickMode.GREATER | PickMode.EQUAL:
                self._inside("result", (0, 1), lo, hi)
            case PickMode.ARGMAX:
                self._inside("result", (0, math.prod(op.window) - 1), lo, hi)
        if op.mode in (PickMode.COPY, PickMode.SELECT):
            return []
        return [self._bound("comparison", max(map(abs_max, ranges)), Q_MAX)]

    # gather

    def _gather(self, op: Gather) -> list[Bound]:
        self._no_pad("index", op.index)
        self._inside("index", self._range(op.index), 0, op.source.view[op.axis] - 1)
        self._inside("source", self._range(op.source), self._out.lo, self._out.hi)
        return []

    # div

    def _div(self, op: Div) -> list[Bound]:
        self._inside("scale", (op.scale, op.scale), 1, FACTOR_MAX)
        if op.den is None:
            return self._sqrt(op)
        self._no_pad("denominator", op.den)
        den = self._range(op.den)
        if den[0] < 1:
            self._refuse("its denominator can be less than 1", "at least 1", den[0])
        doubled = 2 * abs_max(self._range(op.num)) * op.scale
        left = self._bound("division", doubled + den[1], WIDE_MAX, _limbs12(doubled + 3 * den[1]))
        quotient = left.bound // (2 * den[0]) + abs(op.out_zero) + 1
        return [left, self._bound("quotient", quotient, Q_MAX)]

    def _sqrt(self, op: Div) -> list[Bound]:
        num = self._range(op.num)
        if num[0] < 0:
            self._refuse("its root can be of a negative number", "at least 0", num[0])
        square = num[1] * op.scale
        left = self._bound("root", square, WIDE_MAX, _limbs12(square))
        return [left, self._bound("quotient", math.isqrt(square) + abs(op.out_zero), Q_MAX)]


def _limbs12(value: int) -> int:
    """Limbs of an identity that reaches `value`: 1 where the field holds it directly."""
    return 1 if value <= P_HALF else -(-value.bit_length() // LIMB_BITS)
