"""`B`, the blocks of all leaves that a receipt opens (docs/hybrid.md section 1), counted frugally.

A claim costs its prover nothing, so neither memory nor work may follow it. Steps are walked in
windows, of which only the last step is remembered: a leaf of a step is opened by gates of that step
or, as a state, of the next. Ops that are checked in full open the same leaves in every step, which
are found once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..arrays import distinct
from ..gates import Ints
from ..layout import leaf_count
from ..openings import LEAF_BITS, Trees, layout_of, leaf_counts
from ..program.types import gates
from ..sampling import Plan
from .factors import Mask
from .leaves import Leaves, opened_keys
from .segments import (
    OWN_PROOFS,
    SEGMENT_BLOCKS,
    SEGMENT_COST,
    GateRun,
    Items,
    OutputLeaves,
    Room,
    gate_cost,
    judge_count,
)

_WINDOW_COST = 4 * SEGMENT_COST
"""Costs of the sampled gates of a window of steps, on average."""

_FEW = 1 << 20
"""Keys that are collected before repetitions are dropped."""

_NO_OUTPUTS = OutputLeaves(*(np.zeros(0, np.int64) for _ in range(3)))


def count_blocks(plan: Plan, trees: Trees, room: int, rule: Room = OWN_PROOFS) -> int:
    """`B` of a plan.

    Raises:
        UnsupportedReceipt, MalformedReceipt: they are too many for `room` bytes of proof.
    """
    return _Counter(plan, trees, room, rule).count()


class _Keys:
    """Keys of leaves as they are found, each once: memory follows the leaves, not the reads."""

    def __init__(self) -> None:
        self._found = np.zeros(0, np.int64)
        self._new: list[Ints] = []
        self._pending = 0

    def add(self, keys: Ints) -> bool:
        """Add keys, in any order and repeated; whether repetitions were dropped by that."""
        self._new.append(keys)
        self._pending += len(keys)
        if self._pending <= max(_FEW, len(self._found)):
            return False
        self.merged()
        return True

    def merged(self) -> Ints:
        """All keys so far, ascending."""
        self._found = distinct(np.concatenate([self._found, *self._new]))
        self._new, self._pending = [], 0
        return self._found


class _Counter:
    """Counts the blocks of a plan's leaves."""

    def __init__(self, plan: Plan, trees: Trees, room: int, rule: Room) -> None:
        self._plan, self._trees, self._room, self._rule = plan, trees, room, rule
        self._ops = trees.program.ops
        self._costs = [gate_cost(plan.counts.checked, c) for c in range(len(self._ops))]
        self._first = (len(trees) - trees.steps * len(trees.stepped)) << LEAF_BITS
        self._step = len(trees.stepped) << LEAF_BITS
        self._once = np.zeros(0, np.int64)
        self._blocks = 0

    def count(self) -> int:
        """All blocks."""
        own, read_later = self._of_full_ops()
        whole = distinct(np.concatenate([own, read_later]))
        steps = self._trees.steps
        self._add((steps - 1) * self._blocks_of(whole) + self._blocks_of(own))
        previous = np.zeros(0, np.int64)
        for first, end in self._windows():
            keys = self._since(self._sampled(first, end))
            fresh = keys[~_among(keys, previous)]
            previous = keys[keys >= self._first + (end - 1) * self._step]
            step = (fresh - self._first) // self._step
            relative = fresh - step * self._step
            known = np.where(step < steps - 1, _among(relative, whole), _among(relative, own))
            self._add(self._blocks_of(fresh[~known]))
        return self._blocks

    def _add(self, blocks: int) -> None:
        self._blocks += blocks
        judge_count(-(-self._blocks // SEGMENT_BLOCKS), self._room, self._rule)

    def _blocks_of(self, keys: Ints) -> int:
        return Leaves(self._trees, keys).block_count

    def _since(self, keys: Ints) -> Ints:
        """The keys of trees of steps; those of trees that stand once are counted here."""
        start = int(np.searchsorted(keys, self._first))
        fresh = keys[:start][~_among(keys[:start], self._once)]
        if len(fresh):
            self._once = distinct(np.concatenate([self._once, fresh]))
            self._add(self._blocks_of(fresh))
        return keys[start:]

    # Ops that are checked in full, and published outputs: the same in every step.

    def _of_full_ops(self) -> tuple[Ints, Ints]:
        """What they open in a step of its own leaves, and as the step after it; as of step 0."""
        found = self._full(0)
        self._of_records(found)
        own = self._since(self._not_of_data(found))
        if self._trees.steps == 1:
            return own, np.zeros(0, np.int64)
        later = self._since(self._not_of_data(self._full(1)))
        return own, later[later < self._first + self._step]

    def _not_of_data(self, keys: Ints) -> Ints:
        """Keys but those of data sets, which stand between weights and initial states."""
        first = len(self._trees.weights)
        ends = np.array([first, first + len(self._trees.data)], np.int64) << LEAF_BITS
        low, high = np.searchsorted(keys, ends)
        return np.concatenate([keys[:low], keys[high:]])

    def _of_records(self, in_slots: Ints) -> None:
        """Count the leaves of data sets that all steps open, from those of the slots of a step."""
        trees = self._trees
        for tensor in trees.data:
            tree, steps = trees.number(tensor, 0), np.arange(trees.steps, dtype=np.int64)
            leaves = in_slots[in_slots >> LEAF_BITS == tree] & (1 << LEAF_BITS) - 1
            opened = np.zeros(int(leaf_counts(trees)[tree]), bool)
            at_once = max(1, _FEW // max(1, len(leaves)))
            for first in range(0, trees.steps, at_once):
                run = steps[first : first + at_once, None]
                opened[trees.leaves(tensor, run, leaves)] = True
            judge_count(-(-int(opened.sum()) // SEGMENT_BLOCKS), self._room, self._rule)
            self._since(tree << LEAF_BITS | np.flatnonzero(opened))

    def _full(self, step: int) -> Ints:
        """Keys of a step; of data sets, those of its slots."""
        sizes = [gates(op) for op in self._ops]
        runs = [
            (c, np.arange(step * sizes[c], (step + 1) * sizes[c], dtype=np.int64))
            for c, numbers in enumerate(self._plan.sampled)
            if numbers is None
        ]
        found = self._keys(runs, self._trees.in_slots)
        for port in self._plan.counts.claim.published(self._trees.program.outputs):
            tensor = self._trees.program.tensors[port.tensor]
            every = np.arange(leaf_count(layout_of(tensor), tensor.shape), dtype=np.int64)
            found.add(self._trees.number(port.tensor, step) << LEAF_BITS | every)
        return found.merged()

    # Ops of which gates are drawn.

    def _windows(self) -> Iterator[tuple[int, int]]:
        """Steps, in windows of a bounded cost if draws were even."""
        drawn = [numbers for numbers in self._plan.sampled if numbers is not None]
        if not drawn:
            return
        cost = sum(
            len(numbers) * each
            for numbers, each in zip(self._plan.sampled, self._costs, strict=True)
            if numbers is not None
        )
        steps = self._trees.steps
        size = max(1, steps * _WINDOW_COST // max(1, cost))
        for first in range(0, steps, size):
            yield first, min(first + size, steps)

    def _sampled(self, first: int, end: int) -> Ints:
        """Keys that the drawn gates of some steps open."""
        runs = []
        for c, numbers in enumerate(self._plan.sampled):
            if numbers is not None:
                size = gates(self._ops[c])
                low, high = np.searchsorted(numbers, [first * size, end * size])
                runs.append((c, numbers[low:high]))
        return self._keys(runs, self._trees).merged()

    def _keys(self, runs: Iterable[tuple[int, Ints]], trees: Trees) -> _Keys:
        """Keys that gates open, given by op and number over all steps."""
        found = _Keys()
        for c, numbers in runs:
            at_once = max(1, SEGMENT_COST // self._costs[c])
            for start in range(0, len(numbers), at_once):
                part = numbers[start : start + at_once]
                run = GateRun(c, *np.divmod(part, gates(self._ops[c])))
                if found.add(opened_keys(trees, Items((run,), _NO_OUTPUTS))):
                    blocks = self._blocks_of(found.merged())
                    judge_count(-(-blocks // SEGMENT_BLOCKS), self._room, self._rule)
        return found


def _among(numbers: Ints, ascending: Ints) -> Mask:
    """Which numbers are among these."""
    if not len(ascending):
        return np.zeros(len(numbers), bool)
    place = np.minimum(np.searchsorted(ascending, numbers), len(ascending) - 1)
    found: Mask = ascending[place] == numbers
    return found
