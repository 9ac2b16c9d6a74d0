"""Cast from float to float, or of an integer output to another integer type: the same numbers."""

from __future__ import annotations

from ..graph import Graph, Node
from ..operator import Operator, computed
from .view import lower


def support(node: Node, graph: Graph) -> str | None:
    """A cast between floats and integers would change the numbers."""
    if graph.is_float(node.inputs[0]) != graph.is_float(node.output):
        return "it casts between floats and integers"
    return computed(node, graph)


OPERATOR = Operator(("Cast",), lower, support, is_view=True, takes_integers=True)
