"""Hypotenuse: √(a² + b²) of two values of a shape; none of ONNX, see circuits/magnitude.py.

The sum of squares has 24 bits, and its root 14 and more.
"""

from __future__ import annotations

from ...verifier.program.types import Const, Term
from ..builder import Builder, Value
from ..graph import Node
from ..maps import rows
from ..operator import Operator
from ..quantise import Affine, multiplier
from .reduce import rescaled
from .reduction import ROOT_BITS, WIDE, reach, root

NAME = "Hypotenuse"
LEG_MAX = 2**15 - 2


def lower(node: Node, builder: Builder) -> None:
    """The sum of two squares, its root, and the output's code."""
    space = builder.shape(node) or (1,)
    legs = _alike(builder, [builder.values[name] for name in node.inputs], space)
    largest = sum(reach(leg.code) ** 2 for leg in legs)
    shift = (largest // WIDE).bit_length()
    unit = Affine(legs[0].code.scale ** 2 * 2.0**shift, 0, 0, min(largest >> shift, WIDE - 1) + 1)
    squares = builder.temporary("squares", space, unit, 3)
    reads = [builder.read(leg, rows(len(space))) for leg in legs]
    builder.dot(
        squares, space, [Term((), each, each) for each in reads], shift=shift, suffix="squares"
    )
    rescaled(node, builder, root(builder, squares, 2**ROOT_BITS))


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
