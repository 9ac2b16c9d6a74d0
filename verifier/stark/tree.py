"""Openings of a tree over matrices of different heights (docs/stark.md sections 4 and 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..reader import P, Reader
from .field import Base, Ints

SALT = 16
_HASH = 32


@dataclass(frozen=True)
class Shape:
    """What a tree commits to.

    Attributes:
        widths: by log of the height, the words in a row of all matrices of that height.
        salted: whether a salt follows each row.
    """

    widths: Mapping[int, int]
    salted: bool = True

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
        raw: bytes of each row, its salt included.
        words: below p, uint64 [n, width].
    """

    positions: Ints
    raw: tuple[memoryview, ...]
    words: Base

    def at(self, positions: Ints) -> Base:
        """The words of these opened positions, in any order and repeated, uint64 [n, width]."""
        return self.words[np.searchsorted(self.positions, positions)]

    def digests(self) -> dict[int, bytes]:
        """`row(l, i)` by position."""
        return {
            position: hashlib.sha256(b"\0" + raw).digest()
            for position, raw in zip(self.positions.tolist(), self.raw, strict=True)
        }


@dataclass(frozen=True)
class Opening:
    """The opened rows of a tree by log of height, and the siblings from the leaves up."""

    rows: Mapping[int, Rows]
    siblings: tuple[bytes, ...]

    def root(self) -> bytes:
        """The root that the rows and siblings hash to."""
        siblings = iter(self.siblings)
        level = max(self.rows)
        known = self.rows[level].digests()
        while level:
            level -= 1
            rows = self.rows[level].digests() if level in self.rows else {}
            known = {
                parent: hashlib.sha256(b"\1" + left + right + rows.get(parent, b"")).digest()
                for parent, left, right in _pairs(known, siblings)
            }
        return known[0]


def read_opening(reader: Reader, shape: Shape, indices: Ints) -> Opening:
    """Read the opening of a tree at these indices of its tallest height, int64 [n], n ≥ 1.

    Raises:
        MalformedReceipt: `receipt.truncated`; `receipt.non-canonical`, a word is not below p.
    """
    salt = SALT if shape.salted else 0
    rows = {
        level: _read_rows(reader, np.unique(indices >> (shape.top - level)), width, salt)
        for level, width in ((level, shape.widths[level]) for level in shape.levels)
    }
    count = _missing(np.unique(indices), shape.top)
    data = bytes(reader.take(count * _HASH))
    siblings = tuple(data[at : at + _HASH] for at in range(0, len(data), _HASH))
    return Opening(rows, siblings)


def read_words(reader: Reader, count: int) -> Base:
    """Read words, each below p: uint64 [count].

    Raises:
        MalformedReceipt: `receipt.truncated`, `receipt.non-canonical`.
    """
    return _canonical(reader, reader.take(4 * count), 0).reshape(count)


def _read_rows(reader: Reader, positions: Ints, width: int, salt: int) -> Rows:
    size = 4 * width + salt
    data = reader.take(len(positions) * size)
    raw = tuple(data[at : at + size] for at in range(0, len(data), size))
    words = _canonical(reader, data, salt, len(positions))
    return Rows(positions, raw, words)


def _canonical(reader: Reader, data: memoryview, salt: int, rows: int = 1) -> Base:
    cut = np.frombuffer(data, np.uint8).reshape(rows, -1)
    words = np.ascontiguousarray(cut[:, : cut.shape[1] - salt]).view("<u4").astype(np.uint64)
    if words.size and int(words.max()) >= P:
        raise reader.bad("a word of an element is not below p", f"below {P}", int(words.max()))
    return words


def _missing(positions: Ints, levels: int) -> int:
    """The number of siblings that these leaves need on their way up."""
    count = 0
    for _ in range(levels):
        parents = np.unique(positions >> 1)
        count += 2 * len(parents) - len(positions)
        positions = parents
    return count


def _pairs(
    known: dict[int, bytes], siblings: Iterator[bytes]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Each parent with its two children, ascending; a child that is not known is a sibling."""
    for parent in sorted({position >> 1 for position in known}):
        left = known.get(2 * parent) or next(siblings)
        right = known.get(2 * parent + 1) or next(siblings)
        yield parent, left, right
