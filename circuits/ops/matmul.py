"""MatMul with broadcasting; both operands are read by rows, so the right one by a transposed copy.

A product by a constant matrix on the right is a Gemm (see `fuse`) and does not come here. That of
onnxruntime's own domain also scales its result and takes transposed operands; a MatMul whose result
is scaled is one (`fuse` again).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...verifier.program.ranges import ACC_MAX
from ...verifier.program.types import AxisMap, Const, Operand, Read, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, broadcast, over
from ..operator import Operator
from ..quantise import code_of, multiplier
from ..tape import Tape

SCALED = "com.microsoft.FusedMatMul"


def support(node: Node, graph: Graph) -> str | None:
    """Scales above 0, matrices; batches in their places."""
    get = node.attributes.get
    if get("transBatchA", 0) or get("transBatchB", 0):
        return "it moves its batch axes; transpose its operands before"
    if not float(get("alpha", 1.0)) > 0.0:
        return "its alpha is not above 0"
    turned = get("transA", 0) or get("transB", 0)
    if turned and min(len(graph.shapes[name]) for name in node.inputs) < 2:
        return "it transposes a vector"
    return None


def lower(node: Node, builder: Builder) -> None:
    """One dot over k: space [..., M, N], where an operand that is a vector is one row or column."""
    shapes = [builder.graph.shapes[name] for name in node.inputs]
    turned = [bool(node.attributes.get(name, 0)) for name in ("transA", "transB")]
    rows = 1 if len(shapes[0]) == 1 else shapes[0][-1 if turned[0] else -2]
    columns = 1 if len(shapes[1]) == 1 else shapes[1][-2 if turned[1] else -1]
    space = (*np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]), rows, columns)
    left, left_scale = by_rows(node, builder, 0, len(space), transpose=turned[0])
    right, right_scale = by_rows(node, builder, 1, len(space), transpose=not turned[1])
    target = builder.target(node)
    scale = left_scale * right_scale * float(node.attributes.get("alpha", 1.0))
    mult, shift = multiplier(node.name, scale / target.pre.scale)
    terms, bias = summed((shapes[0][-2 if turned[0] else -1],), left, right, builder)
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift, bias=bias)


def summed(
    window: Sequence[int], left: Read, right: Operand, builder: Builder
) -> tuple[list[Term], Operand | None]:
    """The terms and the bias of a sum of products.

    One that an accumulator may not hold is split into limbs (protocol section 2), for which
    operands have no zeros: (a - z)·b is then the sum of a·b and -z·b.
    """
    term, count = Term(tuple(window), left, right), math.prod(window)
    if isinstance(right, Const):
        return [term], None
    if count * builder.reach(left) * builder.reach(right) <= ACC_MAX:
        return [term], None
    zeros = left.zero, right.zero
    bare = replace(left, zero=0), replace(right, zero=0)
    terms = [replace(term, a=bare[0], b=bare[1])]
    for operand, zero in zip(bare, reversed(zeros), strict=True):
        if zero:
            terms.append(Term(tuple(window), operand, Const(-zero)))
    return terms, Const(count * zeros[0] * zeros[1]) if all(zeros) else None


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
        array = np.swapaxes(array, -1, -2) if transpose and constant.ndim > 1 else array
        code = code_of(array, builder.graph.grids.get(name), builder.peak(node))
        maps = maps_of(array.shape, rank, side)
        return builder.weight_in("weight", code.quantise(array), code, maps), code.scale
    value = builder.values[name]
    if len(value.shape) == 1:
        value = replace(value, shape=(1, *value.shape))
    elif transpose:
        value = builder.transposed(value)
    return builder.read(value, maps_of(value.shape, rank, side)), value.code.scale


def maps_of(shape: tuple[int, ...], rank: int, side: int) -> tuple[AxisMap, ...]:
    """Maps of rows [..., rows, K] in the space [..., M, N]: along M (side 0) or N (side 1)."""
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


OPERATORS = (
    Operator(("MatMul",), lower, takes_activation=True, gradient=gradient),
    Operator((SCALED,), lower, support, takes_activation=True),
)
