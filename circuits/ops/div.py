"""Div: a product by the inverse of a constant, or by that of a computed value, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...verifier.program.types import Const, Term
from ..builder import Builder, Range
from ..graph import Graph, Node
from ..maps import broadcast, rows
from ..operator import Operator, computed, first
from ..quantise import Affine, multiplier
from ..tape import Tape, broadcast_back
from .mul import scaled

INVERSE_MAX, INVERSE_MAX_WIDE = 2**20, 2**23 - 1
"""Inverses have 21 bits: that of the farthest of 255 steps still has 12. Those of divisors of 16
bits have 24, above the inverse of the nearest divisor in calibration."""


def support(node: Node, graph: Graph) -> str | None:
    """A constant divisor must not have zeros."""
    divisor = graph.constant(node.input(1))
    zeros = divisor is not None and not np.all(divisor)
    return first(computed(node, graph), "its divisor has zeros" if zeros else None)


def lower(node: Node, builder: Builder) -> None:
    """One dot of one product, after the table where the divisor is computed."""
    divisor = builder.graph.constant(node.inputs[1])
    if divisor is not None:
        scaled(node, builder, node.inputs[0], 1.0 / divisor.astype(np.float64))
        return
    x, d = (builder.values[name] for name in node.inputs)
    space, shape = builder.shape(node), d.shape or (1,)
    code = _inverse(d.code, builder.range(node.inputs[1]))
    table = builder.table(node.name, np.reciprocal, d.code, code)
    inverse = builder.temporary("inverse", shape, code, 3)
    source = builder.read(d, rows(len(shape)), raw=True)
    builder.dot(inverse, shape, [Term((), source, Const(1))], zero=0, table=table, suffix="inverse")
    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale * code.scale / target.pre.scale)
    operands = [builder.read(value, broadcast(value.shape, len(space))) for value in (x, inverse)]
    terms = [Term((), *operands)]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def _inverse(code: Affine, seen: Range) -> Affine:
    """The code of inverses; that of one step is the largest that a divisor other than 0 has."""
    if not code.wide:
        return Affine(1.0 / code.scale / INVERSE_MAX, 0, -INVERSE_MAX, INVERSE_MAX)
    nearest = max(seen[0], -seen[1], code.scale)
    most = INVERSE_MAX_WIDE
    return Affine(1.0 / nearest / most, 0, -most, most)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """By b, and by −y / b."""
    dy = given[0]
    if dy is None:
        return {}
    by = tape.div(dy, node.inputs[1])
    below = tape.negative(tape.mul(by, node.output))
    return {0: broadcast_back(node, tape, 0, by), 1: broadcast_back(node, tape, 1, below)}


OPERATOR = Operator(("Div",), lower, support, takes_activation=True, gradient=gradient)
