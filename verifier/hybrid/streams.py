"""The products of dot gates in streams of rows (docs/hybrid.md section 4, tables 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import distinct, lengths
from ..gates import Ints
from ..gates.operand import points
from ..program.types import Dot, Operand, Program, Read, Term
from ..reader import P
from ..stark.columns import Columns
from .factors import NONE, Factors, Mask, References
from .leaves import BLOCK
from .rows import Portions, Rows, Words
from .segments import GateRun

PRODUCTS = 16
"""Products of a row of read_dot."""

SLOTS = 11
"""Slots of a gate: the aligned stream, the direct one, nine of pairs of limbs."""

PAIRS = 9

_PER_ROW = 12
"""Products that a row of two blocks must hold on average."""

_CENTRE = 128

ROW_DOT_COLUMNS = Columns(f"on block_a block_b ca cb m:{BLOCK} link slot last")
READ_DOT_COLUMNS = Columns(f"link slot last products:{2 * 3 * PRODUCTS}")


@dataclass(frozen=True)
class _Products:
    """The products of a term that go to one stream of their gates; `where` None: all of them."""

    stream: int
    where: Mask | None
    a: Factors
    b: Factors
    shape: tuple[int, int]


@dataclass(frozen=True)
class Streams:
    """Which streams the gates of a run have: whether an aligned one [G], which others [G, n]."""

    aligned: Mask
    others: Mask


@dataclass(frozen=True)
class _LaidProducts:
    """Products of one stream in their places, factor a then b: place [n], x, r, k [2, n] each."""

    place: Ints
    x: Ints
    r: Mask
    k: Words


class ReadDotRows(Portions):
    """The rows of read_dot, most of whose places may be empty: of a gate with one product, say."""

    def __init__(self) -> None:
        self.count = 0
        self._heads: list[Words] = []
        self._products: list[_LaidProducts] = []

    def add(self, head: Ints, products: list[_LaidProducts]) -> None:
        """Add rows with these columns link, slot, last, and products; places are within them."""
        start = PRODUCTS * self.count
        self._heads.append((head % P).astype(np.uint32))
        self._products += [replace(part, place=start + part.place) for part in products]
        self.count += head.shape[1]

    def references(self) -> Iterator[Ints]:
        """Views of everything that holds references."""
        for part in self._products:
            yield from part.x

    def words(self) -> ReadDotRows:
        """The rows themselves, once references have become addresses."""
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows."""
        return READ_DOT_COLUMNS.count, self.count

    def part(self, first: int, end: int) -> Words:
        """Some rows."""
        found = np.zeros((READ_DOT_COLUMNS.count, end - first), np.uint32)
        start = 0
        for head in self._heads:
            low, high = max(first - start, 0), min(end - start, head.shape[1])
            if low < high:
                found[:3, start + low - first : start + high - first] = head[:, low:high]
            start += head.shape[1]
        products = found[READ_DOT_COLUMNS["products"]]
        for part in self._products:
            low, high = np.searchsorted(part.place, [PRODUCTS * first, PRODUCTS * end])
            row, number = np.divmod(part.place[low:high] - PRODUCTS * first, PRODUCTS)
            for factor in range(2):
                column = 6 * number + 3 * factor
                products[column, row] = part.x[factor, low:high]
                products[column + 1, row] = part.r[factor, low:high]
                products[column + 2, row] = part.k[factor, low:high]
        return found


