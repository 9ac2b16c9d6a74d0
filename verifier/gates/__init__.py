"""The four gates in plain numpy: what a program means, one kind per file (protocol section 1).

This is the semantics that every prover must reproduce and that the Python verifier runs on sampled
gates. It holds for programs that `program.checked.load` accepted and values inside declared ranges.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..program.types import Div, Dot, Gather, Op, Pick, Program
from . import div, dot, gather, pick
from .operand import Ints, Values

__all__ = ["Ints", "Values", "evaluate", "reads"]


def evaluate(program: Program, op: Op, gates: Ints, values: Values) -> Ints:
    """The outputs, int64 [G], of the gates with these numbers, int64 [G], in any order."""
    match op:
        case Dot():
            return dot.evaluate(program, op, gates, values)
        case Pick():
            return pick.evaluate(op, gates, values)
        case Gather():
            return gather.evaluate(op, gates, values)
        case Div():
            return div.evaluate(program, op, gates, values)


def reads(program: Program, op: Op, gates: Ints) -> Iterator[tuple[int, Ints]]:
    """What these gates read: pairs of a tensor number and row-major offsets, int64 1-D.

    A tensor may come several times and an offset too; pads read nothing; prf tensors are included.
    The arrays come in chunks of bounded size.
    """
    match op:
        case Dot():
            return dot.reads(op, gates)
        case Pick():
            return pick.reads(op, gates)
        case Gather():
            return gather.reads(op, gates)
        case Div():
            return div.reads(op, gates)
