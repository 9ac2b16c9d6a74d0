"""Cast from float to float, or of an integer to another type: the same numbers."""

from __future__ import annotations

from dataclasses import replace

from onnx import TensorProto

from ..builder import Builder
from ..graph import Graph, Node
from ..operator import Operator, computed
from ..tape import of_first, reshaped
from . import view


def support(node: Node, graph: Graph) -> str | None:
    """A cast to integers would drop fractions, one of integers to booleans all but their zeros."""
    if graph.is_float(node.inputs[0]) and not graph.is_float(node.output):
        return "it casts floats to integers"
    kinds = [graph.types[name] == TensorProto.BOOL for name in (node.inputs[0], node.output)]
    return "it casts integers to booleans" if kinds == [False, True] else computed(node, graph)


def lower(node: Node, builder: Builder) -> None:
    """A view; integers have a code of scale 1, so they are floats as they stand."""
    view.lower(node, builder)
    value, integer = builder.values[node.output], not builder.graph.is_float(node.output)
    builder.values[node.output] = replace(value, integer=integer)


OPERATOR = Operator(
    ("Cast",), lower, support, is_view=True, takes_integers=True, gradient=of_first(reshaped)
)
