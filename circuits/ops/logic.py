"""And, Or, Xor, Not: of values that are 0 or 1."""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder
from ..graph import Node
from ..maps import broadcast, rows
from ..operator import Operator, computed
from .comparisons import TRUTH, support


def lower(node: Node, builder: Builder) -> None:
    """A product; a sum that is clamped; a sum through a table."""
    space = builder.shape(node) or (1,)
    left, right = (operand(name, builder, len(space)) for name in node.inputs)
    out = builder.define(node, TRUTH, integer=True)
    if node.op == "And":
        builder.dot(out, space, [Term((), left, right)])
        return
    table = builder.integer_table(node.name, 0, (0, 1, 0)) if node.op == "Xor" else None
    builder.dot(out, space, [Term((), side, Const(1)) for side in (left, right)], table=table)


def operand(name: str, builder: Builder, rank: int) -> Operand:
    """A value of truths, or constant ones, broadcast to a space of this rank."""
    constant = builder.graph.constant(name)
    if constant is None:
        value = builder.values[name]
        return builder.read(value, broadcast(value.shape, rank))
    if constant.size == 1:
        return Const(int(constant.item()))
    truths = constant.astype(np.int64)
    return builder.weight("truths", truths, 1, broadcast(truths.shape, rank), signed=False)


def lower_not(node: Node, builder: Builder) -> None:
    """1 − x."""
    space = builder.shape(node) or (1,)
    source = builder.read(builder.values[node.inputs[0]], rows(len(space)))
    out = builder.define(node, TRUTH, integer=True)
    builder.dot(out, space, [Term((), source, Const(-1))], bias=Const(1))


OPERATORS = (
    Operator(("And",), lower, support, takes_integers=True),
    Operator(("Or",), lower, support, takes_integers=True),
    Operator(("Xor",), lower, support, takes_integers=True),
    Operator(("Not",), lower_not, computed, takes_integers=True),
)
