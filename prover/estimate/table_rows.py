"""Rows of the tables of a STARK, expected before anything is drawn (docs/hybrid.md).

What is checked of each op follows from the claims (`Counts`), what a gate costs from `op_shapes`,
and segments are cut by the verifier's rule. Every segment is then counted by itself, or some of
them where there are many.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...verifier.hybrid.addresses import WORDS
from ...verifier.hybrid.hashing import range_rows
from ...verifier.hybrid.leaves import BLOCK, block_counts
from ...verifier.hybrid.record_sizes import blocks_of, item_blocks, step_elements
from ...verifier.hybrid.schedule import Table
from ...verifier.hybrid.segments import (
    ITEM_COST,
    RECORD_BLOCK_COST,
    SEGMENT_BLOCKS,
    SEGMENT_COST,
    gate_cost,
)
from ...verifier.layout import leaf_count, row_length
from ...verifier.openings import Trees, layout_of
from ...verifier.poseidon2 import DIGEST
from ...verifier.program.types import Role, Tensor, gates
from ...verifier.sampling import Counts
from .gate_shapes import op_shapes
from .open_regions import Box, Region, nodes_above, region, union

COUNTED = 12
"""Segments that are counted; more are taken to be like these."""


Rows = dict[Table, float]
"""Rows in use of each table of a segment."""


@dataclass(frozen=True)
class Cut:
    """How a tensor lies in its tree.

    Attributes:
        leaves: of a tree. blocks: sponge blocks of all of them. data: blocks with data.
        values: elements. bytes: of all leaves.
    """

    leaves: int
    blocks: int
    data: int
    values: int
    bytes: int

    @classmethod
    def of(cls, tensor: Tensor) -> Cut:
        """The cut of a committed tensor."""
        layout = layout_of(tensor)
        row, leaves = row_length(layout, tensor.shape), leaf_count(layout, tensor.shape)
        full, rest = divmod(row, layout.piece)
        sizes = np.array([layout.piece, rest] if rest else [layout.piece], np.int64) * tensor.width
        counts = (tensor.size // row) * np.array([full, 1] if rest else [full], np.int64)
        return cls(
            leaves,
            int(counts @ block_counts(sizes)),
            int(counts @ -(-sizes // BLOCK)),
            tensor.size,
            tensor.size * tensor.width,
        )


@dataclass(frozen=True)
class Opened:
    """What is open of all trees of a tensor: leaves, inner nodes above them, trees, blocks."""

    leaves: float
    nodes: float
    trees: float
    blocks: float
    bytes: float


class Schedule:
    """The expected rows of a receipt whose claims give these counts.

    `published`: the tensors of the outputs that its statement names, all or none.
    """

    def __init__(self, counts: Counts) -> None:
        self.counts, self.checked = counts, counts.checked
        self.program, self.steps = counts.checked.program, counts.claim.steps
        self.shapes = op_shapes(self.checked)
        self._links = {link.state: link.value for link in self.program.states}
        ports = counts.claim.published(self.program.outputs)
        self.published = [port.tensor for port in ports]

    @cached_property
    def checked_gates(self) -> list[float]:
        """Distinct gates of each op that are checked, all steps together."""
        return [checked_gates(self.counts, c) for c in range(len(self.shapes))]

    @cached_property
    def costs(self) -> list[float]:
        """Of the gates of each op, then of output leaves and records (docs/hybrid.md section 1)."""
        found = [n * gate_cost(self.checked, c) for c, n in enumerate(self.checked_gates)]
        cuts = [self.cuts[tensor] for tensor in self.published]
        leaves = sum(ITEM_COST * cut.leaves + cut.bytes for cut in cuts)
        record = ITEM_COST + RECORD_BLOCK_COST * self._record_blocks
        return [*found, float(self.steps * (leaves + record))]

    @cached_property
    def _receipt_trees(self) -> Trees:
        return Trees(self.program, self.steps)

    @property
    def _record_blocks(self) -> int:
        """Of what the record of a step has to hash."""
        return item_blocks(self._receipt_trees)

    @cached_property
    def cuts(self) -> Mapping[int, Cut]:
        """Of all committed tensors."""
        return {
            number: Cut.of(tensor)
            for number, tensor in enumerate(self.program.tensors)
            if tensor.layout is not None
        }

    @cached_property
    def opened(self) -> Mapping[int, Opened]:
        """What is open of each tensor, in all segments together."""
        return self._opened([(0.0, 1.0)] * len(self.costs))

    @property
    def blocks(self) -> float:
        """`B`: sponge blocks of all distinct leaves."""
        return sum(each.blocks for each in self.opened.values())

    @cached_property
    def segments(self) -> int:
        """`S`."""
        blocks = self.blocks + self.steps * self._record_blocks
        by_blocks = math.ceil(blocks / SEGMENT_BLOCKS)
        return max(1, by_blocks, math.ceil(sum(self.costs) / SEGMENT_COST))

    @cached_property
    def rows(self) -> list[Rows]:
        """Rows in use of the segments that are counted, by table."""
        few = min(self.segments, COUNTED)
        chosen = [(2 * place + 1) * self.segments // (2 * few) for place in range(few)]
        return [self._rows(self._shares(segment)) for segment in chosen]

    def _shares(self, segment: int) -> list[tuple[float, float]]:
        """From where to where a segment goes in the gates of each op, then in the outputs."""
        total = sum(self.costs)
        first, end = segment * total / self.segments, (segment + 1) * total / self.segments
        shares, start = [], 0.0
        for cost in self.costs:
            low, high = max(first - start, 0.0), min(end - start, cost)
            shares.append((low / cost, high / cost) if low < high else (0.0, 0.0))
            start += cost
        return shares

    def _boxes(self, shares: Sequence[tuple[float, float]]) -> list[Box | None]:
        """The run of each op that a segment holds."""
        return [
            Box.of(op, self.steps, high - low, count * (high - low)) if low < high else None
            for op, count, (low, high) in zip(
                self.program.ops, self.checked_gates, shares, strict=False
            )
        ]

    def _regions(
        self, boxes: Sequence[Box | None], what: str, things: Mapping[int, int]
    ) -> dict[int, list[Region]]:
        """By tensor, what the runs open of its `leaves`, `blocks` or `values`."""
        found: defaultdict[int, list[Region]] = defaultdict(list)
        for box, shape in zip(boxes, self.shapes, strict=True):
            for touch in shape.touches if box is not None else ():
                per_gate = getattr(touch, what)
                if box is None or not per_gate:
                    continue
                run = touch.run if what == "leaves" else 1.0
                covered = things[touch.tensor] * touch.covered
                for tensor, stepped, share in self._trees(touch.tensor):
                    opened = region(box, touch.axes, per_gate, covered, stepped=stepped, run=run)
                    found[tensor].append(opened.scaled(share))
        return found

    def _trees(self, tensor: int) -> list[tuple[int, bool, float]]:
        """The tensors whose trees a read opens, if there is one for each step, in what share."""
        role = self.program.tensors[tensor].role
        if role is Role.STATE and self.steps > 1:
            first = 1 / self.steps
            return [(tensor, True, first), (self._links[tensor], True, 1 - first)]
        return [(tensor, role not in (Role.WEIGHT, Role.STATE), 1.0)]

    def _whole_outputs(self, share: float, things: Mapping[int, int]) -> dict[int, Region]:
        """The output leaves of a segment: all of a share of the steps."""
        trees = max(1.0, share * self.steps)
        return {
            tensor: Region(size, size, trees)
            for tensor in dict.fromkeys(self.published)
            if (size := share * self.steps * things[tensor])
        }

    def _opened(self, shares: Sequence[tuple[float, float]]) -> dict[int, Opened]:
        leaves = {number: cut.leaves for number, cut in self.cuts.items()}
        regions = self._regions(self._boxes(shares), "leaves", leaves)
        for tensor, whole in self._whole_outputs(shares[-1][1] - shares[-1][0], leaves).items():
            regions.setdefault(tensor, []).append(whole)
        return {tensor: self._open(tensor, union(found)) for tensor, found in regions.items()}

    def _open(self, tensor: int, found: Region) -> Opened:
        cut = self.cuts[tensor]
        nodes, trees = nodes_above(found, cut.leaves)
        share = found.open / cut.leaves
        return Opened(found.open, nodes, trees, share * cut.blocks, share * cut.bytes)

    def _rows(self, shares: Sequence[tuple[float, float]]) -> Rows:
        """The rows of one segment."""
        boxes = self._boxes(shares)
        rows: defaultdict[Table, float] = defaultdict(float)
        used: set[int] = set()
        for box, shape in zip(boxes, self.shapes, strict=True):
            if box is not None:
                used |= shape.tables
                for table, each in shape.rows.items():
                    rows[table] += box.checked * each
        opened = self._opened(shares)
        rows[Table.SPONGE] = sum(each.blocks for each in opened.values())
        rows[Table.NODE] = sum(each.nodes for each in opened.values())
        self._add_records(rows, opened, self.steps * (shares[-1][1] - shares[-1][0]))
        rows[Table.SPREAD] = self._spread(boxes, shares[-1][1] - shares[-1][0])
        rows[Table.ACT] = sum(len(self.program.tables[number].entries) for number in used)
        rows[Table.RANGE] = range_rows(self.program).shape[1]
        self._add_values(rows, boxes)
        return {table: n for table, n in rows.items() if n > 0}

    def _add_records(
        self, rows: defaultdict[Table, float], opened: Mapping[int, Opened], items: float
    ) -> None:
        """What the roots of opened trees are hashed to, and the records of so many steps."""
        of_step = blocks_of(step_elements(self._receipt_trees))
        stepped = set(self._receipt_trees.stepped)
        touched = [each.trees for tensor, each in opened.items() if tensor in stepped]
        steps = min(float(self.steps), max([items, *touched]))
        once = sum(blocks_of(DIGEST * n) for n in self._once() if n)
        rows[Table.RECORD] = steps * of_step + items * (self._record_blocks - of_step) + once + 2
        rows[Table.SPONGE] += rows[Table.RECORD]
        for tree in (steps, items):
            rows[Table.NODE] += nodes_above(
                Region(self.steps, tree, 1.0, max(1.0, tree)), self.steps
            )[0]
        shared = len(self.program.inputs) + 2 * len(self.program.states)
        rows[Table.DIGEST] = sum(each.trees for each in opened.values()) + items * shared

    def _once(self) -> tuple[int, ...]:
        """How many weights, data tensors and states there are."""
        trees = self._receipt_trees
        return len(trees.weights), len(trees.data), len(trees.states)

    def _spread(self, boxes: Sequence[Box | None], outputs: float) -> float:
        data = {number: cut.data for number, cut in self.cuts.items()}
        regions = self._regions(boxes, "blocks", data)
        for tensor, whole in self._whole_outputs(outputs, data).items():
            regions.setdefault(tensor, []).append(whole)
        return sum(union(found).open for found in regions.values())

    def _add_values(self, rows: defaultdict[Table, float], boxes: Sequence[Box | None]) -> None:
        """Values with a row of their own, and the noise that some of them are made of."""
        sizes = {number: tensor.size for number, tensor in enumerate(self.program.tensors)}
        calls: defaultdict[int, float] = defaultdict(float)
        for tensor, found in self._regions(boxes, "values", sizes).items():
            values = union(found)
            if self.program.tensors[tensor].layout is not None:
                rows[Table.WIDE] += values.open
                continue
            rows[Table.BITS] += values.open
            share = values.open / values.size
            domain = self.program.tensors[tensor].domain or 0
            used = math.ceil(values.size / WORDS) * (1 - (1 - share) ** WORDS)
            calls[domain] = max(calls[domain], used)
        rows[Table.NOISE] += sum(calls.values())
        rows[Table.SPONGE] += 1 if calls else 0


def checked_gates(counts: Counts, op: int) -> float:
    """Distinct gates of an op that are checked, all steps together: expected."""
    steps, weights = counts.claim.steps, counts.checked.weights
    number = gates(counts.checked.program.ops[op])
    if counts.enumerated[op]:
        return float(steps * number)
    in_steps = steps * counts.samples_per_step * number * weights.weight[op]
    draws = counts.draws(op) + in_steps / weights.step_weight
    every = steps * number
    return float(-every * math.expm1(draws * math.log1p(-1 / every))) if every > 1 else 1.0
