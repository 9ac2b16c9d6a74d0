"""Expand: numpy's broadcasting to a constant shape."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import broadcast
from ..operator import Operator, computed, constants, first
from ..tape import Tape, broadcast_back, of_first


def support(node: Node, graph: Graph) -> str | None:
    """A shape that is a constant."""
    return first(computed(node, graph), constants(node, graph, 1))


def lower(node: Node, builder: Builder) -> None:
    """One copy in which all gates along a broadcast axis read the same element."""
    x = builder.values[node.inputs[0]]
    space = builder.shape(node)
    out = builder.define_like(node, x)
    builder.pick(out, space, builder.read(x, broadcast(x.shape, len(space)), raw=True))


def _back(node: Node, tape: Tape, dy: str) -> str:
    return broadcast_back(node, tape, 0, dy)


OPERATOR = Operator(("Expand",), lower, support, takes_integers=True, gradient=of_first(_back))
