"""`If` nodes: the branch taken stands in the place of the node where the condition is known.

Where it follows from the data both branches are computed, and `Where` chooses between the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx
from onnx import helper

from .source import Source, computed, is_default, take_constants


def conditions(model: onnx.ModelProto) -> list[str]:
    """The conditions that do not depend on the data, of every `If` that has one."""
    data = computed(model)
    return sorted({node.input[0] for node in model.graph.node if decided(node, data)})


def taken(source: Source, values: Mapping[str, bool]) -> Source:
    """The model with the branches that these conditions choose; nested ones are left as they are.

    Names inside a branch get the node's name before them.
    """
    model, data = onnx.ModelProto(), computed(source.model)
    model.CopyFrom(source.model)
    del model.graph.node[:]
    for index, node in enumerate(source.model.graph.node):
        if decided(node, data):
            which = "then_branch" if values[node.input[0]] else "else_branch"
            branch = next(a.g for a in node.attribute if a.name == which)
            prefix = fresh(model.graph, f"{node.name or f'If_{index}'}/")
            results = inline(model.graph, branch, prefix)
            for output, result in zip(node.output, results, strict=True):
                if output:
                    name = f"{prefix}output {output}"
                    model.graph.node.append(helper.make_node("Identity", [result], [output], name))
        else:
            model.graph.node.add().CopyFrom(node)
    return replace(source, model=model, arrays={**source.arrays, **take_constants(model)})


JOINED_MAX = 2**11
"""Nodes of a model both of whose branches are computed, those inside of others counted."""

Pairs = list[tuple[str, str]]


def joined(source: Source) -> tuple[Source, Pairs] | None:
    """The model that computes both branches of every `If` on data, and chooses between the results.

    With it come the values that are chosen between, which must have equal shapes. None: there is no
    such node, or the branches inside branches are too many.
    """
    if sum(map(_nodes_of, source.model.graph.node)) > JOINED_MAX:
        return None
    model, pairs = onnx.ModelProto(), Pairs()
    model.CopyFrom(source.model)
    del model.graph.node[:]
    for index, node in enumerate(source.model.graph.node):
        if node.op_type == "If" and is_default(node.domain):
            prefix = fresh(model.graph, f"{node.name or f'If_{index}'}/")
            pairs += _join(model.graph, node, prefix)
        else:
            model.graph.node.add().CopyFrom(node)
    if not pairs:
        return None
    arrays = {**source.arrays, **take_constants(model)}
    return replace(source, model=model, arrays=arrays), pairs


def _join(graph: onnx.GraphProto, node: onnx.NodeProto, prefix: str) -> Pairs:
    scalar, condition = f"{prefix}no axes", f"{prefix}condition"
    graph.initializer.append(helper.make_tensor(scalar, onnx.TensorProto.INT64, [0], []))
    graph.node.append(helper.make_node("Reshape", [node.input[0], scalar], [condition], condition))
    bodies = {attribute.name: attribute.g for attribute in node.attribute}
    results = [
        inline(graph, bodies[f"{which}_branch"], f"{prefix}{which}/") for which in ("then", "else")
    ]
    pairs = list(zip(*results, strict=True))
    for output, pair in zip(node.output, pairs, strict=True):
        name = f"{prefix}output {output}"
        graph.node.append(helper.make_node("Where", [condition, *pair], [output], name))
    return pairs


def _nodes_of(node: onnx.NodeProto) -> int:
    """A node and those inside it."""
    graphs = [a.g for a in node.attribute if a.HasField("g")]
    return 1 + sum(_nodes_of(inner) for graph in graphs for inner in graph.node)


def decided(node: onnx.NodeProto, data: set[str]) -> bool:
    """Whether a node is an `If` whose condition does not depend on the data."""
    return node.op_type == "If" and is_default(node.domain) and node.input[0] not in data


def fresh(graph: onnx.GraphProto, prefix: str) -> str:
    """The prefix, or a longer one by which no name in a graph begins."""
    taken = [tensor.name for tensor in graph.initializer if tensor.name.startswith(prefix)]
    taken += [value.name for value in graph.input if value.name.startswith(prefix)]
    return fresh(graph, f"{prefix}new/") if taken else prefix


def inline(
    graph: onnx.GraphProto,
    body: onnx.GraphProto,
    prefix: str,
    given: Mapping[str, str] | None = None,
) -> list[str]:
    """Append what a graph inside a node has; `given` are its inputs. Returns its outputs' names.

    Its own names get a prefix, since others may use them, too.
    """
    own = [tensor.name for tensor in body.initializer]
    own += [name for inner in body.node for name in inner.output if name]
    names = {name: prefix + name for name in own} | dict(given or {})
    for tensor in body.initializer:
        added = graph.initializer.add()
        added.CopyFrom(tensor)
        added.name = names[tensor.name]
    for index, inner in enumerate(body.node):
        added_node = graph.node.add()
        added_node.CopyFrom(inner)
        added_node.name = prefix + (inner.name or f"{inner.op_type}_{index}")
        _rename(added_node, names)
    return [names.get(result.name, result.name) for result in body.output]


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Names in a node, and in the graphs inside it, which see the names around them."""
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for inner in graph.node:
                _rename(inner, names)
            for output in graph.output:
                output.name = names.get(output.name, output.name)
