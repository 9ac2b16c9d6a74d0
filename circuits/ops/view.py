"""Operators that only change the shape: no op, the same tensor seen through another view."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node, size
from ..operator import Operator, computed, constants, first
from ..tape import of_first, reshaped


def lower(node: Node, builder: Builder) -> None:
    """The output is a view of the first input."""
    builder.view(node, builder.values[node.inputs[0]])


def support(node: Node, graph: Graph) -> str | None:
    """The new shape must be known, and hold as many elements."""
    if size(graph.shapes[node.inputs[0]]) != size(graph.shapes[node.output]):
        return "its output does not hold as many elements as its input"
    if len(graph.shapes[node.output]) > 8:
        return "its output has more than 8 axes"
    return first(computed(node, graph), constants(node, graph, 1))


def view(name: str) -> Operator:
    """The operator of that name."""
    return Operator(
        (name,), lower, support, is_view=True, takes_integers=True, gradient=of_first(reshaped)
    )
