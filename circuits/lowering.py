"""Every node by its operator: from a float graph with ranges to a program."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..verifier.program.types import Program
from .bits import INT8, Bits
from .builder import Builder, Columns, Layer, Range, Value
from .errors import RangeOverflow
from .graph import Graph, Node
from .joined import only_shown
from .masks import Scores
from .operator import Operator, Whole
from .quantise import GIVEN_MOST, SCORE_MOST, Narrow


@dataclass(frozen=True)
class Lowered:
    """A graph as a program (not judged yet), its weights by number, and where its values are.

    `coded` are the values whose codes follow from their own ranges, and `weighed` the nodes with
    constant factors: what may have more than 8 bits.
    """

    program: Program
    weights: list[Narrow]
    layers: list[Layer]
    values: Mapping[str, Value]
    coded: tuple[str, ...]
    weighed: tuple[str, ...]


def lower(
    graph: Graph,
    ranges: Mapping[str, Range],
    operators: Mapping[str, Operator],
    exact: Collection[str] = (),
    turned: Mapping[str, Collection[int]] | None = None,
    bits: Bits = INT8,
    means: Mapping[str, Sequence[float]] | None = None,
    *,
    sketched: bool = False,
) -> Lowered:
    """Lower every node; those named `exact` to ops that are checked in full.

    `turned` has conditions of trees by node, see `decisions`; `means` those of `corrections`. A
    sketch has the ops and the sizes of the whole, and not its weights.

    Raises:
        CompileError: `compile.calibration`, a value lacks a usable range; what a lowering raises.
    """
    scores = {
        name: GIVEN_MOST if name in graph.inputs else SCORE_MOST
        for name in Scores(graph, operators).names
    }
    tables, viewed = tabular(graph, operators), shown(graph, operators)
    images = spatial(graph, operators)
    joins = [n.output for n in graph.nodes if n.op == "Concat"]
    displayed = {name for name in joins if only_shown(graph, operators, name)}
    builder = Builder(
        graph,
        ranges,
        viewed,
        images,
        exact,
        tables,
        turned,
        scores,
        bits,
        displayed,
        tied(graph, operators),
        means,
        sketched=sketched,
    )
    lower_nodes(graph, operators, builder)
    return Lowered(
        builder.program(),
        builder.weights,
        builder.layers,
        builder.values,
        tuple(builder.coded),
        tuple(builder.weighed),
    )


def spatial(graph: Graph, operators: Mapping[str, Operator]) -> set[str]:
    """The values of which W×C runs are read."""
    return {
        name
        for node in graph.nodes
        for name in (*node.inputs, *node.outputs)
        if operators[node.op].spatial
    }


def lower_nodes(graph: Graph, operators: Mapping[str, Operator], builder: Builder) -> None:
    """Lower every node of a graph to ops of a builder's program."""
    for node in graph.nodes:
        fused = node.activation
        activation = None if fused is None else operators[fused.op].activation(fused, graph)
        with builder.layer(node, activation):
            _lower_node(node, operators[node.op].form(node, graph), builder)


def _lower_node(node: Node, operator: Operator | Whole, builder: Builder) -> None:
    """Lower a node; an output that is too fine for what it is computed from may get coarser."""
    while True:
        try:
            with builder.undone_by_errors(node):
                operator.lower(node, builder)
            return
        except RangeOverflow as error:
            if not builder.coarsen(node.output):
                error.layer = node.name
                raise


MOVES = ("Gather", "Slice", "Split", "ai.onnx.ml.ArrayFeatureExtractor")
"""Operators that choose among the columns of a table, whose codes they keep."""


def tabular(graph: Graph, operators: Mapping[str, Operator]) -> dict[str, Columns]:
    """The float inputs that are tables of columns, and what their codes must reach.

    An input is one if all its readers take it for that, through whatever only moves its values.
    """
    found: dict[str, Columns] = {}
    other: set[str] = set()
    for node in reversed(graph.nodes):
        operator = operators[node.op]
        if operator.columns is not None:
            spans = zip(node.inputs, operator.columns(node, graph), strict=True)
            asked = {name: Columns(*(span or (0.0, 0.0)), span is not None) for name, span in spans}
        elif (operator.is_view or node.op in MOVES) and node.outputs[0] in found:
            asked = {node.inputs[0]: found[node.outputs[0]]}
        else:
            other.update(node.inputs)
            continue
        for name, table in asked.items():
            found[name] = table.joined(found.get(name, table))
    inputs = set(graph.inputs) - other
    return {name: own for name, own in found.items() if name in inputs and graph.is_float(name)}


def tied(graph: Graph, operators: Mapping[str, Operator]) -> dict[str, str]:
    """The values that have the code of a state: what follows it, and what that is a part of."""
    producers = {name: node for node in graph.nodes for name in node.outputs}
    found: dict[str, str] = {}
    for state, carried in graph.states.items():
        name = carried.output
        while name not in found and name not in graph.states:
            found[name] = state
            node = producers.get(name)
            if node is None or not (node.op in MOVES or operators[node.op].views(node, graph)):
                break
            name = node.inputs[0]
    return found


def shown(graph: Graph, operators: Mapping[str, Operator]) -> dict[str, str]:
    """The values that are outputs, or that one only views: each with that output's name."""
    producers = {name: node for node in graph.nodes for name in node.outputs}

    def is_view(name: str) -> bool:
        node = producers[name]
        return operators[node.op].views(node, graph)

    found = {name: name for name in graph.outputs if name in producers and not is_view(name)}
    for output in graph.outputs:
        name = output
        while name in producers and is_view(name):
            name = producers[name].inputs[0]
        found.setdefault(name, output)
    return found
