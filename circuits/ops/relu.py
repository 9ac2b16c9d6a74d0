"""Relu: max(x, 0)."""

from __future__ import annotations

import math

from .elementwise import activation

OPERATOR = activation("Relu", bounds=lambda node, graph: (0.0, math.inf))
