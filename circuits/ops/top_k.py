"""TopK: the largest or smallest values along an axis in their order, and where they stand.

One value is the extreme of its line. For more, each value is given its rank: the number of values
that come before it, of equal ones those with a lower index. The value of rank r is the r-th.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...verifier.program.types import AxisMap, Const, PickMode, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, at, over, rows
from ..operator import Operator, axis_of, computed, constants, first
from ..quantise import Affine

LINE_MAX, SORTED_MAX = 2**15, 2**12


def support(node: Node, graph: Graph) -> str | None:
    """A constant k: of up to 2^15 values the largest one, of up to 2^12 any number."""
    reason = first(computed(node, graph), constants(node, graph, 1))
    if reason is not None:
        return reason
    most = LINE_MAX if _alone(node, graph) else SORTED_MAX
    if graph.shapes[node.inputs[0]][axis_of(node, graph, -1)] > most:
        return f"it runs over more than {most} values"
    deep = len(graph.shapes[node.inputs[0]]) > 7
    return "it has more than 7 axes" if deep else None


def _alone(node: Node, graph: Graph) -> bool:
    """Whether it takes the largest one."""
    given = graph.constant(node.input(1))
    count = int(node.attributes.get("k", 1) if given is None else given.item())
    return count == 1 and bool(node.attributes.get("largest", 1))


def lower(node: Node, builder: Builder) -> None:
    """One pick of mode max, one of mode argmax; or ranks. What is not used is left out."""
    graph = builder.graph
    used = [name if name in graph.outputs or graph.consumers(name) else "" for name in node.outputs]
    values, indices = (*used, "")[:2]
    if _alone(node, graph):
        _extreme(node, builder, values, indices)
    else:
        _sorted(node, builder, values, indices)


def _extreme(node: Node, builder: Builder, values: str, indices: str) -> None:
    x, axis = builder.values[node.inputs[0]], axis_of(node, builder.graph, -1)
    count = x.shape[axis]
    space = tuple(1 if n == axis else dim for n, dim in enumerate(x.shape))
    maps = [over(0) if n == axis else along(n) for n in range(len(space))]
    source = builder.read(x, maps, raw=True)
    if values:
        out = builder.define_like(replace(node, outputs=(values,)), x)
        builder.pick(out, space, source, mode=PickMode.MAX, window=(count,))
    if indices:
        out = _indices(node, builder, indices, count)
        builder.pick(out, space, source, mode=PickMode.ARGMAX, window=(count,))


def _indices(node: Node, builder: Builder, name: str, count: int) -> Value:
    code = Affine(1.0, 0, 0, count - 1)
    of = replace(node, outputs=(name,))
    return builder.define(of, code, integer=True, width=1 if count <= 2**7 else 2)


def _sorted(node: Node, builder: Builder, values: str, indices: str) -> None:
    x, graph = builder.values[node.inputs[0]], builder.graph
    axis = axis_of(node, graph, -1)
    count, space = x.shape[axis], graph.shapes[values or indices]
    ranks = _ranks(node, builder, x, axis)
    pairs = (*space, count)
    across = [along(len(space)) if n == axis else along(n) for n in range(len(space))]
    hot = builder.temporary("is of rank", pairs, Affine(1.0, 0, 0, 1))
    number = np.arange(space[axis])
    rank = builder.weight("rank", number, max(count - 1, 1), (along(axis),), signed=False)
    ranked = builder.read(ranks, across, raw=True)
    builder.pick(hot, pairs, ranked, rank, mode=PickMode.EQUAL, suffix="is of rank")
    if indices:
        index = _indices(node, builder, indices, count)
    else:
        code, width = Affine(1.0, 0, 0, count - 1), 1 if count <= 2**7 else 2
        index = builder.temporary("index", space, code, width)
    each = builder.read(hot, (*rows(len(space)), over(0)), raw=True)
    builder.pick(index, space, each, mode=PickMode.ARGMAX, window=(count,), suffix="index")
    if values:
        out = builder.define_like(replace(node, outputs=(values,)), x)
        found = builder.read(index, rows(len(space)), raw=True)
        maps = [at() if n == axis else along(n) for n in range(len(space))]
        builder.gather(out, space, builder.read(x, maps, raw=True), axis, found)


def _ranks(node: Node, builder: Builder, x: Value, axis: int) -> Value:
    """How many values of its line come before each value."""
    count, deep = x.shape[axis], len(x.shape)
    pairs, truth = (*x.shape, count), Affine(1.0, 0, 0, 1)
    own = builder.read(x, rows(deep), raw=True)
    other = builder.read(x, [along(deep) if n == axis else along(n) for n in range(deep)], raw=True)
    before = (other, own) if node.attributes.get("largest", 1) else (own, other)
    beyond = builder.temporary("comes before", pairs, truth)
    builder.pick(beyond, pairs, *before, mode=PickMode.GREATER, suffix="comes before")
    equal = builder.temporary("is equal", pairs, truth)
    builder.pick(equal, pairs, own, other, mode=PickMode.EQUAL, suffix="is equal")
    lower_index = np.tril(np.ones((count, count), np.int64), -1)
    maps: list[AxisMap] = [along(axis), over(0)]
    earlier = builder.weight("lower index", lower_index, 1, maps, signed=False)
    each = (*rows(deep), over(0))
    terms = [
        Term((count,), builder.read(beyond, each, raw=True), Const(1)),
        Term((count,), builder.read(equal, each, raw=True), earlier),
    ]
    ranks = builder.temporary("ranks", x.shape, Affine(1.0, 0, 0, count - 1), 2)
    builder.dot(ranks, x.shape, terms, suffix="ranks")
    return ranks


OPERATOR = Operator(("TopK",), lower, support, takes_integers=True)
