"""√(a² + b²), the magnitude of a complex number, becomes one operator.

A spectrum spans orders of magnitude, and its squares twice as many: no code of 8 or 16 bits holds
those. The operators keep sums of squares in 24 bits: `ops/hypotenuse.py` of two values, ReduceL2 of
an axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .graph import Graph, Node
from .operator import Operator
from .ops.hypotenuse import NAME


def magnitudes(graph: Graph, operators: Mapping[str, Operator]) -> Graph:
    """The graph with such roots in one operator each."""
    producers = {name: node for node in graph.nodes for name in node.outputs}
    nodes = [_magnitude(graph, producers, node, operators) or node for node in graph.nodes]
    return graph.prune(nodes)


def _magnitude(
    graph: Graph, producers: Mapping[str, Node], node: Node, operators: Mapping[str, Operator]
) -> Node | None:
    total = producers.get(node.inputs[0]) if _is_root(graph, node) else None
    if total is None or not _is_inner(graph, total):
        return None
    if total.op in ("ReduceSum", "ReduceSumSquare"):
        made = _of_axis(graph, producers, node, total)
        fits = made is not None and operators[made.op].support(made, graph) is None
        return made if fits else None
    if total.op != "Add":
        return None
    legs = [_leg(graph, producers.get(name)) for name in total.inputs]
    shapes = {graph.shapes[name] for name in (*filter(None, legs), node.output)}
    if None in legs or len(shapes) > 1:
        return None
    return replace(node, op=NAME, inputs=tuple(filter(None, legs)), attributes={})


def _of_axis(graph: Graph, producers: Mapping[str, Node], node: Node, total: Node) -> Node | None:
    """The norm along axes, where the sum leaves the root's shape."""
    x = total.inputs[0]
    if total.op == "ReduceSum":
        leg = _leg(graph, producers.get(x))
        if leg is None or graph.shapes[leg] != graph.shapes[x]:
            return None
        x = leg
    if graph.shapes[total.output] != graph.shapes[node.output] or not graph.is_float(x):
        return None
    inputs = (x, *total.inputs[1:])
    return replace(node, op="ReduceL2", inputs=inputs, attributes=total.attributes)


def _is_root(graph: Graph, node: Node) -> bool:
    return node.op == "Sqrt" or (node.op == "Pow" and _exponent(graph, node) == 0.5)


def _leg(graph: Graph, node: Node | None) -> str | None:
    """What a node squares."""
    if node is None or not _is_inner(graph, node):
        return None
    twice = node.op == "Mul" and node.inputs[0] == node.inputs[1]
    return node.inputs[0] if twice or _exponent(graph, node) == 2.0 else None


def _exponent(graph: Graph, node: Node) -> float | None:
    known = graph.constant(node.input(1)) if node.op == "Pow" else None
    return None if known is None or known.size != 1 else float(known.item())


def _is_inner(graph: Graph, node: Node) -> bool:
    """Whether nothing reads its output but one node, and the file gives it no code."""
    name = node.output
    single = len(graph.consumers(name)) == 1 and name not in graph.outputs
    return single and name not in graph.codes
