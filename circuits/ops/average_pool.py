"""AveragePool: the sum over a window, 1/count in the multiplier (one per position at the edges)."""

from __future__ import annotations

import functools
import math

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder, Target
from ..graph import Graph, Node
from ..maps import Windows, along, clear_padding, windows
from ..operator import Operator, computed, first
from ..quantise import MULT_MAX, Ints, multiplier
from ..tape import Tape, of_first
from .windows_back import scattered


def lower(node: Node, builder: Builder) -> None:
    """One dot with the constant 1; padding reads as 0.0."""
    x = builder.values[node.inputs[0]]
    frame = windows(node, builder.graph, node.attributes["kernel_shape"])
    include = bool(node.attributes.get("count_include_pad", 0))
    maps = (along(0), along(1), *frame.maps(2, 0))
    source = builder.read(x, maps, pad=x.code.zero if frame.needs_pad else None)
    target = builder.target(node)
    mult, shift = _mult(node, builder, counts(frame, include), x.code.scale, target)
    terms = [Term(frame.kernel, source, Const(1))]
    builder.requantised(node, builder.shape(node), terms, target, mult=mult, shift=shift)


def counts(frame: Windows, include_pad: bool) -> Ints:
    """How many positions each window averages over; int64 of the output's spatial shape."""
    per_axis = []
    for axis, out in enumerate(frame.out):
        starts = np.arange(out) * frame.strides[axis] - frame.begins[axis]
        taps = starts[:, None] + np.arange(frame.kernel[axis]) * frame.dilations[axis]
        low = -frame.begins[axis] if include_pad else 0
        high = frame.dims[axis] + (frame.ends[axis] if include_pad else 0)
        per_axis.append(((taps >= low) & (taps < high)).sum(axis=1))
    return functools.reduce(np.multiply.outer, per_axis)


def _mult(
    node: Node, builder: Builder, count: Ints, in_scale: float, target: Target
) -> tuple[Operand, int]:
    ratio = in_scale / target.pre.scale
    smallest = int(count.min())
    largest, shift = multiplier(node.name, ratio / smallest)
    if (count == smallest).all():
        return Const(largest), shift
    each = np.rint(ratio / count * 2.0**shift).clip(1, MULT_MAX).astype(np.int64)
    maps = tuple(along(2 + axis) for axis in range(count.ndim))
    return builder.weight("multiplier", each, MULT_MAX, maps, signed=False), shift


def support(node: Node, graph: Graph) -> str | None:
    """Kernels of up to 2^20 positions."""
    if math.prod(node.attributes["kernel_shape"]) > 2**20:
        return "its window has more than 2^20 positions"
    return first(computed(node, graph), clear_padding(node))


def _back(node: Node, tape: Tape, dy: str) -> str:
    """Every window's share to each of its positions."""
    frame = windows(node, tape.graph, node.attributes["kernel_shape"])
    count = counts(frame, bool(node.attributes.get("count_include_pad", 0)))
    channels = tape.shape(dy)[1]
    ones = tape.constant(np.ones((channels, 1, *frame.kernel)))
    return scattered(tape, tape.mul(dy, tape.constant(1.0 / count)), ones, frame, channels)


OPERATOR = Operator(
    ("AveragePool",),
    lower,
    support,
    takes_activation=True,
    spatial=True,
    gradient=of_first(_back),
)
