"""PRelu: x for x ≥ 0, slope·x below, with constant slopes (a single one: a table)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import broadcast, rows
from ..operator import Operator, computed, constants, first
from ..quantise import clamp, multiplier, symmetric
from ..tape import Tape, broadcast_back
from .elementwise import apply

SLOPE_MAX = 2**14 - 1
"""Slopes have 15 bits; two products of them by 9 bits are far inside an accumulator."""


def support(node: Node, graph: Graph) -> str | None:
    """Slopes must be constants."""
    return first(computed(node, graph), constants(node, graph, 1))


def lower(node: Node, builder: Builder) -> None:
    """max(x, 0), then slope·x + (1 − slope)·max(x, 0)."""
    slope = builder.graph.constants[node.inputs[1]].astype(np.float64)
    if slope.size == 1:
        by = float(slope.item())
        apply(node, builder, lambda x: np.where(x < 0.0, by * x, x), builder.code(node.output))
        return
    x, space = builder.values[node.inputs[0]], builder.shape(node)
    each = rows(len(space))
    positive = builder.temporary("positive", x.shape, clamp(x.code, 0.0, math.inf))
    builder.dot(positive, space, [Term((), builder.read(x, each), Const(1))], suffix="positive")
    numbers, scale = symmetric(np.stack([slope, 1.0 - slope]), SLOPE_MAX)
    maps = broadcast(slope.shape, len(space))
    terms = [
        Term((), builder.read(value, each), builder.weight(name, number, SLOPE_MAX, maps))
        for value, name, number in zip((x, positive), ("slope", "rest"), numbers, strict=True)
    ]
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale * scale / target.pre.scale)
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """Below 0 x gets the gradient times the slope, and the slope that times x."""
    dy, (x, slopes) = given[0], node.inputs
    if dy is None:
        return {}
    below = tape.compare("Less", x, tape.constant(0.0))
    inner = tape.where(below, tape.mul(dy, slopes), dy)
    return {0: inner, 1: broadcast_back(node, tape, 1, tape.masked(below, tape.mul(dy, x)))}


OPERATOR = Operator(("PRelu",), lower, support, takes_activation=True, gradient=gradient)
