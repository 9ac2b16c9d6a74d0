"""LRN: x / (bias + alpha/size · Σ x²)^beta, the sum over neighbouring channels."""

from __future__ import annotations

from ...verifier.program.types import AxisMap, Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import rows
from ..operator import Operator, computed, first
from ..quantise import Affine, Floats, domain, multiplier
from .reduction import SQUARES_MAX, reach

FACTOR_MAX = 2**14
"""The factor of x has 15 bits."""


def support(node: Node, graph: Graph) -> str | None:
    """A positive bias and no negative alpha, so that the factor is finite."""
    bias, alpha = float(node.attributes.get("bias", 1.0)), float(node.attributes.get("alpha", 1e-4))
    if bias <= 0.0 or alpha < 0.0 or float(node.attributes.get("beta", 0.75)) < 0.0:
        return "its bias is not positive, or alpha or beta is negative"
    wide = int(node.attributes["size"]) > SQUARES_MAX
    return first(computed(node, graph), f"its size is above {SQUARES_MAX}" if wide else None)


def lower(node: Node, builder: Builder) -> None:
    """The factor as a table of the sum of squares, and its product with x."""
    x, space = builder.values[node.inputs[0]], builder.shape(node)
    size = int(node.attributes["size"])
    alpha = float(node.attributes.get("alpha", 1e-4)) / size
    beta, bias = float(node.attributes.get("beta", 0.75)), float(node.attributes.get("bias", 1.0))

    def factor(squares: Floats) -> Floats:
        return (bias + alpha * squares) ** -beta

    code = Affine(bias**-beta / FACTOR_MAX, 0, 0, FACTOR_MAX)
    largest = min(size, space[1]) * (reach(x.code) * x.code.scale) ** 2
    pre = domain(factor, 0.0, largest, code)
    table = builder.table(node.name, factor, pre, code)
    maps = list(rows(len(space)))
    maps[1] = AxisMap(i_axis=1, a=1, k_axis=0, b=1, c=-((size - 1) // 2))
    source = builder.read(x, maps, pad=x.code.zero)
    mult, shift = multiplier(node.name, x.code.scale**2 / pre.scale)
    by = builder.temporary("factor", space, code, 2)
    terms = [Term((size,), source, source)]
    builder.dot(
        by, space, terms, mult=Const(mult), shift=shift, zero=pre.zero, table=table, suffix="factor"
    )

    target = builder.target(node)
    mult, shift = multiplier(node.name, x.code.scale * code.scale / target.pre.scale)
    each = rows(len(space))
    terms = [Term((), builder.read(x, each), builder.read(by, each))]
    builder.requantised(node, space, terms, target, mult=Const(mult), shift=shift)


OPERATOR = Operator(("LRN",), lower, support, takes_activation=True)
