"""Softmax: exp(x - max) / Σ exp(x - max), in four ops.

The shares get a code without a zero point that is fine enough for a row whose values are all alike:
so rows may be unlike, whatever the largest share of all is. Only where a reader takes no more than
8 bits, or 8 are enough, it is a code of 8 bits over the calibrated range. A file that is quantised
already gives a code of its own, which takes a fifth op.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...verifier.program.types import Const, Term
from ..bits import NARROW
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import rows
from ..operator import Operator, axis_of, computed
from ..quantise import INT8_MAX, INT8_MIN, Affine, coefficients
from ..tape import Tape, of_first
from .reduction import Reduction, exponentials

FLAT = 16
"""Steps that a share has at least where all of a row are alike: 35 dB."""

BYTE = 2**8 - 1
SHORT = 2**15 - 1
LONG = 2**20 - 1
FACTOR_MAX = 2**15 - 1
STEPS_MAX = 2**22
"""Steps from 0 to 1: half of what the quotient may be."""

COUNT_MAX = LONG // FLAT
"""More values would not have their steps."""

FINE = frozenset({"MatMul", "com.microsoft.FusedMatMul", "Einsum"})
"""Operators that weigh other values by shares; they take any code."""
PASSING = frozenset(
    {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "Transpose", "Expand"}
)
ANY = frozenset({"ArgMax", "TopK", "Add", "Sub", "Mul"})
"""Other operators that take any code."""


def support(node: Node, graph: Graph) -> str | None:
    """At most 65,535 values."""
    _, count, _ = factors(node, graph)
    return (
        f"it runs over more than {COUNT_MAX} values" if count > COUNT_MAX else computed(node, graph)
    )


def factors(node: Node, graph: Graph) -> tuple[int, int, int]:
    """Sizes before, along and after the axis (before opset 13: all axes from it on)."""
    shape = graph.shapes[node.inputs[0]]
    if graph.opset < 13:
        axis = axis_of(node, graph, 1)
        return math.prod(shape[:axis]), math.prod(shape[axis:]), 1
    axis = axis_of(node, graph, -1)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def lower(node: Node, builder: Builder) -> None:
    """The largest value; exponentials by a table; their sum; the rounded quotient."""
    lines = Reduction(factors(node, builder.graph), (1,))
    found = exponentials(builder, builder.values[node.inputs[0]], lines)
    given, each = builder.given(node.output), rows(3)
    if given is None:
        code, scale = _code(node, builder, lines.count, found.shift)
        out = builder.define(node, code)
    else:
        scale = _factor(SHORT, found.shift)
        code = Affine(1.0 / (scale << found.shift), 0, 0, min(scale << found.shift, SHORT))
        out = builder.temporary("quotient", lines.shape, code)
    below = builder.read(found.total, lines.each)
    suffix = "" if given is None else "quotient"
    builder.quotient(out, lines.shape, scale, builder.read(found.power, each), below, suffix)
    if given is not None:
        (number,), shift, _ = coefficients(node.name, [code.scale / given.scale], given.scale)
        terms = [Term((), builder.read(out, each), Const(number))]
        builder.dot(builder.define(node, given), lines.shape, terms, shift=shift)


def _code(node: Node, builder: Builder, count: int, shift: int) -> tuple[Affine, int]:
    """The code of the shares, and the factor of the quotient, which counts them in 2^shift."""
    peak = min(max(builder.range(node.output)[1], 1.0 / count), 1.0)
    readers = set(_readers(node.output, builder.graph))
    wide = builder.bits(node.output) > NARROW
    span = min(2.0 * peak, 1.0)  # more bits than it takes are room for a larger share
    needed = FLAT * count
    few = span * needed <= BYTE and not readers & FINE
    if not wide and (few or not readers <= FINE | ANY):
        scale = _factor(BYTE / peak, shift)
        return Affine(1.0 / (scale << shift), INT8_MIN, INT8_MIN, INT8_MAX), scale
    most = SHORT if span * needed <= SHORT else LONG
    scale = _factor(most / span, shift)
    return Affine(
        1.0 / (scale << shift), 0, 0, min(math.ceil(span * (scale << shift)), most)
    ), scale


def _factor(steps: float, shift: int) -> int:
    """The factor that makes these steps, no larger than protocol section 2 allows."""
    return min(max(math.floor(min(steps, STEPS_MAX) / 2.0**shift), 1), FACTOR_MAX)


def _readers(name: str, graph: Graph) -> Iterator[str]:
    """The operators that read a value, also where it was moved."""
    for node in graph.consumers(name):
        if node.op in PASSING:
            yield from _readers(node.output, graph)
        else:
            yield node.op


def _back(node: Node, tape: Tape, dy: str) -> str:
    """The gradient less its mean under y, times y."""
    axes = summed_axes(node, tape.graph)
    inner = tape.sum(tape.mul(dy, node.output), axes)
    return tape.mul(node.output, tape.sub(dy, inner))


def summed_axes(node: Node, graph: Graph) -> list[int]:
    """The axes of a distribution."""
    if graph.opset < 13:
        return list(range(axis_of(node, graph, 1), len(graph.shapes[node.output])))
    return [axis_of(node, graph, -1)]


OPERATOR = Operator(("Softmax",), lower, support, gradient=of_first(_back))
