"""GatherElements: along an axis, each element by an index of its own."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, at, rows
from ..operator import Operator, axis_of, computed, first
from .indices import computed_index, in_range, outside


def support(node: Node, graph: Graph) -> str | None:
    """Constant indices, or computed ones whose range is that of the axis."""
    dim = graph.shapes[node.inputs[0]][axis_of(node, graph, 0)]
    return first(computed(node, graph), outside(node, graph, dim))


def lower(node: Node, builder: Builder) -> None:
    """One gather along the axis."""
    x = builder.values[node.inputs[0]]
    axis = axis_of(node, builder.graph, 0)
    dim, space = x.shape[axis], builder.shape(node)
    given = builder.graph.constant(node.inputs[1])
    maps = rows(len(space))
    if given is None:
        index = computed_index(node, builder, builder.values[node.inputs[1]], dim, maps)
    else:
        index = builder.weight("index", in_range(given, dim), dim - 1, maps, signed=False)
    source = builder.read(x, [at() if n == axis else along(n) for n in range(len(space))], raw=True)
    builder.gather(builder.define_like(node, x), space, source, axis, index)


OPERATOR = Operator(("GatherElements",), lower, support, takes_integers=True)
