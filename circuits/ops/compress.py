"""Compress: the elements, or the slices along an axis, where a constant condition holds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..moves import move
from ..operator import Operator, axis_of, computed, constants, first


def support(node: Node, graph: Graph) -> str | None:
    """A constant condition."""
    return first(computed(node, graph), constants(node, graph, 1))


def lower(node: Node, builder: Builder) -> None:
    """A move; without an axis, of all elements in a row."""
    x, graph = builder.values[node.inputs[0]], builder.graph
    kept = np.flatnonzero(graph.constants[node.inputs[1]])
    if node.attributes.get("axis") is None:
        move(node, builder, replace(x, shape=(math.prod(x.shape),)), [kept])
        return
    axis = axis_of(node, graph, 0)
    indices = [kept if n == axis else np.arange(dim) for n, dim in enumerate(x.shape)]
    move(node, builder, x, indices)


OPERATOR = Operator(("Compress",), lower, support, takes_integers=True)
