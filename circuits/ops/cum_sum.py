"""CumSum along a constant axis: each output is a sum over the whole axis, outside of which is 0."""

from __future__ import annotations

from ...verifier.program.types import AxisMap, Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import rows
from ..operator import Operator, computed, constants, first
from ..quantise import multiplier
from ..tape import Tape, of_first

LENGTH_MAX = 2**12
"""The gates of an axis take the square of its length in products."""


def support(node: Node, graph: Graph) -> str | None:
    """A constant axis of up to 4,096 values."""
    reason = first(computed(node, graph), constants(node, graph, 1))
    if reason is None and graph.shapes[node.inputs[0]][axis_of(node, graph)] > LENGTH_MAX:
        return f"it runs over more than {LENGTH_MAX} values"
    return reason


def lower(node: Node, builder: Builder) -> None:
    """One dot with the constant 1: index i − k, or i + k in reverse, from k = 1 if exclusive."""
    x, space = builder.values[node.inputs[0]], builder.shape(node)
    axis = axis_of(node, builder.graph)
    step = 1 if node.attributes.get("reverse", 0) else -1
    start = step if node.attributes.get("exclusive", 0) else 0
    maps = list(rows(len(space)))
    maps[axis] = AxisMap(i_axis=axis, a=1, k_axis=0, b=step, c=start)
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale / target.pre.scale)
    terms = [Term((space[axis],), builder.read(x, maps, pad=x.code.zero), Const(1))]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def axis_of(node: Node, graph: Graph) -> int:
    """The axis summed along, a constant input."""
    return int(graph.constants[node.inputs[1]].item()) % len(graph.shapes[node.inputs[0]])


def _back(node: Node, tape: Tape, dy: str) -> str:
    """The sum from the other end."""
    attributes = dict(node.attributes)
    attributes["reverse"] = 1 - int(attributes.get("reverse", 0))
    axis = tape.whole(axis_of(node, tape.graph))
    return tape.emit("CumSum", (dy, axis), tape.shape(dy), **attributes)


OPERATOR = Operator(("CumSum",), lower, support, takes_activation=True, gradient=of_first(_back))
