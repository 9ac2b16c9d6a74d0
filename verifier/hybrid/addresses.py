"""From references to addresses, and the tables of what is read (section 4: 2, 3, 11, 12)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import counted, distinct, distinct_rows
from ..gates import Ints
from ..program.types import Program
from ..stark.columns import Columns
from .factors import NONE, PRF, WIDE, prf_order, prf_place
from .leaves import BLOCK, Leaves
from .rows import Portions, Words

WORDS = 16
"""Words of one call of the keyed function."""

SPREAD_COLUMNS = Columns(f"on block uses:{BLOCK}")
WIDE_COLUMNS = Columns("on x three offset lo hi uses address")
NOISE_COLUMNS = Columns(f"on seed_block step domain block first_word uses:{WORDS}")
BITS_COLUMNS = Columns("on word_at lo power sigma_v:2 sigma_h:2 uses address")

_FEW_BYTES = 1 << 22
"""Bytes whose uses are counted at once."""

_BITS = 24
_LIMB = 12


@dataclass(frozen=True)
class Reads:
    """Everything that is read whole, ascending, and how often.

    Attributes:
        wide: addresses of the first bytes of wide values. wide_uses: of each; 0 of those that are
            only ranged.
        prf: references of prf values. prf_uses: of each.
        prf_order: their order in the bits table.
    """

    wide: Ints
    wide_uses: Ints
    prf: Ints
    prf_uses: Ints
    prf_order: Ints

    @classmethod
    def of(cls, program: Program, references: Iterable[Ints], ranged: Iterable[Ints]) -> Reads:
        """From all references of the tables, and those of values that are only to be ranged."""
        wide, prf = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for column in references:
            whole = column[column >= WIDE]
            wide.append(whole[whole < PRF] - WIDE)
            prf.append(whole[whole >= PRF])
        values, uses = counted(np.concatenate(prf))
        step, rank, index = prf_place(values)
        order = np.lexsort((rank, index, _domains(program)[rank], step))
        read, counts = counted(np.concatenate(wide))
        every = distinct(np.concatenate([read, *(found - WIDE for found in ranged)]))
        wide_uses = np.zeros(len(every), np.int64)
        wide_uses[np.searchsorted(every, read)] = counts
        return cls(every, wide_uses, values, uses, order)

    def resolve(self, references: Iterable[Ints], sponge_rows: int) -> None:
        """Put addresses in the place of all references; `NONE` becomes 0."""
        first_wide = BLOCK * sponge_rows
        first_prf = first_wide + len(self.wide)
        prf_row = np.argsort(self.prf_order)
        for column in references:
            whole = np.flatnonzero(column >= WIDE)
            found = column[whole]
            is_prf = found >= PRF
            found[~is_prf] = np.searchsorted(self.wide, found[~is_prf] - WIDE) + first_wide
            found[is_prf] = prf_row[np.searchsorted(self.prf, found[is_prf])] + first_prf
            column[whole] = found
            column[column == NONE] = 0


def wide_rows(program: Program, leaves: Leaves, reads: Reads, sponge_rows: int) -> Ints:
    """The wide table."""
    x = reads.wide
    leaf = np.searchsorted(leaves.first_block, x // BLOCK, side="right") - 1
    tensor = leaves.trees.tensor_of[leaves.tree[leaf]]
    width, lo, hi = (
        np.array([getattr(t, name) for t in program.tensors], np.int64)[tensor]
        for name in ("width", "lo", "hi")
    )
    return WIDE_COLUMNS.table(
        len(x),
        on=1,
        x=x,
        three=width == 3,
        offset=1 << 8 * width - 1,
        lo=lo,
        hi=hi,
        uses=reads.wide_uses,
        address=BLOCK * sponge_rows + np.arange(len(x), dtype=np.int64),
    )


def wide_bytes(wide: Ints) -> Iterator[Ints]:
    """Addresses of the bytes that the rows of the wide table read."""
    x, three = wide[WIDE_COLUMNS["x"]], wide[WIDE_COLUMNS["three"]] == 1
    yield from (x, x + 1, x[three] + 2)


@dataclass(frozen=True)
class Noise:
    """The tables noise and bits."""

    noise: Ints
    bits: Ints


def noise_rows(program: Program, reads: Reads, sponge_rows: int, position: int) -> Noise:
    """The calls of the keyed function whose words are used, and the values made of these.

    `position` is that of the first step of the receipt in its run.
    """
    tensors = [program.tensors[t] for t in prf_order(program)]
    step, rank, index = prf_place(reads.prf[reads.prf_order])
    domain = _domains(program)[rank]
    lo = np.array([t.lo for t in tensors], np.int64)[rank]
    top = np.array([t.hi - t.lo for t in tensors], np.int64)[rank]
    bits = np.array([(t.hi - t.lo).bit_length() for t in tensors], np.int64)[rank]
    calls, call = distinct_rows(np.stack([step, domain, index // WORDS]))
    word = WORDS * call + index % WORDS
    uses = np.bincount(word, minlength=WORDS * calls.shape[1])
    step, domain, block = calls
    noise = NOISE_COLUMNS.table(
        len(step),
        on=1,
        seed_block=sponge_rows - 1,
        step=position + step,
        domain=domain,
        block=block,
        first_word=WORDS * np.arange(len(step), dtype=np.int64),
        uses=uses.reshape(-1, WORDS).T,
    )
    values = BITS_COLUMNS.table(
        len(word),
        on=1,
        word_at=word,
        lo=lo,
        power=top + 1,
        sigma_v=_sigmas(bits),
        sigma_h=_sigmas(_BITS - bits),
        uses=reads.prf_uses[reads.prf_order],
        address=BLOCK * sponge_rows + len(reads.wide) + np.arange(len(word), dtype=np.int64),
    )
    return Noise(noise, values)


class SpreadRows(Portions):
    """The spread table, from the addresses of all bytes that are read (others are skipped).

    Attributes:
        block: of each row.
    """

    def __init__(self, byte_reads: Iterable[Ints], blocks: int) -> None:
        none = np.zeros(0, np.int32)
        read = [
            column[(column >= 0) & (column < BLOCK * blocks)].astype(np.int32)
            for column in byte_reads
        ]
        self._read, touched = np.concatenate([none, *read]), np.zeros(blocks, bool)
        touched[self._read // BLOCK] = True
        self.block: Ints = np.flatnonzero(touched)
        # Counts of all bytes are soon had, but of very many blocks they would be gigabytes.
        self._uses: Ints | None = None
        if BLOCK * blocks <= max(_FEW_BYTES, len(self._read)):
            uses = np.bincount(self._read, minlength=BLOCK * blocks)
            self._uses, self._read = uses.reshape(-1, BLOCK), none
        else:
            self._read.sort()

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows."""
        return SPREAD_COLUMNS.count, len(self.block)

    def part(self, first: int, end: int) -> Words:
        """Some rows: a block each, and how often each of its bytes is read."""
        block = self.block[first:end]
        found = np.zeros((self.shape[0], len(block)), np.uint32)
        found[SPREAD_COLUMNS["on"]] = 1
        found[SPREAD_COLUMNS["block"]] = block
        if len(block):
            found[SPREAD_COLUMNS["uses"]] = self._uses_of(block).T
        return found

    def _uses_of(self, block: Ints) -> Ints:
        """How often each byte of these blocks, which ascend, is read: [blocks, 48]."""
        if self._uses is not None:
            return self._uses[block]
        ends = np.array([BLOCK * block[0], BLOCK * (block[-1] + 1)], np.int32)
        low, high = np.searchsorted(self._read, ends)
        read = self._read[low:high].astype(np.int64)
        place = BLOCK * np.searchsorted(block, read // BLOCK) + read % BLOCK
        return np.bincount(place, minlength=BLOCK * len(block)).reshape(-1, BLOCK)


def _domains(program: Program) -> Ints:
    """The domains of the prf tensors in their order."""
    return np.array([program.tensors[t].domain or 0 for t in prf_order(program)], np.int64)


def _sigmas(bits: Ints) -> Ints:
    """2^(12 − n) for both limbs of numbers of so many bits, which have n of them, [2, numbers]."""
    rest = bits - np.array([[0], [_LIMB]], np.int64)
    powers: Ints = 1 << _LIMB - np.clip(rest, 0, _LIMB)
    return powers
