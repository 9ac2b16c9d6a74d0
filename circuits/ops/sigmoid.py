"""Sigmoid: 1 / (1 + exp(-x))."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..quantise import Floats
from ..tape import Tape
from .elementwise import activation


def sigmoid(x: Floats) -> Floats:
    """The function, in the form that cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def slope(node: Node, tape: Tape) -> str:
    """Y times 1 − y."""
    y = node.output
    return tape.mul(y, tape.sub(tape.constant(1.0), y))


OPERATOR = activation("Sigmoid", function=lambda node, graph: sigmoid, saturation=8.0, slope=slope)
