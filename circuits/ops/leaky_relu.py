"""LeakyRelu: x for x ≥ 0, alpha·x below."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..graph import Graph, Node
from ..quantise import Floats
from ..tape import Tape
from .elementwise import activation


def function(node: Node, graph: Graph) -> Callable[[Floats], Floats]:
    """The function with the node's alpha (default 0.01)."""
    alpha = float(node.attributes.get("alpha", 0.01))
    return lambda x: np.where(x < 0.0, alpha * x, x)


def slope(node: Node, tape: Tape) -> str:
    """1 above 0, alpha below."""
    alpha = float(node.attributes.get("alpha", 0.01))
    positive = tape.compare("Greater", node.inputs[0], tape.constant(0.0))
    return tape.where(positive, tape.constant(1.0), tape.constant(alpha))


OPERATOR = activation("LeakyRelu", function=function, slope=slope)
