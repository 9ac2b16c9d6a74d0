"""Pow with one constant exponent (or one constant base, see `composite`): a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..graph import Graph, Node
from ..operator import constants, first
from ..quantise import Floats
from ..tape import Tape
from .elementwise import activation


def support(node: Node, graph: Graph) -> str | None:
    """One exponent for all elements."""
    exponent = graph.constant(node.input(1))
    several = exponent is not None and exponent.size != 1
    reason = "its exponent differs from element to element" if several else None
    return first(constants(node, graph, 1), reason)


def function(node: Node, graph: Graph) -> Callable[[Floats], Floats]:
    """X to the node's exponent."""
    exponent = float(graph.constants[node.inputs[1]].item())
    return lambda x: np.power(x, exponent)


def slope(node: Node, tape: Tape) -> str:
    """The exponent times x to the exponent less 1."""
    exponent = float(tape.graph.constants[node.inputs[1]].item())
    if exponent == 2.0:
        return tape.scaled(node.inputs[0], 2.0)
    power = tape.emit(
        "Pow", (node.inputs[0], tape.constant(exponent - 1.0)), tape.shape(node.output)
    )
    return tape.scaled(power, exponent)


OPERATOR = activation("Pow", function=function, support=support, slope=slope)
