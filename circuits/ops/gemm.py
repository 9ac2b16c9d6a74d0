"""Gemm: alpha·A·B + beta·C, any of them transposed, constant or computed.

With a constant B, one C per column and A as it is, `fuse` brings it to the form x·wᵀ + b with
w [N, K], for any rank of x: one dot with a scale per column. Any other is a product and a sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...verifier.program.types import AxisMap, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, broadcast, over, rows
from ..operator import Operator
from ..tape import Tape, broadcast_back
from .matmul import by_rows
from .products import product_and_sum


def is_linear(node: Node, graph: Graph) -> bool:
    """Whether a product is x·wᵀ + b: B is a constant matrix, A as it is, C the same in each row."""
    weight, addend = graph.constant(node.input(1)), graph.constant(node.input(2))
    if graph.constant(node.inputs[0]) is not None or node.attributes.get("transA", 0):
        return False
    if weight is None or weight.ndim != 2:
        return False
    if addend is None:
        return node.input(2) is None
    return addend.ndim < 2 or addend.shape[0] == 1


def lower(node: Node, builder: Builder) -> None:
    """One dot over k where it is linear, else one or two."""
    if is_linear(node, builder.graph):
        _linear(node, builder)
    else:
        _computed(node, builder)


def _linear(node: Node, builder: Builder) -> None:
    x = builder.values[node.inputs[0]]
    weight = builder.graph.constants[node.inputs[1]]
    bias = builder.graph.constant(node.input(2))
    outputs, inner = weight.shape
    space = builder.shape(node)
    last = len(space) - 1
    source = (builder.read(x, (*rows(last), over(0))), x.code.scale)
    builder.weighted(
        node,
        space,
        (inner,),
        source,
        weight,
        bias,
        (weight.shape, (along(last), over(0))),
        ((outputs,), (along(last),)),
        builder.graph.grids.get(node.inputs[1]),
    )


def _computed(node: Node, builder: Builder) -> None:
    """A product of two values (or of one and a constant that is no weight), and beta·C."""
    get, inner = node.attributes.get, builder.graph.shapes[node.inputs[0]]
    left, left_scale = by_rows(node, builder, 0, 2, transpose=bool(get("transA", 0)))
    right, right_scale = by_rows(node, builder, 1, 2, transpose=not get("transB", 0))
    term = Term((inner[0 if get("transA", 0) else 1],), left, right)
    scale = left_scale * right_scale * float(get("alpha", 1.0))
    addend = node.input(2), float(get("beta", 1.0))

    def seen(shape: tuple[int, ...]) -> tuple[Sequence[int], Sequence[AxisMap]]:
        return shape or (1,), broadcast(shape or (1,), 2)

    product_and_sum(node, builder, builder.shape(node), (term, scale), addend, seen)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """The products with Bᵀ and Aᵀ, each turned as its operand is; the sum for C."""
    if given[0] is None:
        return {}
    get = node.attributes.get
    a, b = (
        tape.swapped(name) if get(turned, 0) else name
        for name, turned in zip(node.inputs, ("transA", "transB"), strict=False)
    )
    dy = tape.scaled(given[0], float(get("alpha", 1.0)))
    left = (
        tape.matmul(b, tape.swapped(dy)) if get("transA", 0) else tape.matmul(dy, tape.swapped(b))
    )
    right = (
        tape.matmul(tape.swapped(dy), a) if get("transB", 0) else tape.matmul(tape.swapped(a), dy)
    )
    found = {0: left, 1: right}
    if node.input(2) is not None:
        addend = tape.scaled(given[0], float(get("beta", 1.0)))
        found[2] = broadcast_back(node, tape, 2, addend)
    return found


OPERATOR = Operator(("Gemm",), lower, takes_activation=True, gradient=gradient)
