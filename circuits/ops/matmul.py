"""MatMul with broadcasting; both operands are read by rows, so the right one by a transposed copy.

A product by a constant matrix on the right is a Gemm (see `fuse`) and does not come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...verifier.program.types import AxisMap, Const, Read, Term
from ..builder import Builder
from ..graph import Node
from ..maps import along, broadcast, over
from ..operator import Operator
from ..quantise import WEIGHT_MAX, multiplier, symmetric
from ..tape import Tape


def lower(node: Node, builder: Builder) -> None:
    """One dot over k: space [..., M, N], where an operand that is a vector is one row or column."""
    shapes = [builder.graph.shapes[name] for name in node.inputs]
    rows = 1 if len(shapes[0]) == 1 else shapes[0][-2]
    columns = 1 if len(shapes[1]) == 1 else shapes[1][-1]
    space = (*np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]), rows, columns)
    left, left_scale = by_rows(node, builder, 0, len(space))
    right, right_scale = by_rows(node, builder, 1, len(space), transpose=True)
    target = builder.target(node)
    mult, shift = multiplier(node.name, left_scale * right_scale / target.pre.scale)
    terms = [Term((shapes[0][-1],), left, right)]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def by_rows(
    node: Node, builder: Builder, side: int, rank: int, *, transpose: bool = False
) -> tuple[Read, float]:
    """The rows of an operand [..., rows, K] in the space [..., M, N], and its scale.

    Side 0 is read along M, side 1 along N; `transpose`: the operand is [..., K, rows].
    """
    name = node.inputs[side]
    constant = builder.graph.constant(name)
    if constant is not None:
        array = constant[None] if constant.ndim == 1 else constant
        numbers, scale = symmetric(
            np.swapaxes(array, -1, -2) if transpose and constant.ndim > 1 else array, WEIGHT_MAX
        )
        return builder.weight(
            "weight", numbers, WEIGHT_MAX, _maps(numbers.shape, rank, side)
        ), scale
    value = builder.values[name]
    if len(value.shape) == 1:
        value = replace(value, shape=(1, *value.shape))
    elif transpose:
        value = builder.transposed(value)
    return builder.read(value, _maps(value.shape, rank, side)), value.code.scale


def _maps(shape: tuple[int, ...], rank: int, side: int) -> tuple[AxisMap, ...]:
    leading = broadcast((*shape[:-2], 1, 1), rank)[:-2]
    return (*leading, along(rank - 2 + side), over(0))


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """The gradient times bᵀ, and aᵀ times it; vectors are one row or column."""
    if given[0] is None:
        return {}
    shapes = [tape.shape(name) for name in node.inputs]
    a, b = node.inputs
    a = tape.reshape(a, (1, *shapes[0])) if len(shapes[0]) == 1 else a
    b = tape.reshape(b, (*shapes[1], 1)) if len(shapes[1]) == 1 else b
    leading = np.broadcast_shapes(tape.shape(a)[:-2], tape.shape(b)[:-2])
    dy = tape.reshape(given[0], (*leading, tape.shape(a)[-2], tape.shape(b)[-1]))
    left = tape.sum_to(tape.matmul(dy, tape.swapped(b)), tape.shape(a))
    if len(tape.shape(b)) == 2:  # one product over all rows, and no sum of many
        right = tape.matmul(tape.swapped(tape.flat_rows(a)), tape.flat_rows(dy))
    else:
        right = tape.sum_to(tape.matmul(tape.swapped(a), dy), tape.shape(b))
    return {0: tape.reshape(left, shapes[0]), 1: tape.reshape(right, shapes[1])}


OPERATOR = Operator(("MatMul",), lower, takes_activation=True, gradient=gradient)
