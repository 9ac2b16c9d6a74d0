"""MatMul with broadcasting; both operands are read by rows, so the right one by a transposed copy.

A product by a constant matrix on the right is a Gemm (see `fuse`) and does not come here.
"""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import AxisMap, Const, Read, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, broadcast, over
from ..operator import Operator
from ..quantise import WEIGHT_MAX, multiplier, symmetric


def support(node: Node, graph: Graph) -> str | None:
    """Vectors (rank 1) are not supported."""
    if any(len(graph.shapes[name]) < 2 for name in node.inputs):
        return "an operand is a vector; unsqueeze it to a matrix"
    return None


def lower(node: Node, builder: Builder) -> None:
    """One dot over k: space [..., M, N]."""
    space = builder.shape(node)
    rank = len(space)
    left, left_scale = _operand(node, builder, 0, rank)
    right, right_scale = _operand(node, builder, 1, rank)
    target = builder.target(node)
    mult, shift = multiplier(node.name, left_scale * right_scale / target.pre.scale)
    inner = builder.graph.shapes[node.inputs[0]][-1]
    terms = [Term((inner,), left, right)]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


def _operand(node: Node, builder: Builder, side: int, rank: int) -> tuple[Read, float]:
    """The rows of the left operand (side 0), or the columns of the right one, and their scale."""
    name = node.inputs[side]
    constant = builder.graph.constant(name)
    if constant is not None:
        by_rows = constant if side == 0 else np.swapaxes(constant, -1, -2)
        numbers, scale = symmetric(by_rows, WEIGHT_MAX)
        maps = _maps(numbers.shape, rank, side)
        return builder.weight("weight", numbers, WEIGHT_MAX, maps), scale
    value = builder.values[name]
    if side == 1:
        value = builder.transposed(value)
    return builder.read(value, _maps(value.shape, rank, side)), value.code.scale


def _maps(shape: tuple[int, ...], rank: int, side: int) -> tuple[AxisMap, ...]:
    """Maps of an operand [..., M or N, K] in the space [..., M, N]."""
    leading = broadcast((*shape[:-2], 1, 1), rank)[:-2]
    return (*leading, along(rank - 2 + side), over(0))


OPERATOR = Operator(("MatMul",), lower, support, takes_activation=True)
