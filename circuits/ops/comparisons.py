"""Greater, Less, Equal and their kin: 1 where it holds, 0 where not; integer values.

A value is compared with one number on the value's own grid, by a table: no decision flips. Two
values differ by a sum of products; values closer than 1/64 of the coarser one's step count as
equal, since their scales are known to 14 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder, Value
from ..graph import Array, Graph, Node
from ..maps import broadcast
from ..operator import Operator
from ..quantise import BIAS_MAX, Affine, Ints

TRUTH = Affine(1.0, 0, 0, 1)
"""False is 0, true is 1."""

FINE = 14
"""The coarser of two scales counts 2^14."""
NEAR = 9
"""Differences are rounded by so many bits: those up to 2^8, 1/64 of 2^14, to 0."""

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Equal": np.equal,
}


def support(node: Node, graph: Graph) -> str | None:
    """One side at least is computed (two constants are folded)."""
    if all(graph.constant(name) is not None for name in node.inputs):
        return "both inputs are constants"
    return None


def lower(node: Node, builder: Builder) -> None:
    """One dot with a table: of the value, or of the sign of a difference."""
    left, right = (_side(name, builder) for name in node.inputs)
    holds = COMPARISONS[node.op]
    if isinstance(left, Value) and not isinstance(right, Value) and right.size == 1:
        _with_number(node, builder, left, lambda x: holds(x, right.item()))
    elif isinstance(right, Value) and not isinstance(left, Value) and left.size == 1:
        _with_number(node, builder, right, lambda x: holds(left.item(), x))
    else:
        _difference(node, builder, (left, right), holds)


def _side(name: str, builder: Builder) -> Value | Array:
    constant = builder.graph.constant(name)
    return builder.values[name] if constant is None else constant.astype(np.float64)


def _with_number(node: Node, builder: Builder, x: Value, holds: Callable[[Array], Array]) -> None:
    space = builder.shape(node) or (1,)
    reals = x.code.dequantise(np.arange(x.code.lo, x.code.hi + 1)).astype(np.float32)
    table = builder.integer_table(node.name, x.code.lo, holds(reals))
    out = builder.define(node, TRUTH, integer=True)
    source = builder.read(x, broadcast(x.shape, len(space)), raw=True)
    builder.dot(out, space, [Term((), source, Const(1))], zero=0, table=table)


def _difference(
    node: Node,
    builder: Builder,
    sides: tuple[Value | Array, Value | Array],
    holds: Callable[[int, int], Any],
) -> None:
    space = builder.shape(node) or (1,)
    unit = max(side.code.scale for side in sides if isinstance(side, Value)) / 2**FINE
    terms, bias = [], None
    for side, sign in zip(sides, (1, -1), strict=True):
        if isinstance(side, Value):
            source = builder.read(side, broadcast(side.shape, len(space)))
            terms.append(Term((), source, Const(sign * round(side.code.scale / unit))))
        else:
            bias = _threshold(np.rint(sign * side / unit), builder, len(space))
    table = builder.integer_table(node.name, -1, [holds(n, 0) for n in (-1, 0, 1)])
    out = builder.define(node, TRUTH, integer=True)
    builder.dot(out, space, terms, shift=NEAR, bias=bias, zero=0, table=table)


def _threshold(numbers: Array, builder: Builder, rank: int) -> Operand:
    bounded: Ints = np.clip(numbers, -BIAS_MAX, BIAS_MAX).astype(np.int64)
    return builder.weight("threshold", bounded, BIAS_MAX, broadcast(bounded.shape, rank))


OPERATORS = tuple(Operator((name,), lower, support, takes_integers=True) for name in COMPARISONS)
