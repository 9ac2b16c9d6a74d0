"""Which nodes of a network mix the items of a batch (docs/protocol.md section 1, rule 9)."""

from __future__ import annotations

from collections.abc import Mapping

from ..verifier.program.items import mixing
from .errors import MixesItems, named
from .graph import Graph
from .lowering import lower
from .ops import OPERATORS


def itemised(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> bool:
    """Whether the items of a batch whose size the file fixes cannot mix.

    Then the batch is one of items, as a dynamic one is; else all of it is one item.
    """
    return not mixing(lower(graph, ranges, OPERATORS, sketched=True).program)


def refuse_mixing(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a network with a dynamic batch in which an item's result depends on other items.

    Args:
        graph: what is to be lowered, at a batch of at least 2: one item has no others to mix with.
        ranges: calibrated, by value.

    Raises:
        MixesItems: it lists all nodes that mix.
    """
    lowered = lower(graph, ranges, OPERATORS, sketched=True)
    node_of = {op: layer for layer in lowered.layers for op in layer.ops}
    reasons: dict[str, str] = {}
    for found in mixing(lowered.program):
        if found.op is None:
            reasons.setdefault(found.reason, found.reason)
        else:
            layer = node_of[found.op]
            said = f"node {named(layer.name)} ({layer.op}) reads across the batch: {found.reason}"
            reasons.setdefault(layer.name, said)
    if reasons:
        raise MixesItems(
            "the model mixes the items of its batch:\n  " + "\n  ".join(reasons.values()),
            expected="every item's result follows from that item alone",
            hint="export the model with a fixed batch, or give it one (--dim NAME=N): the whole "
            "batch is then one item, and nothing is padded",
        )
