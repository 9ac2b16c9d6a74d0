"""How many bits the values of a training step have: 8 where products read them, else 16."""

from __future__ import annotations

from ..bits import NARROW, WIDE
from ..graph import Graph, Node

PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose", "com.microsoft.FusedMatMul")
"""Operators that carry the compute of a step; they read their first two inputs once per product."""

MOVES = frozenset(
    {
        "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad",
        "Relu", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
        "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Operators whose output holds what they read: it has the bits of the output."""


def factors(node: Node) -> tuple[str, ...]:
    """What a product reads by rows and columns; a bias is none of it."""
    return node.inputs[:2] if node.op in PRODUCTS else ()


def narrow(graph: Graph) -> set[str]:
    """The values that products read, as they are or moved."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        found.update(factors(node))
        if node.op in MOVES and not found.isdisjoint(node.outputs):
            found.update(node.inputs[1:] if node.op == "Where" else node.inputs)
    return found


def widths(graph: Graph, products: int = NARROW) -> dict[str, int]:
    """Bits by value: `products` where products read it (8 or 16), else 16."""
    read = narrow(graph)
    names = [name for node in graph.nodes for name in node.outputs if name]
    return {
        name: products if name in read else WIDE
        for name in (*graph.inputs, *names)
        if graph.is_float(name)
    }
