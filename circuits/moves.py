"""Values in other places: an output whose index on each axis picks an index on that axis.

Slices, pads, tiles, splits and constant gathers are such moves. An axis whose indices are an affine
function of the output's index, or of the quotient or remainder of it, costs nothing but a map; all
of these together are one copy. Any other axis is a gather by a constant index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..verifier.program.types import AxisMap
from .builder import Builder, Value
from .graph import Node
from .maps import along, at
from .quantise import Ints

OUTSIDE = -1
"""An index that stands for the filler."""

RANK_MAX = 8


@dataclass(frozen=True)
class _Axis:
    """An axis of the output: the space axes that it is split into, and its map on them."""

    space: tuple[int, ...]
    digit: int = 0
    step: int = 0
    offset: int = 0

    def map(self, first: int) -> AxisMap:
        """The map, where the axis begins at space axis `first`."""
        if self.step == 0:
            return at(self.offset)
        return along(first + self.digit, self.step, self.offset)


def move(
    node: Node,
    builder: Builder,
    value: Value,
    indices: Sequence[Ints],
    filler: int | None = None,
) -> None:
    """Define a node's output: output[i, j, ...] = value[indices[0][i], indices[1][j], ...].

    Where an index is `OUTSIDE` the output is the integer `filler`.
    """
    view = value.shape or (1,)
    forms = _forms(view, indices)
    irregular = [axis for axis, form in enumerate(forms) if form is None]
    steps = irregular or [-1]
    for number, axis in enumerate(steps):
        kept = [
            form or _whole(dim) if number == 0 else _whole(dim)
            for dim, form in zip(view, forms, strict=True)
        ]
        shape = [math.prod(form.space) for form in kept]
        if axis >= 0:
            kept[axis] = _Axis((len(indices[axis]),))
            shape[axis] = len(indices[axis])
        if axis == steps[-1]:
            out = builder.define_like(node, value)
        else:
            width = builder.width(value)
            out = builder.temporary(f"axis {axis}", tuple(shape), value.code, width)
        _copy(builder, out, value, view, kept, axis, indices, filler if number == 0 else None)
        value, view = out, tuple(shape)


def _copy(
    builder: Builder,
    out: Value,
    value: Value,
    view: Sequence[int],
    axes: Sequence[_Axis],
    irregular: int,
    indices: Sequence[Ints],
    filler: int | None,
) -> None:
    """One copy; one gather where there is an irregular axis."""
    space: list[int] = []
    maps: list[AxisMap] = []
    starts: list[int] = []
    for axis in axes:
        starts.append(len(space))
        maps.append(axis.map(len(space)))
        space += axis.space
    source = builder.read(value, maps, view=view, pad=filler, raw=True)
    if irregular < 0:
        builder.pick(out, space, source)
        return
    index = builder.weight(
        f"index {irregular}",
        indices[irregular],
        view[irregular] - 1,
        (along(starts[irregular]),),
        signed=False,
    )
    builder.gather(out, space, source, irregular, index, suffix=f"axis {irregular}")


def _whole(dim: int) -> _Axis:
    return _Axis((dim,), 0, 1, 0)


def _forms(view: Sequence[int], indices: Sequence[Ints]) -> list[_Axis | None]:
    """How each axis is read; None: by a gather."""
    forms: list[_Axis | None] = []
    spare = RANK_MAX - len(view)
    for dim, index in zip(view, indices, strict=True):
        form = next(_regular(index, dim, spare > 0), None)
        assert form is not None or index.min() >= 0, "only affine moves have fillers"
        spare -= 0 if form is None else len(form.space) - 1
        forms.append(form)
    return forms


def _regular(index: Ints, dim: int, may_split: bool) -> Iterator[_Axis]:
    """The ways to read an axis by a map."""
    count = len(index)
    found = _affine(index, dim)
    if found is not None:
        yield _Axis((count,), 0, *found)
    for size in range(2, count) if may_split else ():
        if count % size == 0:
            table = index.reshape(count // size, size)
            for digit, line in enumerate((table[:, 0], table[0])):
                same = table == np.expand_dims(line, 1 - digit)
                found = _affine(line, dim) if same.all() else None
                if found is not None:
                    yield _Axis((count // size, size), digit, *found)


def _affine(index: Ints, dim: int) -> tuple[int, int] | None:
    """Step and offset of an affine index, which leaves [0, dim) exactly where it is `OUTSIDE`."""
    inside = np.flatnonzero(index != OUTSIDE)
    if not len(inside):
        return 0, OUTSIDE
    first = int(inside[0])
    # A step of `dim` beside a lone index leaves the axis at once.
    step = int(index[first + 1] - index[first]) if len(inside) > 1 else dim
    step = step if len(index) > 1 else 0
    offset = int(index[first]) - step * first
    reached = step * np.arange(len(index)) + offset
    reached = np.where((reached >= 0) & (reached < dim), reached, OUTSIDE)
    return (step, offset) if np.array_equal(reached, index) else None
