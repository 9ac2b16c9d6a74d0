"""Sigmoid: 1 / (1 + exp(-x))."""

from __future__ import annotations

import numpy as np

from ..quantise import Floats
from .elementwise import activation


def sigmoid(x: Floats) -> Floats:
    """The function; the domain of a table is far from overflow."""
    return 1.0 / (1.0 + np.exp(-x))


OPERATOR = activation("Sigmoid", function=lambda node, graph: sigmoid)
