"""Live gates: those whose element reaches an output or a state (protocol section 3).

Dead gates occur in ordinary networks, but errors hidden in them harm nobody and samples spent on
them see nothing; the sample counts are about live gates only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidProgram
from .operands import slots
from .types import ABSENT, AxisMap, Gather, Op, Program, Read, Role, gates

MAX_MARKING = 2**32
"""Units of work, about one for each element that marking may touch."""

_BLOCK = 1 << 20
"""Pairs of a gate and a window point that are worked on at once."""

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


def live_gates(program: Program) -> tuple[int, ...]:
    """`L_c`: the number of live gates of each op, at least 1; call after `validate`.

    Raises:
        InvalidProgram: marking is too much work, or an op has no live gate.
    """
    counts = count_live(program)
    for op, count in zip(program.ops, counts, strict=True):
        if count == 0:
            raise InvalidProgram(f"op {op.name!r}: no gate reaches an output or a state")
    return tuple(counts)


def count_live(program: Program) -> list[int]:
    """`L_c` of each op, 0 where none reaches an output or a state.

    Raises:
        InvalidProgram: marking is too much work.
    """
    work = marking_work(program)
    if work > MAX_MARKING:
        raise InvalidProgram(
            "to mark the live gates is too much work",
            expected=f"at most {MAX_MARKING}",
            received=work,
        )
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


def marking_work(program: Program) -> int:
    """What marking costs at most: per operand that reads a value, the points and both ends."""
    return sum(
        _points(read, window, op.space) + program.tensors[read.tensor].size + gates(op)
        for op in program.ops
        for read, window in _reads(op)
        if program.tensors[read.tensor].role is Role.VALUE
    )


def _points(read: Read, window: tuple[int, ...], space: tuple[int, ...]) -> int:
    """Combinations of the axes that the maps name."""
    i_axes = {m.i_axis for m in read.maps} - {ABSENT}
    k_axes = {m.k_axis for m in read.maps} - {ABSENT}
    return math.prod(space[axis] for axis in i_axes) * math.prod(window[axis] for axis in k_axes)


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
    projected: Mask = np.asarray(live.reshape(space).any(axis=unused))
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
        hit = np.zeros(dim, bool)
        for i, k in _blocks(
            1 if axis_map.i_axis == ABSENT else space[axis_map.i_axis],
            1 if axis_map.k_axis == ABSENT else window[axis_map.k_axis],
        ):
            index, valid = _index(axis_map, dim, i[:, None], k[None, :])
            hit[index[valid]] = True
        sets.append(np.flatnonzero(hit))
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
    alive = projected.ravel()
    k_dims = [window[axis] for axis in k_axes]
    for run, steps in _blocks(alive.size, math.prod(k_dims)):
        live = run[alive[run]]
        i_at = dict(zip(i_axes, _coordinates(live, projected.shape), strict=True))
        k_at = dict(zip(k_axes, _coordinates(steps, k_dims), strict=True))
        offset = np.zeros((len(live), len(steps)), np.int64)
        inside = np.ones(offset.shape, bool)
        for axis_map, dim in zip(read.maps, read.view, strict=True):
            i = i_at.get(axis_map.i_axis, np.zeros(1, np.int64))
            k = k_at.get(axis_map.k_axis, np.zeros(1, np.int64))
            index, valid = _index(axis_map, dim, i[:, None], k[None, :])
            inside &= valid
            offset *= dim
            offset += index
        target[offset[inside]] = True


def _blocks(gates: int, steps: int) -> Iterator[tuple[Ints, Ints]]:
    """Runs of gates and of window points that cover all pairs, at most `_BLOCK` pairs at a time."""
    width = min(steps, _BLOCK)
    height = _BLOCK // width
    for first in range(0, gates, height):
        run = np.arange(first, min(first + height, gates), dtype=np.int64)
        for start in range(0, steps, width):
            yield run, np.arange(start, min(start + width, steps), dtype=np.int64)


def _coordinates(numbers: Ints, dims: Sequence[int]) -> list[Ints]:
    """Row-major coordinates, one array per axis."""
    axes: list[Ints] = []
    for dim in reversed(dims):
        numbers, axis = np.divmod(numbers, dim)
        axes.append(axis)
    return axes[::-1]


def _index(axis_map: AxisMap, dim: int, i: Ints, k: Ints) -> tuple[Ints, Mask]:
    """The index on one view axis (0 where not valid) and where it is valid."""
    at = axis_map.a * i + axis_map.b * k + axis_map.c
    index, rest = np.divmod(at, axis_map.d)
    valid = (rest == 0) & (index >= 0) & (index < dim)
    return np.where(valid, index, 0), valid
