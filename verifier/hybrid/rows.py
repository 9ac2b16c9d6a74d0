"""The used rows of a table: collected, or worked out in portions when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..gates import Ints
from ..stark.columns import Columns, canonical
from .factors import Factors, Mask, constant

Words = NDArray[np.uint32]


class Portions(ABC):
    """The words of a table that would be too large as a whole: slices of its rows only.

    It has as much of an array of [columns, rows] as the verifier of a proof asks for.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Columns and rows."""

    @abstractmethod
    def part(self, first: int, end: int) -> Words:
        """The rows from `first` to before `end`, uint32 [columns, end - first]."""

    def __getitem__(self, key: tuple[slice, slice]) -> Words:
        columns, rows = key
        first, end, _ = rows.indices(self.shape[1])
        return self.part(first, max(first, end))[columns]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.part(0, self.shape[1]).astype(dtype or np.uint32)


class Rows:
    """Rows of one table, in parts [columns, rows]: of integers of any sign, if some are references.

    Else they are words at once.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._parts: list[Ints | Words] = []
        self.count = 0

    def add(self, count: int, **columns: Ints | Mask | int) -> None:
        """Add `count` rows, every column by its name (see `Columns.table`)."""
        make = self.columns.table if self.columns.references else self.columns.words
        self._parts.append(make(count, **columns))
        self.count += count

    def references(self) -> Iterator[Ints]:
        """Views of everything that holds references."""
        for part in self._parts:
            for column in self.columns.references:
                yield part[column]

    def column(self, name: str) -> Ints:
        """One column of all rows."""
        found = [part[self.columns[name]] for part in self._parts]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def words(self) -> Words:
        """All rows as canonical words, uint32 [columns, rows]; the parts are given up."""
        found = np.empty((self.columns.count, self.count), np.uint32)
        end = self.count
        while self._parts:
            part = self._parts.pop()
            found[:, end - part.shape[1] : end] = canonical(part)
            end -= part.shape[1]
        return found


def factor_columns(factors: Factors, shape: tuple[int, int]) -> Ints:
    """The columns x, r, k [3, G·K] of factors at all points [G, K], gate by gate."""
    columns = (factors.x, factors.r, factors.k)
    return np.stack([np.broadcast_to(c, shape).ravel() for c in columns], dtype=np.int64)


def absent(count: int) -> Ints:
    """The columns of factors that there are none of."""
    return factor_columns(constant(0), (count, 1))