class DotStreams:
    """Collects the rows of row_dot and read_dot."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._program = references.program
        self.row_dot = Rows(ROW_DOT_COLUMNS)
        self.read_dot = ReadDotRows()
        self.ranged: list[Ints] = []
        """References of values that are read by limbs, of tensors with a narrower range."""

    def direct(self, op: Dot, run: GateRun, first: int) -> Streams:
        """Add the streams of gates with a direct accumulator, whose rows begin at `first`."""
        gate = first + np.arange(len(run.gates), dtype=np.int64)
        found, others = [], []
        for term in op.terms:
            at = points(op.space, term.window, run.gates)
            a, b = (self._references.factors(o, at, run.steps) for o in (term.a, term.b))
            shape = (at.gates, at.window)
            aligned = np.zeros(at.gates, bool)
            if _may_align(self._program, term):
                rows = _aligned_rows(a, b, shape)
                aligned = rows.aligned
                found.append(rows.columns(gate, _centre(term.a), _centre(term.b)))
            others.append(_Products(0, _unless(aligned), a, b, shape))
        self._add_aligned(found)
        counts = self._add_products(others, gate, 1, 1)
        has = np.zeros(len(gate), bool)
        for columns in found:
            has[columns[0] - first] = True
        return Streams(has, counts > 0)

    def wide(self, op: Dot, run: GateRun, first: int) -> Streams:
        """Add the streams of gates with a wide accumulator, whose rows begin at `first`."""
        gate = first + np.arange(len(run.gates), dtype=np.int64)
        products = []
        for term in op.terms:
            at = points(op.space, term.window, run.gates)
            limbs_a = self._references.limbs(term.a, at, run.steps)
            limbs_b = self._references.limbs(term.b, at, run.steps)
            for operand in (term.a, term.b):
                if _is_narrow(self._program, operand):
                    whole = self._references.factors(operand, at, run.steps).x
                    self.ranged.append(distinct(whole[whole != NONE]))
            products += [
                _Products(3 * i + j, _both(a.where, b.where), a.factors, b.factors,
                          (at.gates, at.window))
                for i, a in enumerate(limbs_a)
                for j, b in enumerate(limbs_b)
            ]  # fmt: skip
        counts = self._add_products(products, gate, PAIRS, 2)
        return Streams(np.zeros(len(gate), bool), counts > 0)

    def _add_aligned(self, found: list[Ints]) -> None:
        """Rows of all terms of some gates, gate by gate."""
        if not found:
            return
        rows = np.concatenate(found, axis=1)
        rows = rows[:, np.argsort(rows[0], kind="stable")]
        gate = rows[0]
        last = np.append(gate[1:] != gate[:-1], True)[: len(gate)]
        _, block_a, block_b, ca, cb = rows[:5]
        self.row_dot.add(
            len(gate),
            on=1,
            block_a=block_a,
            block_b=block_b,
            ca=ca,
            cb=cb,
            m=rows[5:],
            link=1 - last,
            slot=SLOTS * gate,
            last=last,
        )

    def _add_products(self, products: list[_Products], gate: Ints, streams: int, slot: int) -> Ints:
        """Rows of all other products; how many each stream of each gate has, [G, streams]."""
        counts = np.zeros((len(gate), streams), np.int64)
        for part in products:
            counts[:, part.stream] += _count(part)
        rows = -(-counts // PRODUCTS)
        starts = (np.cumsum(rows) - rows.ravel()).reshape(rows.shape)
        used = PRODUCTS * starts
        laid = []
        for part in products:
            laid.append(_laid(part, used[:, part.stream]))
            used[:, part.stream] += _count(part)
        self.read_dot.add(np.stack(_stream_columns(rows, gate, slot)), laid)
        return counts


@dataclass(frozen=True)
class _AlignedRows:
    """Pairs of blocks of a term with their products.

    Attributes:
        aligned: which gates are, [G].
        gate: of each row, within the run.
        pair: block_a and block_b.
        times: m, [48, rows].
    """

    aligned: Mask
    gate: Ints
    pair: Ints
    times: Ints

    def columns(self, gate: Ints, ca: int, cb: int) -> Ints:
        """The gate's row, then block_a, block_b, ca, cb, m."""
        high, low = self.pair >> 32, self.pair & (1 << 32) - 1
        constants = np.full((2, len(high)), [[ca], [cb]], np.int64)
        return np.concatenate([[gate[self.gate], high, low], constants, self.times])


def _may_align(program: Program, term: Term) -> bool:
    """Whether both operands read bytes, and there are enough products for a pair of blocks."""
    return term.size >= _PER_ROW and all(_reads_bytes(program, o) for o in (term.a, term.b))


def _is_narrow(program: Program, operand: Operand) -> bool:
    """Whether an operand has several bytes, and a declared range narrower than they are."""
    if not isinstance(operand, Read):
        return False
    t = program.tensors[operand.tensor]
    half = 1 << 8 * t.width - 1
    return t.layout is not None and t.width > 1 and (t.lo, t.hi) != (-half, half - 1)


def _reads_bytes(program: Program, operand: Operand) -> bool:
    if not isinstance(operand, Read):
        return False
    tensor = program.tensors[operand.tensor]
    return tensor.layout is not None and tensor.width == 1


