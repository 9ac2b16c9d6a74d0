"""Div by a constant: a product by its inverse."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..operator import Operator, computed, constants, first
from .mul import scaled


def support(node: Node, graph: Graph) -> str | None:
    """The divisor must be a constant without zeros."""
    divisor = graph.constant(node.input(1))
    zeros = divisor is not None and not np.all(divisor)
    return first(
        computed(node, graph),
        constants(node, graph, 1),
        "its divisor has zeros" if zeros else None,
    )


def lower(node: Node, builder: Builder) -> None:
    """One dot of one product."""
    inverse = 1.0 / builder.graph.constants[node.inputs[1]].astype(np.float64)
    scaled(node, builder, node.inputs[0], inverse)


OPERATOR = Operator(("Div",), lower, support, takes_activation=True)
