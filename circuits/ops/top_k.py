"""TopK with k = 1: the largest value along an axis, and the first index at which it stands."""

from __future__ import annotations

from dataclasses import replace

from ...verifier.program.types import PickMode
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, over
from ..operator import Operator, axis_of, computed, constants, first
from ..quantise import Affine


def support(node: Node, graph: Graph) -> str | None:
    """The largest one (k = 1), of up to 2^15 values."""
    reason = first(computed(node, graph), constants(node, graph, 1))
    if reason is not None:
        return reason
    given = graph.constant(node.input(1))
    count = int(node.attributes.get("k", 1) if given is None else given.item())
    if count != 1:
        return f"k is {count}; only 1 is"
    if not node.attributes.get("largest", 1):
        return "it takes the smallest; negate its input"
    if graph.shapes[node.inputs[0]][axis_of(node, graph, -1)] > 2**15:
        return "it runs over more than 2^15 values"
    return None


def lower(node: Node, builder: Builder) -> None:
    """One pick of mode max, one of mode argmax; what is not used is left out."""
    x, graph = builder.values[node.inputs[0]], builder.graph
    axis = axis_of(node, graph, -1)
    count = x.shape[axis]
    space = tuple(1 if n == axis else dim for n, dim in enumerate(x.shape))
    maps = [over(0) if n == axis else along(n) for n in range(len(space))]
    source = builder.read(x, maps, raw=True)
    used = [name if name in graph.outputs or graph.consumers(name) else "" for name in node.outputs]
    for name, mode in zip(used, (PickMode.MAX, PickMode.ARGMAX), strict=False):
        if not name:
            continue
        of = replace(node, outputs=(name,))
        if mode is PickMode.MAX:
            out = builder.define_like(of, x)
        else:
            code = Affine(1.0, 0, 0, count - 1)
            out = builder.define(of, code, integer=True, width=1 if count <= 2**7 else 2)
        builder.pick(out, space, source, mode=mode, window=(count,))


OPERATOR = Operator(("TopK",), lower, support)
