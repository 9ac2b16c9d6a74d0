"""Pad: elements around a value; negative pads crop."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..builder import Builder, Value
from ..errors import UnsupportedOp, named
from ..graph import Graph, Node
from ..moves import OUTSIDE, move
from ..operator import Operator, computed, constants, first
from ..quantise import Ints
from ..tape import Tape, gathered_back, of_first

MODES = ("constant", "edge", "reflect", "wrap")


def support(node: Node, graph: Graph) -> str | None:
    """Constant pads, modes constant, edge, reflect and wrap; a value inside the input's range.

    Before a MaxPool the value may be lower, also minus infinity.
    """
    mode = node.attributes.get("mode", "constant")
    if mode not in MODES:
        return f"mode {named(mode)}; only {', '.join(MODES)} are"
    reason = first(computed(node, graph), constants(node, graph, 1, 2, 3))
    if reason is None and mode == "constant" and not math.isfinite(filling(node, graph)):
        pool = graph.consumers(node.output)[:1]
        merged = pool and with_pool(node, pool[0], graph) is not None
        return None if merged else f"it pads with {filling(node, graph)}, not before one MaxPool"
    return reason


def with_pool(node: Node, follower: Node, graph: Graph) -> Node | None:
    """A pad of minus infinity and the MaxPool that alone reads it, as that MaxPool with pads.

    It pads with minus infinity itself, which no integer could stand for.
    """
    if node.op != "Pad" or follower.op != "MaxPool" or filling(node, graph) != -math.inf:
        return None
    if len(graph.consumers(node.output)) > 1 or node.output in graph.outputs:
        return None
    rank = len(graph.shapes[node.inputs[0]])
    added = {axis: (begin, end) for axis, begin, end in pads(node, graph, rank)}
    own = follower.attributes.get("pads") or [0] * (2 * (rank - 2))
    outer = any(added.get(axis, (0, 0)) != (0, 0) for axis in (0, 1))
    crops = any(amount < 0 for pair in added.values() for amount in pair)
    if outer or crops or follower.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    both = [
        own[end * (rank - 2) + axis - 2] + added.get(axis, (0, 0))[end]
        for end in (0, 1)
        for axis in range(2, rank)
    ]
    attributes = {**follower.attributes, "pads": both, "auto_pad": "NOTSET"}
    return replace(follower, inputs=node.inputs[:1], attributes=attributes)


def is_below_pool(node: Node, graph: Graph) -> bool:
    """Whether only MaxPools read a value."""
    readers = graph.consumers(node.output)
    return all(reader.op == "MaxPool" for reader in readers) and node.output not in graph.outputs


def filling(node: Node, graph: Graph) -> float:
    """What mode constant pads with: an attribute before opset 11, an input since."""
    given = graph.constant(node.input(2))
    return float(node.attributes.get("value", 0.0) if given is None else given.item())


def lower(node: Node, builder: Builder) -> None:
    """One copy with an index outside where the filler stands; a gather per axis of another mode."""
    graph = builder.graph
    x = builder.values[node.inputs[0]]
    mode = node.attributes.get("mode", "constant")
    indices: list[Ints] = [np.arange(dim) for dim in x.shape]
    for axis, begin, end in pads(node, graph, len(x.shape)):
        indices[axis] = _padded(indices[axis], begin, end, mode)
    filler = _filler(node, builder, x) if mode == "constant" else None
    move(node, builder, x, indices, filler)


def _padded(index: Ints, begin: int, end: int, mode: str) -> Ints:
    """An axis with its pads; what is cropped counts as absent in the other modes, too."""
    index = index[max(-begin, 0) : len(index) - max(-end, 0)]
    widths = (max(begin, 0), max(end, 0))
    if mode == "constant":
        return np.pad(index, widths, constant_values=OUTSIDE)
    padded: Ints = np.pad(index, widths, mode=mode)  # type: ignore[call-overload]
    return padded


def _filler(node: Node, builder: Builder, x: Value) -> int:
    graph, value = builder.graph, filling(node, builder.graph)
    lowest, highest = (float(x.code.dequantise(end)) for end in (x.code.lo, x.code.hi))
    if value < lowest and is_below_pool(node, graph):
        return x.code.lo  # no element of a window is lower, so it never wins against one
    filler = int(x.code.quantise(value))
    if abs(float(x.code.dequantise(filler)) - value) > x.code.scale / 2:
        raise UnsupportedOp(
            f"node {named(node.name)} (Pad): its value lies outside the range of its input",
            expected=f"{lowest:.4g} to {highest:.4g}",
            received=value,
            hint="pad with 0, or calibrate on data that reaches this value",
        )
    return filler


def pads(node: Node, graph: Graph, rank: int) -> list[tuple[int, int, int]]:
    """(axis, elements added before it, after it): attributes before opset 11, inputs since."""
    array = graph.constant(node.input(1))
    given = node.attributes["pads"] if array is None else array.reshape(-1).tolist()
    chosen = graph.constant(node.input(3))
    axes = list(range(rank)) if chosen is None else [int(a) % rank for a in chosen.reshape(-1)]
    begins, ends = given[: len(axes)], given[len(axes) :]
    return [(a, int(b), int(e)) for a, b, e in zip(axes, begins, ends, strict=True)]


def _back(node: Node, tape: Tape, dy: str) -> str:
    """What the pads hold is cut off, or added to where it was copied from."""
    shape = tape.shape(node.inputs[0])
    for axis, begin, end in pads(node, tape.graph, len(shape)):
        index = _padded(np.arange(shape[axis]), begin, end, node.attributes.get("mode", "constant"))
        dy = gathered_back(tape, dy, axis, index, shape[axis])
    return dy


OPERATOR = Operator(("Pad",), lower, support, takes_integers=True, gradient=of_first(_back))
