"""`If` nodes whose condition is known: the branch taken stands in the place of the node."""

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

    Names inside a branch get the node's name before them, since another branch may use them, too.
    """
    model, data = onnx.ModelProto(), computed(source.model)
    model.CopyFrom(source.model)
    del model.graph.node[:]
    for index, node in enumerate(source.model.graph.node):
        if decided(node, data):
            which = "then_branch" if values[node.input[0]] else "else_branch"
            branch = next(a.g for a in node.attribute if a.name == which)
            _inline(model.graph, node, branch, f"{node.name or f'If_{index}'}/")
        else:
            model.graph.node.add().CopyFrom(node)
    return replace(source, model=model, arrays={**source.arrays, **take_constants(model)})


def decided(node: onnx.NodeProto, data: set[str]) -> bool:
    """Whether a node is an `If` whose condition does not depend on the data."""
    return node.op_type == "If" and is_default(node.domain) and node.input[0] not in data


def _inline(
    graph: onnx.GraphProto, node: onnx.NodeProto, branch: onnx.GraphProto, prefix: str
) -> None:
    own = [tensor.name for tensor in branch.initializer]
    own += [name for inner in branch.node for name in inner.output if name]
    names = {name: prefix + name for name in own}
    for tensor in branch.initializer:
        added = graph.initializer.add()
        added.CopyFrom(tensor)
        added.name = names[tensor.name]
    for index, inner in enumerate(branch.node):
        added_node = graph.node.add()
        added_node.CopyFrom(inner)
        added_node.name = prefix + (inner.name or f"{inner.op_type}_{index}")
        _rename(added_node, names)
    for output, result in zip(node.output, branch.output, strict=True):
        if output:
            source = names.get(result.name, result.name)
            graph.node.append(
                helper.make_node("Identity", [source], [output], f"{prefix}output {output}")
            )


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
