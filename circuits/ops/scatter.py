"""ScatterND and ScatterElements: a value with updates in places that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...verifier.program.types import AxisMap, Const, Operand, Term
from ..builder import Builder, Value, scaled
from ..graph import Array, Graph, Node
from ..maps import along, at, rows
from ..operator import Operator, axis_of, constants, first
from ..quantise import BIAS_MAX, MULT_MAX, Ints, coefficients
from .gather_nd import flat
from .indices import in_range, outside

ROUNDS_MAX = 8
"""Updates that may be added to the same place."""


@dataclass(frozen=True)
class Places:
    """Where updates go: in each round, the index of the update that a place takes, and whether.

    The updates are read through `view`, by `maps` and an index on `axis`; an index and a mask run
    along the axes `placed` of the space.
    """

    space: tuple[int, ...]
    placed: tuple[AxisMap, ...]
    view: tuple[int, ...]
    maps: tuple[AxisMap, ...]
    axis: int
    rounds: Sequence[tuple[Ints, Ints]]


def support(node: Node, graph: Graph) -> str | None:
    """Constant indices; `reduction` none (no two updates to one place), or add (up to 8)."""
    reduction = node.attributes.get("reduction", "none")
    if reduction not in ("none", "add"):
        return f"reduction {reduction!r}; only none and add are"
    reason = first(constants(node, graph, 1), _outside(node, graph))
    if reason is not None:
        return reason
    if all(graph.constant(node.input(n)) is not None for n in (0, 2)):
        return "both its data and its updates are constants"
    rounds = len(places(node, graph).rounds)
    if reduction == "none" and rounds > 1:
        return "two of its updates go to the same place"
    return f"more than {ROUNDS_MAX} updates go to the same place" if rounds > ROUNDS_MAX else None


def _outside(node: Node, graph: Graph) -> str | None:
    shape, index = graph.shapes[node.inputs[0]], graph.constant(node.input(1))
    if node.op != "ScatterND":
        return outside(node, graph, shape[axis_of(node, graph, 0)])
    if index is None:
        return None
    dims = np.array(shape[: index.shape[-1]])
    return "an index lies outside its axis" if ((index < -dims) | (index >= dims)).any() else None


def places(node: Node, graph: Graph) -> Places:
    """Where the updates of a node go."""
    shape, index = graph.shapes[node.inputs[0]], graph.constants[node.inputs[1]]
    if node.op == "ScatterND":
        depth = index.shape[-1]
        count, rest = math.prod(index.shape[:-1]), math.prod(shape[depth:])
        targets = flat(index, shape[:depth]).reshape(-1)
        rounds = _rounds(targets, np.arange(count), (math.prod(shape[:depth]),))
        space = (math.prod(shape[:depth]), rest)
        return Places(space, (along(0),), (count, rest), (at(), along(1)), 0, rounds)
    axis = axis_of(node, graph, 0)
    points = np.indices(index.shape)
    origins = points[axis].copy()
    points[axis] = in_range(index, shape[axis])
    targets = np.ravel_multi_index(tuple(points), shape).reshape(-1)
    maps = tuple(at() if n == axis else along(n) for n in range(len(shape)))
    rounds = _rounds(targets, origins.reshape(-1), shape)
    return Places(shape, rows(len(shape)), index.shape, maps, axis, rounds)


def _rounds(targets: Ints, origins: Ints, shape: tuple[int, ...]) -> list[tuple[Ints, Ints]]:
    """Each round gives every place one update at most."""
    rounds = []
    while len(targets):
        taken, chosen = np.unique(targets, return_index=True)
        index, mask = (np.zeros(math.prod(shape), np.int64) for _ in range(2))
        index[taken], mask[taken] = origins[chosen], 1
        rounds.append((index.reshape(shape), mask.reshape(shape)))
        targets, origins = (np.delete(array, chosen) for array in (targets, origins))
    return rounds


def lower(node: Node, builder: Builder) -> None:
    """A gather that brings the updates to their places, and a dot that joins them and the data.

    Masks carry the factors that bring both sides to the output's scale; constants are the bias.
    """
    graph, found = builder.graph, places(node, builder.graph)
    data, updates = (graph.constant(node.input(n)) for n in (0, 2))
    replaced = node.attributes.get("reduction", "none") == "none"
    kept = 1 - found.rounds[0][1] if replaced else np.ones_like(found.rounds[0][1])
    parts: list[tuple[Value, Ints]] = []
    addend = np.zeros(found.space)
    mask_shape = kept.shape + (1,) * (len(found.space) - kept.ndim)
    if data is None:
        parts.append((builder.values[node.inputs[0]], kept))
    else:
        addend += data.reshape(found.space) * kept.reshape(mask_shape)
    for number, (index, mask) in enumerate(found.rounds):
        if updates is None:
            parts.append((_placed(node, builder, found, index, number), mask))
        else:
            addend += _brought(updates, found, index) * mask.reshape(mask_shape)
    _join(node, builder, found, parts, addend)


def _placed(node: Node, builder: Builder, found: Places, index: Ints, number: int) -> Value:
    """The updates of a round in the output's shape; anything where there is none."""
    updates = builder.values[node.inputs[2]]
    name, width = f"placed {number}", builder.width(updates)
    out = builder.temporary(name, found.space, updates.code, width)
    pad = updates.code.zero if found.view != found.space else None
    source = builder.read(updates, found.maps, view=found.view, pad=pad, raw=True)
    peak = found.view[found.axis] - 1
    chosen = builder.weight(f"index {number}", index, peak, found.placed, signed=False)
    builder.gather(out, found.space, source, found.axis, chosen, suffix=name)
    return out


def _brought(updates: Array, found: Places, index: Ints) -> Array:
    """The same of constant updates."""
    values = updates.reshape(found.view)
    if index.ndim == 1:
        return values[index]
    spare = [(0, dim - have) for dim, have in zip(found.space, found.view, strict=True)]
    spare[found.axis] = (0, 0)
    return np.take_along_axis(np.pad(values, spare), index, found.axis)


def _join(
    node: Node,
    builder: Builder,
    found: Places,
    parts: Sequence[tuple[Value, Ints]],
    addend: Array,
) -> None:
    target = builder.target(node)
    ratios = [value.code.scale / target.pre.scale for value, _ in parts]
    used = addend if addend.any() else None
    numbers, shift, added = coefficients(
        node.name, ratios, target.pre.scale, used, fine=target.post.wide
    )
    terms = [
        Term(
            (),
            builder.read(value, rows(len(found.space)), view=found.space),
            builder.weight(f"mask {n}", mask * number, MULT_MAX, found.placed),
        )
        for n, ((value, mask), number) in enumerate(zip(parts, numbers, strict=True))
    ]
    bias: Operand | None = None
    if added is not None:
        read = builder.weight("addend", added.numbers, BIAS_MAX, rows(len(found.space)))
        bias, more = scaled(read, added.power)
        terms += more
    builder.requantised(node, found.space, terms, target, mult=Const(1), shift=shift, bias=bias)


OPERATOR = Operator(("Scatter", "ScatterElements", "ScatterND"), lower, support)
