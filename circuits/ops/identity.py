"""Identity, and Dropout as inference has it; Constant is folded when the graph is read."""

from __future__ import annotations

from ..graph import Graph, Node, is_identity
from ..operator import Operator, computed, first
from ..tape import of_first, reshaped
from .view import lower


def support(node: Node, graph: Graph) -> str | None:
    """No Dropout in training mode, no mask."""
    if not is_identity(node, graph):
        return "training_mode is set"
    read_names = {name for other in graph.nodes for name in other.inputs} | set(graph.outputs)
    mask = [name for name in node.outputs[1:] if name in read_names]
    return first("its mask is used" if mask else None, computed(node, graph))


OPERATOR = Operator(
    ("Identity", "Dropout"),
    lower,
    support,
    is_view=True,
    takes_integers=True,
    gradient=of_first(reshaped),
)
