"""The products of dot gates in streams of rows (docs/hybrid.md section 4, tables 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import distinct, lengths, run_starts
from ..gates import Ints
from ..gates.operand import Points, locate_apart, points
from ..program.types import Dot, Operand, Program, Read, Term
from ..reader import P
from ..stark.columns import Columns
from ..sums import divided
from .factors import NONE, Factors, Mask, References
from .leaves import BLOCK, Addresses
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
            aligned = np.zeros(at.gates, bool)
            reads = _byte_reads(self._program, term)
            if reads is not None and (whole := _unpadded(reads, at)).any():
                rows = self._aligned(op, term, reads, run, np.flatnonzero(whole))
                aligned[rows.gate] = True
                found.append(rows)
            if not aligned.all():
                a, b = (self._references.factors(o, at, run.steps) for o in (term.a, term.b))
                others.append(_Products(0, _unless(aligned), a, b, (at.gates, at.window)))
        self._add_aligned(found, first)
        counts = self._add_products(others, gate, 1, 1)
        has = np.zeros(len(gate), bool)
        for rows in found:
            has[rows.gate] = True
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

    def _aligned(
        self, op: Dot, term: Term, reads: tuple[Read, Read], run: GateRun, whole: Ints
    ) -> _AlignedRows:
        """The rows of the gates of a run whose products are aligned; `whole` ones read no pads."""
        part = GateRun(run.op, run.steps[whole], run.gates[whole])
        at = points(op.space, term.window, part.gates)
        a, b = (self._references.addresses(each, at, part.steps) for each in reads)
        gate, blocks, times = _aligned_rows(a, b, (at.gates, at.window))
        centres = np.array([[_centre(each)] for each in reads], np.int64)
        return _AlignedRows(whole[gate], blocks, np.broadcast_to(centres, blocks.shape), times)

    def _add_aligned(self, found: list[_AlignedRows], first: int) -> None:
        """Rows of all terms of some gates, gate by gate."""
        if not found:
            return
        rows = found[0] if len(found) == 1 else _AlignedRows.joined(found)
        last = np.append(rows.gate[1:] != rows.gate[:-1], True)[: len(rows.gate)]
        self.row_dot.add(
            len(rows.gate),
            on=1,
            block_a=rows.blocks[0],
            block_b=rows.blocks[1],
            ca=rows.centres[0],
            cb=rows.centres[1],
            m=rows.times,
            link=1 - last,
            slot=SLOTS * (first + rows.gate),
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
        gate: of each row, within the run; no gate is aligned that has none.
        blocks: block_a and block_b of each row, [2, rows].
        centres: ca and cb of each row, [2, rows].
        times: m, [48, rows].
    """

    gate: Ints
    blocks: Ints
    centres: Ints
    times: Ints

    @classmethod
    def joined(cls, parts: Sequence[_AlignedRows]) -> _AlignedRows:
        """The rows of several terms, gate by gate."""
        gate = np.concatenate([part.gate for part in parts])
        order = np.argsort(gate, kind="stable")

        def join(name: str) -> Ints:
            every: Ints = np.concatenate([getattr(part, name) for part in parts], axis=1)
            return every[:, order]

        return cls(gate[order], *map(join, ("blocks", "centres", "times")))


def _byte_reads(program: Program, term: Term) -> tuple[Read, Read] | None:
    """The operands, if both read bytes and there are enough products for a pair of blocks."""
    if term.size < _PER_ROW:
        return None
    if not (isinstance(term.a, Read) and isinstance(term.b, Read)):
        return None
    tensors = [program.tensors[read.tensor] for read in (term.a, term.b)]
    if any(tensor.layout is None or tensor.width > 1 for tensor in tensors):
        return None
    return term.a, term.b


def _unpadded(reads: tuple[Read, Read], at: Points) -> Mask:
    """Which gates read no pad at any point, [G]."""
    found = np.ones(at.gates, bool)
    for read in reads:
        _, inside = locate_apart(read, at)
        if inside is not None:
            found &= inside.all(1)
    return found


def _is_narrow(program: Program, operand: Operand) -> bool:
    """Whether an operand has several bytes, and a declared range narrower than they are."""
    if not isinstance(operand, Read):
        return False
    t = program.tensors[operand.tensor]
    half = 1 << 8 * t.width - 1
    return t.layout is not None and t.width > 1 and (t.lo, t.hi) != (-half, half - 1)


