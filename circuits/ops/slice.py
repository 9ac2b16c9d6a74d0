"""Slice: every step-th element of a range of each axis."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..moves import move
from ..operator import Operator, computed, constants, first
from ..quantise import Ints
from ..tape import Tape, of_first, spread


def support(node: Node, graph: Graph) -> str | None:
    """Starts, ends, axes and steps (also negative ones) that are constants."""
    return first(computed(node, graph), constants(node, graph, 1, 2, 3, 4))


def lower(node: Node, builder: Builder) -> None:
    """One copy with index = step·i + start."""
    move(node, builder, builder.values[node.inputs[0]], kept(node, builder.graph))


def kept(node: Node, graph: Graph) -> list[Ints]:
    """The indices of each axis that are left."""
    indices = [np.arange(dim) for dim in graph.shapes[node.inputs[0]]]
    for axis, cut in _cuts(node, graph):
        indices[axis] = indices[axis][cut]
    return indices


def _cuts(node: Node, graph: Graph) -> list[tuple[int, slice]]:
    """Each axis that is cut, with what is left of it."""
    names = ("starts", "ends", "axes", "steps")
    starts, ends, axes, steps = (
        _parameter(node, graph, 1 + n, name) or [] for n, name in enumerate(names)
    )
    cuts = zip(axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=True)
    return [(axis, slice(start, end, step)) for axis, start, end, step in cuts]


def _parameter(node: Node, graph: Graph, index: int, name: str) -> list[int] | None:
    """An input since opset 10, an attribute before."""
    array = graph.constant(node.input(index))
    if array is not None:
        return [int(value) for value in array.reshape(-1)]
    found: list[int] | None = node.attributes.get(name)
    return found


def _back(node: Node, tape: Tape, dy: str) -> str:
    """Zeros around and between what was taken."""
    dims = tape.shape(node.inputs[0])
    for axis, cut in _cuts(node, tape.graph):
        dy = spread(tape, dy, axis, np.arange(dims[axis])[cut], dims[axis])
    return dy


OPERATOR = Operator(("Slice",), lower, support, takes_integers=True, gradient=of_first(_back))
