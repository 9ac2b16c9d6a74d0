"""GatherND: slices of a value by tuples of indices."""

from __future__ import annotations

import math

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, at
from ..operator import Operator, computed, constants, first
from .indices import in_range


def support(node: Node, graph: Graph) -> str | None:
    """Constant indices inside their axes."""
    reason = first(computed(node, graph), constants(node, graph, 1))
    if reason is not None:
        return reason
    index, shape = graph.constants[node.inputs[1]], graph.shapes[node.inputs[0]]
    batch = int(node.attributes.get("batch_dims", 0))
    dims = np.array(shape[batch : batch + index.shape[-1]])
    return "an index lies outside its axis" if ((index < -dims) | (index >= dims)).any() else None


def lower(node: Node, builder: Builder) -> None:
    """One gather: the axes that a tuple indexes are one axis of the view, as are those around."""
    x = builder.values[node.inputs[0]]
    given = builder.graph.constants[node.inputs[1]]
    batch = int(node.attributes.get("batch_dims", 0))
    end = batch + given.shape[-1]
    outer, count = math.prod(x.shape[:batch]), math.prod(given.shape[batch:-1])
    view = (outer, math.prod(x.shape[batch:end]), math.prod(x.shape[end:]))
    order = flat(given, x.shape[batch:end]).reshape(outer, count)
    index = builder.weight("index", order, view[1] - 1, (along(0), along(1)), signed=False)
    source = builder.read(x, (along(0), at(), along(2)), view=view, raw=True)
    builder.gather(builder.define_like(node, x), (outer, count, view[2]), source, 1, index)


def flat(index: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Tuples of indices (the last axis) as offsets into these dims, row-major."""
    columns = [in_range(index[..., n], dim) for n, dim in enumerate(dims)]
    return np.ravel_multi_index(columns, dims)


OPERATOR = Operator(("GatherND",), lower, support, takes_integers=True)
