"""Split: a value cut along an axis, each part an output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..moves import move
from ..operator import Operator, axis_of, computed, constants, first
from ..tape import Tape


def support(node: Node, graph: Graph) -> str | None:
    """Sizes that are constants, or equal parts (`num_outputs`: the last may be smaller)."""
    return first(computed(node, graph), constants(node, graph, 1))


def lower(node: Node, builder: Builder) -> None:
    """One copy for each part that is used."""
    graph = builder.graph
    x = builder.values[node.inputs[0]]
    axis, start = axis_of(node, graph, 0), 0
    for name, size in zip(node.outputs, sizes(node, graph, x.shape[axis]), strict=True):
        if name and (graph.consumers(name) or name in graph.outputs):
            indices = [np.arange(dim) for dim in x.shape]
            indices[axis] = np.arange(start, start + size)
            move(replace(node, outputs=(name,)), builder, x, indices)
        start += size


def sizes(node: Node, graph: Graph, dim: int) -> list[int]:
    """Of every part, also of those that nothing reads: given, or equal but for the last."""
    given = node.input(1)
    if given is not None:
        return [int(size) for size in graph.constants[given]]
    if "split" in node.attributes:
        return [int(size) for size in node.attributes["split"]]
    parts = len(node.outputs)
    each = -(-dim // parts)
    return [min(each, dim - each * part) for part in range(parts)]


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """The parts' gradients joined; 0 for a part that nothing reads."""
    if not any(given):
        return {}
    shape = tape.shape(node.inputs[0])
    axis = axis_of(node, tape.graph, 0)
    parts = []
    for dy, size in zip(given, sizes(node, tape.graph, shape[axis]), strict=True):
        rest = (*shape[:axis], size, *shape[axis + 1 :])
        parts.append(dy or tape.expand(tape.constant(0.0), rest))
    return {0: tape.concat(parts, axis)}


OPERATOR = Operator(("Split",), lower, support, takes_integers=True, gradient=gradient)
