"""Gather: slices of a value, or rows of a constant table, by an index."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ...verifier.program.types import Read
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, at
from ..moves import move
from ..operator import Operator, axis_of, first
from ..quantise import code_of
from ..tape import Tape, of_first
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
        source = builder.weight_in("table", builder.rows_of(code, table), held, maps)
        out = builder.define(node, code)
    builder.gather(out, builder.shape(node), source, axis, index)


def _back(node: Node, tape: Tape, dy: str) -> str:
    """Each slice is added to where it was taken: a product with the indices, one hot."""
    dims, chosen = tape.shape(node.inputs[0]), node.inputs[1]
    axis = axis_of(node, tape.graph, 0)
    rank = len(tape.shape(chosen))
    given = tape.graph.constant(chosen)
    if given is not None:
        flat = in_range(given, dims[axis]).reshape(-1)
        hot = tape.constant(np.eye(dims[axis])[flat])
    else:
        count = math.prod(tape.shape(chosen))
        flat_name = tape.reshape(chosen, (count,))
        parts = (flat_name, tape.whole(dims[axis]), tape.constant([0.0, 1.0]))
        hot = tape.emit("OneHot", parts, (count, dims[axis]))
    order = [*range(axis, axis + rank), *range(axis), *range(axis + rank, len(tape.shape(dy)))]
    rest = (*dims[:axis], *dims[axis + 1 :])
    rows = tape.reshape(tape.transpose(dy, order), (tape.shape(hot)[0], math.prod(rest)))
    summed = tape.reshape(tape.matmul(tape.swapped(hot), rows), (dims[axis], *rest))
    back = [*range(1, axis + 1), 0, *range(axis + 1, len(dims))]
    return tape.transpose(summed, back)


OPERATOR = Operator(("Gather",), lower, support, takes_integers=True, gradient=of_first(_back))
