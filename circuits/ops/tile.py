"""Tile: a value repeated along its axes."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..moves import move
from ..operator import Operator, computed, constants, first
from ..tape import Tape, of_first


def support(node: Node, graph: Graph) -> str | None:
    """Repeats that are constants."""
    return first(computed(node, graph), constants(node, graph, 1))


def lower(node: Node, builder: Builder) -> None:
    """One copy with index = i mod dim; a number has no axis, and stays one."""
    x = builder.values[node.inputs[0]]
    repeats = builder.graph.constants[node.inputs[1]].reshape(-1)
    indices = [
        np.tile(np.arange(dim), int(count)) for dim, count in zip(x.shape, repeats, strict=True)
    ] or [np.arange(1)]
    move(node, builder, x, indices)


def _back(node: Node, tape: Tape, dy: str) -> str:
    """The sum of all copies."""
    dims = tape.shape(node.inputs[0])
    split = [
        size
        for dim, repeated in zip(dims, tape.shape(dy), strict=True)
        for size in (repeated // dim, dim)
    ]
    summed = tape.sum(tape.reshape(dy, split), list(range(0, len(split), 2)), keep=False)
    return tape.reshape(summed, dims)


OPERATOR = Operator(("Tile",), lower, support, takes_integers=True, gradient=of_first(_back))
