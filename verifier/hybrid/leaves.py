"""Leaves, sponge blocks and addresses of a segment (docs/hybrid.md section 2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays import distinct, lengths, run_starts
from ..gates import Ints
from ..gates.operand import locate_apart, points
from ..layout import locate
from ..openings import LEAF_BITS, Trees, layout_of, leaf_bytes
from ..program.operands import slots
from ..program.types import AxisMap, Gather, Op, Operand, Program, Read
from ..sums import Sums
from .segments import GateRun, Items

BLOCK = 48
"""Bytes of a block."""

_SALT = 5
_RATE = 16


class Leaves:
    """The leaves of a segment in order, and where their blocks and bytes begin."""

    def __init__(self, trees: Trees, keys: Ints) -> None:
        """From the ascending keys of the leaves."""
        self.trees, self.keys = trees, keys
        self.tree, self.leaf = keys >> LEAF_BITS, keys & (1 << LEAF_BITS) - 1
        self.bytes = leaf_bytes(trees, self.tree, self.leaf)
        self.blocks = block_counts(self.bytes)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def elements(self) -> Ints:
        """Data elements of each leaf."""
        return -(-self.bytes // 3)

    @cached_property
    def first_block(self) -> Ints:
        """The number of the first block of each leaf."""
        starts: Ints = np.cumsum(self.blocks) - self.blocks
        return starts

    @property
    def block_count(self) -> int:
        """Blocks of all leaves."""
        return int(self.blocks.sum())

    def starts(self, tensor: int, steps: Ints, leaves: Ints) -> Ints:
        """Addresses of the first bytes of opened leaves; not of a data tensor."""
        keys = self.trees.numbers(tensor, steps) << LEAF_BITS | leaves
        return BLOCK * self.first_block[np.searchsorted(self.keys, keys)]

    def addresses(self, tensor: int, steps: Ints, offsets: Sums) -> Addresses:
        """Addresses of the first bytes of elements; where a leaf is not opened, any number.

        Args:
            tensor: its number, not of a prf tensor.
            steps: of the gates that read, [G].
            offsets: row-major, of [G, K] elements.
        """
        width = self.trees.program.tensors[tensor].width
        keys, slot = leaf_keys(self.trees, tensor, steps, offsets)
        windows = distinct(keys.of_window.ravel())
        every = keys.of_gate + windows
        flat = every.ravel()
        starts = run_starts(flat)
        row = np.minimum(np.searchsorted(self.keys, flat[starts]), len(self.keys) - 1)
        first = np.repeat(BLOCK * self.first_block[row], lengths(starts, len(flat)))
        which = np.searchsorted(windows, keys.of_window.ravel())
        return Addresses(first.reshape(every.shape), which, slot * width)


@dataclass(frozen=True)
class Addresses:
    """Addresses of bytes of leaves, of [G, K] elements: `leaf[:, which] + within`.

    Attributes:
        leaf: of the first bytes of the leaves that a gate reads, [G, W] in their order, or [G, K].
        which: of a gate's leaves each point has, [K]; of one for each point, or of one at all, [1].
        within: from there.
    """

    leaf: Ints
    which: Ints
    within: Sums

    @property
    def is_apart(self) -> bool:
        """Whether which leaf it is, and where it begins there, is a matter of point and gate."""
        return self.within.of_gate.shape[1] == 1 and (
            len(self.which) > 1 or self.leaf.shape[1] == 1
        )

    def joined(self) -> Addresses:
        """The same as if all leaves were one, at address 0."""
        return Addresses(np.zeros((1, 1), np.int64), self.which[:1] * 0, Sums.of(self.full()))

    def full(self) -> Ints:
        """The addresses themselves, broadcastable to [G, K]."""
        leaf = self.leaf if len(self.which) == 1 else self.leaf[:, self.which]
        return leaf + self.within.full()


def block_counts(sizes: Ints) -> Ints:
    """Blocks of leaves of so many bytes."""
    return -(-(-(-sizes // 3) + _SALT) // _RATE)


def leaf_keys(trees: Trees, tensor: int, steps: Ints, offsets: Sums) -> tuple[Sums, Sums]:
    """Keys of the leaves that hold elements, and the slots there, of [G, K] elements."""
    t = trees.program.tensors[tensor]
    leaf, slot = locate(layout_of(t), t.shape, offsets)
    if t.records is not None:
        leaf = Sums.of(trees.leaves(tensor, steps[:, None], leaf.full()))
    tree = trees.numbers(tensor, steps)
    if (tree == tree[0]).all():
        tree = tree[:1]
    return Sums((tree[:, None] << LEAF_BITS) + leaf.of_gate, leaf.of_window), slot


def read_operands(op: Op) -> Iterator[tuple[Operand, tuple[int, ...]]]:
    """The operands of an op with their windows; a gather's source runs over its whole axis."""
    for slot in slots(op):
        if isinstance(op, Gather) and slot.operand is op.source:
            yield gather_source(op), (op.source.view[op.axis],)
        else:
            yield slot.operand, slot.window


def gather_source(op: Gather) -> Read:
    """The source of a gather at every index of its axis, as a read over a window."""
    maps = list(op.source.maps)
    maps[op.axis] = AxisMap(k_axis=0, b=1)
    return replace(op.source, maps=tuple(maps))


def opened_keys(trees: Trees, items: Items) -> Ints:
    """Keys of the leaves that items open, ascending, each once."""
    found = [np.zeros(0, np.int64)]
    for run in items.runs:
        found += _read_keys(trees, run)
    out = items.outputs
    for tensor in distinct(out.tensor).tolist():
        mine = out.tensor == tensor
        found.append(trees.numbers(tensor, out.step[mine]) << LEAF_BITS | out.leaf[mine])
    return distinct(np.concatenate(found))


def _read_keys(trees: Trees, run: GateRun) -> list[Ints]:
    op = trees.program.ops[run.op]
    written, _ = leaf_keys(trees, op.out, run.steps, Sums.of(run.gates[:, None]))
    found = [distinct(written.full().ravel())]
    for operand, window in read_operands(op):
        if isinstance(operand, Read) and is_committed(trees.program, operand):
            parts = run.parts(math.prod(window))
            found.append(
                distinct(np.concatenate([_keys(trees, operand, window, p) for p in parts]))
            )
    return found


def is_committed(program: Program, read: Read) -> bool:
    """Whether a read is of a tensor with a tree."""
    return program.tensors[read.tensor].layout is not None


def _keys(trees: Trees, read: Read, window: tuple[int, ...], run: GateRun) -> Ints:
    at = points(trees.program.ops[run.op].space, window, run.gates)
    offsets, inside = locate_apart(read, at)
    keys, _ = leaf_keys(trees, read.tensor, run.steps, offsets)
    if inside is None:
        flat = (keys.of_gate + distinct(keys.of_window.ravel())).ravel()
    else:
        every, inside = np.broadcast_arrays(keys.full(), inside)
        flat = every[inside]
    return distinct(flat[run_starts(flat)])
