"""Functions of one value: fused into the dot before them, or a dot of their own with a table."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import rows
from ..operator import Operator, computed, first
from ..quantise import Affine, Floats, clamp
from ..tape import Gradient, Tape, elementwise


def activation(
    name: str,
    *,
    bounds: Callable[[Node, Graph], tuple[float, float]] | None = None,
    function: Callable[[Node, Graph], Callable[[Floats], Floats]] | None = None,
    saturation: float = math.inf,
    support: Callable[[Node, Graph], str | None] = computed,
    slope: Callable[[Node, Tape], str] | None = None,
    gradient: Gradient | None = None,
) -> Operator:
    """An operator with either `bounds` (a clamp) or a `function`; its derivative is `slope`."""

    def lower(node: Node, builder: Builder) -> None:
        post = builder.code(node.output)
        if bounds is not None:
            low, high = bounds(node, builder.graph)
            post = clamp(post, low, high)
            apply(node, builder, lambda x: np.clip(x, low, high), post)
        else:
            assert function is not None
            apply(node, builder, function(node, builder.graph), post)

    def supported(node: Node, graph: Graph) -> str | None:
        return first(computed(node, graph), support(node, graph))

    return Operator(
        (name,),
        lower,
        supported,
        bounds=bounds,
        function=function,
        saturation=saturation,
        gradient=gradient if slope is None else elementwise(slope),
    )


def apply(node: Node, builder: Builder, function: Callable[[Floats], Floats], post: Affine) -> None:
    """A dot of one product (by 1): the raw value is the index of the table."""
    x = builder.values[node.inputs[0]]
    space = builder.shape(node)
    table = builder.table(node.name, function, x.code, post)
    source = builder.read(x, rows(len(space)), raw=True)
    out = builder.define(node, post)
    builder.dot(out, space, [Term((), source, Const(1))], zero=0, table=table)
