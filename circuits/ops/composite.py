"""A part of the graph that computes a function of one value, element by element: one table.

`compose` makes such nodes of what networks write with several operators: SiLU as x·sigmoid(x), Gelu
by Erf or Tanh, HardSwish, 1/(1 + exp(−x)), `Where(x > c, x, f(x))`. Nothing in between is rounded,
and an x that two operators read no longer keeps the table from being fused into the dot before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Array, Graph, Node
from ..operator import Operator
from ..quantise import Floats
from .elementwise import activation

NAME = "Composite"
"""No ONNX operator has this name."""


def _fold(function: Callable[[Any, Any], Array]) -> Callable[..., Array]:
    return lambda *given: functools.reduce(function, given)


ARITHMETIC: Mapping[str, Callable[..., Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Sum": _fold(np.add),
    "Mean": lambda *given: functools.reduce(np.add, given) / len(given),
    "Min": _fold(np.minimum),
    "Max": _fold(np.maximum),
    "PRelu": lambda x, slope: np.where(x < 0.0, slope * x, x),
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Equal": np.equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Not": np.logical_not,
    "Where": np.where,
}
"""Operators of several operands, of which all but one value are constants here."""


TABULATED = ("Min", "Max", "Pow")
"""A table of one value is cheaper, and more exact, than what these lower to."""


def compose(graph: Graph, operators: Mapping[str, Operator]) -> Graph:
    """The graph with a node `Composite` for each such part, the largest that there is.

    Only values vanish that nothing outside of the part reads and the file does not quantise. A node
    alone is such a part only if it would not compile otherwise, or by more than one op.
    """
    search = _Search(graph, operators)
    made: dict[str, Node | None] = {}
    for node in reversed(graph.nodes):
        if node.name in made or not node.output or not graph.is_float(node.output):
            continue
        source, part = search.part(node)
        if source is None or (len(part) == 1 and _stays(node, graph, operators)):
            continue
        made |= dict.fromkeys((member.name for member in part), None)
        function = _function(part, source, graph, operators)
        made[node.name] = Node(node.name, NAME, (source,), (node.output,), {"function": function})
    nodes = (made.get(node.name, node) for node in graph.nodes)
    return replace(graph, nodes=tuple(node for node in nodes if node is not None))


def _stays(node: Node, graph: Graph, operators: Mapping[str, Operator]) -> bool:
    """Whether a node alone is better lowered as it is."""
    return node.op not in TABULATED and operators[node.op].support(node, graph) is None


class _Search:
    """Finds the part of the graph behind a node that is a function of one value."""

    def __init__(self, graph: Graph, operators: Mapping[str, Operator]) -> None:
        self._graph = graph
        self._operators = operators
        self._order = {node.output: number for number, node in enumerate(graph.nodes)}
        self._readers: dict[str, list[str]] = {}
        for node in graph.nodes:
            for name in set(node.inputs):
                self._readers.setdefault(name, []).append(node.name)

    def part(self, node: Node) -> tuple[str | None, list[Node]]:
        """The one value that it is a function of (None: there is none), and its nodes in order."""
        found: tuple[str | None, list[Node]] = (None, [])
        members: list[Node] = []
        frontier: set[str] = set()
        following: Node | None = node
        while following is not None and self._fits(following, node.output):
            members.insert(0, following)
            frontier.discard(following.output)
            frontier.update(self._reads(following))
            if len(frontier) == 1 and self._graph.is_float(source := next(iter(frontier))):
                found = (source, list(members))
            following = self._inner(frontier, {member.name for member in members})
        return found

    def _inner(self, frontier: Iterable[str], members: set[str]) -> Node | None:
        """The last producer of these values, if only members read its output."""
        name = max(frontier, key=lambda name: self._order.get(name, -1))
        kept = name in self._graph.outputs or name in self._graph.codes
        if name not in self._order or kept:
            return None
        inside = set(self._readers[name]) <= members
        return self._graph.nodes[self._order[name]] if inside else None

    def _reads(self, node: Node) -> list[str]:
        return [name for name in node.inputs if name and name not in self._graph.constants]

    def _fits(self, node: Node, output: str) -> bool:
        """Whether it works element by element on values of the output's shape, and scalars."""
        graph, operator = self._graph, self._operators.get(node.op)
        if operator is None or not (node.op in ARITHMETIC or operator.is_function(node, graph)):
            return False
        if node.op not in ARITHMETIC and operator.support(node, graph) is not None:
            return False
        shape = graph.shapes[output]
        given = [graph.constant(name) for name in node.inputs]
        if node.op == "Div" and given[1] is not None and not given[1].all():
            return False
        return (
            bool(self._reads(node))
            and all(graph.shapes[name] == shape for name in (*self._reads(node), node.output))
            and all(array is None or array.size == 1 for array in given)
        )


def _function(
    part: list[Node], source: str, graph: Graph, operators: Mapping[str, Operator]
) -> Callable[[Floats], Floats]:
    """The function that these nodes compute, in float64."""

    def function(x: Floats) -> Floats:
        values: dict[str, Array] = {source: x}
        for node in part:
            given = [
                values[name] if name in values else graph.constants[name].astype(np.float64).item()
                for name in node.inputs
                if name
            ]
            values[node.output] = _apply(node, given, graph, operators)
        result: Floats = np.broadcast_to(values[part[-1].output], x.shape).astype(np.float64)
        return result

    return function


def _apply(node: Node, given: list[Any], graph: Graph, operators: Mapping[str, Operator]) -> Array:
    if node.op in ARITHMETIC:
        return ARITHMETIC[node.op](*given)
    operator = operators[node.op]
    if operator.bounds is not None:
        clamped: Array = np.clip(given[0], *operator.bounds(node, graph))
        return clamped
    assert operator.function is not None
    return operator.function(node, graph)(given[0])


def _made(node: Node, graph: Graph) -> str | None:
    """A file cannot hold one: only `compose` makes them."""
    if "function" in node.attributes:
        return None
    return "this operator does not compile; express it by others or run it outside the model"


OPERATOR = activation(NAME, function=lambda node, graph: node.attributes["function"], support=_made)
