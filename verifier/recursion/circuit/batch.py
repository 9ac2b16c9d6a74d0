"""The coefficients that make one word of all columns of a height (docs/stark.md section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ...stark.field import DEGREE, K
from ...stark.statement import CHUNKS
from ..child import Child
from ..machine import Cell, Coefficients, Machine
from ..tables import BLOCK
from .transcript import Opened, OpenedChunks, OpenedTable

SALT = 4
"""Elements of a salt."""

_X = K((0, 1, 0, 0, 0))

OfRow: TypeAlias = list[tuple[int, Coefficients]]
"""Coefficients of the blocks of an opened row: the block's place, and what it is multiplied by."""


@dataclass(frozen=True)
class OfHeight:
    """What is summed of the opened rows of one height.

    Attributes:
        lengths: elements of the rows of the three trees, salts included.
        here: for the sum at ζ, by tree.
        ahead: for the one a row on, by tree.
        mask: of the row of the quotient tree, for the mask.
        value_here, value_ahead: the same sums of the opened values.
    """

    lengths: tuple[int, int, int]
    here: list[OfRow]
    ahead: list[OfRow]
    mask: OfRow
    value_here: Cell
    value_ahead: Cell


@dataclass(frozen=True)
class Batch:
    """Per height, tallest first."""

    heights: list[OfHeight]

    @classmethod
    def of(cls, machine: Machine, child: Child, eta: Cell, opened: Opened) -> Batch:
        """Write the rows of all coefficients, and of the sums of the opened values."""
        etas = [machine.one()]
        for i in range(opened.count):
            etas.append(machine.product(etas[i], eta))
        x = machine.constant(_X)
        heights = []
        for i, (height, chunks) in enumerate(zip(child.heights, opened.chunks, strict=True)):
            words = _Words(machine, x)
            for t in child.positions(height.log_rows):
                words.add_table(child.tables[t].table.next_columns, opened.tables[t], etas)
            words.add_chunks(chunks, etas, etas[opened.count] if i == 0 else None)
            heights.append(words.finish())
        return cls(heights)


@dataclass
class _Words:
    """Coefficients word by word, of one height; pairs of powers of η and opened values."""

    machine: Machine
    x: Cell
    here: list[list[Cell | None]] = field(default_factory=lambda: [[], [], []])
    ahead: list[list[Cell | None]] = field(default_factory=lambda: [[], [], []])
    mask: list[Cell | None] = field(default_factory=list)
    values_here: list[tuple[Cell, Cell]] = field(default_factory=list)
    values_ahead: list[tuple[Cell, Cell]] = field(default_factory=list)

    def add_table(self, columns: Sequence[int], opened: OpenedTable, etas: list[Cell]) -> None:
        """Add the words of a table, of which these columns are opened one row on, too."""
        rest = iter(etas[opened.start :])

        def take(values: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
            return [(next(rest), value) for value in values]

        main, following = take(opened.main), take(opened.next)
        self.here[0] += [eta for eta, _ in main]
        of_next = dict(zip(columns, (eta for eta, _ in following), strict=True))
        self.ahead[0] += [of_next.get(column) for column in range(len(main))]
        self.values_here += main
        self.values_ahead += following

        for eta, value in take([*opened.fractions, opened.acc]):
            self.here[1] += self._shifted(eta)
            self.values_here.append((eta, value))
        ((after, value),) = take([opened.acc_next])
        self.ahead[1] += [None] * (len(self.here[1]) - DEGREE - len(self.ahead[1]))
        self.ahead[1] += self._shifted(after)
        self.values_ahead.append((after, value))

    def add_chunks(self, chunks: OpenedChunks, etas: list[Cell], of_mask: Cell | None) -> None:
        """Add the chunks, and the mask of the tallest height."""
        for eta, value in zip(etas[chunks.start :][:CHUNKS], chunks.cells, strict=True):
            self.here[2] += self._shifted(eta)
            self.values_here.append((eta, value))
        if of_mask is not None:
            self.mask += [None] * len(self.here[2])
            self.mask += self._shifted(of_mask)

    def finish(self) -> OfHeight:
        """Pack all words."""
        main, auxiliary, quotient = (len(words) + SALT for words in self.here)
        lengths = (main, auxiliary, max(quotient, len(self.mask) + SALT))
        here = [self._pack(words) for words in self.here]
        ahead = [self._pack(words) for words in self.ahead]
        mask = self._pack(self.mask)
        values = (self._sum(pairs) for pairs in (self.values_here, self.values_ahead))
        return OfHeight(lengths, here, ahead, mask, *values)

    def _shifted(self, cell: Cell) -> list[Cell]:
        """`cell·X^i` for all i."""
        found = [cell]
        for _ in range(DEGREE - 1):
            found.append(self.machine.product(found[-1], self.x))
        return found

    def _pack(self, words: Sequence[Cell | None]) -> OfRow:
        """Coefficients of the blocks in which any word counts."""
        zero = self.machine.zero()
        found = []
        for start in range(0, len(words), BLOCK):
            block = words[start : start + BLOCK]
            if any(word is not None for word in block):
                cells = [zero if word is None else word for word in block]
                cells += [zero] * (BLOCK - len(cells))
                found.append((start // BLOCK, self.machine.pack(cells)))
        return found

    def _sum(self, pairs: Sequence[tuple[Cell, Cell]]) -> Cell:
        found = self.machine.zero()
        for eta, value in pairs:
            found = self.machine.fused(eta, value, found)
        return found
