"""Hypotenuse: √(a² + b²) of two values of a shape; none of ONNX, see circuits/magnitude.py.

See `reduction.root_of_squares`.
"""

from __future__ import annotations

from ...verifier.program.types import Const, Term
from ..builder import Builder, Value
from ..graph import Node
from ..maps import rows
from ..operator import Operator
from ..quantise import Affine, multiplier
from .reduce import rescaled
from .reduction import root_of_squares

NAME = "Hypotenuse"
LEG_MAX = 2**15 - 2


def lower(node: Node, builder: Builder) -> None:
    """The root of the sum of two squares, in the output's code."""
    space = builder.shape(node) or (1,)
    legs = _alike(builder, [builder.values[name] for name in node.inputs], space)
    reads = [(leg, builder.read(leg, rows(len(space)))) for leg in legs]
    rescaled(node, builder, root_of_squares(builder, space, (), reads))


def _alike(builder: Builder, legs: list[Value], space: tuple[int, ...]) -> list[Value]:
    """Both in one scale: that which they have, or one of 15 bits."""
    first, second = (leg.code.scale for leg in legs)
    if first == second:
        return legs
    scale = max(leg.code.reach for leg in legs) / LEG_MAX
    return [_rescaled(builder, leg, scale, space) for leg in legs]


def _rescaled(builder: Builder, leg: Value, scale: float, space: tuple[int, ...]) -> Value:
    made = builder.temporary("leg", space, Affine(scale, 0, -LEG_MAX - 1, LEG_MAX + 1), 2)
    mult, shift = multiplier("leg", leg.code.scale / scale)
    terms = [Term((), builder.read(leg, rows(len(space))), Const(1))]
    builder.dot(made, space, terms, mult=Const(mult), shift=shift, suffix="leg")
    return made


OPERATOR = Operator((NAME,), lower)
