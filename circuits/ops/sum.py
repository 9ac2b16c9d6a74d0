"""Weighted sums: each value times an integer constant that brings it to a common scale."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder, Value, scaled
from ..graph import Array, Graph, Node
from ..maps import broadcast
from ..operator import Operator
from ..quantise import BIAS_MAX, Affine, coefficients
from ..tape import Tape, broadcast_back

PARTS_MAX = 64


def support(node: Node, graph: Graph) -> str | None:
    """One side at least is computed (constants alone are folded), at most 64 are there."""
    if all(graph.constant(name) is not None for name in node.inputs):
        return "all inputs are constants"
    return f"it has more than {PARTS_MAX} inputs" if len(node.inputs) > PARTS_MAX else None


def lower_sum(node: Node, builder: Builder, factors: Sequence[float]) -> None:
    """Y = Σ factor·x in one dot; the constant ones become the bias."""
    graph, space = builder.graph, builder.shape(node)
    target = builder.target(node)
    sides = list(zip(node.inputs, factors, strict=True))
    values = [(builder.values[name], by) for name, by in sides if name not in graph.constants]
    addends = [
        graph.constants[name].astype(np.float64) * by
        for name, by in sides
        if name in graph.constants
    ]
    addend = functools.reduce(np.add, addends) if addends else None
    if addend is not None:
        addend = saturating(addend, values, target.pre)
    ratios = [by * value.code.scale / target.pre.scale for value, by in values]
    numbers, shift, added = coefficients(
        node.name, ratios, target.pre.scale, addend, fine=target.post.wide
    )
    terms = [
        Term((), builder.read(value, broadcast(value.shape, len(space))), Const(number))
        for (value, _), number in zip(values, numbers, strict=True)
    ]
    bias: Operand | None = None
    if added is not None and added.numbers.size == 1 and added.power == 0:
        bias = Const(int(added.numbers.item()))
    elif added is not None:
        maps = broadcast(added.numbers.shape, len(space))
        read = builder.weight("addend", added.numbers, BIAS_MAX, maps)
        bias, more = scaled(read, added.power)
        terms += more
    builder.requantised(node, space, terms, target, mult=Const(1), shift=shift, bias=bias)


def saturating(
    addend: Array, values: Sequence[tuple[Value, float]], code: Affine
) -> npt.NDArray[np.float64]:
    """The addend, no larger than it takes to saturate the code, whatever the values are."""
    least = most = 0.0
    for value, by in values:
        ends = sorted(by * value.code.dequantise([value.code.lo, value.code.hi]))
        least, most = least + ends[0], most + ends[1]
    low, high = code.dequantise([code.lo - 1, code.hi + 1])
    return np.clip(addend, low - most, high - least)


def _sum(node: Node, builder: Builder) -> None:
    lower_sum(node, builder, [1.0] * len(node.inputs))


def _mean(node: Node, builder: Builder) -> None:
    lower_sum(node, builder, [1.0 / len(node.inputs)] * len(node.inputs))


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """Each part gets the gradient (its share, of a mean), summed over what was broadcast."""
    if given[0] is None:
        return {}
    dy = tape.scaled(given[0], 1.0 / len(node.inputs) if node.op == "Mean" else 1.0)
    return {n: broadcast_back(node, tape, n, dy) for n in range(len(node.inputs))}


OPERATORS = (
    Operator(("Sum",), _sum, support, takes_activation=True, gradient=gradient),
    Operator(("Mean",), _mean, support, takes_activation=True, gradient=gradient),
)
