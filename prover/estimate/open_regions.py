"""How much of a tensor is open after so many gates of some ops: expected numbers.

The gates of a segment are a run of (step, gate) in row-major order: a box of the axes of the op's
space, of which the foremost are cut. What an operand reads depends on some of these axes only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...verifier.program.types import Op, gates


@dataclass(frozen=True)
class Box:
    """A run of gates of an op, and how many of them are checked.

    Attributes:
        op: the op.
        steps: that the run spans; at least one is touched.
        extents: of the axes of the op's space.
        gates: in the run. checked: of these, expected.
    """

    op: Op
    steps: float
    extents: tuple[float, ...]
    gates: float
    checked: float

    @classmethod
    def of(cls, op: Op, steps: int, share: float, checked: float) -> Box:
        """This share of the gates of all steps, of which so many are checked."""
        dims = (steps, *op.space)
        left = max(1.0, share * steps * gates(op))
        extents = []
        for axis, dim in enumerate(dims):
            inner = math.prod(dims[axis + 1 :])
            extents.append(min(float(dim), max(1.0, left / inner)))
            left = min(left, float(inner))
        return cls(op, extents[0], tuple(extents[1:]), max(1.0, share * steps * gates(op)), checked)

    def part(self, axes: Iterable[int]) -> float:
        """The share of these axes that the run spans, within a step."""
        return math.prod(self.extents[axis] / self.op.space[axis] for axis in axes)

    def places(self, axes: Iterable[int]) -> float:
        """How many combinations of these axes the run spans, within a step."""
        return math.prod(self.extents[axis] for axis in axes)


@dataclass(frozen=True)
class Region:
    """Things (leaves, blocks, values) of a tensor among which `open` are open, all trees together.

    Attributes:
        size: things that could be opened.
        open: expected.
        trees: of which they are parts.
        run: how many neighbours are opened together.
    """

    size: float
    open: float
    trees: float
    run: float = 1.0

    def scaled(self, share: float) -> Region:
        """The same in a share of the trees."""
        return Region(share * self.size, share * self.open, share * self.trees, self.run)


def region(
    box: Box, axes: Sequence[int], per_gate: float, things: float, *, stepped: bool, run: float = 1
) -> Region:
    """What a run opens of a tensor of so many things a tree.

    Each gate opens `per_gate` of them, `run` neighbours at a time; these axes say which ones.
    """
    trees = box.steps if stepped else 1.0
    within = min(things * box.part(axes), per_gate * box.places(axes))
    size = max(per_gate, min(within, things)) * trees
    checked = min(box.checked, box.gates)
    if checked <= 0 or per_gate <= 0:
        return Region(size, 0.0, trees)
    at_each = max(1.0, box.gates * per_gate / size)
    missed = 1 - checked / box.gates
    opened = size * (1 - missed**at_each)
    return Region(size, min(opened, checked * per_gate), trees, run)


def union(regions: Sequence[Region]) -> Region:
    """All of them in the same tensor, each open part at random within the largest."""
    size = max(each.size for each in regions)
    closed = math.prod(1 - min(1.0, each.open / size) for each in regions)
    run = sum(each.run * each.open for each in regions) / max(
        1e-9, sum(each.open for each in regions)
    )
    trees = max(each.trees for each in regions)
    return Region(size, size * (1 - closed), trees, max(1.0, run))


def nodes_above(found: Region, leaves: int) -> tuple[float, float]:
    """Inner nodes above the open leaves of trees with so many leaves, and trees with any."""
    if found.open <= 0:
        return 0.0, 0.0
    each, share = found.size / found.trees, min(1.0, found.open / found.size)
    total, level, width = 0.0, 1, leaves
    while width > 1:
        width = -(-width // 2)
        below = min(float(2**level), each)
        reached = 1 - (1 - share) ** ((below + found.run - 1) / found.run)
        total += max(1.0, math.ceil(each / 2**level)) * reached
        level += 1
    touched = 1 - (1 - share) ** each
    return total * found.trees, touched * found.trees
