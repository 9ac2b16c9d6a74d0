"""ArgMax: the first index of the largest value along an axis; an integer value."""

from __future__ import annotations

from ...verifier.program.types import PickMode
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, over
from ..operator import Operator, axis_of, computed
from ..quantise import Affine


def support(node: Node, graph: Graph) -> str | None:
    """The first of several equal values, up to 2^15 of them."""
    if node.attributes.get("select_last_index", 0):
        return "select_last_index is set"
    if graph.shapes[node.inputs[0]][axis_of(node, graph, 0)] > 2**15:
        return "it runs over more than 2^15 values"
    return computed(node, graph)


def lower(node: Node, builder: Builder) -> None:
    """One pick of mode argmax."""
    x = builder.values[node.inputs[0]]
    axis = axis_of(node, builder.graph, 0)
    count = x.shape[axis]
    space = (*x.shape[:axis], *x.shape[axis + 1 :])
    maps = [along(n if n < axis else n - 1) for n in range(len(x.shape))]
    maps[axis] = over(0)
    code = Affine(1.0, 0, 0, count - 1)
    out = builder.define(node, code, integer=True, width=1 if count <= 2**7 else 2)
    source = builder.read(x, maps, raw=True)
    builder.pick(out, space, source, mode=PickMode.ARGMAX, window=(count,))


OPERATOR = Operator(("ArgMax",), lower, support)
