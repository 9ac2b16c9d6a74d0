"""The blocks of all leaves, counted in windows of steps, are those of listing every leaf."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from zktally.bench.drawn import draw_program
from zktally.verifier.arrays import distinct
from zktally.verifier.errors import ZktallyError
from zktally.verifier.hybrid import blocks, segments
from zktally.verifier.hybrid.leaves import Leaves, opened_keys
from zktally.verifier.openings import Trees
from zktally.verifier.order import Order
from zktally.verifier.program.checked import Checked
from zktally.verifier.program.types import gates

ROOM = 1 << 30


@dataclass(frozen=True)
class Claim:
    """Of a statement, whether it names the outputs."""

    publishes: bool

    def published(self, ports):
        return ports if self.publishes else ()


@dataclass(frozen=True)
class Counts:
    checked: Checked
    claim: Claim


@dataclass(frozen=True)
class Plan:
    """As much of a plan as is asked for what is opened: any gates."""

    counts: Counts
    sampled: tuple[np.ndarray | None, ...]
    steps: int

    def gates_of(self, op):
        numbers = self.sampled[op]
        return self.steps * gates(self.counts.checked.program.ops[op]) if numbers is None else (
            len(numbers)
        )  # fmt: skip


def drawn_plan(seed: int) -> tuple[Plan, Trees]:
    rng = np.random.default_rng(seed)
    checked = draw_program(rng)
    steps = int(rng.choice([1, 2, 3, 17]))
    sampled = []
    for op in checked.program.ops:
        every = steps * gates(op)
        numbers = distinct(rng.integers(0, every, max(1, int(every * rng.choice([0.02, 0.5])))))
        sampled.append(None if rng.random() < 0.4 else numbers)
    program, first = checked.program, int(rng.integers(0, 9))
    order = Order(bytes(32), program.records, program.data_slots, first, steps)
    trees = Trees(program, steps, order if program.data else None)
    return Plan(Counts(checked, Claim(seed % 3 > 0)), tuple(sampled), steps), trees


def listed(plan: Plan, trees: Trees) -> int:
    items = segments.ItemList(plan, trees)
    return Leaves(trees, opened_keys(trees, items.between(0, len(items)))).block_count


@pytest.mark.parametrize("window", [segments.SEGMENT_COST, 3000, 1])
def test_counted_as_listed(window, monkeypatch):
    monkeypatch.setattr(blocks, "_WINDOW_COST", window)
    monkeypatch.setattr(blocks, "_FEW", 1 << 20 if window > 5000 else 5)
    monkeypatch.setattr(blocks, "SEGMENT_COST", max(window, 700))
    states = data = 0
    for seed in range(120):
        plan, trees = drawn_plan(seed)
        states += bool(trees.program.states) and plan.steps > 2
        data += bool(trees.program.data) and plan.steps > 2
        assert blocks.count_blocks(plan, trees, ROOM) == listed(plan, trees), seed
    assert min(states, data) > 5


def test_too_many_for_the_room(monkeypatch):
    monkeypatch.setattr(blocks, "SEGMENT_BLOCKS", 1)
    plan, trees = drawn_plan(3)
    count = listed(plan, trees)
    assert blocks.count_blocks(plan, trees, segments.LEAST_PROOF * count) == count
    with pytest.raises(ZktallyError) as refused:
        blocks.count_blocks(plan, trees, segments.LEAST_PROOF * count - 1)
    assert refused.value.code == "receipt.truncated"
