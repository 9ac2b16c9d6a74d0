"""Sums, products and powers of integers, exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...verifier.program.types import Const, Operand, PickMode, Read, Term
from ..builder import Builder
from ..graph import Array, Graph, Node
from ..operator import Whole, computed
from .integer_division import one_constant
from .matmul import maps_of
from .whole import (
    Side,
    constant_side,
    made,
    output,
    overflow,
    result,
    side,
    some_computed,
    temporary,
    value_side,
)

POWER_MAX = 23
"""The largest exponent: 2^23 does not fit."""


def lower_sum(node: Node, builder: Builder) -> None:
    """One dot; constants are its bias."""
    graph, rank = builder.graph, len(builder.shape(node) or (1,))
    signs = (1, -1) if node.op == "Sub" else (1,) * len(node.inputs)
    sides, known = [], []
    for name, sign in zip(node.inputs, signs, strict=True):
        array = graph.constant(name)
        if array is None:
            sides.append((value_side(builder, builder.values[name], rank), sign))
        else:
            known.append(sign * array.astype(np.int64))
    low = sum(each.low if sign > 0 else -each.high for each, sign in sides)
    high = sum(each.high if sign > 0 else -each.low for each, sign in sides)
    bias: Operand | None = None
    if known:
        added = constant_side(node, builder, np.asarray(sum(known)), rank, "addend")
        bias, low, high = added.operand, low + added.low, high + added.high
    terms = [Term((), each.operand, Const(sign)) for each, sign in sides]
    result(node, builder, terms, low, high, bias=bias)


def lower_mul(node: Node, builder: Builder) -> None:
    """One dot of one product."""
    rank = len(builder.shape(node) or (1,))
    left, right = (side(node, builder, index, rank) for index in (0, 1))
    result(node, builder, [Term((), left.operand, right.operand)], *product(left, right))


def product(left: Side, right: Side) -> tuple[int, int]:
    """The range of a product."""
    ends = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
    return min(ends), max(ends)


def lower_matmul(node: Node, builder: Builder) -> None:
    """One dot over k, as of floats."""
    shapes = [builder.graph.shapes[name] for name in node.inputs]
    space = (
        *np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]),
        1 if len(shapes[0]) == 1 else shapes[0][-2],
        1 if len(shapes[1]) == 1 else shapes[1][-1],
    )
    left, right = (_by_rows(node, builder, index, len(space)) for index in (0, 1))
    count = shapes[0][-1]
    low, high = (count * end for end in product(left, right))
    terms = [Term((count,), left.operand, right.operand)]
    result(node, builder, terms, low, high, space=space)


def _by_rows(node: Node, builder: Builder, index: int, rank: int) -> Side:
    """Rows of the left factor, columns of the right one, in the space [..., M, N]."""
    array = builder.graph.constant(node.inputs[index])
    if array is not None:
        numbers = np.atleast_2d(array)
        if index == 1 and array.ndim > 1:
            numbers = np.swapaxes(numbers, -1, -2)
        known = constant_side(node, builder, numbers, rank, f"input {index}", whole=True)
        assert isinstance(known.operand, Read)
        operand = replace(known.operand, maps=maps_of(numbers.shape, rank, index))
        return replace(known, operand=operand)
    value = builder.values[node.inputs[index]]
    if len(value.shape) == 1:
        value = replace(value, shape=(1, *value.shape))
    elif index == 1:
        value = builder.transposed(value)
    maps = maps_of(value.shape, rank, index)
    return Side(builder.read(value, maps, raw=True), value.code.lo, value.code.hi)


def lower_neg(node: Node, builder: Builder) -> None:
    """One product by -1."""
    x = side(node, builder, 0, len(builder.shape(node) or (1,)))
    result(node, builder, [Term((), x.operand, Const(-1))], -x.high, -x.low)


def lower_sign(node: Node, builder: Builder) -> None:
    """A table whose domain ends at -1 and 1."""
    space = builder.shape(node) or (1,)
    terms = [Term((), side(node, builder, 0, len(space)).operand, Const(1))]
    table = builder.integer_table(node.name, -1, (-1, 0, 1))
    builder.dot(output(node, builder, -1, 1), space, terms, zero=0, table=table)


def lower_abs(node: Node, builder: Builder) -> None:
    """The product of the value and its sign."""
    space = builder.shape(node) or (1,)
    x = side(node, builder, 0, len(space))
    terms = [Term((), x.operand, Const(1))]
    sign = made(node, builder, "sign", space, terms, (-1, 1), table=(-1, (-1, 0, 1)))
    low = 0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    by = value_side(builder, sign, len(space)).operand
    result(node, builder, [Term((), x.operand, by)], low, max(-x.low, x.high))


def lower_pow(node: Node, builder: Builder) -> None:
    """A table, or the product of as many factors as the largest exponent says.

    The factor of number n is the base where the exponent is at least n, and 1 elsewhere.
    """
    space = builder.shape(node) or (1,)
    base, exponent = (side(node, builder, index, len(space)) for index in (0, 1))
    if exponent.low < 0 or exponent.high > POWER_MAX:
        overflow(node, f"exponents in 0 to {POWER_MAX}", exponent.low, exponent.high)
    if one_constant(node, builder, _power):
        return
    so_far = Side(Const(1), 1, 1)
    for number in range(1, exponent.high + 1):
        factor = _factor(node, builder, base, exponent, number, space)
        span = product(so_far, factor)
        terms = [Term((), factor.operand, so_far.operand)]
        power = made(node, builder, f"power {number}", space, terms, span)
        so_far = value_side(builder, power, len(space))
    if exponent.high == 0:
        terms = [Term((), base.operand, Const(0))]
        result(node, builder, terms, 1, 1, bias=Const(1))
    else:
        result(node, builder, [Term((), so_far.operand, Const(1))], so_far.low, so_far.high)


def _factor(
    node: Node,
    builder: Builder,
    base: Side,
    exponent: Side,
    number: int,
    space: tuple[int, ...],
) -> Side:
    terms = [Term((), exponent.operand, Const(1))]
    reaches = made(
        node, builder, f"reaches {number}", space, terms, (0, 1), table=(number - 1, (0, 1))
    )
    name, span = f"factor {number}", (min(base.low, 1), max(base.high, 1))
    out = temporary(node, builder, name, space, *span)
    where = value_side(builder, reaches, len(space)).operand
    builder.pick(out, space, where, base.operand, Const(1), mode=PickMode.SELECT, suffix=name)
    return value_side(builder, out, len(space))


def _exponents(node: Node, graph: Graph) -> str | None:
    """Exponents are integers, or constants that hold such."""
    known, reals = graph.constant(node.input(1)), graph.is_float(node.inputs[1])
    if known is None:
        return "its exponent is computed as a real number" if reals else None
    fraction = bool((known != np.rint(known)).any())
    return "its exponent is a fraction" if fraction else some_computed(node, graph)


def _power(base: Any, exponent: Any) -> Array:
    """As Python's integers have it: what does not fit is then refused."""
    found: Array = np.asarray(base, dtype=object) ** np.asarray(exponent, dtype=object)
    return found


WHOLE: Mapping[str, Whole] = {
    "Add": Whole(lower_sum, some_computed),
    "Sub": Whole(lower_sum, some_computed),
    "Sum": Whole(lower_sum, some_computed),
    "Mul": Whole(lower_mul, some_computed),
    "Neg": Whole(lower_neg, computed),
    "Abs": Whole(lower_abs, computed),
    "Sign": Whole(lower_sign, computed),
    "Pow": Whole(lower_pow, _exponents),
    "MatMul": Whole(lower_matmul, some_computed),
}
