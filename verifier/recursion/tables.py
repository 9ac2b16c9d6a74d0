"""The tables that verify a proof: their order and public columns (docs/recursion.md section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from importlib.resources import files

from ..stark import TablesFile, read_tables
from ..stark.columns import Columns

BLOCK = 8
"""Elements of a block: a digest, or what a sponge takes in at once."""

CELLS = 8
"""Elements of K that stand in five blocks."""

BLOCKS = 5
BITS = 31
"""Bits of an element."""

TOP_BITS = 7
"""Of these, the ones that an element below p has all of only where it is p − 1."""


class Bus(IntEnum):
    """What has numbers: one row gives it, others take it."""

    BLOCK = 1
    CELL = 2
    COEFFICIENTS = 3
    BIT = 4


class Table(IntEnum):
    """Tables by their index in the tables file."""

    HASH = 0
    DOT = 1
    CELLS = 2
    BITS = 3
    FIELD = 4


@dataclass(frozen=True)
class Reference:
    """A lookup: the names of its columns, the number's and the multiplicity's.

    Attributes:
        bus: what the number is of.
        at: the column of the number.
        times: the column of how often it is taken; given, if negative.
        index: which one of these columns, where there are several.
        ahead: what is added to the number.
    """

    bus: Bus
    at: str
    times: str
    index: int = 0
    ahead: int = 0


COLUMNS: Mapping[Table, Columns] = {
    Table.HASH: Columns(
        "left left_times right right_times out out_times bit has_bit feed fresh begin:2 keep path "
        "zero:8"
    ),
    Table.DOT: Columns("on block coefficients link cell times"),
    Table.CELLS: Columns("block has_block:5 cell:8 cell_times:8 coefficients coefficients_times"),
    Table.BITS: Columns(
        "start link top low zero end choice:8 block step bit bit_times cell cell_times point "
        "point_times"
    ),
    Table.FIELD: Columns("a a_times b b_times c c_times d d_times product:2 sum:3 constant:5"),
}
"""Of each table, behind the engine's two."""

REFERENCES: Mapping[Table, tuple[Reference, ...]] = {
    Table.HASH: (
        Reference(Bus.BLOCK, "left", "left_times"),
        Reference(Bus.BLOCK, "right", "right_times"),
        Reference(Bus.BLOCK, "out", "out_times"),
        Reference(Bus.BIT, "bit", "has_bit"),
    ),
    Table.DOT: (
        Reference(Bus.BLOCK, "block", "on"),
        Reference(Bus.COEFFICIENTS, "coefficients", "on"),
        Reference(Bus.CELL, "cell", "times"),
    ),
    Table.CELLS: (
        *(Reference(Bus.BLOCK, "block", "has_block", index=i, ahead=i) for i in range(BLOCKS)),
        *(Reference(Bus.CELL, "cell", "cell_times", index=i) for i in range(CELLS)),
        Reference(Bus.COEFFICIENTS, "coefficients", "coefficients_times"),
    ),
    Table.BITS: (
        Reference(Bus.BLOCK, "block", "end"),
        Reference(Bus.BIT, "bit", "bit_times"),
        Reference(Bus.CELL, "cell", "cell_times"),
        Reference(Bus.CELL, "point", "point_times"),
    ),
    Table.FIELD: tuple(Reference(Bus.CELL, name, f"{name}_times") for name in "abcd"),
}
"""All lookups of each table but the engine's, in the order of the tables file."""


def column(table: Table, name: str, index: int = 0) -> int:
    """The number of a column, or of one of several that share a name."""
    place = COLUMNS[table][name]
    return place if isinstance(place, int) else int(place.start) + index


@lru_cache
def tables_file() -> TablesFile:
    """The definitions of the tables, as they are installed with this package."""
    return read_tables(files(__package__).joinpath("tables.bin").read_bytes())
