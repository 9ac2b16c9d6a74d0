"""Relu: max(x, 0)."""

from __future__ import annotations

import math

from ..tape import of_first
from .elementwise import activation

OPERATOR = activation(
    "Relu",
    bounds=lambda node, graph: (0.0, math.inf),
    # The output tells as well as the input where x > 0, and it exists where the two are fused.
    gradient=of_first(
        lambda node, tape, dy: tape.masked(
            tape.compare("Greater", node.output, tape.constant(0.0)), dy
        )
    ),
)
