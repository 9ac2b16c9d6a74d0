"""The backward pass: gradients of a graph's values, each operator by its own rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from .errors import NotTrainable, named
from .graph import Graph, Node
from .operator import Operator
from .source import Source
from .tape import Tape


@dataclass(frozen=True)
class Group:
    """Nodes that compute `output` and whose gradients are known in a closed form.

    `inside` are the other values that they compute: what reads those is no part of a loss.
    `gradient` emits the gradients of what the nodes read, by name, from that of the output.
    """

    output: str
    inside: frozenset[str]
    gradient: Callable[[Tape, str], Mapping[str, str]]


def backward(
    tape: Tape,
    operators: Mapping[str, Operator],
    seeds: Mapping[str, str],
    wanted: Iterable[str],
    groups: Sequence[Group] = (),
) -> dict[str, str]:
    """Emit the gradients of these values (inputs or constants of floats) behind the graph.

    Args:
        tape: of the graph; what is emitted goes there.
        operators: by name, with their rules.
        seeds: names of gradients by the values that they are known for (outputs).
        wanted: what gradients are asked for.
        groups: nodes that have one rule together.

    Returns:
        Names of gradients, by value; a value that no seed follows from has none.

    Raises:
        NotTrainable: all nodes in the way that have no rule.
    """
    wanted = set(wanted)
    moving = _moving(tape.graph, wanted)
    found: dict[str, list[str]] = {name: [seed] for name, seed in seeds.items()}
    refused: list[str] = []
    ends = {group.output: group for group in groups}
    inside = frozenset().union(*(group.inside for group in groups))
    for node in reversed(tape.graph.nodes):
        if node.output in ends and node.output in found:
            group = ends[node.output]
            for name, gradient in group.gradient(tape, tape.total(found[node.output])).items():
                if name in moving:
                    found.setdefault(name, []).append(gradient)
        if node.output in ends or node.output in inside:
            continue
        given = [tape.total(found[name]) if name in found else None for name in node.outputs]
        if not any(given) or moving.isdisjoint(node.inputs):
            continue
        rule = operators[node.op].gradient if node.op in operators else None
        if rule is None:
            refused.append(f"node {named(node.name)} ({node.op})")
            continue
        for index, gradient in rule(node, tape, given).items():
            name = node.inputs[index]
            if name in moving and tape.graph.is_float(name):
                found.setdefault(name, []).append(gradient)
    if refused:
        raise _no_rules(refused, operators)
    return {name: tape.total(found[name]) for name in sorted(wanted) if name in found}


def _moving(graph: Graph, wanted: set[str]) -> set[str]:
    """The values that follow from the wanted ones: no others need gradients."""
    moving = set(wanted)
    for node in graph.nodes:
        if not moving.isdisjoint(node.inputs):
            moving.update(name for name in node.outputs if name and _follows(graph, node, name))
    return moving


def _follows(graph: Graph, node: Node, name: str) -> bool:
    return graph.is_float(name)


def _no_rules(refused: list[str], operators: Mapping[str, Operator]) -> NotTrainable:
    known = sorted(name for name, operator in operators.items() if operator.gradient is not None)
    return NotTrainable(
        "the model cannot be trained:\n  " + "\n  ".join(refused),
        expected=", ".join(known),
        hint="freeze what comes before these nodes, or replace them",
    )


def behind(source: Source, tape: Tape, outputs: Iterable[str]) -> Source:
    """The model with what the tape emitted behind it; its outputs are these values."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    live, nodes = set(outputs), []
    for node in reversed(tape.nodes):
        if live.intersection(node.output):
            nodes.append(node)
            live.update(node.input)
    model.graph.node.extend(reversed(nodes))
    arrays = {name: array for name, array in tape.constants.items() if name in live}
    for name, array in arrays.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs
    )
    return Source(model, {**source.arrays, **arrays})
