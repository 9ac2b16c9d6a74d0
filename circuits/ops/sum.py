"""Weighted sums: each value times an integer constant that brings it to a common scale."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import broadcast
from ..operator import Operator
from ..quantise import BIAS_MAX, coefficients
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
    ratios = [by * value.code.scale / target.pre.scale for value, by in values]
    numbers, shift, added = coefficients(node.name, ratios, target.pre.scale, addend)
    terms = [
        Term((), builder.read(value, broadcast(value.shape, len(space))), Const(number))
        for (value, _), number in zip(values, numbers, strict=True)
    ]
    bias: Operand | None = None
    if added is not None and added.size == 1:
        bias = Const(int(added.item()))
    elif added is not None:
        bias = builder.weight("addend", added, BIAS_MAX, broadcast(added.shape, len(space)))
    builder.requantised(node, space, terms, target, mult=Const(1), shift=shift, bias=bias)


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
