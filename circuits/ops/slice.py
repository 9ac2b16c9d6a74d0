"""Slice with constant starts, ends, axes and steps (also negative ones)."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along
from ..operator import Operator, computed, constants, first


def support(node: Node, graph: Graph) -> str | None:
    """All of the parameters must be constants."""
    return first(computed(node, graph), constants(node, graph, 1, 2, 3, 4))


def lower(node: Node, builder: Builder) -> None:
    """One copy with index = step·i + start."""
    x = builder.values[node.inputs[0]]
    maps = [along(axis) for axis in range(len(x.shape))]
    for axis, start, step in _cuts(node, builder.graph, x.shape):
        maps[axis] = along(axis, step, start)
    out = builder.define(node, x.code)
    builder.pick(out, builder.shape(node), builder.read(x, maps, raw=True))


def _cuts(node: Node, graph: Graph, shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(axis, first index, step) of each axis that is cut."""
    names = ("starts", "ends", "axes", "steps")
    lists = [_parameter(node, graph, 1 + n, name) for n, name in enumerate(names)]
    starts, ends = lists[0] or [], lists[1] or []
    axes = lists[2] or list(range(len(starts)))
    steps = lists[3] or [1] * len(starts)
    cuts = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        dim = shape[axis]
        first_index = slice(start, end, step).indices(dim)[0]
        cuts.append((axis % len(shape), first_index, step))
    return cuts


def _parameter(node: Node, graph: Graph, index: int, name: str) -> list[int] | None:
    """An input since opset 10, an attribute before."""
    array = graph.constant(node.input(index))
    if array is not None:
        return [int(value) for value in array.reshape(-1)]
    found: list[int] | None = node.attributes.get(name)
    return found


OPERATOR = Operator(("Slice",), lower, support)
