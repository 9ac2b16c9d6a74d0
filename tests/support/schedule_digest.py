"""The schedules of a receipt's segments, and digests of them to compare with the Rust side.

A receipt of mode fast has the draws of a hybrid one, so its openings give values to try a schedule
on, and its schedules are those of the hybrid receipt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from zktally.verifier.hybrid import blocks, schedule, segments
from zktally.verifier.journal import Journal
from zktally.verifier.openings import Trees
from zktally.verifier.program.checked import Checked, load
from zktally.verifier.receipt import split_receipt
from zktally.verifier.sampling import Counts, Plan, make_plan, sample_seed
from zktally.verifier.steps import claimed_outputs, order_of

ROOM = 1 << 30


@dataclass(frozen=True)
class Derived:
    """Everything that a verifier derives before it looks at a proof."""

    checked: Checked
    journal: Journal
    plan: Plan
    trees: Trees
    claims: schedule.Claims
    items: segments.ItemList
    bounds: list[int]

    def segment(self, number: int) -> schedule.Schedule:
        items = self.items.between(*self.bounds[number : number + 2])
        return schedule.derive(self.checked, self.trees, items, self.claims)

    def segments(self) -> list[schedule.Schedule]:
        return [self.segment(number) for number in range(len(self.bounds) - 1)]


def derived(receipt: bytes) -> Derived:
    """From the bytes of a receipt of mode fast or hybrid that need not be valid."""
    sections = split_receipt(receipt)
    journal, checked = Journal.decode(sections.journal), load(bytes(sections.program))
    plan = make_plan(Counts(checked, journal), sample_seed(sections.journal))
    trees = Trees(checked.program, journal.steps, order_of(checked.program, journal))
    claims = schedule.Claims(journal, claimed_outputs(checked.program, journal))
    items = segments.ItemList(plan, trees)
    count = segments.segment_count(items, blocks.count_blocks(plan, trees, ROOM))
    bounds = segments.cut(items, count)
    return Derived(checked, journal, plan, trees, claims, items, bounds)


def digests(receipt: bytes, hiding: int = 200) -> list[dict[str, tuple[int, int, str]]]:
    """Per segment and table: used rows, log of all rows, SHA-256 of the used public columns.

    The columns are those from number 2 on, row by row, as little-endian u32.
    """
    return [
        {
            table.name.lower(): (
                words.shape[1],
                schedule.log_rows(words.shape[1], hiding),
                hashlib.sha256(
                    np.ascontiguousarray(np.asarray(words).T).astype("<u4").tobytes()
                ).hexdigest(),
            )
            for table, words in segment.words.items()
        }
        for segment in derived(receipt).segments()
    ]
