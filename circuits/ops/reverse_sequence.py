"""ReverseSequence: the first steps of each sequence in the opposite order."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, at
from ..operator import Operator, computed, constants, first


def support(node: Node, graph: Graph) -> str | None:
    """Lengths that are constants."""
    return first(computed(node, graph), constants(node, graph, 1))


def lower(node: Node, builder: Builder) -> None:
    """One gather along the time axis by a constant index for each sequence and step."""
    x = builder.values[node.inputs[0]]
    time = int(node.attributes.get("time_axis", 0))
    batch = int(node.attributes.get("batch_axis", 1))
    lengths = builder.graph.constants[node.inputs[1]].reshape(-1, 1)
    step = np.arange(x.shape[time])
    order = np.where(step < lengths, lengths - 1 - step, step).astype(np.int64)
    peak = x.shape[time] - 1
    index = builder.weight("order", order, peak, (along(batch), along(time)), signed=False)
    maps = [at() if axis == time else along(axis) for axis in range(len(x.shape))]
    source = builder.read(x, maps, raw=True)
    builder.gather(builder.define_like(node, x), x.shape, source, time, index)


OPERATOR = Operator(("ReverseSequence",), lower, support, takes_integers=True)
