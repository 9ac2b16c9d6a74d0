"""LayerNormalization and its kin: lines of values standardised, then scaled by constants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...verifier.program.types import AxisMap
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, broadcast
from ..operator import Operator, axis_of, computed, constants, first
from .reduction import SQUARES_MAX, Reduction
from .standardise import Norm, affine_output, deviations, inner_axes, magnified, standardised

EPSILON = 1e-5
SIMPLIFIED = "SimplifiedLayerNormalization"
"""onnxruntime's name, in ONNX's own domain, of what opset 23 calls RMSNormalization."""
VALUES_MAX = 2**18
"""Quotients of 15 bits cover the root of this; one of more values would be told too coarsely."""


def _support(node: Node, graph: Graph) -> str | None:
    """Constant gains and biases, lines of up to 2^18 values, no statistics as outputs."""
    reason = first(computed(node, graph), constants(node, graph, 1, 2))
    if reason is not None:
        return reason
    read = {name for other in graph.nodes for name in other.inputs} | set(graph.outputs)
    if any(name in read for name in node.outputs[1:] if name):
        return "its mean or deviation is an output"
    lines = _lines(node, graph)
    if lines.count > VALUES_MAX or not inner_axes(lines):
        return f"it runs over more than {VALUES_MAX} values, or {SQUARES_MAX} along one axis"
    if node.op == "LpNormalization" and int(node.attributes.get("p", 2)) not in (1, 2):
        return "its p is neither 1 nor 2"
    return None


def _lines(node: Node, graph: Graph) -> Reduction:
    """What is standardised together."""
    shape = graph.shapes[node.inputs[0]]
    match node.op:
        case "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization":
            axis = axis_of(node, graph, -1)
            return Reduction((math.prod(shape[:axis]), math.prod(shape[axis:])), (1,))
        case "InstanceNormalization":
            return Reduction(shape, tuple(range(2, len(shape))))
        case "GroupNormalization":
            groups = int(node.attributes["num_groups"])
            split = (shape[0], groups, shape[1] // groups, *shape[2:])
            return Reduction(split, tuple(range(2, len(split))))
        case "LpNormalization":
            return Reduction(shape, (axis_of(node, graph, -1),))
    given = node.attributes.get("axes", [0, 2, 3])
    return Reduction(shape, tuple(sorted(int(axis) % len(shape) for axis in given)))


def _norm(node: Node) -> Norm:
    if node.op == "LpNormalization":
        return Norm(mean=False, power=int(node.attributes.get("p", 2)))
    if node.op == "MeanVarianceNormalization":  # it adds 1e-9 to the deviation
        return Norm(mean=True, epsilon=float(node.attributes.get("epsilon", 0.0)))
    return Norm(mean=True, epsilon=float(node.attributes.get("epsilon", EPSILON)))


def lower(node: Node, builder: Builder) -> None:
    """Deviations (but for plain norms), their norm, quotients, and gains with biases."""
    lines = _lines(node, builder.graph)
    x = builder.values[node.inputs[0]]
    norm = _norm(node)
    if node.op not in ("RMSNormalization", SIMPLIFIED, "LpNormalization"):
        x = deviations(builder, x, lines)
    elif norm.power == 2:
        x = magnified(builder, x, lines)
    value = standardised(node, builder, x, lines, norm)
    gain, bias = (builder.graph.constant(node.input(index)) for index in (1, 2))
    gain = None if gain is None else np.atleast_1d(gain)
    rank = len(builder.shape(node))
    if node.op in ("InstanceNormalization", "GroupNormalization"):
        maps: Sequence[AxisMap] = (along(1),)
    else:
        maps = broadcast(() if gain is None else gain.shape, rank)
        bias = None if bias is None or gain is None else np.broadcast_to(bias, gain.shape)
    affine_output(node, builder, value, gain, bias, maps)


OPERATORS = tuple(
    Operator((name,), lower, _support, takes_activation=True)
    for name in (
        "LayerNormalization",
        "RMSNormalization",
        SIMPLIFIED,
        "InstanceNormalization",
        "GroupNormalization",
        "LpNormalization",
        "MeanVarianceNormalization",
    )
)
