"""Sigmoid: 1 / (1 + exp(-x))."""

from __future__ import annotations

import numpy as np

from ..quantise import Floats
from .elementwise import activation


def sigmoid(x: Floats) -> Floats:
    """The function, in the form that cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


OPERATOR = activation("Sigmoid", function=lambda node, graph: sigmoid, saturation=8.0)
