"""Every node by its operator: from a float graph with ranges to a program."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..verifier.program.types import Program
from .bits import INT8, Bits
from .builder import Builder, Layer, Range, Value
from .errors import RangeOverflow
from .graph import Graph
from .operator import Operator
from .quantise import Ints


@dataclass(frozen=True)
class Lowered:
    """A graph as a program (not judged yet), its weights by number, and where its values are.

    `coded` are the values whose codes follow from their own ranges, and `weighed` the nodes with
    constant factors: what may have more than 8 bits.
    """

    program: Program
    weights: list[Ints]
    layers: list[Layer]
    values: Mapping[str, Value]
    coded: tuple[str, ...]
    weighed: tuple[str, ...]


def lower(
    graph: Graph,
    ranges: Mapping[str, Range],
    operators: Mapping[str, Operator],
    exact: Collection[str] = (),
    bits: Bits = INT8,
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
    builder = Builder(graph, ranges, shown(graph, operators), images, exact, bits)
    for node in graph.nodes:
        fused = node.activation
        activation = None if fused is None else operators[fused.op].activation(fused, graph)
        with builder.layer(node, activation):
            try:
                operators[node.op].lower(node, builder)
            except RangeOverflow as error:
                error.layer = node.name
                raise
    return Lowered(
        builder.program(),
        builder.weights,
        builder.layers,
        builder.values,
        tuple(builder.coded),
        tuple(builder.weighed),
    )


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
