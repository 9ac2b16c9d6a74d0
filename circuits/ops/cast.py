"""Cast: the same numbers in another type; fractions are cut off, and truths are what is not 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..operator import Operator, computed
from ..quantise import Floats
from ..tape import of_first, reshaped
from . import view
from .comparisons import TRUTH
from .whole import LARGEST, limits, output, overflow, result, value_side


def is_view(node: Node, graph: Graph) -> bool:
    """Whether the numbers stay as they are: the new type holds all that a tensor can."""
    if graph.is_float(node.output):
        return True
    if graph.is_float(node.inputs[0]):
        return False
    held, to = (limits(graph, name) for name in (node.inputs[0], node.output))
    return to[0] <= max(held[0], -LARGEST) and min(held[1], LARGEST) <= to[1]


def lower(node: Node, builder: Builder) -> None:
    """A view where the numbers stay, else a table."""
    graph, x = builder.graph, builder.values[node.inputs[0]]
    to_truth = graph.types[node.output] == TensorProto.BOOL
    if is_view(node, graph):
        view.lower(node, builder)
        integer = not graph.is_float(node.output)
        builder.values[node.output] = replace(builder.values[node.output], integer=integer)
    elif to_truth:
        _to_truth(node, builder)
    elif graph.is_float(node.inputs[0]):
        _cut_off(node, builder, x.code.dequantise(np.arange(x.code.lo, x.code.hi + 1)))
    else:
        space = x.shape or (1,)
        terms = [Term((), value_side(builder, x, len(space)).operand, Const(1))]
        result(node, builder, terms, x.code.lo, x.code.hi)


def _to_truth(node: Node, builder: Builder) -> None:
    """A table about the code's zero, whose ends stand for all beyond."""
    x = builder.values[node.inputs[0]]
    table = builder.integer_table(node.name, x.code.zero - 1, (1, 0, 1))
    space = x.shape or (1,)
    terms = [Term((), value_side(builder, x, len(space)).operand, Const(1))]
    out = builder.define(node, TRUTH, integer=True)
    builder.dot(out, space, terms, zero=0, table=table)


def _cut_off(node: Node, builder: Builder, reals: Floats) -> None:
    """The integers towards 0 of what floats of 32 bits hold of the grid; its ends saturate."""
    x, (least, most) = builder.values[node.inputs[0]], limits(builder.graph, node.output)
    numbers = np.trunc(reals.astype(np.float32).astype(np.float64))
    low, high = int(numbers.min()), int(numbers.max())
    if max(-low, high) > LARGEST or low < least or high > most:
        bounds = f"integers in {max(least, -LARGEST)} to {min(most, LARGEST)}"
        overflow(node, bounds, low, high)
    table = builder.integer_table(node.name, x.code.lo, numbers)
    space = x.shape or (1,)
    terms = [Term((), value_side(builder, x, len(space)).operand, Const(1))]
    builder.dot(output(node, builder, low, high), space, terms, zero=0, table=table)


def support(node: Node, graph: Graph) -> str | None:
    """From any type of numbers to any other; a range that the new type does not hold is refused."""
    return computed(node, graph)


def same_bits(node: Node, graph: Graph) -> str | None:
    """Between integers of as many bits."""
    if graph.is_float(node.inputs[0]) or graph.is_float(node.output):
        return "it reads the bits of real numbers"
    return computed(node, graph)


_CAST = Operator(
    ("Cast",),
    lower,
    support,
    is_view=True,
    if_view=is_view,
    takes_integers=True,
    gradient=of_first(reshaped),
)

OPERATORS = (_CAST, replace(_CAST, names=("BitCast",), support=same_bits, gradient=None))
