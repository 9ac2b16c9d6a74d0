"""The operands of an op with the windows they run over, in one fixed order.

Validation, weights and openings all walk an op the same way: the terms of a dot, then bias,
multiplier, shift, rounding; the operands of a pick; source and index; numerator and denominator.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .types import Div, Dot, Gather, Op, Operand, Pick


@dataclass(frozen=True)
class Slot:
    """An operand in its place; `window` is what its k runs over, None where it has no k at all."""

    label: str
    operand: Operand
    window: tuple[int, ...] | None = None


def slots(op: Op) -> Iterator[Slot]:
    """All operands of an op, in the order of the encoding."""
    match op:
        case Dot():
            for t, term in enumerate(op.terms):
                yield Slot(f"a of term {t}", term.a, term.window)
                yield Slot(f"b of term {t}", term.b, term.window)
            if op.bias is not None:
                yield Slot("bias", op.bias)
            yield Slot("multiplier", op.mult)
            yield Slot("shift", op.shift)
            if op.rounding is not None:
                yield Slot("rounding", op.rounding)
        case Pick():
            for o, operand in enumerate(op.operands):
                yield Slot(f"operand {o}", operand, op.window)
        case Gather():
            yield Slot("source", op.source)
            yield Slot("index", op.index)
        case Div():
            yield Slot("numerator", op.num)
            if op.den is not None:
                yield Slot("denominator", op.den)


def products(op: Op) -> int:
    """`own`: the number of products of one gate (protocol section 3)."""
    match op:
        case Dot():
            return sum(term.size for term in op.terms)
        case Pick():
            return math.prod(op.window) * len(op.operands)
        case Gather() | Div():
            return 1
