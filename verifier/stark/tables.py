"""The tables file: its canonical bytes, read strictly, and its expressions, evaluated.

docs/stark.md section 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..reader import PROGRAM_CODES, P, Reader
from .field import Base, Column

MAGIC = b"ZKTAIR01"
MAX_DEGREE = 4
MAX_MULTIPLICITY_DEGREE = 2
MAX_TUPLE_DEGREE = 1
MAX_GROUP = 3
_BLOCK = 1 << 12
"""Rows that are evaluated together: all nodes of the table are held for them."""


class Kind(IntEnum):
    """What a node of an expression is."""

    CONSTANT = 0
    PUBLIC = 1
    MAIN = 2
    NEXT = 3
    FIRST = 4
    LAST = 5
    SUM = 6
    DIFFERENCE = 7
    PRODUCT = 8


_KINDS = tuple(Kind)


class Node(NamedTuple):
    """One node: `a` is a constant or a column, or `a` and `b` are the operands' nodes."""

    kind: Kind
    a: int = 0
    b: int = 0


@dataclass(frozen=True)
class Lookup:
    """A lookup: the nodes of its multiplicity and of its tuple."""

    bus: int
    multiplicity: int
    items: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """One table; constraints are node numbers, lookups stand in groups of one to three."""

    name: str
    publics: int
    mains: int
    nodes: tuple[Node, ...]
    constraints: tuple[int, ...]
    groups: tuple[tuple[Lookup, ...], ...]

    @cached_property
    def next_columns(self) -> tuple[int, ...]:
        """The main columns that are read one row on, ascending."""
        return tuple(sorted(node.a for node in self.nodes if node.kind is Kind.NEXT))

    @property
    def lookups(self) -> list[Lookup]:
        """All lookups in order."""
        return [lookup for group in self.groups for lookup in group]

    @property
    def constraint_count(self) -> int:
        """Its own constraints, one for each group, three of the accumulator."""
        return len(self.constraints) + len(self.groups) + 3


@dataclass(frozen=True)
class TablesFile:
    """All tables in order and the digest of their bytes."""

    tables: tuple[Table, ...]
    digest: bytes

    @cached_property
    def tuple_lengths(self) -> Mapping[int, int]:
        """Elements of the tuples of each bus that a table uses."""
        return {one.bus: len(one.items) for table in self.tables for one in table.lookups}


class Ring(Protocol):
    """What an expression can be evaluated in."""

    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...


R = TypeVar("R", bound=Ring)


@dataclass(frozen=True)
class Values(Generic[R]):
    """What the leaves of expressions stand for; `of` makes a constant of an integer."""

    public: Sequence[R]
    main: Sequence[R]
    next: Mapping[int, R]
    first: R
    last: R
    of: Callable[[int], R]


def evaluate(table: Table, values: Values[R]) -> list[R]:
    """The values of all nodes of a table, in order."""
    found: list[R] = []
    for node in table.nodes:
        # Most nodes are of the first kinds.
        match node.kind:
            case Kind.SUM:
                value = found[node.a] + found[node.b]
            case Kind.PRODUCT:
                value = found[node.a] * found[node.b]
            case Kind.DIFFERENCE:
                value = found[node.a] - found[node.b]
            case Kind.MAIN:
                value = values.main[node.a]
            case Kind.PUBLIC:
                value = values.public[node.a]
            case Kind.NEXT:
                value = values.next[node.a]
            case Kind.CONSTANT:
                value = values.of(node.a)
            case Kind.FIRST:
                value = values.first
            case Kind.LAST:
                value = values.last
        found.append(value)
    return found


def evaluate_rows(
    table: Table,
    publics: NDArray[np.integer],
    mains: NDArray[np.integer],
    active: int,
    nodes: Iterable[int],
) -> Base:
    """These nodes on every active row of a trace, uint64 [nodes, active].

    Args:
        table: the table.
        publics: all its public columns, masks included, integers of any sign [publics, rows].
        mains: its main columns, [mains, rows]; a row is followed by the next one, the last by the
            first.
        active: how many rows are active, at most `rows`.
        nodes: e.g. `table.constraints`, or the multiplicity and items of a lookup.
    """
    chosen, rows = list(nodes), mains.shape[1]
    found = np.empty((len(chosen), active), np.uint64)
    for start in range(0, active, _BLOCK):
        row = np.arange(start, min(active, start + _BLOCK), dtype=np.int64)
        ahead = _columns(mains[:, (row + 1) % rows])
        values = Values(
            public=_columns(publics[:, row]),
            main=_columns(mains[:, row]),
            next=dict(enumerate(ahead)),
            first=Column((row == 0).astype(np.uint64)),
            last=Column((row == active - 1).astype(np.uint64)),
            of=Column.of,
        )
        every = evaluate(table, values)
        for place, node in enumerate(chosen):
            found[place, start : start + len(row)] = every[node].values
    return found


def _columns(block: NDArray[np.integer]) -> list[Column]:
    return [Column((column.astype(np.int64) % P).astype(np.uint64)) for column in block]


