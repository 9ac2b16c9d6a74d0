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
    """An operand in its place.

    `label` names it in messages; `window` is what its k runs over (rank 0: it has no k); `count` is
    `n_o`, in how many products of a gate it takes part (protocol section 3).
    """

    label: str
    operand: Operand
    window: tuple[int, ...]
    count: int


def slots(op: Op) -> Iterator[Slot]:
    """All operands of an op, in the order of the encoding."""
    match op:
        case Dot():
            for t, term in enumerate(op.terms):
                yield Slot(f"a of term {t}", term.a, term.window, term.size)
                yield Slot(f"b of term {t}", term.b, term.window, term.size)
            own = products(op)
            if op.bias is not None:
                yield Slot("bias", op.bias, (), own)
            yield Slot("multiplier", op.mult, (), own)
            yield Slot("shift", op.shift, (), own)
            if op.rounding is not None:
                yield Slot("rounding", op.rounding, (), own)
        case Pick():
            for o, operand in enumerate(op.operands):
                yield Slot(f"operand {o}", operand, op.window, math.prod(op.window))
        case Gather():
            yield Slot("source", op.source, (), 1)
            yield Slot("index", op.index, (), 1)
        case Div():
            yield Slot("numerator", op.num, (), 1)
            if op.den is not None:
                yield Slot("denominator", op.den, (), 1)


def products(op: Op) -> int:
    """`own`: the number of products of one gate (protocol section 3)."""
    match op:
        case Dot():
            return sum(term.size for term in op.terms)
        case Pick():
            return math.prod(op.window) * len(op.operands)
        case Gather() | Div():
            return 1
