"""A sum of products of two computed values, and an addend: what Gemm and Conv have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...verifier.program.types import AxisMap, Const, Operand, Term
from ..builder import Builder, Target, Value, scaled
from ..graph import Node
from ..maps import rows
from ..quantise import BIAS_MAX, Affine, coefficients, multiplier
from .matmul import summed

SUM_MAX = 2**15 - 1
"""The product has 16 bits before an addend is added that does not fit its units."""

Seen = Callable[[tuple[int, ...]], tuple[Sequence[int], Sequence[AxisMap]]]
"""How an addend of this shape is read in the space of the sum: a view of it, and maps."""


def product_and_sum(
    node: Node,
    builder: Builder,
    space: Sequence[int],
    product: tuple[Term, float],
    addend: tuple[str | None, float] = (None, 1.0),
    seen: Seen | None = None,
) -> None:
    """The node's output is a product (its term and scale, maybe negative) and factor·addend."""
    term, scale = product
    name, beta = addend
    if name is None and scale > 0:
        _requantised(node, builder, space, [term], scale, builder.target(node))
        return
    if name is not None and scale > 0 and beta > 0 and name in builder.values:
        value = builder.values[name]
        assert seen is not None
        added = builder.addend(value, scale / beta, *seen(value.shape))
        if added is not None:
            _requantised(node, builder, space, [term, added], scale, builder.target(node))
            return
    _apart(node, builder, space, product, addend, seen)


def _requantised(
    node: Node,
    builder: Builder,
    space: Sequence[int],
    terms: Sequence[Term],
    scale: float,
    target: Target,
) -> None:
    mult, shift = multiplier(node.name, scale / target.pre.scale)
    first, bias = terms[0], None
    made = list(terms)
    if len(terms) == 1 and not isinstance(first.a, Const):
        made, bias = summed(first.window, first.a, first.b, builder)
    builder.requantised(node, space, made, target, mult=Const(mult), shift=shift, bias=bias)


def _apart(
    node: Node,
    builder: Builder,
    space: Sequence[int],
    product: tuple[Term, float],
    addend: tuple[str | None, float],
    seen: Seen | None,
) -> None:
    """The product as 16 bits, then its sum: no addend is rounded to the product's units."""
    (name, beta), target = addend, builder.target(node)
    constant = builder.graph.constant(name)
    computed = None if constant is not None or name is None else builder.values[name]
    array = None if constant is None else np.asarray(beta * constant.astype(np.float64))
    largest = 0.0 if array is None else float(np.abs(array).max())
    if computed is not None:
        largest = abs(beta) * computed.code.reach
    # What exceeds this range is outside of the output's range whatever is added, and clamped there.
    peak = target.pre.reach + largest or 1.0
    term, scale = product
    rounded = _rounded(node, builder, space, (term, abs(scale)), peak)
    sides = [(rounded, -1.0 if scale < 0 else 1.0)]
    reads = [builder.read(rounded, rows(len(space)))]
    if computed is not None:
        assert seen is not None
        view, maps = seen(computed.shape)
        sides.append((computed, beta))
        reads.append(builder.read(computed, maps, view=view))
    ratios = [factor * value.code.scale / target.pre.scale for value, factor in sides]
    numbers, shift, added = coefficients(
        node.name, ratios, target.pre.scale, array, fine=target.post.wide
    )
    terms = [Term((), read, Const(number)) for read, number in zip(reads, numbers, strict=True)]
    bias: Operand | None = None
    if added is not None:
        assert seen is not None
        view, maps = seen(added.numbers.shape or (1,))
        read = builder.weight("addend", added.numbers, BIAS_MAX, maps, view)
        bias, more = scaled(read, added.power)
        terms += more
    builder.requantised(node, space, terms, target, mult=Const(1), shift=shift, bias=bias)


def _rounded(
    node: Node, builder: Builder, space: Sequence[int], product: tuple[Term, float], peak: float
) -> Value:
    code = Affine(peak / SUM_MAX, 0, -SUM_MAX, SUM_MAX)
    term, scale = product
    mult, shift = multiplier(node.name, scale / code.scale)
    value = builder.temporary("product", tuple(space), code, 2)
    builder.dot(value, space, [term], mult=Const(mult), shift=shift, suffix="product")
    return value
