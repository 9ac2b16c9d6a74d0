"""Live gates: those whose element reaches an output or a state (protocol section 3).

Dead gates occur in ordinary networks, but errors hidden in them harm nobody and samples spent on
them see nothing; the sample counts are raised by the share that this module derives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..errors import InvalidProgram
from .operands import slots
from .types import ABSENT, AxisMap, Gather, Op, Program, Read, Role
from .weights import GateWeights

SCALE = 1024
"""The live share is a whole number of 1/1024."""

_CHUNK = 1 << 22
Mask = np.ndarray


def live_share(program: Program, weights: GateWeights) -> int:
    """`live`: 1024 times the live share of the step weight, rounded down; 1 to 1024.

    Raises:
        InvalidProgram: an op has no live gate, or the share is below 1/1024.
    """
    counts = live_gates(program)
    for op, count in zip(program.ops, counts, strict=True):
        if count == 0:
            raise InvalidProgram(f"op {op.name}: no gate reaches an output or a state")
    alive = sum(count * weight for count, weight in zip(counts, weights.weight, strict=True))
    share = SCALE * alive // weights.step_weight
    if share < 1:
        raise InvalidProgram("less than 1/1024 of the step weight reaches an output or a state")
    return share


def live_gates(program: Program) -> list[int]:
    """`L_c`: the number of live gates of each op; call after `validate`."""
    roots = {port.tensor for port in program.outputs} | {link.value for link in program.states}
    masks = {
        number: np.full(program.tensors[number].size, number in roots)
        for number in program.of_role(Role.VALUE)
    }
    counts = [0] * len(program.ops)
    for number, op in reversed(list(enumerate(program.ops))):
        live = masks[op.out]
        counts[number] = int(np.count_nonzero(live))
        for read, window in _reads(op):
            target = masks.get(read.tensor)
            if target is not None and counts[number] and not target.all():
                _mark(target, read, window, op.space, live)
    return counts


def _reads(op: Op) -> Iterator[tuple[Read, tuple[int, ...]]]:
    """The tensor operands with their windows; a gather's source gets its axis as a window."""
    for slot in slots(op):
        if not isinstance(slot.operand, Read):
            continue
        if isinstance(op, Gather) and slot.operand is op.source:
            maps = list(op.source.maps)
            maps[op.axis] = AxisMap(k_axis=0, b=1)
            yield replace(op.source, maps=tuple(maps)), (op.source.view[op.axis],)
        else:
            yield slot.operand, slot.window


def _mark(
    target: Mask, read: Read, window: tuple[int, ...], space: tuple[int, ...], live: Mask
) -> None:
    """Set every element of `target` (flat) that a live gate of `space` reads."""
    i_axes = sorted({m.i_axis for m in read.maps} - {ABSENT})
    k_axes = sorted({m.k_axis for m in read.maps} - {ABSENT})
    unused = tuple(axis for axis in range(len(space)) if axis not in i_axes)
    projected = np.asarray(live.reshape(space).any(axis=unused))
    uses = [m.i_axis for m in read.maps if m.i_axis != ABSENT]
    uses_k = [m.k_axis for m in read.maps if m.k_axis != ABSENT]
    if projected.all() and len(uses) == len(i_axes) and len(uses_k) == len(k_axes):
        _mark_product(target, read, window, space)
    else:
        _mark_each(target, read, window, i_axes, k_axes, projected)


def _mark_product(
    target: Mask, read: Read, window: tuple[int, ...], space: tuple[int, ...]
) -> None:
    """No axis is shared and all gates are live: what is read is a product of index sets."""
    sets = []
    for axis_map, dim in zip(read.maps, read.view, strict=True):
        i = np.arange(1 if axis_map.i_axis == ABSENT else space[axis_map.i_axis])
        k = np.arange(1 if axis_map.k_axis == ABSENT else window[axis_map.k_axis])
        index, valid = _index(axis_map, dim, i[:, None], k[None, :])
        sets.append(np.unique(index[valid]))
    target.reshape(read.view)[np.ix_(*sets)] = True


def _mark_each(
    target: Mask,
    read: Read,
    window: tuple[int, ...],
    i_axes: list[int],
    k_axes: list[int],
    projected: Mask,
) -> None:
    """Walk over the live combinations of the axes that the maps use."""
    combos = np.argwhere(projected)
    dims = [window[axis] for axis in k_axes]
    steps = np.indices(dims).reshape(len(dims), math.prod(dims))
    size = max(1, _CHUNK // max(1, steps.shape[1]))
    for start in range(0, len(combos), size):
        part = combos[start : start + size]
        offset = np.zeros((len(part), steps.shape[1]), np.int64)
        inside = np.ones_like(offset, bool)
        for axis, (axis_map, dim) in enumerate(zip(read.maps, read.view, strict=True)):
            i = part[:, i_axes.index(axis_map.i_axis)] if axis_map.i_axis != ABSENT else np.zeros(1)
            k = steps[k_axes.index(axis_map.k_axis)] if axis_map.k_axis != ABSENT else np.zeros(1)
            index, valid = _index(axis_map, dim, i[:, None], k[None, :])
            inside &= valid
            offset += index * math.prod(read.view[axis + 1 :])
        target[offset[inside]] = True


def _index(
    axis_map: AxisMap, dim: int, i: np.ndarray, k: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The index on one view axis (0 where not valid) and where it is valid."""
    at = axis_map.a * i.astype(np.int64) + axis_map.b * k.astype(np.int64) + axis_map.c
    index, rest = np.divmod(at, axis_map.d)
    valid = (rest == 0) & (index >= 0) & (index < dim)
    return np.where(valid, index, 0), valid
