"""Signed sums of two values: each times an integer constant that brings it to a common scale."""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import broadcast
from ..quantise import BIAS_MAX, coefficients


def support(node: Node, graph: Graph) -> str | None:
    """One side at least is computed (two constants are folded)."""
    if all(graph.constant(name) is not None for name in node.inputs):
        return "both inputs are constants"
    return None


def lower_sum(node: Node, builder: Builder, signs: tuple[int, int]) -> None:
    """Y = Σ sign·x in one dot; a constant side becomes the bias."""
    graph, space = builder.graph, builder.shape(node)
    target = builder.target(node)
    sides = list(zip(node.inputs, signs, strict=True))
    values = [(builder.values[name], sign) for name, sign in sides if name not in graph.constants]
    addends = [graph.constants[name] * sign for name, sign in sides if name in graph.constants]
    addend = addends[0].astype(np.float64) if addends else None
    ratios = [sign * value.code.scale / target.pre.scale for value, sign in values]
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
