"""Items, their costs, and the segments that they are proved in (docs/hybrid.md section 1)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import MalformedReceipt, UnsupportedReceipt
from ..gates import Ints
from ..layout import leaf_count, leaf_starts
from ..openings import Trees, layout_of
from ..profiles import MAX_FOLDED
from ..program.checked import Checked
from ..program.operands import products
from ..program.types import Dot, Gather, Op, Tensor, gates
from ..sampling import Plan
from .accumulator import is_direct
from .record_sizes import item_blocks

ITEM_COST = 64
RECORD_BLOCK_COST = 160
"""Of a block of what the record of a step has to hash."""

SEGMENT_COST = 1 << 24
SEGMENT_BLOCKS = 98304
MAX_SEGMENTS = 1 << 10
LEAST_PROOF = 1 << 16
"""No proof of a segment is shorter: what is derived for a receipt stays in proportion to it."""


@dataclass(frozen=True)
class Room:
    """What bytes a receipt must have for its segments.

    Attributes:
        most: segments of a receipt.
        each: bytes for each of them.
        more: bytes for all of them.
    """

    most: int
    each: int
    more: int


OWN_PROOFS = Room(MAX_SEGMENTS, LEAST_PROOF, 0)
SUCCINCT = Room(MAX_FOLDED, 60, LEAST_PROOF)
"""There are points of each segment, and one proof of all of them."""

_POINTS = 1 << 18
"""Window points that are worked on at once."""


@dataclass(frozen=True)
class GateRun:
    """Gates of one op: their steps and numbers, int64 [n]."""

    op: int
    steps: Ints
    gates: Ints

    def parts(self, window: int) -> Iterator[GateRun]:
        """The run in parts of a bounded number of window points."""
        size = max(1, _POINTS // window)
        for start in range(0, len(self.gates), size):
            part = slice(start, start + size)
            yield GateRun(self.op, self.steps[part], self.gates[part])


@dataclass(frozen=True)
class OutputLeaves:
    """Leaves of output ports, in order: their tensor, step and number, int64 [n] each."""

    tensor: Ints
    step: Ints
    leaf: Ints


@dataclass(frozen=True)
class Items:
    """Consecutive items: gates op by op, then of each step published outputs and its record.

    Attributes:
        runs: of gates.
        outputs: leaves.
        records: steps whose record is an item.
    """

    runs: tuple[GateRun, ...]
    outputs: OutputLeaves
    records: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


class ItemList:
    """All items of a receipt in order; none is looked at before it is asked for."""

    def __init__(self, plan: Plan, trees: Trees) -> None:
        self._plan, self._program = plan, trees.program
        self._steps = trees.steps
        self._counts = [plan.gates_of(c) for c in range(len(self._program.ops))]
        self._costs = [gate_cost(plan.counts.checked, c) for c in range(len(self._program.ops))]
        published = plan.counts.claim.published(self._program.outputs)
        self._ports = [self._program.tensors[port.tensor] for port in published]
        self._numbers = np.array([port.tensor for port in published], np.int64)
        self._leaves = [leaf_count(layout_of(t), t.shape) for t in self._ports]
        self._of_step = sum(self._leaves) + 1
        self._record_blocks = item_blocks(trees)

    def __len__(self) -> int:
        return sum(self._counts) + self._steps * self._of_step

    @property
    def record_blocks(self) -> int:
        """Blocks of what the records of all steps have to hash."""
        return self._steps * self._record_blocks

    @property
    def cost(self) -> int:
        """`C`: of all items."""
        return self.preceding(len(self))

    def preceding(self, item: int) -> int:
        """The costs of all items before this one."""
        cost = 0
        for count, each in zip(self._counts, self._costs, strict=True):
            before = min(item, count)
            cost += before * each
            item -= before
        steps, item = divmod(item, self._of_step)
        cost += steps * (ITEM_COST + RECORD_BLOCK_COST * self._record_blocks)
        for tensor, leaves in zip(self._ports, self._leaves, strict=True):
            before = min(item, leaves)
            cost += steps * _leaf_costs(tensor, leaves) + _leaf_costs(tensor, before)
            item -= before
        return cost

    def from_cost(self, least: int) -> int:
        """The first item whose preceding costs are at least this much."""
        return bisect_left(range(len(self)), least, key=self.preceding)

    def between(self, first: int, end: int) -> Items:
        """The items from `first` to before `end`."""
        runs, start = [], 0
        for c, count in enumerate(self._counts):
            low, high = max(first - start, 0), min(end - start, count)
            if low < high:
                runs.append(self._run(c, low, high))
            start += count
        return Items(tuple(runs), *self._of_steps(max(first - start, 0), max(end - start, 0)))

    def _run(self, c: int, low: int, high: int) -> GateRun:
        sampled = self._plan.sampled[c]
        numbers = np.arange(low, high, dtype=np.int64) if sampled is None else sampled[low:high]
        return GateRun(c, *np.divmod(numbers, gates(self._program.ops[c])))

    def _of_steps(self, low: int, high: int) -> tuple[OutputLeaves, Ints]:
        """Output leaves, and steps of records, among what stands once in every step."""
        step, within = np.divmod(np.arange(low, high, dtype=np.int64), self._of_step)
        is_record = within == self._of_step - 1
        records, step, within = step[is_record], step[~is_record], within[~is_record]
        ends = np.cumsum(self._leaves, dtype=np.int64)
        port = np.searchsorted(ends, within, side="right")
        if not len(port):
            return OutputLeaves(within, step, within), records
        leaf = within - (ends - self._leaves)[port]
        return OutputLeaves(self._numbers[port], step, leaf), records


def cut(items: ItemList, segments: int) -> list[int]:
    """The first item of each segment, and the number of items."""
    cost = items.cost
    starts = [items.from_cost(-(-segment * cost // segments)) for segment in range(segments)]
    return [*starts, len(items)]


def segment_count(items: ItemList, blocks: int) -> int:
    """`S`, for a number of blocks of leaves."""
    blocks += items.record_blocks
    return max(1, -(-blocks // SEGMENT_BLOCKS), -(-items.cost // SEGMENT_COST))


def judge_count(segments: int, room: int, rule: Room = OWN_PROOFS) -> None:
    """Refuse a receipt of so many segments, at least, if they are too many for it.

    Raises:
        UnsupportedReceipt: `verify.too-large`.
        MalformedReceipt: `receipt.truncated`, `room` bytes cannot hold their proofs.
    """
    least = min(segments, rule.most + 1) * rule.each + rule.more
    if least > room:
        raise MalformedReceipt(
            "the proof is shorter than the proofs of its segments",
            code="receipt.truncated",
            expected=f"at least {least} bytes",
            received=f"{room} bytes",
        )
    if segments > rule.most:
        raise UnsupportedReceipt(
            "too many segments to check",
            code="verify.too-large",
            expected=f"at most {rule.most}",
            received=segments,
            hint="a receipt with a larger δ, fewer bits or fewer exact ops is cheaper to check",
        )


def judge_rows(rows: int, most: int) -> None:
    """Refuse a segment of which so many rows of a table are known to be used.

    Raises:
        UnsupportedReceipt: `verify.too-large`.
    """
    if rows > most:
        raise UnsupportedReceipt(
            "a table of a segment is too tall",
            code="verify.too-large",
            expected=f"at most {most} rows in use",
            received=f"{rows} rows in use",
        )


def gate_cost(checked: Checked, c: int) -> int:
    """What each gate of an op costs."""
    return ITEM_COST + _factor(checked, c) * _own(checked.program.ops[c])


def _factor(checked: Checked, c: int) -> int:
    """What a product costs: most of a row where only one stands in it."""
    if not isinstance(checked.program.ops[c], Dot):
        return 16
    # With a wide accumulator there are as many products as pairs of limbs.
    return 2 if is_direct(checked, c) else 18


def _own(op: Op) -> int:
    return op.source.view[op.axis] if isinstance(op, Gather) else products(op)


def _leaf_costs(tensor: Tensor, leaves: int) -> int:
    """The costs of the first leaves of an output tensor."""
    values = leaf_starts(layout_of(tensor), tensor.shape, np.array([leaves], np.int64))
    return ITEM_COST * leaves + tensor.width * int(values[0])
