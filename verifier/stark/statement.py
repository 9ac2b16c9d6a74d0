"""What a proof is about, and the sizes that follow from it (docs/stark.md sections 1, 2, 4, 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import InsufficientSecurity, UnsupportedReceipt
from . import tree
from .field import DEGREE, TWO_ADICITY, Columns, Ints
from .params import PROFILES, Counts, Parameters, choose
from .tables import Table, TablesFile

CHUNKS = 4
MASKS = 2
"""Public columns that the engine itself fills: `mask_on` and `mask_tag`."""

MASK_ROWS = 5
MIN_LOG_ROWS = 11
MAX_LOG_ROWS = 22
"""Of a table that a prover may be asked for; the engine's own limit is the field's."""


@dataclass(frozen=True)
class PresentTable:
    """A table of a proof.

    Attributes:
        index: in the tables file.
        log_rows: it has 2^log_rows rows, hiding rows included.
        publics: its public columns from the third on, canonical words, uint32 [columns, used]:
            the first rows, all others being zero. An array, or whatever gives slices of its rows.
    """

    index: int
    log_rows: int
    publics: Columns


@dataclass(frozen=True)
class TermGroup:
    """Public terms of one bus and multiplicity: tuples of canonical words, uint32 [n, width]."""

    bus: int
    multiplicity: int
    tuples: NDArray[np.uint32]


@dataclass(frozen=True)
class PublicTerms:
    """All public terms of the LogUp sum."""

    groups: tuple[TermGroup, ...] = ()

    def __len__(self) -> int:
        return sum(len(group.tuples) for group in self.groups)


@dataclass(frozen=True)
class TableShape:
    """A present table with its definition."""

    present: PresentTable
    table: Table

    @property
    def log_rows(self) -> int:
        """Log of the number of rows."""
        return self.present.log_rows

    @property
    def fractions(self) -> int:
        """Columns φ."""
        return len(self.table.groups)

    @property
    def openings(self) -> int:
        """Opened values: main, next, φ, acc, and acc one row on."""
        return self.table.mains + len(self.table.next_columns) + self.fractions + 2


@dataclass(frozen=True)
class Openings:
    """What is opened of the columns of one height, word by word of main, auxiliary, quotient rows.

    Attributes:
        here: the number of the word's opening at ζ, or −1, int64 [words].
        ahead: the number of the word's opening at ω_k·ζ, or −1.
        digit: the power of X that the word is the coefficient of, within an element of K.
    """

    here: Ints
    ahead: Ints
    digit: Ints


class Statement:
    """The tables of a proof with their sizes; everything the proof's length follows from."""

    def __init__(
        self, file: TablesFile, present: Sequence[PresentTable], parameters: Parameters
    ) -> None:
        """Judge what the caller gives.

        Raises:
            ValueError: the tables are not ascending, lack the file's last one, are too small, or
                have public columns of another shape.
            UnsupportedReceipt: `verify.too-large`, a domain is larger than the field has.
            InsufficientSecurity: `security.insufficient`, the hiding rows leave too few others.
        """
        self.file = file
        self.parameters = parameters
        indices = [one.index for one in present]
        if not indices or indices != sorted(set(indices)) or indices[0] < 0:
            raise ValueError("the tables of a proof are not in ascending order")
        if indices[-1] != len(file.tables) - 1:
            raise ValueError("the last table of the file is not the proof's last one")
        self.tables = [TableShape(one, file.tables[one.index]) for one in present]
        self._judge_sizes()
        self.log_heights = sorted({one.log_rows for one in self.tables}, reverse=True)

    def _judge_sizes(self) -> None:
        hiding = self.parameters.hiding_rows
        for one in self.tables:
            columns, used = one.present.publics.shape
            if columns != one.table.publics - MASKS or used > (1 << one.log_rows) - hiding:
                raise ValueError(f"public columns of another shape than table {one.table.name}")
            if one.log_rows < MIN_LOG_ROWS:
                raise ValueError(f"table {one.table.name} has too few rows")
            if 5 * hiding > 1 << one.log_rows:
                raise InsufficientSecurity(
                    "the hiding rows leave too few others", code="security.insufficient"
                )
            if one.log_rows + self.parameters.profile.log_blowup > TWO_ADICITY:
                raise UnsupportedReceipt(
                    "a table is too tall for the field",
                    code="verify.too-large",
                    expected=f"at most 2^{TWO_ADICITY - self.parameters.profile.log_blowup} rows",
                    received=f"2^{one.log_rows} rows",
                )

    @property
    def hiding(self) -> int:
        """Hiding rows of every table."""
        return self.parameters.hiding_rows

    @property
    def log_blowup(self) -> int:
        """Log of a codeword's length over a column's."""
        return self.parameters.profile.log_blowup

    @property
    def log_domain(self) -> int:
        """Log of the tallest domain."""
        return self.log_heights[0] + self.log_blowup

    @property
    def opening_count(self) -> int:
        """Opened values, of all tables and of all quotients."""
        return sum(one.openings for one in self.tables) + CHUNKS * len(self.log_heights)

    def encode(self) -> bytes:
        """What the transcript absorbs of the statement."""
        pairs = [byte for one in self.tables for byte in (one.present.index, one.log_rows)]
        return self.file.digest + bytes([len(self.tables), *pairs])

    def of_height(self, log_rows: int) -> list[TableShape]:
        """The tables of that height, in order."""
        return [one for one in self.tables if one.log_rows == log_rows]

    def judge_terms(self, terms: PublicTerms) -> None:
        """Demand of public terms the length that the tables' tuples have on their bus.

        Raises:
            ValueError: a group's tuples are of another length, or no table uses its bus.
        """
        for group in terms.groups:
            if group.tuples.shape[1] != self.file.tuple_lengths.get(group.bus):
                raise ValueError(f"public terms of another length than tuples on bus {group.bus}")

    def counts(self, terms: PublicTerms) -> Counts:
        """What the proven security depends on."""
        lookups = [lookup for one in self.tables for lookup in one.table.lookups]
        widths = [len(lookup.items) for lookup in lookups]
        widths += [group.tuples.shape[1] for group in terms.groups]
        return Counts(
            log_rows=self.log_heights[0],
            openings=self.opening_count + 1,
            constraints=sum(one.table.constraint_count for one in self.tables),
            lookups=sum(len(one.table.lookups) << one.log_rows for one in self.tables),
            public_terms=len(terms),
            longest_tuple=max(widths),
        )

    @cached_property
    def shapes(self) -> tuple[tree.Shape, tree.Shape, tree.Shape]:
        """Of the main, the auxiliary and the quotient tree."""
        main, aux, quotient = {}, {}, {}
        for log_rows in self.log_heights:
            level, tables = log_rows + self.log_blowup, self.of_height(log_rows)
            main[level] = sum(one.table.mains for one in tables)
            aux[level] = DEGREE * sum(one.fractions + 1 for one in tables)
            quotient[level] = DEGREE * CHUNKS
        quotient[self.log_domain] += DEGREE
        hashing = self.parameters.profile.hashing
        main_shape, aux_shape, quotient_shape = (
            tree.Shape(widths, hashing=hashing) for widths in (main, aux, quotient)
        )
        return main_shape, aux_shape, quotient_shape

    def openings_of(self, log_rows: int) -> Openings:
        """What is opened of the columns of that height."""
        main, aux = [], []
        start = 0
        for one in self.tables:
            if one.log_rows == log_rows:
                main.append(_main_openings(one, start))
                aux.append(_aux_openings(one, start))
            start += one.openings
        start += CHUNKS * self.log_heights.index(log_rows)
        chunks = np.arange(start, start + CHUNKS, dtype=np.int64)
        if log_rows == self.log_heights[0]:
            chunks = np.append(chunks, -1)
        quotient = np.stack([chunks, np.full(len(chunks), -1, np.int64)])
        digits = np.arange(DEGREE, dtype=np.int64)
        base = np.concatenate(main, 1)
        extended = np.concatenate([*aux, quotient], 1)
        here, ahead = np.concatenate([base, np.repeat(extended, DEGREE, 1)], 1)
        zeros = np.zeros(base.shape[1], np.int64)
        digit = np.concatenate([zeros, np.tile(digits, extended.shape[1])])
        return Openings(here, ahead, digit)


