"""A verifier written as rows: what is computed, in which order, from where (docs/recursion.md 3).

Everything has a number: blocks of 8 elements, cells (elements of K), coefficients (8 elements of
K), bits. One row gives it, others take it. The rows follow from what is verified, never from a
proof; here they are public columns, but that a column of multiplicities says for now `TAKE`, `GIVE`
or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..gates import Ints
from ..stark.field import DEGREE, ONE, ZERO, K, root_of_unity
from .tables import BITS, BLOCK, BLOCKS, CELLS, COLUMNS, TOP_BITS, Bus, Table, column

Block: TypeAlias = int
Cell: TypeAlias = int
Coefficients: TypeAlias = int
Bit: TypeAlias = int

TAKE, GIVE = 1, -1
NEXT, POW_CHECK, SQUEEZE = 0xFE, 0xFD, 0xFF
"""What the second element of a squeeze's right half says that it is for."""

_NOTHING = (0, 0)
_ZEROS = [(0,) * (BLOCK - count) + (1,) * count for count in range(BLOCK + 1)]
_PATH, _OUT = column(Table.HASH, "path"), column(Table.HASH, "out")


@dataclass(frozen=True)
class Sponge:
    """The data blocks of a sponge, one after the other, and its digest if it does not go on."""

    first: Block
    digest: Block | None


@dataclass(frozen=True)
class Bits:
    """The bits of an element, lowest first, also as cells, and the point that the low ones choose.

    Attributes:
        bits: numbers of the bits.
        cells: the same as elements of K.
        point: `ω^rev(index)` of the index that the low bits are, as an element of K.
    """

    bits: list[Bit]
    cells: list[Cell]
    point: Cell


