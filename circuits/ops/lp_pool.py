"""LpPool and GlobalLpPool: Σ|x| (p = 1) or √Σx² (p = 2) of each window."""

from __future__ import annotations

import math

from ...verifier.program.types import AxisMap, Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, clear_padding, over, rows, windows
from ..operator import Operator, computed, first
from ..quantise import multiplier
from .reduce import rescaled
from .reduction import SQUARES_MAX, magnitudes, root_of_squares


def support(node: Node, graph: Graph) -> str | None:
    """Windows of up to 2^14 positions; of another p than 1 or 2 from opset 11 on."""
    if int(node.attributes.get("p", 2)) not in (1, 2):
        return "its p is neither 1 nor 2"
    kernel = node.attributes.get("kernel_shape") or graph.shapes[node.inputs[0]][2:]
    if math.prod(kernel) > SQUARES_MAX:
        return f"its window has more than {SQUARES_MAX} positions"
    return first(computed(node, graph), clear_padding(node))


def lower(node: Node, builder: Builder) -> None:
    """Magnitudes and their sum, or the root of the sum of squares; padding reads as 0.0."""
    x = builder.values[node.inputs[0]]
    window, maps, pads = _window(node, builder)
    space = builder.shape(node)
    if int(node.attributes.get("p", 2)) == 2:
        source = builder.read(x, maps, pad=x.code.zero if pads else None)
        rescaled(node, builder, root_of_squares(builder, space, window, [(x, source)]))
        return
    sizes = magnitudes(builder, x, x.shape, builder.read(x, rows(len(x.shape)), raw=True))
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale / target.pre.scale)
    terms = [Term(window, builder.read(sizes, maps, pad=0 if pads else None), Const(1))]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def _window(node: Node, builder: Builder) -> tuple[tuple[int, ...], tuple[AxisMap, ...], bool]:
    """The window, the maps of the image in the output's space, whether it reaches outside."""
    if node.op == "GlobalLpPool":
        dims = builder.graph.shapes[node.inputs[0]][2:]
        return dims, (along(0), along(1), *(over(axis) for axis in range(len(dims)))), False
    frame = windows(node, builder.graph, node.attributes["kernel_shape"])
    return frame.kernel, (along(0), along(1), *frame.maps(2, 0)), frame.needs_pad


OPERATOR = Operator(("LpPool", "GlobalLpPool"), lower, support, spatial=True)
