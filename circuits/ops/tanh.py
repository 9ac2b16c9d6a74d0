"""Tanh."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..tape import Tape
from .elementwise import activation


def slope(node: Node, tape: Tape) -> str:
    """1 − y²."""
    return tape.sub(tape.constant(1.0), tape.mul(node.output, node.output))


OPERATOR = activation("Tanh", function=lambda node, graph: np.tanh, saturation=5.0, slope=slope)
