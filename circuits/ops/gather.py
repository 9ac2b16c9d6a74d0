"""Gather: slices of a value, or rows of a constant table, by an index."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...verifier.program.types import Read
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, at
from ..moves import move
from ..operator import Operator, axis_of, first
from ..quantise import code_of
from .indices import computed_index, in_range, outside


def support(node: Node, graph: Graph) -> str | None:
    """Constant indices, or computed ones whose range is that of the axis; a table is of floats."""
    table = graph.constant(node.inputs[0])
    integers = table is not None and table.dtype.kind != "f"
    return first(
        "its data is a constant of integers" if integers else None,
        outside(node, graph, graph.shapes[node.inputs[0]][axis_of(node, graph, 0)]),
    )


def lower(node: Node, builder: Builder) -> None:
    """A move for constant indices; else one gather."""
    graph = builder.graph
    axis = axis_of(node, graph, 0)
    shape = graph.shapes[node.inputs[0]]
    given = graph.constant(node.inputs[1])
    if given is None:
        _by_value(node, builder, axis)
        return
    indices = [np.arange(dim) for dim in shape]
    indices[axis] = in_range(given, shape[axis]).reshape(-1)
    move(node, builder, builder.values[node.inputs[0]], indices)


def _by_value(node: Node, builder: Builder, axis: int) -> None:
    shape = builder.graph.shapes[node.inputs[0]]
    chosen = builder.values[node.inputs[1]]
    rank = len(chosen.shape)
    index_maps = [along(axis + n) for n in range(rank)]
    index = computed_index(node, builder, chosen, shape[axis], index_maps)
    maps = [along(n if n < axis else n + rank - 1) for n in range(len(shape))]
    maps[axis] = at()
    table = builder.graph.constant(node.inputs[0])
    source: Read
    out: Value
    if table is None:
        x = builder.values[node.inputs[0]]
        source, out = builder.read(x, maps, raw=True), builder.define_like(node, x)
    else:
        code = builder.given(node.output)
        if code is None:
            peak = 2 ** (builder.bits(node.output) - 1) - 1
            code = code_of(table, builder.graph.grids.get(node.inputs[0]), peak)
        held = replace(code, zero=0)
        source = builder.weight_in("table", code.quantise(table), held, maps)
        out = builder.define(node, code)
    builder.gather(out, builder.shape(node), source, axis, index)


OPERATOR = Operator(("Gather",), lower, support, takes_integers=True)