def _aligned_rows(a: Addresses, b: Addresses, shape: tuple[int, int]) -> tuple[Ints, Ints, Ints]:
    """The rows of those gates whose products are aligned: their gate, blocks [2, n] and m [48, n].

    Gates that begin at the same places within blocks have the same products in the same places, of
    other blocks: one gate of each such kind is worked out.
    """
    a, b = (each if each.is_apart else each.joined() for each in (a, b))
    kind, first = _kinds(a, b, shape[0])
    sides = [_Side(each, first, kind, shape[1]) for each in (a, b)]
    of_kind, pairs, times = _aligned_kinds(*(side.places for side in sides))
    counts = np.bincount(of_kind, minlength=len(first))
    own = counts[kind]
    gate = np.repeat(np.arange(shape[0], dtype=np.int64), own)
    row = np.arange(len(gate), dtype=np.int64)
    row += np.repeat((np.cumsum(counts) - counts)[kind] - (np.cumsum(own) - own), own)
    blocks = [side.blocks(pair[row], gate) for side, pair in zip(sides, pairs, strict=True)]
    return gate, np.stack(blocks), times[:, row]


def _kinds(a: Addresses, b: Addresses, gates: int) -> tuple[Ints, Ints]:
    """The kind of each gate, and a gate of each kind."""
    begins = [each.within.of_gate % BLOCK for each in (a, b)]
    if any(begin.shape[1] > 1 for begin in begins):
        every = np.arange(gates, dtype=np.int64)
        return every, every
    begin = np.broadcast_to(BLOCK * begins[0] + begins[1], (gates, 1))[:, 0]
    kinds = distinct(begin)
    kind = np.searchsorted(kinds, begin)
    order = np.argsort(kind, kind="stable")
    return kind, order[run_starts(kind[order])]


class _Side:
    """What one operand of some gates reads.

    Attributes:
        places: of a gate of each kind, [kinds, K]: numbers in the order of its addresses that are
            alike modulo 48, with blocks that are numbered within a leaf.
    """

    def __init__(self, read: Addresses, first: Ints, kind: Ints, window: int) -> None:
        """Of gates of these kinds; `first` [kinds] is one of each."""
        self._leaf = read.leaf
        start = np.broadcast_to(read.within.of_gate, (len(kind), read.within.of_gate.shape[1]))
        self._moved = (start - start[first][kind])[:, 0] // BLOCK
        within = start[first] + read.within.of_window
        self._blocks = int(within.max()) // BLOCK + 1
        places = BLOCK * self._blocks * read.which + within
        self.places: Ints = np.broadcast_to(places, (len(first), window))

    def blocks(self, place: Ints, gate: Ints) -> Ints:
        """The blocks of gates, from those of places."""
        which, block = divided(place, self._blocks)
        leaf = np.broadcast_to(self._leaf, (len(self._moved), self._leaf.shape[1]))
        found: Ints = leaf[gate, which] // BLOCK + self._moved[gate] + block
        return found


def _aligned_kinds(xa: Ints, xb: Ints) -> tuple[Ints, tuple[Ints, Ints], Ints]:
    """The rows of those gates whose products are aligned, by the places [G, K] that they read.

    Returns:
        Of each row the gate, the two blocks, and m, [48, rows].
    """
    window = xa.shape[1]
    chosen = np.flatnonzero(((xa - xb) % BLOCK == 0).all(1))
    xa, xb = xa[chosen], xb[chosen]
    gate, pair, row = _pairs((xa // BLOCK << 32 | xb // BLOCK).ravel(), window)
    few = _PER_ROW * np.bincount(gate, minlength=len(chosen)) <= window
    # Of the gates with few pairs: products by row and place in the block.
    kept, of_few = few[gate], np.repeat(few, window)
    place = (np.cumsum(kept, dtype=np.int64) - 1)[row[of_few]] * BLOCK + xa.ravel()[of_few] % BLOCK
    times = np.bincount(place, minlength=np.count_nonzero(kept) * BLOCK).reshape(-1, BLOCK).T
    pair = pair[kept]
    return chosen[gate[kept]], (pair >> 32, pair & (1 << 32) - 1), times


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


def _centre(read: Read) -> int:
    return _CENTRE + read.zero


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
