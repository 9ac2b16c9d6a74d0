"""Rows that verify children, written once for all that are of one shape (docs/recursion.md 3).

They are alike but for constants: the children's points, and what follows from these. While rows are
written, names stand for such constants; each node then has its own children's in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from ..gates import Ints
from ..stark import PresentTable, PublicTerms
from ..stark.field import DEGREE, K
from .child import Child, HeightAt, Points
from .circuit.verify import verify_inside
from .machine import Machine
from .publics import known_terms, present_tables
from .tables import COLUMNS, Table

_FIRST_NAME = 1 << 40
"""Names are from here on; elements of F are below."""

_CONSTANT = COLUMNS[Table.FIELD]["constant"]

Shape: TypeAlias = tuple[bytes, bytes, int]


class _Name(K):
    """What stands for a constant of a child, or for its negative."""

    @classmethod
    def of_number(cls, number: int) -> _Name:
        return cls((_FIRST_NAME + number, *[0] * (DEGREE - 1)))

    def __neg__(self) -> K:
        return self.of_number((self.words[0] - _FIRST_NAME) ^ 1)


@dataclass(frozen=True)
class Template:
    """The tables of a node over children of some shapes.

    Attributes:
        shapes: of the children.
        hiding: rows of every table.
        tables: with any constants in the place of the children's.
        blocks: numbers of the blocks that the verifier knows.
        rows: of the field table, those whose constant is a child's.
        names: which one it is: 2i of the i-th one, 2i + 1 of its negative.
    """

    shapes: tuple[Shape, ...]
    hiding: int
    tables: list[PresentTable]
    blocks: list[int]
    rows: Ints
    names: Ints

    @classmethod
    def of(cls, children: Sequence[Child], hiding: int) -> Template:
        """Write the rows that verify children of these shapes.

        Raises:
            UnsupportedReceipt: `verify.too-large`.
        """
        machine, named = Machine(), 0

        def name(_: K) -> K:
            nonlocal named
            named += 1
            return _Name.of_number(2 * (named - 1))

        for child in children:
            verify_inside(machine, _with_constants(child, name))
        first = machine.rows(Table.FIELD)[:, _CONSTANT][:, 0]
        rows = np.flatnonzero(first >= _FIRST_NAME)
        return cls(
            shapes=tuple(map(_shape, children)),
            hiding=hiding,
            tables=present_tables(machine, hiding),
            blocks=[block for block, _ in machine.known],
            rows=rows,
            names=first[rows] - _FIRST_NAME,
        )

    def fits(self, children: Sequence[Child], hiding: int) -> bool:
        """Whether the rows that verify these children are of this kind."""
        return self.hiding == hiding and self.shapes == tuple(map(_shape, children))

    def present(self, children: Sequence[Child]) -> list[PresentTable]:
        """The tables of a node over these children."""
        constants: list[tuple[int, ...]] = []

        def collect(constant: K) -> K:
            constants.extend((constant.words, (-constant).words))
            return constant

        for child in children:
            _with_constants(child, collect)
        words = np.array(self.tables[Table.FIELD].publics[:, :])
        words[_CONSTANT, self.rows] = np.array(constants, np.uint32)[self.names].T
        found = list(self.tables)
        found[Table.FIELD] = replace(found[Table.FIELD], publics=words)
        return found

    def terms(self, children: Sequence[Child]) -> PublicTerms:
        """The public terms of a node over these children: what they start from."""
        return known_terms(list(zip(self.blocks, (child.start for child in children), strict=True)))


def _shape(child: Child) -> Shape:
    """All that the rows follow from, but constants."""
    return child.statement.encode(), child.statement.parameters.encode(), child.longest_tuple


def _with_constants(child: Child, change: Callable[[K], K]) -> Child:
    """A child with other constants; they are asked for in one order."""

    def height(one: HeightAt) -> HeightAt:
        constants = (one.first, one.last, one.vanishing, one.step, one.next)
        return HeightAt(one.log_rows, *map(change, constants))

    points = child.points
    return replace(
        child,
        points=Points(*map(change, (points.alpha, points.beta, points.zeta))),
        publics=[list(map(change, columns)) for columns in child.publics],
        heights=list(map(height, child.heights)),
        public_sum=change(child.public_sum),
    )
