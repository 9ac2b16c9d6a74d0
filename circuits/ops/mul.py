"""Mul with broadcasting, of two values or by a constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...verifier.program.ranges import Q_MAX
from ...verifier.program.types import Const, Operand, Term
from ..builder import Builder
from ..graph import Array, Node
from ..maps import broadcast
from ..operator import Operator
from ..quantise import coefficients, multiplier, symmetric
from ..tape import Tape, broadcast_back

FACTOR_MAX = 2**15 - 1
"""Constant factors have 16 bits: they are as many as there are channels at most, so cheap."""


def lower(node: Node, builder: Builder) -> None:
    """One dot of one product."""
    constant = [builder.graph.constant(name) for name in node.inputs]
    if constant[0] is None and constant[1] is None:
        _product(node, builder)
    elif constant[1] is not None:
        scaled(node, builder, node.inputs[0], constant[1])
    else:
        assert constant[0] is not None
        scaled(node, builder, node.inputs[1], constant[0])


def _product(node: Node, builder: Builder) -> None:
    space, target = builder.shape(node), builder.target(node)
    a, b = (builder.values[name] for name in node.inputs)
    mult, shift = multiplier(node.name, a.code.scale * b.code.scale / target.pre.scale)
    left, right = (builder.read(x, broadcast(x.shape, len(space))) for x in (a, b))
    terms = [Term((), left, right)]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def scaled(node: Node, builder: Builder, name: str, factor: Array) -> None:
    """The value `name` times constant reals, by broadcasting."""
    space, target = builder.shape(node), builder.target(node)
    x = builder.values[name]
    ratio = x.code.scale / target.pre.scale
    mult: Operand = Const(1)
    by: Operand
    if factor.size == 1:
        wanted = ratio * factor.item()
        reach = max(x.code.hi - x.code.zero, x.code.zero - x.code.lo, 1)
        most = min((Q_MAX - abs(target.pre.zero) - 1) // reach, FACTOR_MAX)
        if most > target.pre.hi - target.pre.lo:  # what is larger saturates as this does
            wanted = min(max(wanted, -most), most)
        (number,), shift, _ = coefficients(node.name, [wanted], target.pre.scale)
        by = Const(number)
    else:
        numbers, scale = symmetric(factor, FACTOR_MAX)
        by = builder.weight("factor", numbers, FACTOR_MAX, broadcast(numbers.shape, len(space)))
        number, shift = multiplier(node.name, ratio * scale)
        mult = Const(number)
    terms = [Term((), builder.read(x, broadcast(x.shape, len(space))), by)]
    builder.requantised(node, space, terms, target, mult=mult, shift=shift)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """Each side gets the gradient times the other side; a square twice that."""
    dy = given[0]
    if dy is None:
        return {}
    if node.inputs[0] == node.inputs[1]:
        return {0: tape.mul(tape.scaled(dy, 2.0), node.inputs[0])}
    return {n: broadcast_back(node, tape, n, tape.mul(dy, node.inputs[1 - n])) for n in (0, 1)}


OPERATOR = Operator(("Mul",), lower, takes_activation=True, gradient=gradient)
