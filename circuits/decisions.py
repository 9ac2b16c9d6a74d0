"""Do trees decide on their grid as they do in floats? Where the grid leaves it open, data tells.

An input of a program has a grid of at most 24 bits. A value that has a threshold's place on it is
taken for the threshold itself: x ≤ t holds. Where calibration data has more values there that the
float model has on the other side, the condition is *turned* for all of that place. What still
differs (values of both sides at one place) is counted, and stands in the report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..verifier.quoting import quoted
from .builder import Value
from .calibrate import Feeds, run_float
from .graph import Array, Graph, Node
from .ops.ml_trees import NAMES, on_grid, trees_of
from .quantise import Affine


@dataclass(frozen=True)
class Decisions:
    """Comparisons of data with thresholds, and those that come out otherwise than in floats."""

    compared: int
    differing: int


def turned(graph: Graph, values: Mapping[str, Value], data: Feeds) -> dict[str, tuple[int, ...]]:
    """By node of trees, the conditions that come out right more often when they are turned."""
    found: dict[str, list[int]] = {}
    for node, column in _columns(graph, values, data):
        better = [n for n in column.conditions if column.wrong(n, True) < column.wrong(n, False)]
        if better:
            found.setdefault(node.name, []).extend(better)
    return {name: tuple(sorted(numbers)) for name, numbers in found.items()}


def decisions(
    graph: Graph,
    values: Mapping[str, Value],
    data: Feeds,
    turned: Mapping[str, Collection[int]],
) -> Decisions | None:
    """How many comparisons of all trees differ on the data; None without trees."""
    compared = differing = 0
    for node, column in _columns(graph, values, data):
        known = frozenset(turned.get(node.name, ()))
        compared += len(column.conditions) * len(column.reals)
        differing += sum(column.wrong(n, n in known) for n in column.conditions)
    return Decisions(compared, differing) if compared else None


@dataclass(frozen=True)
class Turn:
    """A condition that decides otherwise than floats for more values than if it were (un)turned."""

    node: str
    condition: int
    turned: bool
    wrong: int
    otherwise: int

    def text(self) -> str:
        """In words."""
        recorded, other = ("turned", "as it is") if self.turned else ("not turned", "turned")
        return (
            f"condition {self.condition} of node {quoted(self.node)} is {recorded}: it decides "
            f"otherwise than the floats for {self.wrong} of your values, and for {self.otherwise} "
            f"{other}"
        )


ONE = 1
"""So many values more decide nothing against a record."""


def misturned(
    graph: Graph,
    values: Mapping[str, Value],
    data: Feeds,
    turned: Mapping[str, Collection[int]],
) -> list[Turn]:
    """The conditions for which data shows the opposite of what is recorded."""
    found = []
    for node, column in _columns(graph, values, data):
        known = frozenset(turned.get(node.name, ()))
        for number in column.conditions:
            now, other = (column.wrong(number, (number in known) == same) for same in (True, False))
            if now > other + ONE:
                found.append(Turn(node.name, number, number in known, now, other))
    return found


def unknown_turns(graph: Graph, turned: Mapping[str, Collection[int]]) -> list[str]:
    """The nodes for which conditions are recorded that no tree of theirs has, or not in order."""
    counts = {
        node.name: len(trees_of(node).forest.conditions) for node in graph.nodes if node.op in NAMES
    }
    return sorted(
        name
        for name, numbers in turned.items()
        if not numbers
        or list(numbers) != sorted(set(numbers))
        or not set(numbers) <= set(range(counts.get(name, 0)))
    )


class _Column:
    """A column of data in ascending order, and the conditions of a node's trees on it."""

    def __init__(self, node: Node, number: int, reals: Array, code: Affine) -> None:
        known = trees_of(node).forest.conditions
        self.conditions = {n: c for n, c in enumerate(known) if c.column == number}
        self.reals = np.sort(reals.astype(np.float64))
        self._code = code
        self._integers = code.quantise(self.reals)

    def wrong(self, number: int, turned: bool) -> int:
        """The values for which a condition comes out otherwise than in floats."""
        condition = self.conditions[number]
        limit = on_grid(self._code, condition, turned)
        below = np.searchsorted(self._integers, limit, side="right")
        known = np.searchsorted(
            self.reals, condition.threshold, side="left" if condition.closed else "right"
        )
        return abs(int(below - known))


def _columns(
    graph: Graph, values: Mapping[str, Value], data: Feeds
) -> Iterator[tuple[Node, _Column]]:
    """Every column that a node of trees reads."""
    nodes = [node for node in graph.nodes if node.op in NAMES]
    names = {name for node in nodes for name in node.inputs}
    steps = list(run_float(graph, names, data)) if names else []
    reals = {name: np.concatenate([step[name] for step in steps]) for name in names}
    for node in nodes:
        number = 0
        for name in node.inputs:
            for column in reals[name].T:
                yield node, _Column(node, number, column, values[name].code)
                number += 1