def read_tables(data: bytes) -> TablesFile:
    """Read a tables file.

    Raises:
        MalformedProgram: `program.malformed`, the bytes are not canonical or break section 1.
    """
    reader = Reader(data, PROGRAM_CODES)
    if bytes(reader.take(len(MAGIC))) != MAGIC:
        raise reader.bad("not a tables file", expected=MAGIC)
    tables = tuple(_read_table(reader) for _ in range(reader.u16()))
    reader.end()
    if not tables:
        raise reader.bad("there are no tables")
    if len({table.name for table in tables}) < len(tables):
        raise reader.bad("two tables have one name")
    _judge_lengths(reader, tables)
    return TablesFile(tables, hashlib.sha256(b"zktally tables v1\0" + data).digest())


def _read_table(reader: Reader) -> Table:
    name = bytes(reader.take(reader.u8()))
    if not name or not name.isascii():
        raise reader.bad("a table's name is not ASCII", received=name)
    publics, mains = reader.u16(), reader.u16()
    nodes, degrees = _read_nodes(reader, publics, mains)
    constraints = tuple(_read_expression(reader, degrees, MAX_DEGREE) for _ in range(reader.u32()))
    groups = tuple(_read_group(reader, degrees) for _ in range(reader.u16()))
    table = Table(name.decode("ascii"), publics, mains, nodes, constraints, groups)
    _judge_mask(reader, table)
    return table


def _read_nodes(
    reader: Reader, publics: int, mains: int
) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """All nodes of a table, and their degrees."""
    nodes: dict[Node, None] = {}
    degrees: list[int] = []
    for number in range(reader.u32()):
        node = _read_node(reader, number, publics, mains)
        if node in nodes:
            raise reader.bad("two nodes are equal", received=node)
        nodes[node] = None
        degrees.append(_degree(node, degrees))
    return tuple(nodes), tuple(degrees)


def _read_node(reader: Reader, number: int, publics: int, mains: int) -> Node:
    byte = reader.u8()
    if byte >= len(_KINDS):
        raise reader.bad("a node is of no known kind", received=byte)
    kind = _KINDS[byte]
    match kind:
        case Kind.CONSTANT:
            return Node(kind, _below(reader, reader.u32(), P))
        case Kind.PUBLIC:
            return Node(kind, _below(reader, reader.u16(), publics))
        case Kind.MAIN | Kind.NEXT:
            return Node(kind, _below(reader, reader.u16(), mains))
        case Kind.FIRST | Kind.LAST:
            return Node(kind)
        case Kind.SUM | Kind.DIFFERENCE | Kind.PRODUCT:
            a = _below(reader, reader.u32(), number)
            return Node(kind, a, _below(reader, reader.u32(), number))


def _degree(node: Node, degrees: Sequence[int]) -> int:
    match node.kind:
        case Kind.CONSTANT:
            return 0
        case Kind.SUM | Kind.DIFFERENCE:
            return max(degrees[node.a], degrees[node.b])
        case Kind.PRODUCT:
            return degrees[node.a] + degrees[node.b]
        case _:
            return 1


def _read_group(reader: Reader, degrees: Sequence[int]) -> tuple[Lookup, ...]:
    size = reader.u8()
    if not 1 <= size <= MAX_GROUP:
        raise reader.bad("a group has no lookups or too many", f"1 to {MAX_GROUP}", size)
    return tuple(_read_lookup(reader, degrees) for _ in range(size))


def _read_lookup(reader: Reader, degrees: Sequence[int]) -> Lookup:
    bus = reader.u16()
    multiplicity = _read_expression(reader, degrees, MAX_MULTIPLICITY_DEGREE)
    items = tuple(_read_expression(reader, degrees, MAX_TUPLE_DEGREE) for _ in range(reader.u16()))
    return Lookup(bus, multiplicity, items)


def _read_expression(reader: Reader, degrees: Sequence[int], most: int) -> int:
    node = _below(reader, reader.u32(), len(degrees))
    if degrees[node] > most:
        raise reader.bad("an expression's degree is too high", f"at most {most}", degrees[node])
    return node


def _judge_mask(reader: Reader, table: Table) -> None:
    """The blinding lookup comes first in every table (section 2)."""
    first = table.groups[0][0] if table.groups else None
    if first is None or first.bus != 0 or len(first.items) != 1:
        raise reader.bad("the first lookup of a table is not the mask", received=table.name)
    if table.nodes[first.items[0]] != Node(Kind.PUBLIC, 1):
        raise reader.bad("the tuple of the mask is not its tag", received=table.name)


def _judge_lengths(reader: Reader, tables: Iterable[Table]) -> None:
    """Tuples on one bus are of one length: else one that ends in zeros equals a shorter one."""
    lengths: dict[int, int] = {}
    for table in tables:
        for one in table.lookups:
            length = lengths.setdefault(one.bus, len(one.items))
            if length != len(one.items):
                message = f"tuples of two lengths on bus {one.bus}"
                raise reader.bad(message, expected=length, received=len(one.items))


def _below(reader: Reader, value: int, bound: int) -> int:
    if value >= bound:
        raise reader.bad("a number is out of range", f"below {bound}", value)
    return value
