"""Transpose: the axes permuted."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Node
from ..maps import along
from ..operator import Operator, computed
from ..tape import Tape, of_first


def lower(node: Node, builder: Builder) -> None:
    """One copy: input axis perm[j] runs with output axis j."""
    x = builder.values[node.inputs[0]]
    rank = len(x.shape)
    perm = node.attributes.get("perm") or list(reversed(range(rank)))
    maps = [along(perm.index(axis)) for axis in range(rank)]
    out = builder.define_like(node, x)
    builder.pick(out, builder.shape(node), builder.read(x, maps, raw=True))


def _back(node: Node, tape: Tape, dy: str) -> str:
    rank = len(tape.shape(dy))
    order = list(node.attributes.get("perm") or range(rank)[::-1])
    return tape.transpose(dy, [order.index(axis) for axis in range(rank)])


OPERATOR = Operator(("Transpose",), lower, computed, takes_integers=True, gradient=of_first(_back))