def _aligned_rows(a: Factors, b: Factors, shape: tuple[int, int]) -> _AlignedRows:
    """The rows of those gates whose products are aligned; references are addresses of bytes."""
    gates, window = shape
    alike = (a.x - b.x) % BLOCK == 0
    fits = np.broadcast_to(a.r.all(1) & b.r.all(1) & alike.all(1), gates)
    chosen = np.flatnonzero(fits)
    xa, xb = (np.broadcast_to(x, shape)[chosen] for x in (a.x, b.x))
    gate, pair, row = _pairs((xa // BLOCK << 32 | xb // BLOCK).ravel(), window)
    few = _PER_ROW * np.bincount(gate, minlength=len(chosen)) <= window
    # Of the gates with few pairs: products by row and place in the block.
    kept, of_few = few[gate], np.repeat(few, window)
    place = (np.cumsum(kept, dtype=np.int64) - 1)[row[of_few]] * BLOCK + xa.ravel()[of_few] % BLOCK
    times = np.bincount(place, minlength=np.count_nonzero(kept) * BLOCK).reshape(-1, BLOCK).T
    aligned = np.zeros(gates, bool)
    aligned[chosen[few]] = True
    return _AlignedRows(aligned, chosen[gate[kept]], pair[kept], times)


def _pairs(pair: Ints, window: int) -> tuple[Ints, Ints, Ints]:
    """The distinct pairs of each gate, ascending, and which of them each product has.

    Args:
        pair: of all products, `window` of them for each gate.
        window: products of a gate.

    Returns:
        Gate and pair of each row, and the row of each product.
    """
    changes = np.ones(len(pair), bool)
    changes[1:] = pair[1:] != pair[:-1]
    changes[::window] = True
    starts = np.flatnonzero(changes)
    order = np.lexsort((pair[starts], starts // window))
    gate, distinct = starts[order] // window, pair[starts[order]]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (gate[1:] != gate[:-1]) | (distinct[1:] != distinct[:-1])
    row_of_run = np.empty(len(order), np.int64)
    row_of_run[order] = np.cumsum(fresh, dtype=np.int64) - 1
    row = np.repeat(row_of_run, lengths(starts, len(pair)))
    return gate[fresh], distinct[fresh], row


def _centre(operand: Operand) -> int:
    return _CENTRE + (operand.zero if isinstance(operand, Read) else 0)


def _unless(aligned: Mask) -> Mask | None:
    return ~aligned[:, None] if aligned.any() else None


def _both(a: Mask | None, b: Mask | None) -> Mask | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b


def _count(part: _Products) -> Ints | int:
    """Products of each gate."""
    if part.where is None:
        return part.shape[1]
    counts: Ints = np.broadcast_to(part.where, part.shape).sum(1, dtype=np.int64)
    return counts


def _laid(part: _Products, start: Ints) -> _LaidProducts:
    """The products of each gate from place `start` [G] on."""
    where = None if part.where is None else np.broadcast_to(part.where, part.shape)
    if where is None:
        place = (start[:, None] + np.arange(part.shape[1], dtype=np.int64)).ravel()
    else:
        place = (start[:, None] + np.cumsum(where, axis=1, dtype=np.int64) - 1)[where]

    def both(a: Ints | Mask | Words, b: Ints | Mask | Words) -> Any:
        full = [np.broadcast_to(column, part.shape) for column in (a, b)]
        return np.stack([column.ravel() if where is None else column[where] for column in full])

    return _LaidProducts(
        place=place,
        x=both(part.a.x, part.b.x),
        r=both(part.a.r, part.b.r),
        k=both((part.a.k % P).astype(np.uint32), (part.b.k % P).astype(np.uint32)),
    )


def _stream_columns(rows: Ints, gate: Ints, slot: int) -> tuple[Ints, Ints, Ints]:
    """link, slot and last of the rows of streams, [G, streams] rows each."""
    slots = SLOTS * gate[:, None] + slot + np.arange(rows.shape[1], dtype=np.int64)
    last = np.zeros(int(rows.sum()), np.int64)
    last[np.cumsum(rows, dtype=np.int64)[rows.ravel() > 0] - 1] = 1
    return 1 - last, np.repeat(slots.ravel(), rows.ravel()), last
