"""Gemm: y = x·wᵀ + b with constant w [N, K], for any rank of x (`fuse` brings it to this form)."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, over, rows
from ..operator import Operator, computed, constants, first


def support(node: Node, graph: Graph) -> str | None:
    """B and C must be constants, C one number per column, A not transposed."""
    if node.attributes.get("transA", 0):
        return "transA is set"
    reason = first(computed(node, graph), constants(node, graph, 1, 2))
    bias = graph.constant(node.input(2))
    if reason is None and bias is not None and bias.ndim == 2 and bias.shape[0] != 1:
        return "C differs from row to row"
    return reason


def lower(node: Node, builder: Builder) -> None:
    """One dot over k: space [..., N], rows of x by rows of w."""
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
    )


OPERATOR = Operator(("Gemm",), lower, support, takes_activation=True)
