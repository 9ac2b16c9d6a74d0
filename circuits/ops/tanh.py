"""Tanh."""

from __future__ import annotations

import numpy as np

from .elementwise import activation

OPERATOR = activation("Tanh", function=lambda node, graph: np.tanh, saturation=5.0)
