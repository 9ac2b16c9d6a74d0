"""Concat: a sum in which each part contributes 0 outside its own place."""

from __future__ import annotations

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along
from ..operator import Operator, axis_of
from ..quantise import coefficients

PARTS_MAX = 64


def support(node: Node, graph: Graph) -> str | None:
    """Computed parts only, at most 64."""
    if any(graph.constant(name) is not None for name in node.inputs):
        return "one of its inputs is a constant"
    return f"it has more than {PARTS_MAX} inputs" if len(node.inputs) > PARTS_MAX else None


def lower(node: Node, builder: Builder) -> None:
    """One dot with a term per part, times the constant that brings it to the output's scale."""
    space, target = builder.shape(node), builder.target(node)
    axis = axis_of(node, builder.graph, 0)
    parts = [builder.values[name] for name in node.inputs]
    ratios = [part.code.scale / target.pre.scale for part in parts]
    numbers, shift, _ = coefficients(node.name, ratios, target.pre.scale)
    terms, start = [], 0
    for part, number in zip(parts, numbers, strict=True):
        maps = [along(n) for n in range(len(space))]
        maps[axis] = along(axis, 1, -start)
        terms.append(Term((), builder.read(part, maps, pad=part.code.zero), Const(number)))
        start += part.shape[axis]
    builder.requantised(node, space, terms, target, mult=Const(1), shift=shift)


OPERATOR = Operator(("Concat",), lower, support, takes_activation=True)
