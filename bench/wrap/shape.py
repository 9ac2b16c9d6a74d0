"""The shape of an outer proof: what its verifier's work follows from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...verifier.stark.field import Ints
from ...verifier.stark.fri import Round, plan_rounds
from ...verifier.stark.params import Counts, Parameters, Profile, proven
from ...verifier.stark.tables import Kind, Table, TablesFile, read_tables

CHUNKS = 4
DEGREE = 5
SALT_BYTES = 16
TABLES = Path(__file__).parents[2] / "verifier" / "stark" / "tables.bin"


@dataclass(frozen=True)
class OuterTable:
    """Sizes of one table.

    Attributes:
        log_rows: it has 2^log_rows rows.
        mains, ahead, publics: columns: of the witness, those read one row on, of the schedule.
        groups, lookups, items: of LogUp; items of all tuples.
        constraints: its own.
        products: of two elements that neither is a constant, when the constraints are evaluated.
    """

    log_rows: int
    mains: int
    ahead: int
    publics: int
    groups: int
    lookups: int
    items: int
    constraints: int
    products: int

    @classmethod
    def of(cls, table: Table, log_rows: int) -> OuterTable:
        """A table of a tables file."""
        return cls(
            log_rows=log_rows,
            mains=table.mains,
            ahead=len(table.next_columns),
            publics=table.publics,
            groups=len(table.groups),
            lookups=len(table.lookups),
            items=sum(len(lookup.items) for lookup in table.lookups),
            constraints=len(table.constraints),
            products=_products(table),
        )


@dataclass(frozen=True)
class Shape:
    """Of an outer proof; `cap` is the log of the nodes at which paths in a circuit end.

    `fixed` says that public columns are committed to in the key and opened like the others; else
    whoever checks evaluates them at ζ, and the circuit takes their values.
    """

    tables: tuple[OuterTable, ...]
    queries: int = 41
    log_blowup: int = 4
    log_folding: int = 3
    log_final: int = 5
    cap: int = 5
    fixed: bool = False

    @property
    def heights(self) -> list[int]:
        """Logs of the heights, tallest first."""
        return sorted({table.log_rows for table in self.tables}, reverse=True)

    @property
    def log_domain(self) -> int:
        """Log of the tallest domain."""
        return self.heights[0] + self.log_blowup

    @property
    def rounds(self) -> list[Round]:
        """Of FRI."""
        domains = [height + self.log_blowup for height in self.heights]
        return plan_rounds(domains, self.log_folding, self.log_blowup + self.log_final)

    @property
    def trees(self) -> list[dict[int, int]]:
        """Words of a row by height: main, auxiliary and quotient tree, then the fixed one."""
        main, aux, quotient, fixed = (dict.fromkeys(self.heights, 0) for _ in range(4))
        for table in self.tables:
            main[table.log_rows] += table.mains
            aux[table.log_rows] += DEGREE * (table.groups + 1)
            fixed[table.log_rows] += table.publics
        for height in self.heights:
            quotient[height] = DEGREE * CHUNKS
        quotient[self.heights[0]] += DEGREE
        return [main, aux, quotient, *([fixed] if self.fixed else [])]

    @property
    def openings(self) -> int:
        """Opened values, elements of K."""
        own = sum(table.mains + table.ahead + table.groups + 2 for table in self.tables)
        fixed = sum(table.publics for table in self.tables) if self.fixed else 0
        return own + fixed + CHUNKS * len(self.heights)

    @property
    def hiding(self) -> int:
        """Hiding rows of a table."""
        return 2 * self.queries + 16

    @property
    def proven_bits(self) -> float:
        """By docs/stark.md section 8, with our grinding."""
        profile = Profile(self.log_blowup, log_folding=self.log_folding, log_final=self.log_final)
        counts = Counts(
            log_rows=self.heights[0],
            openings=self.openings + 1,
            constraints=sum(t.constraints + t.groups + 3 for t in self.tables),
            lookups=sum(t.lookups << t.log_rows for t in self.tables),
            public_terms=0,
            longest_tuple=25,
        )
        return proven(Parameters(profile, self.queries), counts).proven_bits

    def proof_bytes(self) -> int:
        """Of the outer proof with SHA-256, paths shared; indices drawn from a fixed seed."""
        drawn = np.random.default_rng(46).integers(0, 1 << self.log_domain, self.queries)
        head = 32 * 3 + 20 * (len(self.tables) + self.openings + (1 << self.log_final)) + 16
        total = head + 40 * len(self.rounds)
        for tree in self.trees[:3]:
            for height, words in tree.items():
                opened = np.unique(drawn >> (self.heights[0] - height))
                total += len(opened) * (4 * words + SALT_BYTES)
            total += 32 * _siblings(drawn, self.log_domain)
        for each in self.rounds:
            rows = np.unique(drawn >> (self.log_domain - each.log_rows))
            total += len(rows) * 4 * (DEGREE << each.log_arity)
            total += 32 * _siblings(rows, each.log_rows)
        return total


OUTER = ((17, 85, 5), (16, 78, 5), (15, 58, 4), (14, 39, 3))
"""Log of the rows, main columns and groups of each table: about 450 words a row of three trees."""

LAST = ((14, 280, 10),)
"""Of one more layer that verifies an outer proof with Poseidon2: a permutation a row."""


def planned(tables: TablesFile, sizes: Sequence[tuple[int, int, int]] = OUTER) -> Shape:
    """A proof whose tables are not there yet.

    They have as many constraints, lookups and public columns for a main column as those of this
    file together.
    """
    those = [OuterTable.of(table, 0) for table in tables.tables]
    mains = sum(table.mains for table in those)

    def share(name: str, columns: int) -> int:
        total: int = sum(getattr(table, name) for table in those)
        return round(columns * total / mains)

    def table(log_rows: int, columns: int, groups: int) -> OuterTable:
        rates = ("publics", "lookups", "items", "constraints", "products")
        rest = {name: share(name, columns) for name in rates}
        return OuterTable(log_rows=log_rows, mains=columns, ahead=2, groups=groups, **rest)

    return Shape(tuple(table(*size) for size in sizes))


def shape_of(tables: TablesFile, present: Sequence[tuple[str, int]]) -> Shape:
    """The shape with tables of a file by name, with the logs of their rows.

    Raises:
        KeyError: there is no such table.
    """
    by_name = {table.name: table for table in tables.tables}
    return Shape(tuple(OuterTable.of(by_name[name], log_rows) for name, log_rows in present))


def today() -> TablesFile:
    """The tables file of this version."""
    return read_tables(TABLES.read_bytes())


def _products(table: Table) -> int:
    constant = [node.kind is Kind.CONSTANT for node in table.nodes]
    return sum(
        node.kind is Kind.PRODUCT and not constant[node.a] and not constant[node.b]
        for node in table.nodes
    )


def _siblings(positions: Ints, levels: int) -> int:
    count, positions = 0, np.unique(positions)
    for _ in range(levels):
        parents = np.unique(positions >> 1)
        count += 2 * len(parents) - len(positions)
        positions = parents
    return int(count)
