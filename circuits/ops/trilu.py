"""Trilu: the upper or lower triangle of matrices, the rest 0."""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, rows
from ..operator import Operator, computed, constants, first
from ..tape import Tape, of_first


def support(node: Node, graph: Graph) -> str | None:
    """A diagonal k that is a constant."""
    return first(computed(node, graph), constants(node, graph, 1))


def lower(node: Node, builder: Builder) -> None:
    """One dot with a matrix of 0 and 1; the code stays, so that what is kept keeps its integer."""
    x = builder.values[node.inputs[0]]
    diagonal = builder.graph.constant(node.input(1))
    offset = 0 if diagonal is None else int(diagonal.item())
    space = x.shape
    ones = np.ones(space[-2:], np.int64)
    mask = np.triu(ones, offset) if node.attributes.get("upper", 1) else np.tril(ones, offset)
    last = len(space) - 2
    kept = builder.weight("mask", mask, 1, (along(last), along(last + 1)), signed=False)
    out = builder.define_like(node, x)
    builder.dot(out, space, [Term((), builder.read(x, rows(len(space))), kept)])


def _back(node: Node, tape: Tape, dy: str) -> str:
    names = [dy, *node.inputs[1:]]
    return tape.emit("Trilu", names, tape.shape(dy), **node.attributes)


OPERATOR = Operator(("Trilu",), lower, support, takes_integers=True, gradient=of_first(_back))
