"""DFT and STFT: a product with a constant matrix of sines and cosines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...verifier.program.types import AxisMap, Const, Read, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, over
from ..operator import Operator, computed, constants, first
from ..quantise import Floats, multiplier, symmetric
from .reduction import reach

ACC_BITS, WEIGHT_BITS = 29, 14
"""A sum of products stays below 2^29; the matrix has 14 bits where that allows it."""
LENGTH_MAX = 2**14


def waves(length: int, bins: int, parts: int, *, inverse: bool = False) -> Floats:
    """[bins, 2, length, parts]: what each part of each sample adds to real and imaginary part."""
    sign = 1.0 if inverse else -1.0
    angles = 2 * np.pi * ((np.arange(bins)[:, None] * np.arange(length)) % length) / length
    cos, sin = np.cos(angles), sign * np.sin(angles)
    real = np.stack([cos, -sin], -1)[..., :parts]
    imaginary = np.stack([sin, cos], -1)[..., :parts]
    found: Floats = np.stack([real, imaginary], 1) / (length if inverse else 1.0)
    return found


def transformed(
    node: Node,
    builder: Builder,
    matrix: Floats,
    read: Read,
    scale: tuple[float, int],
    axes: Sequence[AxisMap],
) -> None:
    """The node's output: the matrix [bins, 2, samples, parts] times what is read of a value.

    `scale` is the value's, and the largest magnitude of its integers.
    """
    window = matrix.shape[2:]
    limit = 2**ACC_BITS // (math.prod(window) * scale[1])
    numbers, unit = symmetric(matrix, min(2**WEIGHT_BITS, max(limit, 1)))
    target = builder.target(node)
    mult, shift = multiplier(node.name, scale[0] * unit / target.pre.scale)
    by = builder.weight("waves", numbers, int(np.abs(numbers).max()), (*axes, over(0), over(1)))
    terms = [Term(window, read, by)]
    space = builder.shape(node)
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


# DFT


def support(node: Node, graph: Graph) -> str | None:
    """Constant length and axis; not the inverse of a one-sided transform."""
    reason = first(computed(node, graph), constants(node, graph, 1, 2))
    if reason is None and graph.shapes[node.inputs[0]][_axis(node, graph)] > LENGTH_MAX:
        return f"it runs over more than {LENGTH_MAX} values"
    if node.attributes.get("inverse", 0) and node.attributes.get("onesided", 0):
        return "it is the inverse of a one-sided transform"
    return reason


def _axis(node: Node, graph: Graph) -> int:
    given = graph.constant(node.input(2))
    default = 1 if graph.opset < 20 else -2
    axis = int(node.attributes.get("axis", default) if given is None else given.item())
    return axis % len(graph.shapes[node.inputs[0]])


def lower(node: Node, builder: Builder) -> None:
    """One dot; samples beyond the length are cut off, missing ones are 0."""
    x, graph = builder.values[node.inputs[0]], builder.graph
    axis, space = _axis(node, graph), builder.shape(node)
    given = graph.constant(node.input(1))
    samples, parts = x.shape[axis], x.shape[-1]
    length = samples if given is None else int(given.item())
    matrix = waves(length, space[axis], parts, inverse=bool(node.attributes.get("inverse", 0)))
    maps = [along(n) for n in range(len(space))]
    maps[axis], maps[-1] = over(0), over(1)
    read = builder.read(x, maps)
    axes = (along(axis), along(len(space) - 1))
    matrix = matrix[:, :, : min(samples, length)]
    transformed(node, builder, matrix, read, (x.code.scale, reach(x.code)), axes)


# STFT


def support_short(node: Node, graph: Graph) -> str | None:
    """Constant steps, window and length."""
    reason = first(computed(node, graph), constants(node, graph, 1, 2, 3))
    if reason is None and _frame(node, graph) > LENGTH_MAX:
        return f"it runs over more than {LENGTH_MAX} values"
    return reason


def _frame(node: Node, graph: Graph) -> int:
    window, length = (graph.constant(node.input(n)) for n in (2, 3))
    if length is not None:
        return int(length.item())
    return graph.shapes[node.inputs[0]][1] if window is None else len(window)


def lower_short(node: Node, builder: Builder) -> None:
    """One dot: frame f begins at sample f·step; the window is in the matrix."""
    x, graph = builder.values[node.inputs[0]], builder.graph
    step = int(graph.constants[node.inputs[1]].item())
    window, length, space = graph.constant(node.input(2)), _frame(node, graph), builder.shape(node)
    view = x.shape if len(x.shape) == 3 else (*x.shape, 1)
    matrix = waves(length, space[2], view[2])
    if window is not None:
        matrix = matrix * window.astype(np.float64)[None, None, :, None]
    maps = (along(0), AxisMap(i_axis=1, a=step, k_axis=0, b=1), over(1))
    read = builder.read(x, maps, view=view)
    transformed(node, builder, matrix, read, (x.code.scale, reach(x.code)), (along(2), along(3)))


OPERATORS = (
    Operator(("DFT",), lower, support, takes_activation=True),
    Operator(("STFT",), lower_short, support_short, takes_activation=True),
)
