"""Public columns of sponge and node rows (docs/hybrid.md section 4, tables 0 and 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..gates import Ints
from ..openings import leaf_counts
from ..poseidon2 import Domain
from ..program.types import Program
from ..stark.columns import Columns
from .leaves import BLOCK, Leaves
from .records import Records
from .rows import Portions, Words
from .segments import judge_rows

_SALT = 5
_RATE = 16
_SEED = 8

FIXED_CLASSES = (4096, 256, 127, 1)
"""Sizes of the range classes 0 to 3, which begin at 0."""

_BYTE, _ZERO = 1, 3

SPONGE_COLUMNS = Columns(
    f"first n domain aux link uses last node data:{_RATE} class:{BLOCK} block filling:{_RATE}"
)
NODE_COLUMNS = Columns("on left has_left right has_right out alone")
RANGE_COLUMNS = Columns("on class x")


@dataclass(frozen=True)
class Nodes:
    """The node table.

    Attributes:
        columns: [7, rows].
        names: of the roots of trees of which leaves are opened (see `Records`), [n].
        roots: their numbers, [n].
        after: the number behind those of all nodes.
    """

    columns: Ints
    names: Ints
    roots: Ints
    after: int


def node_rows(leaves: Leaves, records: Records, most: int) -> Nodes:
    """The nodes above opened leaves, tree by tree, level by level, left to right.

    The last two trees are those over the digests of steps and of inputs.

    Raises:
        UnsupportedReceipt: `verify.too-large`, more than `most`: few leaves can have many.
    """
    count = len(leaves) + len(records)
    trees = len(leaves.trees)
    width = np.append(leaf_counts(leaves.trees), [leaves.trees.steps] * 2)
    over = ((records.steps, Domain.STEP), (records.items, Domain.INPUT))
    tree, node, known = (
        np.concatenate(parts)
        for parts in (
            [leaves.tree, *(np.full(len(steps), trees + i) for i, (steps, _) in enumerate(over))],
            [leaves.leaf, *(steps for steps, _ in over)],
            [
                np.arange(len(leaves), dtype=np.int64),
                *(len(leaves) + records.numbers(domain) for _, domain in over),
            ],
        )
    )
    # Per level: the tree of each new node and its children, as numbers in the order of discovery.
    levels: list[Ints] = [np.zeros((4, 0), np.int64)]
    ends: list[Ints] = []
    found = count
    while len(node):
        judge_rows(found - count, most)
        going = width[tree] > 1
        ends.append(np.stack([tree[~going], known[~going]]))
        tree, node, known = tree[going], node[going], known[going]
        first = np.ones(len(node), bool)
        first[1:] = (tree[1:] != tree[:-1]) | (node[1:] // 2 != node[:-1] // 2)
        children = np.full((2, int(first.sum())), -1, np.int64)
        children[node % 2, np.cumsum(first, dtype=np.int64) - 1] = known
        tree, node = tree[first], node[first] // 2
        known = np.arange(found, found + len(node), dtype=np.int64)
        found += len(node)
        levels.append(np.stack([tree, *children, 2 * node + 1 == width[tree]]))
        width = -(-width // 2)
    rows = np.concatenate(levels, axis=1)
    order = np.argsort(rows[0], kind="stable")
    number = np.arange(found, dtype=np.int64)
    number[count + order] = count + np.arange(len(order), dtype=np.int64)
    number = np.append(number, 0)
    left, right, alone = rows[1:, order]
    columns = NODE_COLUMNS.table(
        len(order),
        on=1,
        left=number[left],
        has_left=left >= 0,
        right=number[right],
        has_right=right >= 0,
        out=count + np.arange(len(order), dtype=np.int64),
        alone=alone,
    )
    ended, roots = np.concatenate([np.zeros((2, 0), np.int64), *ends], axis=1)
    names = np.where(ended < trees, ended, records.chain + ended - trees)
    return Nodes(columns, names, number[roots], count + len(order))


def byte_ranges(program: Program) -> list[tuple[int, int]]:
    """The ranges of the classes from 4 on: of bytes as they are packed."""
    found = [
        (t.lo + 128, t.hi + 128) for t in program.tensors if t.layout is not None and t.width == 1
    ]
    return [ends for ends in dict.fromkeys(found) if ends != (0, 255)]


def range_ends(program: Program) -> list[tuple[int, int]]:
    """The least and the largest value of each range class."""
    return [(0, size - 1) for size in FIXED_CLASSES] + byte_ranges(program)


def range_count(program: Program) -> int:
    """How many rows the range table has."""
    return sum(hi - lo + 1 for lo, hi in range_ends(program))


def range_rows(program: Program) -> Ints:
    """The range table."""
    ends = range_ends(program)
    rows = [
        RANGE_COLUMNS.table(hi - lo + 1, on=1, class_=c, x=np.arange(lo, hi + 1, dtype=np.int64))
        for c, (lo, hi) in enumerate(ends)
    ]
    return np.concatenate(rows, axis=1)


class SpongeRows(Portions):
    """The sponge table: leaves, records, the prf seed.

    Args:
        leaves: of the segment.
        records: of the segment.
        uses: of each block, the seed's included, [rows].
        seed_node: the number of the seed row's node, if there is that row.
    """

    def __init__(self, leaves: Leaves, records: Records, uses: Ints, seed_node: int | None) -> None:
        self._leaves, self._records, self._uses = leaves, records, uses
        self._seed_node = seed_node
        self._classes = _tensor_classes(leaves.trees.program)

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows."""
        return SPONGE_COLUMNS.count, len(self._uses)

    def part(self, first: int, end: int) -> Words:
        """Some rows, block by block."""
        found = np.zeros((self.shape[0], end - first), np.uint32)
        if first == end:
            return found
        seed_node = self._seed_node if end == self.shape[1] else None
        seeds = int(seed_node is not None)
        blocks = np.arange(first, end - seeds, dtype=np.int64)
        of_leaves = int(np.searchsorted(blocks, self._leaves.block_count))
        self._of_leaves(blocks[:of_leaves], found[:, :of_leaves])
        of_records = blocks[of_leaves:] - self._leaves.block_count
        self._of_records(of_records, found[:, of_leaves : len(blocks)])
        at = SPONGE_COLUMNS
        found[at["uses"]] = self._uses[first:end]
        found[at["block"]] = np.arange(first, end, dtype=np.int64)
        if seed_node is not None:
            row = found[:, -1]
            row[at["first"]], row[at["last"]] = 1, 1
            row[at["n"]], row[at["domain"]], row[at["node"]] = _SEED, int(Domain.SEED), seed_node
            row[at["filling"]] = np.arange(_RATE, dtype=np.int64) >= _SEED
        return found

    def _of_leaves(self, blocks: Ints, found: Words) -> None:
        """The rows of blocks of leaves, but what stands in every row."""
        leaves = self._leaves
        leaf = np.searchsorted(leaves.first_block, blocks, side="right") - 1
        within = blocks - leaves.first_block[leaf]
        first, last = within == 0, within == leaves.blocks[leaf] - 1
        elements = leaves.elements[leaf]
        place = _RATE * within + np.arange(_RATE, dtype=np.int64)[:, None]
        at = SPONGE_COLUMNS
        found[at["first"]] = first
        found[at["n"]] = np.where(first, elements + _SALT, 0)
        found[at["domain"]] = np.where(first, int(Domain.LEAF), 0)
        found[at["link"]] = ~last
        found[at["last"]] = last
        found[at["node"]] = np.where(last, leaf, 0)
        found[at["data"]] = place < elements
        found[at["class"]] = self._classes_of(leaf, within)
        found[at["filling"]] = place >= elements + _SALT

    def _of_records(self, blocks: Ints, found: Words) -> None:
        """The rows of blocks of records, but what stands in every row."""
        records = self._records
        record = np.searchsorted(records.first_block, blocks, side="right") - 1
        within = blocks - records.first_block[record]
        kind = records.kind[record]
        domain, aux, elements, length = (
            np.array([getattr(k, name) for k in records.kinds], np.int64)[kind]
            for name in ("domain", "aux", "elements", "blocks")
        )
        first, last = within == 0, within == length - 1
        at = SPONGE_COLUMNS
        found[at["first"]] = first
        found[at["n"]] = np.where(first, elements, 0)
        found[at["domain"]] = np.where(first, domain, 0)
        found[at["aux"]] = np.where(first, aux, 0)
        found[at["link"]] = ~last
        found[at["last"]] = last
        found[at["node"]] = np.where(last, len(self._leaves) + record, 0)
        place = _RATE * within + np.arange(_RATE, dtype=np.int64)[:, None]
        found[at["filling"]] = place >= elements

    def _classes_of(self, leaf: Ints, within: Ints) -> Ints:
        """The class of each byte of each block, [48, blocks]."""
        leaves = self._leaves
        of_values = self._classes[leaves.trees.tensor_of[leaves.tree[leaf]]]
        place = BLOCK * within + np.arange(BLOCK, dtype=np.int64)[:, None]
        fills = place < 3 * leaves.elements[leaf]
        return np.where(place < leaves.bytes[leaf], of_values, np.where(fills, _ZERO, 0))


def _tensor_classes(program: Program) -> Ints:
    ranges = byte_ranges(program)
    number = {ends: len(FIXED_CLASSES) + c for c, ends in enumerate(ranges)}
    classes = [
        number.get((t.lo + 128, t.hi + 128), _BYTE) if t.width == 1 else _BYTE
        for t in program.tensors
    ]
    return np.array(classes, np.int64)
