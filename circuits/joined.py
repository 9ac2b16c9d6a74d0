"""Outputs that join values of unlike ranges: boxes in pixels beside scores up to 1.

A detector's output is a Concat of them, and what follows only moves values. One figure for all of
it says nothing about the scores, and the largest of a box and a score is no class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .graph import Array, Graph, Node
from .operator import Operator, axis_of
from .ops.slice import kept

UNLIKE = 16.0
"""Ratio of ranges from which parts are told apart; those of neighbouring layers differ by less."""

MOVES = ("Concat", "Slice", "Transpose")
"""Beside views, what leaves values as they are."""


@dataclass(frozen=True)
class Joined:
    """Groups of channels along an axis of an output, each of values of like ranges."""

    axis: int
    groups: tuple[tuple[int, ...], ...]

    def columns(self, array: Array) -> Array:
        """The output as rows of channels."""
        last = np.moveaxis(array, self.axis, -1)
        return last.reshape(-1, last.shape[-1])


def joined(
    graph: Graph, operators: Mapping[str, Operator], reach: Callable[[str], float]
) -> dict[str, Joined]:
    """The outputs of floats that join unlike parts; `reach` is the largest magnitude of a value.

    An output whose parts do not lie side by side along one axis is none.
    """
    search = _Parts(graph, operators)

    def far(part: str) -> float:
        known = graph.constant(part)
        return reach(part) if known is None else float(np.abs(known).max(initial=0.0))

    found = {}
    for name in graph.outputs:
        if graph.is_float(name) and len(graph.shapes[name]) > 1 and not search.is_part(name):
            one = _grouped(search.places(name), search.parts, far)
            if one is not None:
                found[name] = one
    return found


def only_shown(graph: Graph, operators: Mapping[str, Operator], name: str) -> bool:
    """Whether nothing but outputs shows a value: what reads it only moves it there."""
    readers = graph.consumers(name)
    return (name in graph.outputs or bool(readers)) and all(
        reader.activation is None
        and _moves(graph, operators, reader)
        and only_shown(graph, operators, reader.output)
        for reader in readers
    )


def _moves(graph: Graph, operators: Mapping[str, Operator], node: Node) -> bool:
    return node.op in MOVES or operators[node.op].views(node, graph)


class _Parts:
    """Which part of a Concat each element of a value comes from, by number."""

    def __init__(self, graph: Graph, operators: Mapping[str, Operator]) -> None:
        self._graph, self._operators = graph, operators
        self._producers = {name: node for node in graph.nodes for name in node.outputs}
        self.parts: list[str] = []

    def is_part(self, name: str) -> bool:
        """Whether a value is computed, given or constant, and not only moved."""
        node = self._producers.get(name)
        moves = node is not None and _moves(self._graph, self._operators, node)
        return node is None or not moves or node.activation is not None

    def places(self, name: str) -> Array:
        """The numbers, in the shape of the value; `parts` has their names."""
        graph, shape = self._graph, self._graph.shapes[name]
        if self.is_part(name):
            if name not in self.parts:
                self.parts.append(name)
            return np.broadcast_to(np.int32(self.parts.index(name)), shape)
        node = self._producers[name]
        inner = [
            self.places(source)
            for source in (node.inputs if node.op == "Concat" else node.inputs[:1])
        ]
        if node.op == "Concat":
            return np.concatenate(inner, axis_of(node, graph, 0))
        if node.op == "Slice":
            return inner[0][np.ix_(*kept(node, graph))]
        if node.op == "Transpose":
            return inner[0].transpose(node.attributes.get("perm"))
        return inner[0].reshape(shape)


def _grouped(places: Array, parts: Sequence[str], reach: Callable[[str], float]) -> Joined | None:
    """The channels of each group, the farthest first."""
    if (places == places.flat[0]).all():
        return None
    far = {int(part): reach(parts[int(part)]) for part in np.unique(places)}
    group, limit, number = np.zeros(len(parts), np.int64), np.inf, -1
    for part in sorted(far, key=lambda each: -far[each]):
        if far[part] * UNLIKE <= limit:
            number, limit = number + 1, far[part]
        group[part] = number
    if number < 1:
        return None
    numbers = group[places]
    for axis in range(1, places.ndim):
        rows = np.moveaxis(numbers, axis, -1).reshape(-1, places.shape[axis])
        if (rows == rows[0]).all():
            each = [np.flatnonzero(rows[0] == one).tolist() for one in range(number + 1)]
            return Joined(axis, tuple(map(tuple, each)))
    return None
