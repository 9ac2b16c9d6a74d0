"""Hardmax: 1 where the largest value of a line stands (the first of equal ones), 0 elsewhere."""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along
from ..operator import Operator, axis_of, computed
from ..quantise import Affine, affine
from .reduction import Reduction

VALUES_MAX = 2**15


def support(node: Node, graph: Graph) -> str | None:
    """Lines of up to 2^15 values."""
    if _lines(node, graph).count > VALUES_MAX:
        return f"it runs over more than {VALUES_MAX} values"
    return computed(node, graph)


def _lines(node: Node, graph: Graph) -> Reduction:
    """Along one axis; before opset 13 along all from that one on."""
    shape = graph.shapes[node.inputs[0]]
    axis = axis_of(node, graph, -1 if graph.opset >= 13 else 1)
    last = axis + 1 if graph.opset >= 13 else len(shape)
    return Reduction(shape, tuple(range(axis, last)))


def lower(node: Node, builder: Builder) -> None:
    """A pick of mode argmax; a table of the difference between that and the place in the line."""
    x, lines = builder.values[node.inputs[0]], _lines(node, builder.graph)
    count, window = lines.count, lines.window
    chosen = builder.temporary("chosen", lines.lines, Affine(1.0, 0, 0, count - 1), 2)
    source = builder.read(x, lines.across, view=lines.shape, raw=True)
    builder.pick(chosen, lines.lines, source, mode=PickMode.ARGMAX, window=window, suffix="chosen")
    code = affine(0.0, 1.0)
    off, on = (int(value) for value in code.quantise([0.0, 1.0]))
    table = builder.integer_table(node.name, -1, (off, on, off))
    numbers = np.arange(count).reshape(window)
    maps = [along(axis) for axis in lines.axes]
    place = builder.weight("place", numbers, max(count - 1, 1), maps, signed=False)
    out = builder.define(node, code)
    terms = [
        Term((), builder.read(chosen, lines.each, raw=True), Const(1)),
        Term((), place, Const(-1)),
    ]
    builder.dot(out, lines.shape, terms, zero=0, table=table)


OPERATOR = Operator(("Hardmax",), lower, support)
