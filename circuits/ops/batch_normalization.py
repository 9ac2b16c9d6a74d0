"""BatchNormalization as inference has it: y = a[c]·x + b[c] (`fuse` folds it where it can)."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, rows
from ..operator import Operator, computed, constants, first
from ..quantise import Floats


def support(node: Node, graph: Graph) -> str | None:
    """Statistics must be constants."""
    if node.attributes.get("training_mode", 0):
        return "training_mode is set"
    return first(computed(node, graph), constants(node, graph, 1, 2, 3, 4))


def scale_and_bias(node: Node, graph: Graph) -> tuple[Floats, Floats]:
    """A and b, float64 [C]."""
    gamma, beta, mean, variance = (
        graph.constants[name].astype(np.float64) for name in node.inputs[1:5]
    )
    scale = gamma / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    return scale, beta - mean * scale


def lower(node: Node, builder: Builder) -> None:
    """One dot of one product per element, with a weight and a bias per channel."""
    x = builder.values[node.inputs[0]]
    scale, bias = scale_and_bias(node, builder.graph)
    space = builder.shape(node)
    source = (builder.read(x, rows(len(space))), x.code.scale)
    channel = ((len(scale),), (along(1),))
    builder.weighted(node, space, (), source, scale, bias, channel, channel)


OPERATOR = Operator(("BatchNormalization",), lower, support, takes_activation=True)
