"""Softmax: exp(x - max) / Σ exp(x - max), in four ops; the output has the fixed scale 1/255."""

from __future__ import annotations

import math

import numpy as np

from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, at, over
from ..operator import Operator, axis_of, computed
from ..quantise import INT8_MIN, Affine
from ..tape import Tape, of_first

STEPS = 255
"""The output counts in 1/255: 0 is -128, 1 is 127."""

EXP_MAX = 2**15 - 1
SUM_MAX = 2**23 - 2


def support(node: Node, graph: Graph) -> str | None:
    """At most 2^15 classes, so that exponentials keep 8 bits."""
    _, count, _ = factors(node, graph)
    return "it runs over more than 2^15 values" if count > 2**15 else computed(node, graph)


def factors(node: Node, graph: Graph) -> tuple[int, int, int]:
    """Sizes before, along and after the axis (before opset 13: all axes from it on)."""
    shape = graph.shapes[node.inputs[0]]
    if graph.opset < 13:
        axis = axis_of(node, graph, 1)
        return math.prod(shape[:axis]), math.prod(shape[axis:]), 1
    axis = axis_of(node, graph, -1)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def lower(node: Node, builder: Builder) -> None:
    """max; exp of the difference by a table; their sum; the rounded quotient."""
    outer, count, inner = factors(node, builder.graph)
    view, lines = (outer, count, inner), (outer, inner)
    each = (along(0), along(1), along(2))
    line = (along(0), at(), along(2))
    x = builder.values[node.inputs[0]]

    largest = builder.temporary("max", lines, x.code)
    across = builder.read(x, (along(0), over(0), along(1)), view=view, raw=True)
    builder.pick(largest, lines, across, mode=PickMode.MAX, window=(count,), suffix="max")

    peak = min(EXP_MAX, SUM_MAX // count)
    difference = np.arange(x.code.lo - x.code.hi, 1)
    powers = tuple(int(v) for v in np.rint(np.exp(difference * x.code.scale) * peak))
    table = builder.integer_table(node.name, int(difference[0]), powers)
    power = builder.temporary("exp", view, Affine(1.0 / peak, 0, 0, peak), 2)
    terms = [
        Term((), builder.read(x, each, view=view, raw=True), Const(1)),
        Term((), builder.read(largest, line, view=(outer, 1, inner), raw=True), Const(-1)),
    ]
    builder.dot(power, view, terms, table=table, suffix="exp")

    total = builder.temporary("sum", lines, Affine(1.0 / peak, 0, peak, peak * count), 3)
    column = builder.read(power, (along(0), over(0), along(1)))
    builder.dot(total, lines, [Term((count,), column, Const(1))], suffix="sum")

    out = builder.define(node, Affine(1.0 / STEPS, INT8_MIN))
    below = builder.read(total, line, view=(outer, 1, inner))
    builder.quotient(out, view, STEPS, builder.read(power, each), below)


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
