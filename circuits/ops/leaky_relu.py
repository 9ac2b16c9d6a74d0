"""LeakyRelu: x for x ≥ 0, alpha·x below."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..graph import Graph, Node
from ..quantise import Floats
from .elementwise import activation


def function(node: Node, graph: Graph) -> Callable[[Floats], Floats]:
    """The function with the node's alpha (default 0.01)."""
    alpha = float(node.attributes.get("alpha", 0.01))
    return lambda x: np.where(x < 0.0, alpha * x, x)


OPERATOR = activation("LeakyRelu", function=function)
