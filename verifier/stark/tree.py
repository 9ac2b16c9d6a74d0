"""Openings of a tree over matrices of different heights (docs/stark.md sections 4 and 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import distinct, run_starts
from ..poseidon2 import DIGEST, compress, sponge16
from ..reader import P, Reader
from .field import Base, Ints
from .params import Hashing

Words = NDArray[np.uint32]
"""Words as they are on the wire."""

SALT = 16
_HASH = 32
_ROW = 0x40
"""The domain of rows in Poseidon2's sponge."""


@dataclass(frozen=True)
class Shape:
    """What a tree commits to.

    Attributes:
        widths: by log of the height, the words in a row of all matrices of that height.
        salted: whether a salt follows each row.
        hashing: of rows and nodes.
    """

    widths: Mapping[int, int]
    salted: bool = True
    hashing: Hashing = Hashing.SHA256

    @property
    def top(self) -> int:
        """Log of the tallest height."""
        return max(self.widths)

    @property
    def levels(self) -> list[int]:
        """Logs of the heights, tallest first."""
        return sorted(self.widths, reverse=True)


@dataclass(frozen=True)
class Rows:
    """The opened rows of one height.

    Attributes:
        positions: int64 [n], strictly ascending.
        raw: the words of each row, those of its salt included, little-endian uint32 [n, words].
        words: those of the row alone, below p, uint64 [n, width].
    """

    positions: Ints
    raw: Words
    words: Base

    def at(self, positions: Ints) -> Base:
        """The words of these opened positions, in any order and repeated, uint64 [n, width]."""
        return self.words[np.searchsorted(self.positions, positions)]


@dataclass(frozen=True)
class Opening:
    """The opened rows of a tree by log of height, and the siblings from the leaves up.

    Attributes:
        rows: by log of height.
        siblings: their words, little-endian uint32 [n, 8].
        hashing: of rows and nodes.
    """

    rows: Mapping[int, Rows]
    siblings: Words
    hashing: Hashing

    def root(self) -> bytes:
        """The root that the rows and siblings hash to, 32 bytes."""
        return _sha256_root(self) if self.hashing is Hashing.SHA256 else _poseidon2_root(self)


def read_opening(reader: Reader, shape: Shape, indices: Ints) -> Opening:
    """Read the opening of a tree at these indices of its tallest height, int64 [n], n ≥ 1.

    Raises:
        MalformedReceipt: `receipt.truncated`; `receipt.non-canonical`, a word is not below p.
    """
    rows = {
        level: _read_rows(reader, distinct(indices >> (shape.top - level)), shape, level)
        for level in shape.levels
    }
    count = _missing(distinct(indices), shape.top)
    siblings = np.frombuffer(reader.take(count * _HASH), "<u4").reshape(count, DIGEST)
    if shape.hashing is Hashing.POSEIDON2:
        _judge_words(reader, siblings, "a word of a digest")
    return Opening(rows, siblings, shape.hashing)


def read_words(reader: Reader, count: int) -> Base:
    """Read words, each below p: uint64 [count].

    Raises:
        MalformedReceipt: `receipt.truncated`, `receipt.non-canonical`.
    """
    words = np.frombuffer(reader.take(4 * count), "<u4")
    _judge_words(reader, words, "a word of an element")
    return words.astype(np.uint64)


def read_digest(reader: Reader, hashing: Hashing) -> bytes:
    """Read a digest, 32 bytes.

    Raises:
        MalformedReceipt: `receipt.truncated`; `receipt.non-canonical`, a word is not below p where
            digests are elements.
    """
    digest = bytes(reader.take(_HASH))
    if hashing is Hashing.POSEIDON2:
        _judge_words(reader, np.frombuffer(digest, "<u4"), "a word of a digest")
    return digest


def _read_rows(reader: Reader, positions: Ints, shape: Shape, level: int) -> Rows:
    width = shape.widths[level]
    size = width + (SALT // 4 if shape.salted else 0)
    raw = np.frombuffer(reader.take(4 * len(positions) * size), "<u4").reshape(-1, size)
    # A salt is made of elements where all that is hashed is.
    judged = raw if shape.hashing is Hashing.POSEIDON2 else raw[:, :width]
    _judge_words(reader, judged, "a word of a row")
    return Rows(positions, raw, raw[:, :width].astype(np.uint64))


def _judge_words(reader: Reader, words: Words, what: str) -> None:
    if words.size and int(words.max()) >= P:
        raise reader.bad(f"{what} is not below p", f"below {P}", int(words.max()))


def _missing(positions: Ints, levels: int) -> int:
    """The number of siblings that these leaves need on their way up."""
    count = 0
    for _ in range(levels):
        parents = _parents(positions)
        count += 2 * len(parents) - len(positions)
        positions = parents
    return count


def _parents(positions: Ints) -> Ints:
    """Of ascending positions, each once."""
    every = positions >> 1
    return every[run_starts(every)]


def _sha256_root(opening: Opening) -> bytes:
    siblings = (row.tobytes() for row in opening.siblings)

    def digests(level: int) -> dict[int, bytes]:
        """`row(l, i)` by position."""
        rows = opening.rows[level]
        hashed = (hashlib.sha256(b"\0" + raw.tobytes()).digest() for raw in rows.raw)
        return dict(zip(rows.positions.tolist(), hashed, strict=True))

    level = max(opening.rows)
    known = digests(level)
    while level:
        level -= 1
        rows = digests(level) if level in opening.rows else {}
        known = {
            parent: hashlib.sha256(b"\1" + left + right + rows.get(parent, b"")).digest()
            for parent, left, right in _pairs(known, siblings)
        }
    return known[0]


def _pairs(
    known: dict[int, bytes], siblings: Iterator[bytes]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Each parent with its two children, ascending; a child that is not known is a sibling."""
    for parent in sorted({position >> 1 for position in known}):
        left = known.get(2 * parent) or next(siblings)
        right = known.get(2 * parent + 1) or next(siblings)
        yield parent, left, right


def _poseidon2_root(opening: Opening) -> bytes:
    """All nodes of a level at once."""
    siblings = opening.siblings.astype(np.uint64)

    def digests(level: int) -> Base:
        """`row(l, i)` of the opened positions, ascending, uint64 [n, 8]."""
        return sponge16(_ROW, opening.rows[level].raw.astype(np.uint64))

    level = max(opening.rows)
    positions, known = opening.rows[level].positions, digests(level)
    while level:
        level -= 1
        parents = _parents(positions)
        place = np.searchsorted(parents, positions >> 1)
        children = np.zeros((len(parents), 2, DIGEST), np.uint64)
        given = np.zeros((len(parents), 2), np.bool_)
        children[place, positions & 1] = known
        given[place, positions & 1] = True
        # Row by row, left before right: the order in which siblings stand.
        missing = 2 * len(parents) - len(positions)
        children[~given], siblings = siblings[:missing], siblings[missing:]
        known = compress(children[:, 0], children[:, 1])
        if level in opening.rows:
            known = compress(known, digests(level))
        positions = parents
    root: bytes = known[0].astype("<u4").tobytes()
    return root
