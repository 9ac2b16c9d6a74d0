"""ArgMax and ArgMin: where along an axis the extreme value is; an integer value.

Of several equal values the first, or the last where select_last_index is set: the axis is then
read backwards.
"""

from __future__ import annotations

from ...verifier.program.types import AxisMap, Const, PickMode, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, over, rows
from ..operator import Operator, axis_of, computed
from ..quantise import Affine
from .mirror import mirror, mirrored


def support(node: Node, graph: Graph) -> str | None:
    """Up to 2^15 values."""
    if graph.shapes[node.inputs[0]][axis_of(node, graph, 0)] > 2**15:
        return "it runs over more than 2^15 values"
    return computed(node, graph)


def lower(node: Node, builder: Builder) -> None:
    """One pick of mode argmax, of the mirrored values for ArgMin."""
    x, axis = builder.values[node.inputs[0]], axis_of(node, builder.graph, 0)
    if node.op == "ArgMin":
        turned = builder.temporary("mirrored", x.shape, mirrored(x.code), builder.width(x))
        mirror(builder, x, turned, x.shape, "mirrored")
        x = turned
    count = x.shape[axis]
    space = (*x.shape[:axis], *x.shape[axis + 1 :]) or (1,)
    maps = [along(n if n < axis else n - 1) for n in range(len(x.shape))]
    code, width = Affine(1.0, 0, 0, count - 1), 1 if count <= 2**7 else 2
    window = (count,)
    if not node.attributes.get("select_last_index", 0):
        maps[axis] = over(0)
        out = builder.define(node, code, integer=True, width=width)
        source = builder.read(x, maps, raw=True)
        builder.pick(out, space, source, mode=PickMode.ARGMAX, window=window)
        return
    maps[axis] = AxisMap(k_axis=0, b=-1, c=count - 1)
    source = builder.read(x, maps, raw=True)
    behind = builder.temporary("from the end", space, code, width)
    builder.pick(behind, space, source, mode=PickMode.ARGMAX, window=window, suffix="from the end")
    out = builder.define(node, code, integer=True, width=width)
    terms = [Term((), builder.read(behind, rows(len(space))), Const(-1))]
    builder.dot(out, space, terms, bias=Const(count - 1))


OPERATOR = Operator(("ArgMax", "ArgMin"), lower, support, takes_integers=True)
