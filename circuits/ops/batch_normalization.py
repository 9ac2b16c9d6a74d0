"""BatchNormalization as inference has it: y = a[c]·x + b[c] (`fuse` folds it where it can)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, rows
from ..operator import Operator, computed, constants, first
from ..quantise import Floats
from ..tape import Tape


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


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """With statistics that stand still: of x, gains and offsets."""
    dy = given[0]
    if dy is None:
        return {}
    mean, variance = (tape.graph.constants[name].astype(np.float64) for name in node.inputs[3:5])
    inverse = 1.0 / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    rank = len(tape.shape(dy))
    channel, axes = (len(mean), *[1] * (rank - 2)), [0, *range(2, rank)]
    gain = tape.reshape(tape.mul(node.inputs[1], tape.constant(inverse)), channel)
    offset = tape.constant((-mean * inverse).reshape(channel))
    scaled = tape.mul(node.inputs[0], tape.constant(inverse.reshape(channel)))
    gains = tape.sum(tape.mul(dy, tape.add(scaled, offset)), axes, keep=False)
    return {0: tape.mul(dy, gain), 1: gains, 2: tape.sum(dy, axes, keep=False)}


OPERATOR = Operator(
    ("BatchNormalization",), lower, support, takes_activation=True, gradient=gradient
)
