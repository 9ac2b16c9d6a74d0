"""What a gate reads: index maps, pads and zero points, over many gates at once.

A batch of G gates with a window of K points makes arrays of shape [G, K]; whatever does not depend
on the gate, or not on the window, keeps an axis of length 1 and is broadcast by whoever uses it.
Everything is exact in int64 for a program that `validate` and `ranges` accept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..program.types import ABSENT, AxisMap, Const, Operand, Read
from ..sums import Sums

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

CHUNK = 2**20
"""Window points that are worked on at once; about eight int64 arrays of this size live together."""


class Values(Protocol):
    """Where the values of tensors come from."""

    def read(self, tensor: int, offsets: Ints) -> Ints:
        """The int64 values of a tensor at row-major offsets of any shape, in that shape."""


@dataclass(frozen=True)
class Points:
    """Coordinates: of gates a [G, 1] array per axis, of the window a [1, K] array per axis."""

    i: tuple[Ints, ...]
    k: tuple[Ints, ...]
    gates: int
    window: int


def points(space: Sequence[int], window: Sequence[int], gates: Ints) -> Points:
    """The points that these gates visit; `gates` [G] are row-major numbers over the space."""
    size = math.prod(window)
    return Points(
        i=tuple(axis[:, None] for axis in _unravel(gates, space)),
        k=tuple(axis[None, :] for axis in _unravel(np.arange(size, dtype=np.int64), window)),
        gates=len(gates),
        window=size,
    )


def chunks(gates: Ints, window: int) -> Iterator[Ints]:
    """The gates in runs that visit at most about `CHUNK` points each."""
    step = max(1, CHUNK // window)
    for start in range(0, len(gates), step):
        yield gates[start : start + step]


def operand_values(operand: Operand, at: Points, values: Values) -> Ints:
    """The operand's values, broadcastable to [G, K]: read - zero, or the constant."""
    if isinstance(operand, Const):
        return np.full((1, 1), operand.value, np.int64)
    offsets, inside = locate(operand, at)
    return padded(operand, offsets, inside, values)


def padded(read: Read, offsets: Ints, inside: Mask | None, values: Values) -> Ints:
    """The values at these offsets, and the pad where `inside` is false, minus the zero."""
    if inside is None:
        return values.read(read.tensor, offsets) - read.zero
    found = np.full(offsets.shape, read.pad, np.int64)
    found[inside] = values.read(read.tensor, offsets[inside])
    return found - read.zero


def operand_offsets(read: Read, at: Points) -> Ints:
    """The row-major offsets that are read, 1-D, pads left out."""
    offsets, inside = locate(read, at)
    return offsets.ravel() if inside is None else offsets[inside]


def locate(read: Read, at: Points) -> tuple[Ints, Mask | None]:
    """Row-major offsets, broadcastable to [G, K], and where they are no pads (None: everywhere).

    Offsets under a pad are meaningless.
    """
    offsets, inside = locate_apart(read, at)
    if inside is None:
        return offsets.full(), None
    shape = np.broadcast_shapes(offsets.of_gate.shape, inside.shape)
    return np.broadcast_to(offsets.of_gate, shape), np.broadcast_to(inside, shape)


def locate_apart(read: Read, at: Points) -> tuple[Sums, Mask | None]:
    """The same as sums; where there are pads they are not apart.

    An axis that cannot leave its range splits into a part of the gate and a part of the window;
    only the others are worked out point by point.
    """
    gate_part = np.zeros((1, 1), np.int64)
    window_part = np.zeros((1, 1), np.int64)
    mixed_part = np.zeros((1, 1), np.int64)
    inside: Mask | None = None
    stride = math.prod(read.view)
    for dim, m in zip(read.view, read.maps, strict=True):
        stride //= dim
        of_gate, of_window = _parts(m, at)
        if m.d == 1 and _always_inside(of_gate, of_window, dim):
            gate_part = gate_part + of_gate * stride
            window_part = window_part + of_window * stride
            continue
        index, remainder = np.divmod(of_gate + of_window, m.d)
        fits = (remainder == 0) & (index >= 0) & (index < dim)
        mixed_part = mixed_part + np.where(fits, index, 0) * stride
        inside = fits if inside is None else inside & fits
    if inside is None:
        return Sums(gate_part, window_part), None
    return Sums.of(gate_part + window_part + mixed_part), None if inside.all() else inside


def _parts(m: AxisMap, at: Points) -> tuple[Ints, Ints]:
    """a·i + c as [G, 1] and b·k as [1, K]."""
    none = np.zeros((1, 1), np.int64)
    of_gate = none if m.i_axis == ABSENT else m.a * at.i[m.i_axis]
    of_window = none if m.k_axis == ABSENT else m.b * at.k[m.k_axis]
    return of_gate + m.c, of_window


def _always_inside(of_gate: Ints, of_window: Ints, dim: int) -> bool:
    lowest = of_gate.min() + of_window.min()
    highest = of_gate.max() + of_window.max()
    return bool(lowest >= 0 and highest < dim)


def _unravel(numbers: Ints, dims: Sequence[int]) -> tuple[Ints, ...]:
    """Row-major coordinates, one array per axis; none for rank 0."""
    axes: list[Ints] = []
    for dim in reversed(dims):
        numbers, axis = np.divmod(numbers, dim)
        axes.append(axis)
    return tuple(reversed(axes))
