"""Every node by its operator: from a float graph with ranges to a program."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..verifier.program.types import Program
from .builder import Builder, Layer, Range, Value
from .errors import RangeOverflow
from .graph import Graph, Node
from .masks import Scores
from .operator import Operator
from .quantise import GIVEN_MOST, SCORE_MOST, Ints

LEAST_BITS = 8
"""Bits that a score has as any other value."""


@dataclass(frozen=True)
class Lowered:
    """A graph as a program (not judged yet), its weights by number, and where its values are."""

    program: Program
    weights: list[Ints]
    layers: list[Layer]
    values: Mapping[str, Value]


def lower(
    graph: Graph,
    ranges: Mapping[str, Range],
    operators: Mapping[str, Operator],
    exact: Collection[str] = (),
) -> Lowered:
    """Lower every node; those named `exact` to ops that are checked in full.

    Raises:
        CompileError: `compile.calibration`, a value lacks a usable range; what a lowering raises.
    """
    images = {
        name
        for node in graph.nodes
        for name in (*node.inputs, *node.outputs)
        if operators[node.op].spatial
    }
    scores = {
        name: GIVEN_MOST if name in graph.inputs else SCORE_MOST
        for name in Scores(graph, operators).names
    }
    builder = Builder(graph, ranges, shown(graph, operators), images, exact, scores)
    for node in graph.nodes:
        fused = node.activation
        activation = None if fused is None else operators[fused.op].activation(fused, graph)
        with builder.layer(node, activation):
            _lower_node(node, operators[node.op], builder)
    return Lowered(builder.program(), builder.weights, builder.layers, builder.values)


def _lower_node(node: Node, operator: Operator, builder: Builder) -> None:
    """Lower a node; a score that is too fine for what it is computed from gets fewer bits."""
    while True:
        try:
            with builder.undone_by_errors(node):
                operator.lower(node, builder)
            return
        except RangeOverflow:
            if builder.scores.get(node.output, 0) <= LEAST_BITS:
                raise
            builder.scores[node.output] -= 1


def shown(graph: Graph, operators: Mapping[str, Operator]) -> dict[str, str]:
    """The values that are outputs, or that one only views: each with that output's name."""
    producers = {name: node for node in graph.nodes for name in node.outputs}
    found = {
        name: name
        for name in graph.outputs
        if name in producers and not operators[producers[name].op].is_view
    }
    for output in graph.outputs:
        name = output
        while name in producers and operators[producers[name].op].is_view:
            name = producers[name].inputs[0]
        found.setdefault(name, output)
    return found
