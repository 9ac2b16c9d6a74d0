"""Clip: min(max(x, low), high), with constant bounds (Relu6 is one)."""

from __future__ import annotations

import math

from ..graph import Graph, Node
from ..operator import constants
from .elementwise import activation


def bounds(node: Node, graph: Graph) -> tuple[float, float]:
    """The bounds: attributes before opset 11, inputs since."""
    low = graph.constant(node.input(1))
    high = graph.constant(node.input(2))
    return (
        float(node.attributes.get("min", -math.inf) if low is None else low.item()),
        float(node.attributes.get("max", math.inf) if high is None else high.item()),
    )


def support(node: Node, graph: Graph) -> str | None:
    """The bounds must be constants."""
    return constants(node, graph, 1, 2)


OPERATOR = activation("Clip", bounds=bounds, support=support)