def log_rows(used: int, hiding: int) -> int:
    """Log of the rows of a table with so many used ones.

    Raises:
        UnsupportedReceipt: `verify.too-large`.
    """
    found = max(MIN_LOG_ROWS, (used + hiding - 1).bit_length())
    if found > MAX_LOG_ROWS:
        raise UnsupportedReceipt(
            "a table of a segment is too tall",
            code="verify.too-large",
            expected=f"at most 2^{MAX_LOG_ROWS} rows",
            received=f"2^{found} rows",
        )
    return found


def most_rows(parameters: Parameters) -> int:
    """Used rows that a table of a segment has at most: of the tallest one, but the hiding ones."""
    tallest = min(MAX_LOG_ROWS, TWO_ADICITY - parameters.profile.log_blowup)
    return (1 << tallest) - parameters.hiding_rows


def parameters_for(
    tables: TablesFile,
    present: Sequence[PresentTable],
    public_terms: PublicTerms,
    profile: int,
    segments: int = 1,
) -> Parameters:
    """The parameters of a profile with the least queries that reach the target for this proof.

    Raises:
        InsufficientSecurity, UnsupportedReceipt, ValueError, KeyError: see `Statement`, `choose`.
    """
    without_queries = Parameters(PROFILES[profile], 0)
    counts = Statement(tables, present, without_queries).counts(public_terms)
    return choose(profile, counts, segments)


def mask_columns(statement: Statement, shape: TableShape) -> NDArray[np.uint32]:
    """`mask_on` and `mask_tag` of a table, over the rows where the mask is on, uint32 [2, rows]."""
    own = [shape] if shape is not statement.tables[-1] else statement.tables[:-1]
    tags = [8 * one.present.index + row for one in own for row in range(MASK_ROWS)]
    return np.array([[1] * len(tags), tags], np.uint32)


def _main_openings(shape: TableShape, start: int) -> Ints:
    """Numbers of the openings here and ahead of each main column, [2, mains]."""
    mains, ahead = shape.table.mains, shape.table.next_columns
    numbers = np.full((2, mains), -1, np.int64)
    numbers[0] = np.arange(start, start + mains)
    numbers[1, list(ahead)] = np.arange(start + mains, start + mains + len(ahead))
    return numbers


def _aux_openings(shape: TableShape, start: int) -> Ints:
    """Numbers of the openings here and ahead of each φ and of acc, [2, fractions + 1]."""
    numbers = np.full((2, shape.fractions + 1), -1, np.int64)
    first = start + shape.openings - shape.fractions - 2
    numbers[0] = np.arange(first, first + shape.fractions + 1)
    numbers[1, -1] = first + shape.fractions + 1
    return numbers
