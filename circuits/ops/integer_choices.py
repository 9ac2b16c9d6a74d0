"""Comparisons, choices, minima and bounds of integers, exact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..operator import Whole, computed, first
from .comparisons import TRUTH
from .logic import operand as truths
from .whole import (
    Side,
    constant_side,
    made,
    output,
    result,
    side,
    some_computed,
    temporary,
    value_side,
)

PARTS_MAX = 64

Space = tuple[int, ...]


def lower_compare(node: Node, builder: Builder) -> None:
    """One pick; what is not greater the other way round is less or equal."""
    space = builder.shape(node) or (1,)
    left, right = _comparable(node, builder, len(space))
    if node.op.startswith("Less"):
        left, right = right, left
    if node.op == "Equal":
        out = builder.define(node, TRUTH, integer=True)
        builder.pick(out, space, left.operand, right.operand, mode=PickMode.EQUAL)
    elif not node.op.endswith("OrEqual"):
        out = builder.define(node, TRUTH, integer=True)
        builder.pick(out, space, left.operand, right.operand, mode=PickMode.GREATER)
    else:
        less = value_side(builder, _greater(node, builder, right, left, space, "less"), len(space))
        out = builder.define(node, TRUTH, integer=True)
        builder.dot(out, space, [Term((), less.operand, Const(-1))], bias=Const(1))


def _comparable(node: Node, builder: Builder, rank: int) -> tuple[Side, Side]:
    """Both sides; of constants only what lies about the other side's range matters."""
    known = [builder.graph.constant(name) for name in node.inputs]
    sides = []
    for index, array in enumerate(known):
        if array is None:
            sides.append(side(node, builder, index, rank))
            continue
        other = builder.values[node.inputs[1 - index]].code
        numbers = np.asarray(np.clip(array.astype(object), other.lo - 1, other.hi + 1))
        sides.append(constant_side(node, builder, numbers, rank, f"input {index}"))
    return sides[0], sides[1]


def _greater(
    node: Node, builder: Builder, left: Side, right: Side, space: Space, name: str
) -> Value:
    out = temporary(node, builder, name, space, 0, 1)
    builder.pick(out, space, left.operand, right.operand, mode=PickMode.GREATER, suffix=name)
    return out


def lower_where(node: Node, builder: Builder) -> None:
    """One pick of mode select."""
    space = builder.shape(node) or (1,)
    condition = truths(node.inputs[0], builder, len(space))
    then, otherwise = (side(node, builder, index, len(space)) for index in (1, 2))
    span = min(then.low, otherwise.low), max(then.high, otherwise.high)
    out = output(node, builder, *span)
    builder.pick(out, space, condition, then.operand, otherwise.operand, mode=PickMode.SELECT)


def lower_extreme(node: Node, builder: Builder) -> None:
    """The larger of two, one input after the other; a single number is the bound of a clamp."""
    space, sign = builder.shape(node) or (1,), 1 if node.op == "Max" else -1
    names = sorted(node.inputs, key=lambda name: name in builder.graph.constants)
    sides = [side(node, builder, node.inputs.index(name), len(space)) for name in names]
    so_far = sides[0]
    for number, other in enumerate(sides[1:]):
        so_far = _extreme(node, builder, so_far, other, sign, space, f"extreme {number}")
    _copy(node, builder, so_far)


def lower_clip(node: Node, builder: Builder) -> None:
    """Not below the low bound, then not above the high one; each may be absent, or computed."""
    space = builder.shape(node) or (1,)
    so_far = side(node, builder, 0, len(space))
    for index, sign, name in ((1, 1, "low"), (2, -1, "high")):
        if node.input(index) is not None:
            bound = side(node, builder, index, len(space))
            so_far = _extreme(node, builder, so_far, bound, sign, space, name)
    _copy(node, builder, so_far)


def lower_relu(node: Node, builder: Builder) -> None:
    """A clamp at 0."""
    space = builder.shape(node) or (1,)
    x = side(node, builder, 0, len(space))
    _copy(node, builder, _extreme(node, builder, x, Side(Const(0), 0, 0), 1, space, "positive"))


def _copy(node: Node, builder: Builder, found: Side) -> None:
    result(node, builder, [Term((), found.operand, Const(1))], found.low, found.high)


def _extreme(
    node: Node, builder: Builder, left: Side, right: Side, sign: int, space: Space, name: str
) -> Side:
    """The larger of both, or the smaller (sign -1)."""
    pick = max if sign == 1 else min
    span = pick(left.low, right.low), pick(left.high, right.high)
    if isinstance(right.operand, Const):
        terms = [Term((), left.operand, Const(1))]
        return value_side(builder, made(node, builder, name, space, terms, span), len(space))
    pair = (left, right) if sign == 1 else (right, left)
    more = _greater(node, builder, *pair, space, f"{name} is left")
    where = value_side(builder, more, len(space)).operand
    # A pick's output holds all that its operands may hold.
    span = min(left.low, right.low), max(left.high, right.high)
    out = temporary(node, builder, name, space, *span)
    picked = (where, left.operand, right.operand)
    builder.pick(out, space, *picked, mode=PickMode.SELECT, suffix=name)
    return value_side(builder, out, len(space))


def parts(node: Node, graph: Graph) -> str | None:
    """Up to 64 inputs, one of which at least is computed."""
    many = len(node.inputs) > PARTS_MAX
    return first(
        some_computed(node, graph), f"it has more than {PARTS_MAX} inputs" if many else None
    )


WHOLE: Mapping[str, Whole] = {
    **{
        name: Whole(lower_compare, some_computed)
        for name in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
    },
    "Where": Whole(lower_where, some_computed),
    "Max": Whole(lower_extreme, parts),
    "Min": Whole(lower_extreme, parts),
    "Clip": Whole(lower_clip, computed),
    "Relu": Whole(lower_relu, computed),
}
