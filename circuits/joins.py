"""What is chosen from one part of a Concat is chosen from that part.

The states of several recurrent layers are joined, and one of them is taken: the others would be
computed for nothing, and a program has no gate on which nothing depends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .graph import Array, Graph, Node
from .operator import axis_of


def parted(graph: Graph) -> Graph:
    """The graph with every such Gather by constants reading the part that it chooses from."""
    producers = {name: node for node in graph.nodes for name in node.outputs}
    added: dict[str, Array] = {}
    nodes = [_from_part(graph, producers, node, added) for node in graph.nodes]
    if not added:
        return graph
    constants = {**graph.constants, **added}
    return replace(graph, constants=constants).prune(nodes)


def _from_part(
    graph: Graph, producers: Mapping[str, Node], node: Node, added: dict[str, Array]
) -> Node:
    index = graph.constant(node.input(1)) if node.op == "Gather" else None
    joined = producers.get(node.inputs[0]) if node.inputs else None
    if index is None or joined is None or joined.op != "Concat":
        return node
    axis = axis_of(node, graph, 0)
    if axis != axis_of(joined, graph, 0) or joined.output in graph.codes or not index.size:
        return node
    whole = index + np.where(index < 0, graph.shapes[joined.output][axis], 0)
    start = 0
    for name in joined.inputs:
        end = start + graph.shapes[name][axis]
        if start <= whole.min() and whole.max() < end:
            if name in graph.constants:
                return node
            made = f"{node.name or node.output}/index in a part"
            added[made] = whole - start
            return replace(node, inputs=(name, made))
        start = end
    return node
