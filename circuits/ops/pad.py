"""Pad of mode constant, with a value that the input's code can express; negative pads crop."""

from __future__ import annotations

from ..builder import Builder
from ..errors import UnsupportedOp, named
from ..graph import Graph, Node
from ..maps import along
from ..operator import Operator, computed, constants, first


def support(node: Node, graph: Graph) -> str | None:
    """Constant pads, mode constant."""
    mode = node.attributes.get("mode", "constant")
    if mode != "constant":
        return f"mode {named(mode)}; only 'constant' is"
    return first(computed(node, graph), constants(node, graph, 1, 2, 3))


def lower(node: Node, builder: Builder) -> None:
    """One copy that reads outside of its input."""
    graph = builder.graph
    x = builder.values[node.inputs[0]]
    given = graph.constant(node.input(2))
    value = float(node.attributes.get("value", 0.0) if given is None else given.item())
    filler = int(x.code.quantise(value))
    if abs(float(x.code.dequantise(filler)) - value) > x.code.scale / 2:
        raise UnsupportedOp(
            f"node {named(node.name)} (Pad): its value lies outside the range of its input",
            expected=f"{x.code.dequantise(x.code.lo):.4g} to {x.code.dequantise(x.code.hi):.4g}",
            received=value,
            hint="pad with 0, or calibrate on data that reaches this value",
        )
    maps = [along(axis) for axis in range(len(x.shape))]
    for axis, begin in _begins(node, graph, len(x.shape)):
        maps[axis] = along(axis, 1, -begin)
    out = builder.define(node, x.code)
    builder.pick(out, builder.shape(node), builder.read(x, maps, pad=filler, raw=True))


def _begins(node: Node, graph: Graph, rank: int) -> list[tuple[int, int]]:
    """(axis, elements added before it)."""
    array = graph.constant(node.input(1))
    pads = node.attributes["pads"] if array is None else array.reshape(-1).tolist()
    chosen = graph.constant(node.input(3))
    axes = list(range(rank)) if chosen is None else [int(a) % rank for a in chosen.reshape(-1)]
    return [(axis, int(begin)) for axis, begin in zip(axes, pads[: len(axes)], strict=True)]


OPERATOR = Operator(("Pad",), lower, support)
