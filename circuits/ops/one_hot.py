"""OneHot: a table of the difference between an index and the place on the new axis."""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along
from ..operator import Operator, computed, constants, first
from ..quantise import Affine, affine

TABLE_MAX = 2**16
INTEGER_MAX = 2**15 - 1


def support(node: Node, graph: Graph) -> str | None:
    """Computed integer indices; depth and values are constants."""
    reason = first(computed(node, graph), constants(node, graph, 1, 2))
    if reason is None and graph.is_float(node.inputs[0]):
        return "its indices are floats"
    values = graph.constant(node.input(2))
    whole = values is not None and values.dtype.kind != "f"
    if values is not None and whole and np.abs(values.astype(np.int64)).max() > INTEGER_MAX:
        return f"its values are integers beyond ±{INTEGER_MAX}"
    return reason


def lower(node: Node, builder: Builder) -> None:
    """One dot, index - place; 0 and -depth (an index from the end) are *on* in its table."""
    index = builder.values[node.inputs[0]]
    space = builder.shape(node)
    axis = int(node.attributes.get("axis", -1)) % len(space)
    depth = space[axis]
    off, on = builder.graph.constants[node.inputs[2]].reshape(-1)
    if off.dtype.kind == "f":
        code, integer = affine(min(off, on), max(off, on)), False
    else:
        code, integer = Affine(1.0, 0, int(min(off, on)), int(max(off, on))), True
    low = index.code.lo - depth + 1
    difference = np.arange(low, index.code.hi + 1)
    hot = (difference == 0) | (difference == -depth)
    entries = code.quantise(np.where(hot, float(on), float(off)))
    table = builder.integer_table(node.name, low, entries)
    maps = [along(n if n < axis else n + 1) for n in range(len(index.shape))]
    place = builder.weight("place", np.arange(depth), depth - 1, (along(axis),), signed=False)
    terms = [
        Term((), builder.read(index, maps, raw=True), Const(1)),
        Term((), place, Const(-1)),
    ]
    wide = max(abs(code.lo), abs(code.hi)) >= 2**7 and integer
    out = builder.define(node, code, integer=integer, width=2 if wide else 1)
    builder.dot(out, space, terms, zero=0, table=table)


OPERATOR = Operator(("OneHot",), lower, support, takes_integers=True)
