"""Gemm: alpha·A·B + beta·C, any of them transposed, constant or computed.

With a constant B, one C per column and A as it is, `fuse` brings it to the form x·wᵀ + b with
w [N, K], for any rank of x: one dot with a scale per column. Any other is a product and a sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder, Value, scaled
from ..graph import Graph, Node
from ..maps import along, broadcast, over, rows
from ..operator import Operator
from ..quantise import BIAS_MAX, Affine, coefficients, multiplier
from ..tape import Tape, broadcast_back
from .matmul import by_rows

SUM_MAX = 2**15 - 1
"""The product has 16 bits before C is added."""


def is_linear(node: Node, graph: Graph) -> bool:
    """Whether a product is x·wᵀ + b: B is a constant matrix, A as it is, C the same in each row."""
    weight, addend = graph.constant(node.input(1)), graph.constant(node.input(2))
    if graph.constant(node.inputs[0]) is not None or node.attributes.get("transA", 0):
        return False
    if weight is None or weight.ndim != 2:
        return False
    if addend is None:
        return node.input(2) is None
    return addend.ndim < 2 or addend.shape[0] == 1


def lower(node: Node, builder: Builder) -> None:
    """One dot over k where it is linear, else two."""
    if is_linear(node, builder.graph):
        _linear(node, builder)
    elif node.input(2) is None and node.attributes.get("alpha", 1.0) > 0:
        _product(node, builder)
    else:
        _sum(node, builder)


def _linear(node: Node, builder: Builder) -> None:
    x = builder.values[node.inputs[0]]
    weight = builder.graph.constants[node.inputs[1]]
    bias = builder.graph.constant(node.input(2))
    outputs, inner = weight.shape
    space = builder.shape(node)
    last = len(space) - 1
    source = (builder.read(x, (*rows(last), over(0))), x.code.scale)
    builder.weighted(
        node,
        space,
        (inner,),
        source,
        weight,
        bias,
        (weight.shape, (along(last), over(0))),
        ((outputs,), (along(last),)),
        builder.graph.grids.get(node.inputs[1]),
    )


def _factors(node: Node, builder: Builder) -> tuple[Term, float]:
    """The sum of products of A and B, and its scale, |alpha| included."""
    get, inner = node.attributes.get, builder.graph.shapes[node.inputs[0]]
    left, left_scale = by_rows(node, builder, 0, 2, transpose=bool(get("transA", 0)))
    right, right_scale = by_rows(node, builder, 1, 2, transpose=not get("transB", 0))
    term = Term((inner[0 if get("transA", 0) else 1],), left, right)
    return term, left_scale * right_scale * abs(float(get("alpha", 1.0)))


def _product(node: Node, builder: Builder) -> None:
    target = builder.target(node)
    term, scale = _factors(node, builder)
    mult, shift = multiplier(node.name, scale / target.pre.scale)
    space = builder.shape(node)
    builder.requantised(node, space, [term], target, mult=Const(mult), shift=shift)


def _sum(node: Node, builder: Builder) -> None:
    """The product as 16 bits, then its sum with beta·C: no C is rounded to the product's units."""
    graph, space, target = builder.graph, builder.shape(node), builder.target(node)
    beta, constant = float(node.attributes.get("beta", 1.0)), graph.constant(node.input(2))
    computed = None if constant is not None or not node.input(2) else builder.values[node.inputs[2]]
    addend = None if constant is None else np.asarray(beta * constant.astype(np.float64))
    largest = 0.0 if addend is None else float(np.abs(addend).max())
    if computed is not None:
        largest = abs(beta) * computed.code.reach
    # What exceeds this range is outside of the output's range whatever C is, and is clamped there.
    peak = target.pre.reach + largest or 1.0
    product = _rounded(node, builder, peak)
    sign = -1.0 if node.attributes.get("alpha", 1.0) < 0 else 1.0
    sides = [(product, sign)] + ([] if computed is None else [(computed, beta)])
    ratios = [factor * value.code.scale / target.pre.scale for value, factor in sides]
    numbers, shift, added = coefficients(
        node.name, ratios, target.pre.scale, addend, fine=target.post.wide
    )
    terms = [
        Term((), builder.read(value, broadcast(value.shape, 2)), Const(number))
        for (value, _), number in zip(sides, numbers, strict=True)
    ]
    bias: Operand | None = None
    if added is not None:
        maps = broadcast(added.numbers.shape or (1,), 2)
        read = builder.weight("addend", added.numbers, BIAS_MAX, maps)
        bias, more = scaled(read, added.power)
        terms += more
    builder.requantised(node, space, terms, target, mult=Const(1), shift=shift, bias=bias)


def _rounded(node: Node, builder: Builder, peak: float) -> Value:
    space = builder.shape(node)
    code = Affine(peak / SUM_MAX, 0, -SUM_MAX, SUM_MAX)
    term, scale = _factors(node, builder)
    mult, shift = multiplier(node.name, scale / code.scale)
    value = builder.temporary("product", space, code, 2)
    builder.dot(value, space, [term], mult=Const(mult), shift=shift, suffix="product")
    return value


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """The products with Bᵀ and Aᵀ, each turned as its operand is; the sum for C."""
    if given[0] is None:
        return {}
    get = node.attributes.get
    a, b = (
        tape.swapped(name) if get(turned, 0) else name
        for name, turned in zip(node.inputs, ("transA", "transB"), strict=False)
    )
    dy = tape.scaled(given[0], float(get("alpha", 1.0)))
    left = (
        tape.matmul(b, tape.swapped(dy)) if get("transA", 0) else tape.matmul(dy, tape.swapped(b))
    )
    right = (
        tape.matmul(tape.swapped(dy), a) if get("transB", 0) else tape.matmul(tape.swapped(a), dy)
    )
    found = {0: left, 1: right}
    if node.input(2) is not None:
        addend = tape.scaled(given[0], float(get("beta", 1.0)))
        found[2] = broadcast_back(node, tape, 2, addend)
    return found


OPERATOR = Operator(("Gemm",), lower, takes_activation=True, gradient=gradient)
