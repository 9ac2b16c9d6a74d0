"""Clip: min(max(x, low), high); with constant bounds (as in Relu6) it is an activation."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from ..builder import Builder
from ..graph import Graph, Node
from ..operator import constants
from ..tape import Tape
from .elementwise import activation
from .min_max import lower_between


def bounds(node: Node, graph: Graph) -> tuple[float, float]:
    """The bounds: attributes before opset 11, inputs since."""
    low = graph.constant(node.input(1))
    high = graph.constant(node.input(2))
    return (
        float(node.attributes.get("min", -math.inf) if low is None else low.item()),
        float(node.attributes.get("max", math.inf) if high is None else high.item()),
    )


def support(node: Node, graph: Graph) -> str | None:
    """Computed bounds are compared with (`min_max`)."""
    if constants(node, graph, 1, 2) is None:
        return None
    return "it has more than 7 axes" if len(graph.shapes[node.output]) > 7 else None


def slope(node: Node, tape: Tape) -> str:
    """1 between the bounds, else 0."""
    ends = zip(("Greater", "Less"), bounds(node, tape.graph), strict=True)
    x = node.inputs[0]
    inside = [
        tape.as_float(tape.compare(op, x, tape.constant(end)))
        for op, end in ends
        if math.isfinite(end)
    ]
    return functools.reduce(tape.mul, inside) if inside else tape.constant(1.0)


_CLAMP = activation("Clip", bounds=bounds, support=support, slope=slope)


def lower(node: Node, builder: Builder) -> None:
    """A clamp, or comparisons where a bound is computed."""
    if constants(node, builder.graph, 1, 2) is None:
        _CLAMP.lower(node, builder)
    else:
        lower_between(node, builder)


OPERATOR = replace(_CLAMP, lower=lower)