class Machine:
    """The rows of all tables, as they are written one after the other.

    Attributes:
        made: how many blocks, cells, coefficients and bits there are so far.
        known: blocks that the verifier knows, with their elements.
    """

    def __init__(self) -> None:
        self.made: dict[Bus, int] = dict.fromkeys(Bus, 0)
        self.known: list[tuple[Block, tuple[int, ...]]] = []
        self._rows: dict[Table, list[Sequence[int]]] = {t: [] for t in Table}
        self._parts: dict[Table, list[Ints]] = {t: [] for t in Table}
        self._one: Cell | None = None
        self._zero: Cell | None = None

    def rows(self, table: Table) -> Ints:
        """All rows of a table so far, int64 [rows, columns]."""
        return np.concatenate([*self._parts[table], self._written(table)])

    def repeat(self, count: int, one: Callable[[int], None]) -> None:
        """Write the rows of `one(0) … one(count − 1)`.

        They are alike but for their numbers, which grow evenly: from the second time on everything
        stands at the distance that it has from the first.
        """
        if count <= 2:
            for number in range(count):
                one(number)
            return
        self._close()
        first = self._apart(one, 0)
        before = dict(self.made)
        second = self._apart(one, 1)
        times = np.arange(count, dtype=np.int64)[:, None, None]
        for table, rows in first.items():
            every = rows + times * (second[table] - rows)
            self._parts[table].append(every.reshape(-1, rows.shape[1]))
        for bus, made in self.made.items():
            self.made[bus] = made + (count - 2) * (made - before[bus])

    def _apart(self, one: Callable[[int], None], number: int) -> dict[Table, Ints]:
        """The rows of one time alone."""
        one(number)
        found = {table: self._written(table) for table in Table}
        for rows in self._rows.values():
            rows.clear()
        return found

    def _close(self) -> None:
        """What was written so far cannot be changed any more."""
        for table, rows in self._rows.items():
            self._parts[table].append(self._written(table))
            rows.clear()

    def _written(self, table: Table) -> Ints:
        return np.array(self._rows[table], np.int64).reshape(-1, COLUMNS[table].count)

    def _new(self, bus: Bus) -> int:
        number = self.made[bus]
        self.made[bus] = number + 1
        return number

    # Hashes

    def _hash(
        self,
        left: tuple[int, int] = _NOTHING,
        right: tuple[int, int] = _NOTHING,
        out: tuple[int, int] = _NOTHING,
        bit: Bit | None = None,
        begin: tuple[int, int] | None = None,
        *,
        feed: bool = False,
        keep: bool = False,
        path: bool = False,
        zeros: int = 0,
    ) -> None:
        """A row: what stands left and right, what comes out; what the right half begins with."""
        of_bit = _NOTHING if bit is None else (bit, TAKE)
        fresh = begin is not None
        row = (*left, *right, *out, *of_bit, feed, fresh, *(begin or _NOTHING), keep, path)
        self._rows[Table.HASH].append(row + _ZEROS[zeros])

    def known_block(self, elements: Sequence[int]) -> Block:
        """A block whose elements the verifier knows: its own row has it on the left."""
        block = self._new(Bus.BLOCK)
        self.known.append((block, tuple(elements)))
        self._hash(left=(block, GIVE), begin=(0, 0))
        return block

    def sponge(self, domain: int, state: Block | None, count: int, *, path: bool = False) -> Sponge:
        """`S(domain, state ‖ data)` of so many elements of data; a path may go on with it."""
        ahead = 0 if state is None else 1
        total = ahead + -(-count // BLOCK)
        length = ahead * BLOCK + count
        first = self.made[Bus.BLOCK]
        lefts = [] if state is None else [(state, TAKE)]
        lefts += [(self._new(Bus.BLOCK), GIVE) for _ in range(total - ahead)]
        digest = None if path else self._new(Bus.BLOCK)
        for i, left in enumerate(lefts):
            last = i + 1 == total
            self._hash(
                left,
                out=(digest, GIVE) if last and digest is not None else _NOTHING,
                begin=None if i else (length, domain),
                keep=not last,
                path=last and path,
                zeros=total * BLOCK - length if last else 0,
            )
        return Sponge(first, digest)

    def squeeze(self, state: Block, begin: tuple[int, int]) -> Block:
        """`C(state, (begin, 0 …))`."""
        block = self._new(Bus.BLOCK)
        self._hash((state, TAKE), out=(block, GIVE), begin=begin, feed=True)
        return block

    def ascend(self, bit: Bit) -> None:
        """One level of a path: the digest of the row above and a sibling, by a bit."""
        self._hash(bit=bit, feed=True, path=True)

    def join(self, digest: Block) -> None:
        """The digest of the row above joined by that of an opened row."""
        self._hash(right=(digest, TAKE), feed=True, path=True)

    def arrive(self, root: Block) -> None:
        """The path ends in this root."""
        row = list(self._rows[Table.HASH].pop())
        row[_PATH] = 0
        row[_OUT : _OUT + 2] = root, TAKE
        self._rows[Table.HASH].append(row)

    # Elements of K

    def unpack(self, first: Block, count: int) -> list[Cell]:
        """The elements of K in blocks that follow each other, from the first one on."""
        found: list[Cell] = []
        for start in range(0, count, CELLS):
            here = min(count - start, CELLS)
            blocks = -(-here * DEGREE // BLOCK)
            cells = [self._new(Bus.CELL) for _ in range(here)]
            found += cells
            block = first + start // CELLS * BLOCKS
            self._cells(block, blocks, cells, GIVE, _NOTHING)
        return found

    def pack(self, cells: Sequence[Cell]) -> Coefficients:
        """Eight cells as coefficients."""
        number = self._new(Bus.COEFFICIENTS)
        self._cells(0, 0, cells, TAKE, (number, GIVE))
        return number

    def _cells(
        self,
        first: Block,
        blocks: int,
        cells: Sequence[Cell],
        use: int,
        coefficients: tuple[int, int],
    ) -> None:
        has = [int(i < blocks) for i in range(BLOCKS)]
        absent = [0] * (CELLS - len(cells))
        times = [use] * len(cells)
        row = (first, *has, *cells, *absent, *times, *absent, *coefficients)
        self._rows[Table.CELLS].append(row)

    def dot(self, parts: Sequence[tuple[Block, Coefficients]]) -> Cell:
        """`Σ words·coefficients` over blocks."""
        cell = self._new(Bus.CELL)
        rows = self._rows[Table.DOT]
        for block, coefficients in parts[:-1]:
            rows.append((1, block, coefficients, 1, 0, 0))
        block, coefficients = parts[-1]
        rows.append((1, block, coefficients, 0, cell, GIVE))
        return cell

    def bits(self, block: Block, element: int, zeros: int, log_size: int) -> Bits:
        """The bits of an element of a block, of which so many low ones are zero.

        The low `log_size` bits are an index in bit-reversed order; the point is that of the
        subgroup of this size.
        """
        point = self._new(Bus.CELL)
        bits, cells = [], []
        choice = [int(i == element) for i in range(BLOCK)]
        for number in reversed(range(BITS)):
            bit, cell = self._new(Bus.BIT), self._new(Bus.CELL)
            bits.append(bit)
            cells.append(cell)
            # Bit j of the index stands for the generator of order 2^(j + 1).
            step = root_of_unity(number) - 1 if 1 <= number <= log_size else 0
            start, end = number + 1 == BITS, number == 0
            top = number > 0 and _is_top(number - 1)
            flags = (start, not end, top, not _is_top(number), number < zeros, end)
            chosen = (*choice, block) if end else (0,) * (BLOCK + 1)
            of_point = (point, GIVE) if end else _NOTHING
            row = (*flags, *chosen, step, bit, GIVE, cell, GIVE, *of_point)
            self._rows[Table.BITS].append(row)
        return Bits(bits[::-1], cells[::-1], point)

    # Arithmetic

    def compute(
        self,
        a: Cell | None = None,
        b: Cell | None = None,
        c: Cell | None = None,
        *,
        ab: int = 0,
        ac: int = 0,
        of_a: int = 0,
        of_b: int = 0,
        of_c: int = 0,
        constant: K = ZERO,
    ) -> Cell:
        """`ab·(a·b) + ac·(a·c) + of_a·a + of_b·b + of_c·c + constant`, as a new cell."""
        cell = self._new(Bus.CELL)
        self._field(a, b, c, (cell, GIVE), (ab, ac, of_a, of_b, of_c), constant)
        return cell

    def demand(
        self,
        result: Cell,
        a: Cell | None = None,
        b: Cell | None = None,
        c: Cell | None = None,
        *,
        ab: int = 0,
        ac: int = 0,
        of_c: int = 0,
        constant: K = ZERO,
    ) -> None:
        """The same, whose result is this cell."""
        self._field(a, b, c, (result, TAKE), (ab, ac, 0, 0, of_c), constant)

    def _field(
        self,
        a: Cell | None,
        b: Cell | None,
        c: Cell | None,
        d: tuple[int, int],
        factors: tuple[int, int, int, int, int],
        constant: K,
    ) -> None:
        self._rows[Table.FIELD].append(
            (
                *(_NOTHING if a is None else (a, TAKE)),
                *(_NOTHING if b is None else (b, TAKE)),
                *(_NOTHING if c is None else (c, TAKE)),
                *d,
                *factors,
                *constant.words,
            )
        )

    def invert(self, x: Cell) -> Cell:
        """`1/x`: what is multiplied by x to one."""
        one = self.one()
        cell = self._new(Bus.CELL)
        row = (cell, GIVE, x, TAKE, 0, 0, one, TAKE, 1, 0, 0, 0, 0, *ZERO.words)
        self._rows[Table.FIELD].append(row)
        return cell

    def constant(self, value: K) -> Cell:
        """A number that the verifier knows."""
        return self.compute(constant=value)

    def one(self) -> Cell:
        """One, always the same cell."""
        if self._one is None:
            self._one = self.constant(ONE)
        return self._one

    def zero(self) -> Cell:
        """Zero, always the same cell."""
        if self._zero is None:
            self._zero = self.constant(ZERO)
        return self._zero

    def product(self, a: Cell, b: Cell) -> Cell:
        """`a·b`."""
        return self.compute(a, b, ab=1)

    def fused(self, a: Cell, b: Cell, c: Cell) -> Cell:
        """`a·b + c`."""
        return self.compute(a, b, c, ab=1, of_c=1)

    def sum(self, a: Cell, b: Cell) -> Cell:
        """`a + b`."""
        return self.compute(a, b, of_a=1, of_b=1)

    def difference(self, a: Cell, b: Cell) -> Cell:
        """`a − b`."""
        return self.compute(a, b, of_a=1, of_b=-1)

    def total(self, cells: Sequence[Cell]) -> Cell:
        """The sum of all, two more in each row."""
        if not cells:
            return self.zero()
        found = cells[0]
        for i in range(1, len(cells), 2):
            more = cells[i : i + 2]
            c = more[1] if len(more) == 2 else None
            found = self.compute(found, more[0], c, of_a=1, of_b=1, of_c=int(c is not None))
        return found

    def horner(self, x: Cell, cells: Sequence[Cell]) -> Cell:
        """`Σ x^i·cells[i]`."""
        if not cells:
            return self.zero()
        found = cells[-1]
        for cell in reversed(cells[:-1]):
            found = self.fused(found, x, cell)
        return found


def _is_top(number: int) -> bool:
    """Whether a bit is one of the top ones."""
    return number >= BITS - TOP_BITS
