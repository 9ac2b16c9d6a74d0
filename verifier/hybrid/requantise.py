"""The constants of a dot op's requantisation in base 4096 (docs/hybrid.md section 4, table 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import UnsupportedReceipt
from ..gates import Ints
from ..program.checked import Checked
from ..program.ranges import P_HALF, abs_max, operand_range
from ..program.types import Const, Div, Dot, Op, Operand, Pick, PickMode, Program, Read, Table
from ..quoting import quoted
from .accumulator import bound, is_direct
from .factors import integer_limbs

LIMB = 12
DIGITS = 6
DIRECT_OFFSET = 127 << 23
WIDE_OFFSET = 1 << 47

_CLASS_LIMB, _CLASS_TOP = 0, 2
_MOST_LIMBS = 3
_WIDE_BIAS_MAX = 1 << 28
_DIV_MAX = (1 << 24) - 1
_END_MAX = 1 << 23


@dataclass(frozen=True)
class Form:
    """What all gates of a dot op share.

    Attributes:
        direct: whether its accumulator is.
        columns: of the gate table those that are the same in all rows, by name.
    """

    direct: bool
    columns: Mapping[str, Ints | int]


def judge_covered(checked: Checked) -> None:
    """Refuse a program that hybrid receipts do not cover.

    Raises:
        UnsupportedReceipt: `hybrid.unsupported`.
    """
    program = checked.program
    for c, op in enumerate(program.ops):
        match op:
            case Dot():
                if not isinstance(op.shift, Const):
                    raise _unsupported(op, "its shift is no constant")
                if op.table is not None and not _is_near(program.tables[op.table]):
                    raise _unsupported(op, "the domain of its table leaves 24 bits")
                if not is_direct(checked, c):
                    _judge_wide(program, op)
            case Pick(mode=PickMode.SELECT):
                if _magnitude(program, op.operands[0]) > P_HALF:
                    raise _unsupported(op, "its condition can leave the field")
            case Div():
                operands = [op.num] if op.den is None else [op.num, op.den]
                if max(_magnitude(program, operand) for operand in operands) > _DIV_MAX:
                    raise _unsupported(op, "an operand can have more than 24 bits")


def _is_near(table: Table) -> bool:
    """Whether quotients can be clamped to the ends of a table's domain."""
    return table.lo >= -_END_MAX and table.lo + len(table.entries) <= _END_MAX


def form(checked: Checked, c: int) -> Form:
    """The constants of the gates of a dot op."""
    program, direct = checked.program, is_direct(checked, c)
    op = program.ops[c]
    if not (isinstance(op, Dot) and isinstance(op.shift, Const)):
        raise TypeError(f"op {op.name} is not covered")
    s = op.shift.value
    acc, m = bound(checked, c), operand_range(program, op.mult)[1]
    kappa = max(1, ((acc * m + (1 << s)) >> s).bit_length())
    offset = DIRECT_OFFSET if direct else WIDE_OFFSET
    if op.rounding is None:
        bits, half, of_rounding = 0, 1 << s >> 1 if s else 0, ([0] * DIGITS, [0] * DIGITS)
    else:
        bits, half = operand_range(program, op.rounding)[1].bit_length(), 0
        of_rounding = _powers(s - bits)
    alpha, beta = _powers(s)
    gamma, delta = of_rounding
    clo, chi = _ends(program, op)
    columns: dict[str, Ints | int] = {
        "offset": DIRECT_OFFSET if direct else 0,
        "class_u2": _CLASS_TOP if direct else _CLASS_LIMB,
        "sigma_u3": 1 << LIMB if direct else 1,
        "o": _column(_digits(offset)),
        "cst": _column(_digits(half + (1 << kappa + s))),
        "alpha": _column(alpha),
        "beta": _column(beta),
        "gamma": _column(gamma),
        "delta": _column(delta),
        "sigma_t": _sigmas(kappa + 1, 2),
        "sigma_r": _sigmas(s, 4),
        "sigma_p": _sigmas(bits, 2),
        "qoff": op.out_zero - (1 << kappa),
        "clo": clo,
        "chi": chi,
        "has_act": int(op.table is not None),
        "act": op.table or 0,
    }
    return Form(direct, columns)


def _ends(program: Program, op: Dot) -> tuple[int, int]:
    """The ends to which quotients are clamped: of the table's domain, else of the output."""
    if op.table is None:
        out = program.tensors[op.out]
        return out.lo, out.hi
    table = program.tables[op.table]
    return table.lo, table.lo + len(table.entries) - 1


def _column(numbers: list[int]) -> Ints:
    return np.array(numbers, np.int64)[:, None]


def _digits(value: int) -> list[int]:
    return [value >> LIMB * i & (1 << LIMB) - 1 for i in range(DIGITS)]


def _powers(exponent: int) -> tuple[list[int], list[int]]:
    """The factors of two limbs, digit by digit, in `2^exponent` times their value."""
    place, rest = divmod(exponent, LIMB)
    low, high = [0] * DIGITS, [0] * DIGITS
    low[place] = high[place + 1] = 1 << rest
    return low, high


def _sigmas(bits: int, limbs: int) -> Ints:
    """2^(12 − n) for each limb of a number of so many bits, where it has n of them."""
    return _column([1 << LIMB - min(max(bits - LIMB * limb, 0), LIMB) for limb in range(limbs)])


def _magnitude(program: Program, operand: Operand) -> int:
    return abs_max(operand_range(program, operand))


def _judge_wide(program: Program, op: Dot) -> None:
    if isinstance(op.bias, Read) and _magnitude(program, op.bias) > _WIDE_BIAS_MAX:
        raise _unsupported(op, "the bias of a wide accumulator can exceed 2^28")
    for term in op.terms:
        for operand in (term.a, term.b):
            _judge_limbs(program, op, operand)


def _judge_limbs(program: Program, op: Dot, operand: Operand) -> None:
    """Operands of wide accumulators are split into at most three bytes."""
    if isinstance(operand, Read):
        if program.tensors[operand.tensor].layout is None:
            raise _unsupported(op, "a wide accumulator reads a prf tensor")
        value = operand.pad or 0
    else:
        value = operand.value
    if len(integer_limbs(value)) > _MOST_LIMBS:
        raise _unsupported(op, "a constant of a wide accumulator has more than three bytes")


def _unsupported(op: Op, message: str) -> UnsupportedReceipt:
    return UnsupportedReceipt(
        f"op {quoted(op.name)} is not covered by hybrid receipts: {message}",
        code="hybrid.unsupported",
    )
